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
    from skerry.spec import rank

    rkmes = [None if one is None else one.rkme for one in specifications(hits, seconds)]
    had = [
        at for at, rkme in enumerate(rkmes) if rkme is not None and rkme.island.id == wanted.rkme.island.id
    ]
    known = [rkme for at in had if (rkme := rkmes[at]) is not None]
    ranking = rank(wanted.rkme, known)
    order = ranking.indices.tolist()
    chosen = recommended(
        [hits[had[at]] for at in order], [known[at] for at in order], wanted, request.mix_size
    )
    members = [] if chosen is None else chosen.members
    shown = [place for place in range(len(order)) if place < request.k or place in members]
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
    view = None if chosen is None else replace(chosen, members=[shown.index(at) for at in members])
    return api.SearchAnswer(measured, view, _coverage(answer.coverage, hits, had))


def recommended(
    hits: Sequence[Hit], rkmes: Sequence[Rkme], wanted: Requirement, size: int
) -> api.MixView | None:
    """Return the mix of at most `size` hits, given nearest first, by their positions; none is disputed."""
    from skerry.spec import mix
    from skerry.spec.limits import MIX_CANDIDATES_MAX

    mixable = [at for at, hit in enumerate(hits) if not hit.card.disputed][:MIX_CANDIDATES_MAX]
    if not mixable or not size:
        return None
    chosen = mix(wanted.rkme, [rkmes[at] for at in mixable], size)
    members = [mixable[at] for at in chosen.indices]
    return api.MixView(members, chosen.weights.tolist(), chosen.mmd2, chosen.single_mmd2)


def specifications(hits: Sequence[Hit], seconds: float) -> list[Specification | None]:
    """Return each hit's specification, or None where it did not come in time or is not what it should be."""
    deadline = time.monotonic() + seconds
    pool = ThreadPoolExecutor(SPECIFICATIONS_FETCHED_AT_ONCE_MAX)
    try:
        tasks = [pool.submit(hit.specification, deadline) for hit in hits]
        wait_for(tasks, timeout=seconds)
        return [_result(task) for task in tasks]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _result(task: Future[Specification]) -> Specification | None:
    try:
        return task.result(timeout=0)
    except (SkerryError, TimeoutError):
        return None


def _coverage(said: api.Coverage, hits: Sequence[Hit], had: Sequence[int]) -> api.Coverage:
    missing = {hit.card.owner: hit for at, hit in enumerate(hits) if at not in set(had)}
    names = [f"{hit.card.owner_name} {owner}".strip() for owner, hit in sorted(missing.items())]
    asked = len({hit.card.owner for hit in hits})
    return replace(said, compared=len(had), unreachable=names, owners_asked=asked)
