"""The metric in which specifications are compared, and who sets it.

The squared maximum mean discrepancy (MMD) of two weighted point sets P and Q is the squared distance of
their mean embeddings (Gretton et al., "A kernel two-sample test", JMLR 13, 2012)::

    MMD^2(P, Q) = <P, P> - 2 <P, Q> + <Q, Q>,   <P, Q> = sum_ij p_i q_j k(x_i, y_j)

with the Gaussian kernel ``k(x, y) = exp(-gamma ||x - y||^2)``.

*The searcher's data set the metric.* On raw columns one fixed gamma saturates: all kernel values are 0 or
1 and the ranking is noise. So each column is shifted and divided by the requirement's own location and
spread, and gamma is one over the median squared distance of the requirement's points in that scale (the
median heuristic; Garreau, Jitkrittum and Kanagawa, 2018). Texts and images have no columns with units:
their feature vectors are brought to length one instead. The reference engine's metric, gamma = 0.1 on raw
columns, is ``Scale.reference``.

Rules of this file:

1. A ``Scale`` comes from the requirement alone; no candidate can influence how it is measured.
2. ``<P, P>`` terms are computed in float64: in float32 a K x K block with a small jitter is not positive
   definite. Cross terms with many candidates may be float32 (their error is below 1e-6 of ``<P, P>``).
3. No block larger than ``BLOCK_FLOATS_MAX`` values is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .limits import BANDWIDTH_POINTS_MAX, BLOCK_FLOATS_MAX, CACHED_FLOATS
from .reference import REFERENCE_GAMMA
from .rkme import Floats, Marginals, Rkme

if TYPE_CHECKING:
    from .sketch import Sketch

Metric = Literal["searcher", "reference"]

CONSTANT_SPREAD: Final = 1e-7
"""A spread below this share of the location (or of 1 at location 0) is float32's rounding: a constant."""

FLOAT32_FAR: Final = 1e15
"""Scaled values are cut off here in float32, where squares of larger ones overflow."""


@dataclass(frozen=True, eq=False)
class Scale:
    """How points are brought to one scale before the kernel sees them.

    Parameters
    ----------
    location, spread
        (d,) float64; a column becomes ``(x - location) / spread``.
    bound
        (d,) float64; scaled values are clipped to ``[-bound, bound]``. Infinite for columns that vary in the
        requirement, 1 for constant ones, where the unit of difference is only a guess: a
        candidate that differs there is farther away, but one column can never saturate the kernel. 0 where
        the requirement has no value at all.
    gamma
        The kernel's gamma in that scale.
    unit_rows
        Whether rows are brought to length one (texts and images).
    """

    location: Floats
    spread: Floats
    bound: Floats
    gamma: float
    unit_rows: bool = False

    @classmethod
    def of(cls, requirement: Rkme) -> Scale:
        """Return the metric that a requirement sets."""
        if requirement.kind != "table":
            scale = cls.raw(requirement.dimension, 1.0, unit_rows=True)
        else:
            scale = column_scale(requirement.marginals)
        points = scale.embed(requirement.points)
        gamma = median_gamma(points, requirement.weights, unit_rows=scale.unit_rows)
        return cls(scale.location, scale.spread, scale.bound, gamma, scale.unit_rows)

    @classmethod
    def of_sketch(cls, sketch: Sketch) -> Scale:
        """Return the metric that a requirement sets, as far as its sketch tells.

        Location and spread are the sketch's; gamma is one over ``2 d``, the expected squared distance of two
        rows of d columns with spread 1. Good enough to choose candidates, not to measure them.
        """
        means, spreads = sketch.means.astype(np.float64), sketch.spreads.astype(np.float64)
        if not len(means):
            return cls.raw(1, 1.0)
        scale = column_scale(Marginals(means, spreads, np.zeros_like(means)))
        return cls(scale.location, scale.spread, scale.bound, 1 / (2 * len(means)))

    @classmethod
    def reference(cls, dimension: int) -> Scale:
        """Return the reference engine's metric: gamma = 0.1 on raw columns."""
        return cls.raw(dimension, REFERENCE_GAMMA)

    @classmethod
    def raw(cls, dimension: int, gamma: float, *, unit_rows: bool = False) -> Scale:
        """Return a given gamma on columns as they are, or on rows of length one."""
        return cls(np.zeros(dimension), np.ones(dimension), np.full(dimension, np.inf), gamma, unit_rows)

    def embed(self, points: Floats, dtype: type[np.floating[Any]] = np.float64) -> Floats:
        """Return points (..., d) in this scale, in ``dtype``; computed in float64.

        ``narrowed`` says what float32 does to enormous values.
        """
        points = np.asarray(points, np.float64)
        if self.unit_rows:
            norms = np.linalg.norm(points, axis=-1, keepdims=True)
            scaled = np.divide(points, norms, out=np.zeros_like(points), where=norms > 0)
        else:
            scaled = points - self.location
            scaled /= self.spread
            if np.isfinite(self.bound).any():
                np.clip(scaled, -self.bound, self.bound, out=scaled)
        return narrowed(scaled, dtype)

    def embed_rkme(self, rkme: Rkme, dtype: type[np.floating[Any]] = np.float64) -> Floats:
        """Return the points (K, d) of an RKME in this scale.

        Columns in which its data had no value at all are put at the requirement's location: nothing is known
        of them, so they neither draw it near nor push it away.
        """
        scaled = self.embed(rkme.points, dtype)
        empty = rkme.marginals.missing_rate >= 1
        if empty.any():
            scaled[:, empty] = 0
        return scaled


def embed_all(rkmes: Sequence[Rkme], scale: Scale) -> Floats:
    """Return the points of RKMEs of any sizes under each other, each as ``Scale.embed_rkme`` gives them."""
    stacked = scale.embed(np.concatenate([rkme.points for rkme in rkmes]))
    empty = np.concatenate([rkme.marginals.missing_rate for rkme in rkmes]).reshape(len(rkmes), -1) >= 1
    if empty.any():
        stacked[np.repeat(empty, [len(rkme) for rkme in rkmes], axis=0)] = 0
    return stacked


def mmd2(requirement: Rkme, candidate: Rkme, metric: Metric = "searcher") -> float:
    """Return the squared MMD of two specifications.

    Parameters
    ----------
    requirement
        Its data set the scale under ``metric="searcher"``, so the distance is not symmetric.
    candidate
        What is compared with it.
    metric
        ``"searcher"``, or ``"reference"`` for the reference engine's gamma = 0.1 on raw columns, where tiny
        negative values from rounding are kept as that engine keeps them; of that engine's image files, its
        kernel of a convolutional network.

    Raises
    ------
    SpecificationError
        When the two are of different islands and no bridge was built, or the metric is unknown.
    """
    if metric == "reference" and requirement.kind == "image":
        from .reference_images import image_mmd2

        require_comparable(requirement, candidate)
        return image_mmd2(requirement, candidate)
    scale = scale_for(requirement, metric)
    require_comparable(requirement, candidate)
    x, z = scale.embed_rkme(requirement), scale.embed_rkme(candidate)
    distance = (
        inner(x, requirement.weights, x, requirement.weights, scale.gamma)
        - 2 * inner(x, requirement.weights, z, candidate.weights, scale.gamma)
        + inner(z, candidate.weights, z, candidate.weights, scale.gamma)
    )
    return distance if metric == "reference" else max(distance, 0.0)


def kernel_cosine(requirement: Rkme, candidate: Rkme, metric: Metric = "searcher") -> float:
    """Return the cosine of the angle between two mean embeddings, in [0, 1]; 1 means the same direction.

    Raises
    ------
    SpecificationError
        As ``mmd2``.
    """
    scale = scale_for(requirement, metric)
    require_comparable(requirement, candidate)
    x, z = scale.embed_rkme(requirement), scale.embed_rkme(candidate)
    cross = inner(x, requirement.weights, z, candidate.weights, scale.gamma)
    own = inner(x, requirement.weights, x, requirement.weights, scale.gamma)
    other = inner(z, candidate.weights, z, candidate.weights, scale.gamma)
    return float(min(cross / np.sqrt(own * other), 1.0))


def scale_for(requirement: Rkme, metric: Metric) -> Scale:
    """Return the scale of a metric by name; refuses an unknown name with a SpecificationError."""
    if metric == "searcher":
        return Scale.of(requirement)
    if metric == "reference":
        if requirement.kind == "image":
            raise SpecificationError(
                "The reference engine's image metric compares two specifications at a time",
                where="metric",
                why="it is no Gaussian kernel, and half a second a pair",
                todo="Use skerry.spec.mmd2",
                code="E-SPEC-METRIC",
            )
        return Scale.reference(requirement.dimension)
    raise SpecificationError(
        "The metric is unknown",
        where="metric",
        why=f"{metric!r} is neither 'searcher' nor 'reference'",
        code="E-SPEC-METRIC",
    )


def require_comparable(requirement: Rkme, candidate: Rkme) -> None:
    """Refuse two specifications of different islands.

    Columns without names on one side are compared by position: that is all that can be known of them.
    """
    ours, theirs = requirement.island, candidate.island
    same_space = (ours.kind, ours.dimension, ours.extractor) == (
        theirs.kind,
        theirs.dimension,
        theirs.extractor,
    )
    if same_space and (ours.columns is None or theirs.columns is None or ours.columns == theirs.columns):
        return
    raise SpecificationError(
        "The specifications are of different islands",
        where="island",
        why=_difference(requirement, candidate),
        todo="Build a bridge with skerry.spec.align() where columns are shared",
        code="E-SPEC-ISLANDS",
    )


def narrowed(points: Floats, dtype: npt.DTypeLike) -> Floats:
    """Return scaled points in ``dtype``; in float32 they are cut off at ``FLOAT32_FAR``."""
    if dtype == np.float32:
        points = np.clip(points, -FLOAT32_FAR, FLOAT32_FAR)
    return np.asarray(points, dtype)


def squared_distances(a: Floats, b: Floats) -> Floats:
    """Return (m, n) squared distances of rows a (m, d) and b (n, d), in their dtype, never negative."""
    block: Floats = a @ b.T
    block *= -2
    block += np.einsum("ij,ij->i", a, a)[:, None]
    block += np.einsum("ij,ij->i", b, b)[None, :]
    np.maximum(block, 0, out=block)
    return block


def kernel_block(a: Floats, b: Floats, gamma: float) -> Floats:
    """Return the (..., m, n) kernel values of rows a (..., m, d) and b (..., n, d), in their dtype."""
    # The exponent -gamma (|a|^2 - 2 ab + |b|^2) is one matrix product of rows with two more columns.
    ones_a, ones_b = np.ones((*a.shape[:-1], 1), a.dtype), np.ones((*b.shape[:-1], 1), b.dtype)
    left = np.concatenate([2 * gamma * a, -gamma * _squares(a), ones_a], axis=-1)
    right = np.concatenate([b, ones_b, -gamma * _squares(b)], axis=-1)
    block: Floats = left @ np.swapaxes(right, -1, -2)
    np.minimum(block, 0, out=block)
    np.exp(block, out=block)
    return block


def _squares(rows: Floats) -> Floats:
    """Return the squared lengths (..., 1) of rows (..., d)."""
    squares: Floats = np.einsum("...j,...j->...", rows, rows)[..., None]
    return squares


def inner(a: Floats, weights_a: Floats, b: Floats, weights_b: Floats, gamma: float) -> float:
    """Return ``<A, B>`` of two weighted point sets that are in scale already; blocks are chunked."""
    rows = max(1, BLOCK_FLOATS_MAX // len(b))
    return float(
        sum(
            weights_a[start : start + rows] @ (kernel_block(a[start : start + rows], b, gamma) @ weights_b)
            for start in range(0, len(a), rows)
        )
    )


def inner_many(
    a: Floats, weights_a: Floats, stacked: Floats, weights: Floats, starts: npt.NDArray[np.intp], gamma: float
) -> Floats:
    """Return ``<A, B_i>`` for many candidates at once.

    Parameters
    ----------
    a, weights_a
        The requirement, (m, d) in scale, and its (m,) weights.
    stacked, weights
        The points of all candidates under each other, (sum of K_i, d), and their weights.
    starts
        (N,) the row at which each candidate begins, ascending from 0.
    gamma
        The kernel's gamma.

    Returns
    -------
    (N,) float64; blocks are computed in the dtype of the points, sums in float64.
    """
    embedding = np.empty(len(stacked), np.float64)
    rows = max(1, BLOCK_FLOATS_MAX // len(a))
    for start in range(0, len(stacked), rows):
        block = kernel_block(a, stacked[start : start + rows], gamma)
        embedding[start : start + rows] = weights_a.astype(block.dtype) @ block
    sums: Floats = np.add.reduceat(embedding * weights, starts)
    return sums


def self_terms(stacked: Floats, weights: Floats, starts: npt.NDArray[np.intp], gamma: float) -> Floats:
    """Return ``<B_i, B_i>`` (N,) for candidates stacked as in ``inner_many``, in the points' precision."""
    sizes = np.diff([*starts, len(stacked)])
    terms = np.empty(len(starts), np.float64)
    for size in np.unique(sizes).tolist():
        members = np.flatnonzero(sizes == size)
        step = max(1, CACHED_FLOATS // size**2)
        for first in range(0, len(members), step):
            part = members[first : first + step]
            rows = starts[part][:, None] + np.arange(size)
            points, shares = stacked[rows], weights[rows].astype(stacked.dtype)
            if size**2 > BLOCK_FLOATS_MAX:
                terms[part] = inner(points[0], shares[0], points[0], shares[0], gamma)
                continue
            embedding = kernel_block(points, points, gamma) @ shares[:, :, None]
            terms[part] = (shares[:, None, :] @ embedding)[:, 0, 0]
    return terms


def median_gamma(points: Floats, weights: Floats, *, unit_rows: bool = False) -> float:
    """Return one over the weighted median squared distance between different points (K, d).

    Where no two points differ it is 1 / (2 d), which standardised independent columns would give, or 1 / 2
    for rows of length one, which those at a right angle would.
    """
    step = -(-len(points) // BANDWIDTH_POINTS_MAX)
    points, weights = points[::step], weights[::step]
    first, second = np.triu_indices(len(points), k=1)
    distances = squared_distances(points, points)[first, second]
    mass = weights[first] * weights[second]
    keep = (distances > 0) & (mass > 0)
    if not keep.any():
        return 1 / float(2 if unit_rows else 2 * points.shape[1])
    order = np.argsort(distances[keep])
    cumulated = np.cumsum(mass[keep][order])
    middle = int(np.searchsorted(cumulated, cumulated[-1] / 2))
    return 1 / float(distances[keep][order][middle])


def column_scale(marginals: Marginals) -> Scale:
    """Return the scale that a table's marginals set, its gamma still to be replaced."""
    guess = np.where(marginals.location == 0, 1.0, np.abs(marginals.location))
    constant = marginals.spread <= CONSTANT_SPREAD * guess
    bound = np.where(constant, 1.0, np.inf)
    bound[marginals.missing_rate >= 1] = 0.0
    return Scale(marginals.location, np.where(constant, guess, marginals.spread), bound, 1.0)


def _difference(requirement: Rkme, candidate: Rkme) -> str:
    """Return the first thing in which two islands differ."""
    ours, theirs = requirement.island, candidate.island
    for name in ("kind", "dimension", "extractor"):
        if getattr(ours, name) != getattr(theirs, name):
            return f"{name} {getattr(ours, name)!r} against {getattr(theirs, name)!r}"
    pairs = zip(ours.columns or (), theirs.columns or (), strict=True)
    place, (first, second) = next(pair for pair in enumerate(pairs) if pair[1][0] != pair[1][1])
    return f"column {place} is {first.name} [{first.unit}] against {second.name} [{second.unit}]"
