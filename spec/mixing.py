"""Mixes: the combination of learnwares whose data together look most like the searcher's.

With learnwares i = 1..m, G_ij = <Z_i, Z_j> and c_i = <X, Z_i>, the weights minimise
``||sum_i w_i mu_i - mu_X||^2`` on the simplex (Wu et al., TKDE 2023). Three ways to choose the members:

- ``greedy``: start with the nearest, then add the one that lowers the MMD most. Only the rows of G that
  belong to members are ever computed.
- ``auto``: weights for all candidates at once, then the heaviest that carry 98 % of the weight, then again.
- ``simplex``: weights for all candidates at once, as many members as get any.

The greedy stop must not depend on the kernel's scale: a wide kernel sees little more than means, so the
*relative* gain of a third member is small there however useful it is. What does not shrink with the kernel is
the weight that a member gets. So it stops when the newest member's weight is below ``WEIGHT_MIN``.

And the *responsibility* of a member for a row x: its share of the mixture's kernel density there,
``r_i(x) = w_i mu_i(x) / sum_j w_j mu_j(x)``. It says row by row who saw such rows in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .backend import filled
from .limits import BLOCK_FLOATS_MAX, MIX_CANDIDATES_MAX, MIX_MEMBERS_MAX, NOISE_ROWS_MAX
from .metric import (
    Scale,
    column_scale,
    embed_all,
    inner,
    inner_many,
    median_gamma,
    narrowed,
    require_comparable,
    self_terms,
    squared_distances,
)
from .rkme import Floats, Rkme
from .table import marginals_of, read_table
from .weights import simplex_weights, small_simplex_weights

Method = Literal["greedy", "auto", "simplex"]

WEIGHT_MIN: Final = 0.05
"""A member below this weight changes no answer much; the search for more members stops there."""

AUTO_MASS: Final = 0.98
"""Share of the weight that the members of an auto mix carry; the reference engine's figure."""


@dataclass(frozen=True, eq=False)
class Mix:
    """A recommended combination.

    Parameters
    ----------
    indices
        (m,) positions of the members among the candidates, heaviest first.
    weights
        (m,) float64, positive, summing to 1.
    mmd2
        Squared MMD of the mixture to the requirement.
    single_mmd2
        That of the best single candidate; never smaller than ``mmd2``.
    """

    indices: npt.NDArray[np.intp]
    weights: Floats
    mmd2: float
    single_mmd2: float

    def __len__(self) -> int:
        return len(self.indices)


def mix(
    requirement: Rkme,
    candidates: Sequence[Rkme],
    size_max: int = MIX_MEMBERS_MAX,
    method: Method = "greedy",
    scale: Scale | None = None,
) -> Mix:
    """Return the combination of candidates that comes closest to the requirement.

    Parameters
    ----------
    requirement
        What is searched for; it sets the metric unless ``scale`` is given.
    candidates
        Specifications of the requirement's island; only the ``MIX_CANDIDATES_MAX`` nearest are considered.
    size_max
        Members at most, up to ``MIX_MEMBERS_MAX``; has no effect on ``simplex``.
    method
        See the module's head.

    Raises
    ------
    SpecificationError
        When there is no candidate, islands differ, or an argument is out of range.
    """
    if not 1 <= size_max <= MIX_MEMBERS_MAX:
        raise _refusal("size_max", f"{size_max} is not between 1 and {MIX_MEMBERS_MAX}")
    if method not in _CHOOSERS:
        raise _refusal("method", f"{method!r} is none of {', '.join(_CHOOSERS)}")
    market, origin = _nearest(requirement, candidates, scale or Scale.of(requirement), method)
    single = np.array([np.argmin(market.distances)])
    single_mmd2 = market.distance(single, np.ones(1))
    members, weights = _CHOOSERS[method](market, size_max)
    mmd2 = market.distance(members, weights)
    if mmd2 > single_mmd2:
        members, weights, mmd2 = single, np.ones(1), single_mmd2
    order = np.argsort(-weights, kind="stable")
    return Mix(origin[members[order]], weights[order], max(mmd2, 0.0), max(single_mmd2, 0.0))


def responsibility(
    X: Any, rkmes: Sequence[Rkme], weights: Floats | Sequence[float], scale: Scale | None = None
) -> Floats:
    """Return each learnware's share of the mixture's kernel density at each row.

    Parameters
    ----------
    X
        (n, d) rows in the requirement's columns; missing values stand at the column's location. Of texts and
        images the features (see ``kinds.py``).
    rkmes, weights
        The m members of a mix and their weights.
    scale
        The searcher's metric; set by ``X`` itself when None.

    Returns
    -------
    (n, m) float64; every row sums to 1. Shares are formed from logarithms, so they are defined
    for rows far from every point too, where they go to the nearest.

    Raises
    ------
    SpecificationError
        When X is not acceptable, or differs in columns.
    """
    values = read_table(X).values
    _validate_members(values.shape[1], rkmes, weights)
    scale = scale or scale_of_rows(values, unit_rows=rkmes[0].kind != "table")
    rows = filled(scale, values, np.float64)
    stacked, point_weights, starts = stack(rkmes, scale)
    mass = point_weights * np.repeat(np.asarray(weights, np.float64), np.diff([*starts, len(stacked)]))
    shares = np.empty((len(rows), len(rkmes)))
    step = max(1, BLOCK_FLOATS_MAX // len(stacked))
    for start in range(0, len(rows), step):
        distances = squared_distances(rows[start : start + step], stacked)
        distances[:, mass <= 0] = np.inf
        distances -= distances.min(axis=1, keepdims=True)
        density = np.add.reduceat(np.exp(-scale.gamma * distances) * mass, starts, axis=1)
        shares[start : start + step] = density / density.sum(axis=1, keepdims=True)
    return shares


def scale_of_rows(values: Floats, *, unit_rows: bool = False) -> Scale:
    """Return the metric that rows (n, d) set, as if they were an RKME's points."""
    if unit_rows:
        scale = Scale.raw(values.shape[1], 1.0, unit_rows=True)
    else:
        scale = column_scale(marginals_of(values))
    step = -(-len(values) // NOISE_ROWS_MAX)
    rows = filled(scale, values[::step], np.float64)
    gamma = median_gamma(rows, np.full(len(rows), 1 / len(rows)), unit_rows=unit_rows)
    return replace(scale, gamma=gamma)


def stack(rkmes: Sequence[Rkme], scale: Scale) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Return the points of RKMEs in scale under each other, their weights, and where each begins."""
    points = embed_all(rkmes, scale)
    weights = np.concatenate([rkme.weights for rkme in rkmes])
    starts = np.concatenate([[0], np.cumsum([len(rkme) for rkme in rkmes])[:-1]]).astype(np.intp)
    return points, weights, starts


class Market:
    """The candidates of a mix in one scale, with inner products computed when they are needed.

    ``precision`` is that of the inner products that members are chosen by; float32 does for that.
    """

    def __init__(
        self,
        requirement: Rkme,
        candidates: Sequence[Rkme],
        scale: Scale,
        precision: npt.DTypeLike = np.float64,
    ) -> None:
        if not candidates:
            raise _refusal("candidates", "there is none")
        for candidate in candidates:
            require_comparable(requirement, candidate)
        self._gamma = scale.gamma
        self._x, self._shares = scale.embed_rkme(requirement), requirement.weights
        self._points, self._weights, self._starts = stack(candidates, scale)
        self._working = narrowed(self._points, precision)
        x, stacked = narrowed(self._x, precision), (self._working, self._weights, self._starts)
        self.own: float = inner(self._x, self._shares, self._x, self._shares, self._gamma)
        self._cross = inner_many(x, self._shares, *stacked, self._gamma)
        self._selfs = self_terms(*stacked, self._gamma)
        self._rows: dict[int, Floats] = {}
        self.distances: Floats = self.own - 2 * self._cross + self._selfs

    def __len__(self) -> int:
        return len(self._cross)

    def row(self, index: int) -> Floats:
        """Return the inner products (m,) of one candidate with all."""
        if index not in self._rows:
            own = self._working[self._rows_of(index)], self._weights[self._rows_of(index)]
            row = inner_many(*own, self._working, self._weights, self._starts, self._gamma)
            row[index] = self._selfs[index]
            self._rows[index] = row
        return self._rows[index]

    def _rows_of(self, index: int) -> slice:
        end = self._starts[index + 1] if index + 1 < len(self) else len(self._points)
        return slice(self._starts[index], end)

    def gram(self) -> Floats:
        """Return all inner products (m, m)."""
        rows = np.stack([self.row(index) for index in range(len(self))])
        symmetric: Floats = (rows + rows.T) / 2
        return symmetric

    def cross(self, members: npt.NDArray[np.intp]) -> Floats:
        """Return the inner products of some candidates with the requirement."""
        return self._cross[members]

    def distance(self, members: npt.NDArray[np.intp], weights: Floats) -> float:
        """Return the squared MMD of a weighted combination to the requirement, in float64."""
        rows = [self._rows_of(int(member)) for member in members]
        points = np.concatenate([self._points[part] for part in rows])
        shares = np.concatenate(
            [weight * self._weights[part] for weight, part in zip(weights, rows, strict=True)]
        )
        combined = inner(points, shares, points, shares, self._gamma)
        return self.own - 2 * inner(self._x, self._shares, points, shares, self._gamma) + combined

    def extended(self, members: list[int], others: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return Grams (B, m + 1, m + 1) and crosses (B, m + 1) of the members with each other one."""
        size = len(members)
        grams = np.empty((len(others), size + 1, size + 1))
        for place, member in enumerate(members):
            grams[:, place, :size] = self.row(member)[members]
            grams[:, place, size] = grams[:, size, place] = self.row(member)[others]
        grams[:, size, size] = self._selfs[others]
        crosses = np.concatenate(
            [np.broadcast_to(self._cross[members], (len(others), size)), self._cross[others][:, None]], axis=1
        )
        return grams, crosses


def _nearest(
    requirement: Rkme, candidates: Sequence[Rkme], scale: Scale, method: Method
) -> tuple[Market, npt.NDArray[np.intp]]:
    """Return the nearest candidates and their positions."""
    precision = np.float32 if method == "greedy" else np.float64
    market = Market(requirement, candidates, scale, precision)
    if len(market) <= MIX_CANDIDATES_MAX:
        return market, np.arange(len(market))
    origin = np.argsort(market.distances, kind="stable")[:MIX_CANDIDATES_MAX]
    return Market(requirement, [candidates[index] for index in origin], scale, precision), origin


def _greedy(market: Market, size_max: int) -> tuple[npt.NDArray[np.intp], Floats]:
    members, weights = [int(np.argmin(market.distances))], np.ones(1)
    while len(members) < min(size_max, len(market)):
        others = np.setdiff1d(np.arange(len(market)), members)
        trial_weights, values = small_simplex_weights(*market.extended(members, others))
        best = int(np.argmin(values))
        if trial_weights[best, -1] < WEIGHT_MIN:
            break
        members.append(int(others[best]))
        weights = trial_weights[best]
    keep = weights > 0
    return np.array(members)[keep], weights[keep]


def _auto(market: Market, size_max: int) -> tuple[npt.NDArray[np.intp], Floats]:
    weights = simplex_weights(market.gram(), market.cross(np.arange(len(market))))
    order = np.argsort(-weights, kind="stable")
    needed = int(np.searchsorted(np.cumsum(weights[order]), AUTO_MASS)) + 1
    members = order[: min(needed, size_max)]
    again = simplex_weights(market.gram()[np.ix_(members, members)], market.cross(members))
    return _positive(members, again)


def _simplex(market: Market, size_max: int) -> tuple[npt.NDArray[np.intp], Floats]:  # noqa: ARG001 - one signature
    members = np.arange(len(market))
    return _positive(members, simplex_weights(market.gram(), market.cross(members)))


_CHOOSERS: Final = {"greedy": _greedy, "auto": _auto, "simplex": _simplex}

_NEGLIGIBLE: Final = 1e-4
"""Weights that an interior-point solver leaves where the optimum has none."""


def _positive(members: npt.NDArray[np.intp], weights: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    keep = weights > _NEGLIGIBLE
    return members[keep], weights[keep] / weights[keep].sum()


def _validate_members(dimension: int, rkmes: Sequence[Rkme], weights: Floats | Sequence[float]) -> None:
    if not rkmes or len(weights) != len(rkmes):
        raise _refusal("weights", f"{len(weights)} weights for {len(rkmes)} learnwares")
    if min(weights) < 0 or sum(weights) <= 0:
        raise _refusal("weights", "they must not be negative, nor all zero")
    for rkme in rkmes:
        if rkme.dimension != dimension:
            raise _refusal("X", f"{dimension} columns, a learnware has {rkme.dimension}")


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError("The learnwares cannot be mixed", where=where, why=why, code="E-SPEC-MIX")
