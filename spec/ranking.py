"""Ranking: the exact squared MMD of a requirement to a few hundred candidates, in milliseconds.

All candidates are measured in the one scale that the requirement sets, so ``<P, P>`` is computed once. The
cross terms ``<P, Q_i>`` and the self terms ``<Q_i, Q_i>`` are matrix products, batched over candidates of one
size.

Rules of this file:

1. The answers are those of ``mmd2``. Under the searcher's metric kernel values are float32, good for about
   1e-6 of the largest term, which the noise of any real sample exceeds. Differences of float32 values far
   from the origin are rounding, so points are scaled and moved in float64 before: to the
   requirement's centre for cross terms, and from there to their own for self terms. The reference engine's
   metric is float64 throughout.
2. Kernels are computed in blocks that stay in a core's cache, their exponents by one matrix product: with
   ``u = sqrt(2 gamma) x`` the exponent is ``u v - |u|^2 / 2 - |v|^2 / 2``, two more columns of the factors.
3. Distances are finite, whatever a candidate holds, and equal distances keep the order of the candidates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .limits import BLOCK_FLOATS_MAX, CACHED_FLOATS
from .metric import Metric, Scale, embed_all, inner, require_comparable, scale_for
from .rkme import Floats, Rkme

EXPONENT_MIN: Final = -80.0
"""Exponents are cut off here: such a kernel value changes no sum, and numbers below float32's normal range
take several times as long."""

Precision = np.dtype[Any]
Terms = tuple[Floats, Floats]
Run = Callable[[Callable[[Sequence[Rkme]], Terms], Iterable[Sequence[Rkme]]], Iterable[Terms]]
"""What ``map`` is, and the ``map`` of an executor."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Candidates in the order of their distance.

    Parameters
    ----------
    indices
        (k,) positions among the candidates, nearest first.
    mmd2
        (k,) float64, their squared MMD to the requirement, ascending.
    cosines
        (k,) float64 in [0, 1], the cosine between the mean embeddings; 1 means the same direction.
    """

    indices: npt.NDArray[np.intp]
    mmd2: Floats
    cosines: Floats

    def __len__(self) -> int:
        return len(self.indices)


def rank(
    requirement: Rkme,
    candidates: Sequence[Rkme],
    metric: Metric = "searcher",
    k: int | None = None,
    run: Run = map,
    scale: Scale | None = None,
) -> Ranking:
    """Return the candidates by exact squared MMD to a requirement.

    Parameters
    ----------
    requirement
        What is searched for; it sets the scale under ``metric="searcher"``.
    candidates
        Specifications of the requirement's island, of any sizes. May be empty.
    metric
        ``"searcher"``, or ``"reference"`` for the reference engine's gamma = 0.1 on raw columns, where tiny
        negative values from rounding are kept as that engine keeps them.
    k
        How many to return; all when None.
    run
        How batches are worked off. ``ThreadPoolExecutor(2).map`` uses two cores: nearly all the time is spent
        in numpy, outside the interpreter's lock.
    scale
        That of the metric, where the caller has it; computed when None.

    Raises
    ------
    SpecificationError
        When a candidate is of another island, the metric is unknown, or ``k`` is not positive.
    """
    if k is not None and k < 1:
        raise SpecificationError(
            "The candidates cannot be ranked", where="k", why=f"{k} is not positive", code="E-SPEC-RANK"
        )
    scale = scale or scale_for(requirement, metric)
    for candidate in {id(candidate.island): candidate for candidate in candidates}.values():
        require_comparable(requirement, candidate)
    if not candidates:
        return Ranking(np.empty(0, np.intp), np.empty(0), np.empty(0))
    asking = _Asking.of(requirement, scale, np.dtype(np.float32 if metric == "searcher" else np.float64))
    cross, others = np.empty(len(candidates)), np.empty(len(candidates))
    batches = list(_batches(candidates, len(requirement)))
    members = [[candidates[index] for index in batch] for batch in batches]
    for batch, terms in zip(batches, run(asking.terms, members), strict=True):
        cross[batch], others[batch] = terms
    own = inner(asking.points, asking.weights, asking.points, asking.weights, scale.gamma)
    distances = own - 2 * cross + others
    if metric == "searcher":
        distances = np.maximum(distances, 0)
    order = np.argsort(distances, kind="stable")[:k]
    cosines = np.minimum(cross[order] / np.sqrt(own * others[order]), 1)
    return Ranking(order, distances[order], cosines)


def _batches(candidates: Sequence[Rkme], rows: int) -> Iterator[list[int]]:
    """Yield candidates of one size, as many as fit a block with a requirement of so many rows."""
    by_size: defaultdict[int, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        by_size[len(candidate)].append(index)
    for size, indices in by_size.items():
        step = max(1, CACHED_FLOATS // (size * max(size, rows)))
        for first in range(0, len(indices), step):
            yield indices[first : first + step]


@dataclass(frozen=True, eq=False)
class _Asking:
    """The requirement's side of the products, made once."""

    points: Floats
    weights: Floats
    scale: Scale
    centre: Floats
    factor: Floats

    @classmethod
    def of(cls, requirement: Rkme, scale: Scale, precision: Precision) -> _Asking:
        points, weights = scale.embed_rkme(requirement), requirement.weights
        centre = weights @ points
        return cls(points, weights, scale, centre, _right(_left(points - centre, scale.gamma, precision)))

    def terms(self, members: Sequence[Rkme]) -> Terms:
        """Return ``<P, Q_i>`` (n,) and ``<Q_i, Q_i>`` (n,) in float64 for candidates of one size."""
        size, precision = len(members[0]), self.factor.dtype
        if size * max(size, len(self.points)) > BLOCK_FLOATS_MAX:
            return self._large_terms(members)
        shares = np.concatenate([member.weights for member in members]).reshape(len(members), size)
        with np.errstate(over="ignore", under="ignore"):
            left = _left(embed_all(members, self.scale) - self.centre, self.scale.gamma, precision)
            embedding = _kernel(left, self.factor) @ self.weights.astype(precision)
            cross = np.einsum("nk,nk->n", embedding.reshape(shares.shape), shares)
            return cross, _self_terms(left.reshape(*shares.shape, -1), shares)

    def _large_terms(self, members: Sequence[Rkme]) -> Terms:
        """Return the same for candidates whose kernel block would not fit memory, by chunks in float64."""
        gamma = self.scale.gamma
        parts = [(self.scale.embed_rkme(member), member.weights) for member in members]
        cross = [inner(self.points, self.weights, *part, gamma) for part in parts]
        return np.array(cross), np.array([inner(*part, *part, gamma) for part in parts])


def _self_terms(left: Floats, weights: Floats) -> Floats:
    """Return ``<Q_i, Q_i>`` (n,) in float64 from factors (n, K, d + 2), which change, and weights (n, K)."""
    shares = weights.astype(left.dtype)
    means = np.matmul(shares[:, None, :], left[..., :-2])
    left[..., :-2] -= means
    _with_squares(left)
    kernel = _kernel(left, _right(left))
    diagonal = np.arange(left.shape[1])
    kernel[:, diagonal, diagonal] = 1
    embedding = np.matmul(kernel, shares[:, :, None])[:, :, 0]
    terms: Floats = np.einsum("nk,nk->n", embedding, weights)
    return terms


def _left(points: Floats, gamma: float, precision: Precision) -> Floats:
    """Return rows ``(u, -|u|^2 / 2, 1)`` of points (..., d); with ``_right`` rows they give exponents."""
    left: Floats = np.empty((*points.shape[:-1], points.shape[-1] + 2), precision)
    rows = left[..., :-2]
    rows[...] = points
    rows *= np.sqrt(2 * gamma)
    # Beyond this the kernel was 0 long before, and sums of squares would not stay finite.
    far = np.finfo(precision).max ** 0.4
    np.clip(rows, -far, far, out=rows)
    return _with_squares(left)


def _with_squares(left: Floats) -> Floats:
    """Fill the last two columns of rows whose others are set, and return them."""
    rows = left[..., :-2]
    left[..., -2] = np.einsum("...kd,...kd->...k", rows, rows) / -2
    left[..., -1] = 1
    return left


def _right(left: Floats) -> Floats:
    """Return rows ``(u, 1, -|u|^2 / 2)``."""
    right = left.copy()
    right[..., -2], right[..., -1] = 1, left[..., -2]
    return right


def _kernel(left: Floats, right: Floats) -> Floats:
    """Return the kernel values (..., m, n) of factors (..., m, d + 2) and (..., n, d + 2)."""
    block: Floats = left @ np.swapaxes(right, -1, -2)
    # No exponent is below -(|u|^2 + |v|^2), so close points need no clipping.
    if 2 * (left[..., -2].min() + right[..., -1].min()) < EXPONENT_MIN:
        np.clip(block, EXPONENT_MIN, 0, out=block)
    values: Floats = np.exp(block, out=block)
    return values
