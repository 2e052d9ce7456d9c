"""The reference engine's statistical search, answer for answer.

For comparison and for people who move from the engine (``learnware`` 0.3.2, ``EasyStatSearcher``): squared
MMD with gamma = 0.1 on raw columns, its greedy and auto mixtures, and its scores, which are relative to the
list of candidates. What is odd in it is kept: the element that crosses 98 % in ``auto`` is left out, and a
mixture whose score equals the best single's to a percent is dropped. Search with ``rank`` and ``mix`` where
compatibility is not the point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .limits import MIX_MEMBERS_MAX
from .metric import Scale
from .mixing import AUTO_MASS, Market
from .rkme import Floats, Rkme
from .weights import simplex_weights, small_simplex_weights

GREEDY_DECAY: Final = 0.95
"""A further member must bring the squared MMD to this share of what it was."""

SCORE_TOP: Final = 0.92
"""What the best score is lifted to when distances are large."""

SCORE_LIFTED: Final = 0.7
"""Scores below it are replaced by the smaller of their square root and this."""

SCORE_SHOWN: Final = 0.6
"""Beyond the first, singles with a lower score are not shown."""

EPSILON_RATIO: Final = 0.1
"""Share of the mean distance that counts as no distance."""


@dataclass(frozen=True, eq=False)
class ReferenceResult:
    """What the engine's search returns.

    Parameters
    ----------
    single
        Positions among the candidates with score, nearest first, as far as shown.
    mixture
        Positions of the mixture's members in the engine's order; empty where there is none.
    mixture_score
        Its score, or None where the engine drops the mixture.
    weights
        (m,) the mixture's weights, which the engine computes and does not return.
    mixture_mmd2
        The mixture's squared MMD, or None.
    """

    single: tuple[tuple[int, float], ...]
    mixture: tuple[int, ...]
    mixture_score: float | None
    weights: Floats
    mixture_mmd2: float | None


def reference_search(
    requirement: Rkme,
    candidates: Sequence[Rkme],
    method: Literal["greedy", "auto"] = "greedy",
    size_max: int = MIX_MEMBERS_MAX,
) -> ReferenceResult:
    """Return what the reference engine answers to a requirement.

    Parameters
    ----------
    requirement, candidates
        Table specifications; candidates of another shape are passed over, as the engine does.
    method
        How the mixture is chosen.
    size_max
        Members of a mixture at most; the engine considers its square of nearest candidates.

    Raises
    ------
    SpecificationError
        When no candidate has the requirement's shape, or an argument is out of range.
    """
    if method not in {"greedy", "auto"} or not 1 <= size_max <= MIX_MEMBERS_MAX:
        raise _refusal(
            "method", f"{method!r} with {size_max} members; 'greedy' or 'auto', at most {MIX_MEMBERS_MAX}"
        )
    fitting = [index for index, candidate in enumerate(candidates) if candidate.shape == requirement.shape]
    if not fitting:
        raise _refusal("candidates", f"none has the shape {requirement.shape}")
    scale = Scale.reference(requirement.dimension)
    distances = Market(requirement, [candidates[index] for index in fitting], scale).distances
    order = np.argsort(distances, kind="stable")
    origin = [fitting[place] for place in order]
    nearest = [candidates[index] for index in origin[: size_max * size_max]]
    members, weights, mmd2 = _mixture(Market(requirement, nearest, scale), method, size_max)
    single, mixture_score = _scores(distances[order], mmd2)
    return ReferenceResult(
        single=tuple(zip(origin, single, strict=False)),
        mixture=tuple(origin[member] for member in members),
        mixture_score=mixture_score,
        weights=weights,
        mixture_mmd2=mmd2,
    )


def _mixture(market: Market, method: str, size_max: int) -> tuple[npt.NDArray[np.intp], Floats, float | None]:
    """Return members, weights and squared MMD of the engine's mixture; nothing where it has one member."""
    nothing = np.array([], np.intp), np.array([]), None
    if market.distances[0] <= 0:
        return nothing
    size_max = min(size_max, len(market))
    members, weights = (_greedy if method == "greedy" else _auto)(market, size_max)
    if len(members) == 1:
        return nothing
    return members, weights, market.distance(members, weights)


def _greedy(market: Market, size_max: int) -> tuple[npt.NDArray[np.intp], Floats]:
    members, weights, reached = [0], np.ones(1), float(market.distances[0])
    while len(members) < size_max:
        others = np.setdiff1d(np.arange(len(market)), members)
        trial_weights, values = small_simplex_weights(*market.extended(members, others))
        best = int(np.argmin(values))
        value = market.own + 2 * float(values[best])
        if value > GREEDY_DECAY * reached:
            break
        members.append(int(others[best]))
        weights, reached = trial_weights[best], value
    return np.array(members), weights


def _auto(market: Market, size_max: int) -> tuple[npt.NDArray[np.intp], Floats]:
    weights = simplex_weights(market.gram(), market.cross(np.arange(len(market))))
    order = np.argsort(-weights, kind="stable")
    within = int((np.cumsum(weights[order]) <= AUTO_MASS).sum())
    members = order[: max(1, min(within, size_max))]
    return members, simplex_weights(market.gram()[np.ix_(members, members)], market.cross(members))


def _scores(distances: Floats, mixture: float | None) -> tuple[list[float], float | None]:
    """Return the scores of the singles that are shown, nearest first, and of the mixture."""
    every = [float(distance) for distance in distances]
    if mixture is None:
        single, mixture_score = _relative_scores(every), None
    else:
        *single, last = _relative_scores([*every, mixture])
        mixture_score = None if int(last * 100) == int(single[0] * 100) else last
    shown = next((place for place in range(1, len(single)) if single[place] < SCORE_SHOWN), len(single))
    single = single[:shown]
    if len(single) == 1 and single[0] < SCORE_SHOWN:
        ratio = 100 if abs(single[0]) < 1e-5 else SCORE_SHOWN / single[0]
        mixture_score = None if mixture_score is None else min(1.0, mixture_score * ratio)
        single = [SCORE_SHOWN]
    return single, mixture_score


def _relative_scores(distances: list[float]) -> list[float]:
    """Return the engine's scores of a list of distances; they depend on the whole list."""
    low, high = min(distances), max(distances)
    if low == high:
        return [1.0] * len(distances)
    epsilon = EPSILON_RATIO * sum(distances) / len(distances)
    if low < epsilon:
        epsilon = low
    elif (high - low) / (high - epsilon) < SCORE_TOP:
        epsilon = high - (high - low) / SCORE_TOP
    raw = [(high - distance) / (high - epsilon) for distance in distances]
    return [min(math.sqrt(score), SCORE_LIFTED) if score < SCORE_LIFTED else score for score in raw]


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError(
        "The reference engine's search cannot be repeated", where=where, why=why, code="E-SPEC-REFERENCE"
    )
