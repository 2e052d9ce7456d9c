"""Searching through a node elsewhere: it sees sketch, island and filters, and the comparison happens here.

Theory of operation. The node returns the nearest by sketch. Their full specifications are fetched from it by
hash, in parallel, until the search's time is over; then they are compared and mixed with the searcher's
own specification, which never left. What could not be had in time is left out, and the coverage says so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import TYPE_CHECKING

from msgspec.structs import replace

from skerry.errors import SkerryError
from skerry.protocol import api

from .limits import REMOTE_CANDIDATES_MAX, SPECIFICATIONS_FETCHED_AT_ONCE_MAX

if TYPE_CHECKING:
    from skerry.spec import Rkme, Specification

    from .hits import Hit
    from .requirements import Requirement

CANDIDATES = REMOTE_CANDIDATES_MAX


def compared(
    answer: api.SearchAnswer,
    hits: Sequence[Hit],
    wanted: Requirement,
    request: api.SearchRequest,
    seconds: float,
) -> api.SearchAnswer:
    """Return the answer of a node elsewhere with distances, order and mix, as the own node would give it.

    Parameters
    ----------
    answer
        What the node said to the sketch.
    hits
        Its hits, which can fetch their specifications.
    wanted
        The searcher's own specification.
    request
        What was asked; ``k`` and ``mix_size`` are those of the person who searches.
    seconds
        Time for fetching.
    """
    from skerry.spec import mix, rank
    from skerry.spec.limits import MIX_CANDIDATES_MAX

    rkmes = _specifications(hits, seconds)
    had = [
        at for at, rkme in enumerate(rkmes) if rkme is not None and rkme.island.id == wanted.rkme.island.id
    ]
    known = [rkme for at in had if (rkme := rkmes[at]) is not None]
    ranking = rank(wanted.rkme, known)
    order = ranking.indices.tolist()
    mixable = [at for at in order if not hits[had[at]].card.disputed][:MIX_CANDIDATES_MAX]
    chosen = None
    if mixable and request.mix_size:
        chosen = mix(wanted.rkme, [known[at] for at in mixable], request.mix_size)
    members = [] if chosen is None else [mixable[at] for at in chosen.indices]
    shown = [place for place, at in enumerate(order) if place < request.k or at in members]
    measured = [
        replace(
            hits[had[order[place]]].answer,
            mmd2=float(ranking.mmd2[place]),
            cosine=max(0.0, float(ranking.cosines[place])),
            within_noise=None
            if wanted.noise_mmd2 is None
            else bool(ranking.mmd2[place] <= wanted.noise_mmd2),
        )
        for place in shown
    ]
    view = None
    if chosen is not None:
        positions = [[order[place] for place in shown].index(at) for at in members]
        view = api.MixView(positions, chosen.weights.tolist(), chosen.mmd2, chosen.single_mmd2)
    return api.SearchAnswer(measured, view, _coverage(answer.coverage, hits, had))


def _specifications(hits: Sequence[Hit], seconds: float) -> list[Rkme | None]:
    """Return each hit's specification, or None where it did not come in time or is not what it should be."""
    deadline = time.monotonic() + seconds
    pool = ThreadPoolExecutor(SPECIFICATIONS_FETCHED_AT_ONCE_MAX)
    try:
        tasks = [pool.submit(hit.specification, deadline) for hit in hits]
        wait_for(tasks, timeout=seconds)
        return [_result(task) for task in tasks]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _result(task: Future[Specification]) -> Rkme | None:
    try:
        return task.result(timeout=0).rkme
    except (SkerryError, TimeoutError):
        return None


def _coverage(said: api.Coverage, hits: Sequence[Hit], had: Sequence[int]) -> api.Coverage:
    missing = {hit.card.owner: hit for at, hit in enumerate(hits) if at not in set(had)}
    names = [f"{hit.card.owner_name} {owner}".strip() for owner, hit in sorted(missing.items())]
    asked = len({hit.card.owner for hit in hits})
    return replace(said, compared=len(had), unreachable=names, owners_asked=asked)
