"""What the scenarios with fifty owners share: learnwares, searchers, and how well each searcher is served.

A learnware here is an ordinary one: its specification is fitted to its training data, it is found by ``rank``
and put to work by the estimators of ``skerry.reuse``. A searcher asks for the ten nearest, as ``net.search``
does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skerry.reuse import Average, Learnware, Routed, Weighted
from skerry.spec import Ranking, Rkme, mix, rank

HITS = 10

Accuracies = dict[str, float]


@dataclass(frozen=True)
class Searcher:
    """One searcher: unlabelled rows, their true labels, and the specification of the rows."""

    rows: Any
    truth: np.ndarray
    requirement: Rkme


def default_mix(nearest: Sequence[Learnware], one: Searcher) -> Routed:
    """Return the default answer to a search: the recommended mix, its members weighted row by row."""
    wanted = one.requirement
    found = mix(wanted, [member.rkme for member in nearest if member.rkme is not None])
    members = [nearest[index] for index in found.indices]
    return Routed(members, weights=found.weights.tolist(), requirement=wanted).fit()


Combination = Callable[[Sequence[Learnware], Searcher], Any]
"""From learnwares, nearest first, and a searcher to a fitted reuser."""

COMBINATIONS: dict[str, Combination] = {
    "Average": lambda nearest, _: Average(nearest[:HITS]).fit(),
    "Routed": lambda nearest, one: Routed(nearest[:15], requirement=one.requirement).fit(),
    "Weighted": lambda nearest, one: Weighted(nearest[:HITS], requirement=one.requirement).fit(),
    "mix": default_mix,
    "all": lambda nearest, _: Average(nearest).fit(),
}
"""Label-free combinations of learnwares, nearest first."""


def served(
    market: Sequence[Learnware],
    searchers: Sequence[Searcher],
    combinations: dict[str, Combination] = COMBINATIONS,
) -> Accuracies:
    """Return the mean accuracy over the searchers of single learnwares and of combinations."""
    found: dict[str, list[float]] = defaultdict(list)
    for searcher in searchers:
        alone = np.array([member.score(searcher.rows, searcher.truth) for member in market])
        order = ranked(searcher, market).indices
        nearest = [market[index] for index in order]
        found["mean"].append(float(alone.mean()))
        found["best"].append(float(alone.max()))
        found["top1"].append(float(alone[order[0]]))
        for name, make in combinations.items():
            score = make(nearest, searcher).score(searcher.rows, searcher.truth)
            found[name].append(float(score))
    return {name: float(np.mean(values)) for name, values in found.items()}


def ranked(searcher: Searcher, market: Sequence[Learnware]) -> Ranking:
    """Return the market in the order of its distance from a searcher."""
    return rank(searcher.requirement, [member.rkme for member in market if member.rkme is not None])
