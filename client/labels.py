"""What a searcher's few labels say of hits, before anything is fetched but specifications.

Theory of operation. A specification holds the model's answers at its points, so its loss on labelled rows can
be estimated here (:mod:`skerry.spec.labels`). Where labels tell two hits apart, they overrule the distances;
hits that are shown to be worse leave the mix. The labels themselves go nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from skerry.protocol import api

from .remote import recommended, specifications

if TYPE_CHECKING:
    from skerry.spec import ExpectedLoss

    from .hits import Hits
    from .requirements import Requirement


def weighed(
    hits: Hits, wanted: Requirement, mix_size: int, seconds: float
) -> tuple[api.SearchAnswer, dict[str, ExpectedLoss]]:
    """Return the answer in the order that labels speak for, and expected losses by card hash.

    Parameters
    ----------
    hits
        What the search found, nearest first.
    wanted
        What was searched with, labelled rows included.
    mix_size
        Members of the mix at most.
    seconds
        Time for fetching specifications; a hit whose specification does not come keeps its place.
    """
    from skerry.spec import weigh_labels

    assert wanted.labelled is not None, "called only where there are labels"
    had = [(at, one) for at, one in enumerate(specifications(hits, seconds)) if one is not None]
    known = [at for at, _ in had]
    said = weigh_labels(wanted.rkme, wanted.labelled.X, wanted.labelled.y, [one for _, one in had])
    preferred = iter(known[at] for at in said.order)
    order = [next(preferred) if at in known else at for at in range(len(hits))]
    worse = {known[at] for at, is_worse in enumerate(said.worse) if is_worse}
    losses = {hits[known[at]].card.hash: loss for at, loss in enumerate(said.losses) if loss is not None}
    rkmes = {at: one.rkme for at, one in had if one.rkme.island == wanted.rkme.island}
    mix = hits.answer.mix
    if mix is not None:
        kept = [at for at in range(len(hits)) if at in rkmes and at not in worse]
        chosen = recommended([hits[at] for at in kept], [rkmes[at] for at in kept], wanted, mix_size)
        mix = chosen and replace(chosen, members=[order.index(kept[at]) for at in chosen.members])
    return replace(hits.answer, hits=[hits.answer.hits[at] for at in order], mix=mix), losses
