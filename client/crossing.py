"""Hits behind bridges: learnwares that have none of the searcher's columns, by what others found out.

Theory of operation. A search for a table that finds nothing asks for the published bridges that start from
its island. Of each island at a far end the learnwares' specifications are fetched and compared on the columns
that the bridge joins. A bridge is a claim, and a guess: with labels a learnware behind one is offered only
where it is expected to lose less than what those labels alone can train; without labels nothing speaks
against it, and the hit says so. Nothing behind a bridge is ever part of a recommended mix.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from skerry.errors import SpecificationError
from skerry.protocol import api

from .bridges import bridge_from
from .limits import BRIDGE_CARDS_MAX, BRIDGE_ISLANDS_MAX, LATE_SECONDS_MIN
from .remote import specifications

if TYPE_CHECKING:
    from skerry.spec import Bridge, ExpectedLoss, Specification

    from .connection import Connection
    from .hits import Hits
    from .requirements import Requirement


@dataclass(frozen=True, eq=False)
class Crossed:
    """The bridge that a hit stands behind.

    Attributes
    ----------
    bridge
        From the searcher's columns to the model's.
    found_by
        Who published it; text from another node.
    unbridged_loss
        What models trained on the searcher's labelled rows alone lose; None where labels are missing or few.
    """

    bridge: Bridge
    found_by: str
    unbridged_loss: float | None = None

    def __str__(self) -> str:
        joined = len(self.bridge.shared)
        text = (
            f"behind a bridge found by {self.found_by}: {joined} of its {joined + len(self.bridge.missing)} "
            f"columns, confidence {self.bridge.confidence:.2f}"
        )
        return text if self.unbridged_loss is not None else f"{text}, not tried for want of labels"


@dataclass
class Across:
    """What stands behind bridges.

    Attributes
    ----------
    answer
        The node's answers as one, with distances on the columns joined.
    crossed, losses
        By card hash.
    left_out
        Learnwares that the searcher's labelled rows alone do as well as.
    """

    answer: api.SearchAnswer
    crossed: dict[str, Crossed] = field(default_factory=dict)
    losses: dict[str, ExpectedLoss] = field(default_factory=dict)
    left_out: int = 0

    def note(self) -> str:
        """Return in a sentence what was found there."""
        found = len(self.answer.hits)
        parts = ["no learnware has these columns"]
        if found:
            parts.append(f"{found} stand behind bridges that others found")
        if self.left_out:
            parts.append(f"{self.left_out} behind bridges were left out: your labelled rows alone do as well")
        return "; ".join(parts)


def search_across(
    connection: Connection,
    as_hits: Callable[[api.SearchAnswer], Hits],
    wanted: Requirement,
    request: api.SearchRequest,
    answer: api.SearchAnswer,
    seconds: float,
) -> Across | None:
    """Return what stands behind published bridges; None where there is no bridge.

    Parameters
    ----------
    connection
        The way to the node.
    as_hits
        Makes hits, which can fetch their specifications, of an answer.
    wanted
        What was searched with, a table.
    request
        What was asked; its filters hold here too.
    answer
        What the node found: nothing.
    seconds
        Time for asking and for fetching specifications.
    """
    deadline = time.monotonic() + seconds
    source = wanted.rkme.island.id.hex()
    views = connection.get(f"/bridges?source={source}", api.Bridges).bridges
    if not views:
        return None
    there: list[tuple[api.Hit, Specification, list[api.BridgeView]]] = []
    for island in list(dict.fromkeys(view.target for view in views))[:BRIDGE_ISLANDS_MAX]:
        left = max(LATE_SECONDS_MIN, deadline - time.monotonic())
        asked = replace(
            request,
            timeout_seconds=left,
            requirement=b"",
            sketch=None,
            noise_mmd2=None,
            island=island,
            k=BRIDGE_CARDS_MAX,
            mix_size=0,
        )
        hits = as_hits(connection.post("/search", asked, api.SearchAnswer, extra_seconds=left))
        specs = specifications(hits, max(0.0, deadline - time.monotonic()))
        across = [view for view in views if view.target == island]
        there += [
            (hit.answer, spec, across)
            for hit, spec in zip(hits, specs, strict=True)
            if spec is not None and spec.rkme.island.id.hex() == island
        ]
    found, unbridged = Across(answer), _unbridged(wanted) if there else {}
    for hit, spec, across in there:
        _compare(found, hit, spec, across, wanted, unbridged)
    _order(found, request.k)
    return found


def _unbridged(wanted: Requirement) -> dict[bool, float | None]:
    """Return what the labelled rows alone are worth, as a classification and as a regression, once asked."""
    import numpy as np

    from skerry.reuse import unbridged_loss

    if wanted.labelled is None:
        return {}
    X, y = wanted.labelled.X, np.asarray(wanted.labelled.y)
    numbers = y.dtype.kind in "iuf"
    return {
        True: unbridged_loss(X, y, classifies=True) if len(np.unique(y)) <= len(y) // 2 else None,
        False: unbridged_loss(X, y.astype(np.float64), classifies=False) if numbers else None,
    }


def _compare(
    found: Across,
    hit: api.Hit,
    spec: Specification,
    views: Sequence[api.BridgeView],
    wanted: Requirement,
    unbridged: dict[bool, float | None],
) -> None:
    """Measure one learnware across each bridge to its island; keep it behind the best if that is worth it."""
    from skerry.spec import align_across, expected_loss, kernel_cosine, mmd2

    best: tuple[float, float, Bridge, api.BridgeView] | None = None
    for view in views:
        try:
            bridge = bridge_from(view, wanted.rkme, spec.rkme)
            ours, theirs = align_across(wanted.rkme, spec.rkme, bridge)
        except SpecificationError:
            continue
        distance = mmd2(ours, theirs)
        if best is None or distance < best[0]:
            best = distance, kernel_cosine(ours, theirs), bridge, view
    if best is None:
        return
    distance, cosine, bridge, view = best
    loss = baseline = None
    if wanted.labelled is not None:
        loss = expected_loss(spec, bridge.transform(wanted.labelled.X), wanted.labelled.y)
    if loss is not None:
        baseline = unbridged[loss.classifies]
        if baseline is not None and loss.loss >= baseline:
            found.left_out += 1
            return
        found.losses[hit.card.hash] = loss
    name = f"{view.owner_name or 'unnamed'} ({view.owner[:8]})"
    found.crossed[hit.card.hash] = Crossed(bridge, name, baseline)
    measured = replace(hit, mmd2=distance, cosine=cosine)
    found.answer = replace(found.answer, hits=[*found.answer.hits, measured])


def _order(found: Across, k: int) -> None:
    """Put those that labels speak for first, then the nearest, and say how many were compared."""

    def place(hit: api.Hit) -> tuple[bool, float]:
        loss = found.losses.get(hit.card.hash)
        return loss is None, hit.mmd2 or 0.0 if loss is None else loss.loss

    hits = sorted(found.answer.hits, key=place)
    compared = len(hits) + found.left_out
    coverage = replace(found.answer.coverage, candidates=compared, compared=compared)
    found.answer = replace(found.answer, hits=hits[:k], mix=None, coverage=coverage)
