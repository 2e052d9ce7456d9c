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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .limits import BLOCK_FLOATS_MAX
from .metric import Metric, Scale, inner, require_comparable, scale_for
from .rkme import Floats, Rkme

EXPONENT_MIN: Final = -80.0
"""Exponents are cut off here: such a kernel value changes no sum, and numbers below float32's normal range
take several times as long."""

_BLOCK_FLOATS: Final = 1 << 18
"""Kernel values of a block: 1 MiB in float32."""

Precision = np.dtype[np.float32] | np.dtype[np.float64]


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
    requirement: Rkme, candidates: Sequence[Rkme], metric: Metric = "searcher", k: int | None = None
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

    Raises
    ------
    SpecificationError
        When a candidate is of another island, the metric is unknown, or ``k`` is not positive.
    """
    if k is not None and k < 1:
        raise SpecificationError(
            "The candidates cannot be ranked", where="k", why=f"{k} is not positive", code="E-SPEC-RANK"
        )
    scale = scale_for(requirement, metric)
    for candidate in candidates:
        require_comparable(requirement, candidate)
    if not candidates:
        return Ranking(np.empty(0, np.intp), np.empty(0), np.empty(0))
    precision = np.dtype(np.float32) if metric == "searcher" else np.dtype(np.float64)
    x = scale.embed_rkme(requirement)
    own = inner(x, requirement.weights, x, requirement.weights, scale.gamma)
    with np.errstate(over="ignore", under="ignore"):
        cross, others = _terms(x, requirement.weights, candidates, scale, precision)
    distances = own - 2 * cross + others
    if metric == "searcher":
        distances = np.maximum(distances, 0)
    order = np.argsort(distances, kind="stable")[:k]
    cosines = np.minimum(cross[order] / np.sqrt(own * others[order]), 1)
    return Ranking(order, distances[order], cosines)


def _terms(
    x: Floats, weights: Floats, candidates: Sequence[Rkme], scale: Scale, precision: Precision
) -> tuple[Floats, Floats]:
    """Return ``<P, Q_i>`` (N,) and ``<Q_i, Q_i>`` (N,) in float64."""
    by_size: defaultdict[int, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        by_size[len(candidate)].append(index)
    centre = weights @ x
    right = _right(_left(x - centre, scale.gamma, precision)).T
    cross, others = np.empty(len(candidates)), np.empty(len(candidates))
    for size, indices in by_size.items():
        block = size * max(size, len(x))
        if block > BLOCK_FLOATS_MAX:
            _large_terms(x, weights, candidates, indices, scale, (cross, others))
            continue
        step = max(1, _BLOCK_FLOATS // block)
        for first in range(0, len(indices), step):
            batch = indices[first : first + step]
            members = [candidates[index] for index in batch]
            shares = np.stack([member.weights for member in members])
            left = _left(_embedded(members, scale) - centre, scale.gamma, precision)
            embedding = _kernel(left, right) @ weights.astype(precision)
            cross[batch] = np.einsum("nk,nk->n", embedding.reshape(shares.shape), shares)
            others[batch] = _self_terms(left.reshape(*shares.shape, -1), shares)
    return cross, others


def _large_terms(
    x: Floats,
    weights: Floats,
    candidates: Sequence[Rkme],
    indices: Sequence[int],
    scale: Scale,
    terms: tuple[Floats, Floats],
) -> None:
    """Write both terms of candidates whose kernel block would not fit memory, by chunks in float64."""
    cross, others = terms
    for index in indices:
        points, shares = scale.embed_rkme(candidates[index]), candidates[index].weights
        cross[index] = inner(x, weights, points, shares, scale.gamma)
        others[index] = inner(points, shares, points, shares, scale.gamma)


def _embedded(candidates: Sequence[Rkme], scale: Scale) -> Floats:
    """Return all points in scale under each other, each candidate's as ``Scale.embed_rkme`` gives them."""
    stacked = scale.embed(np.concatenate([candidate.points for candidate in candidates]))
    empty = np.array([candidate.marginals.missing_rate for candidate in candidates]) >= 1
    if empty.any():
        rows = stacked.reshape(len(candidates), -1, stacked.shape[1])
        rows *= ~empty[:, None, :]
    return stacked


def _self_terms(left: Floats, weights: Floats) -> Floats:
    """Return ``<Q_i, Q_i>`` (n,) in float64 from factors (n, K, d + 2), which change, and weights (n, K)."""
    shares = weights.astype(left.dtype)
    means = np.matmul(shares[:, None, :], left[..., :-2])
    left[..., :-2] -= means
    _with_squares(left)
    kernel = _kernel(left, _right(left).transpose(0, 2, 1))
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
    """Return the kernel values of two factors."""
    block: Floats = left @ right
    np.clip(block, EXPONENT_MIN, 0, out=block)
    values: Floats = np.exp(block, out=block)
    return values
