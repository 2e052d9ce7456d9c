"""What a distance means: how much of it is noise, and which columns and rows it comes from.

*Noise floor.* Two samples of one distribution are never at distance 0. Halving the searcher's own rows at
random again and again shows how far apart such samples lie in the searcher's own metric. Halves of n rows
have n / 2 each, and the squared MMD of equal distributions shrinks as one over the rows, so half of the
distance between halves is the distance between two samples of n. A hit within the floor cannot be told
from the searcher's own distribution.

*Columns.* Each column alone has a squared MMD, with the median heuristic of that column. The shares say where
two marginal distributions differ; a difference in dependence alone shows in none of them.

*Rows.* The witness function of the MMD, ``mu_X - mu_Z``, is large where the searcher has data and the
learnware had none. A row counts as not covered where the learnware's embedding is below ``COVERED_SHARE``
of the searcher's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .backend import filled
from .island import Kind
from .limits import BLOCK_FLOATS_MAX, NOISE_ROWS_MAX, NOISE_SPLITS
from .metric import Scale, inner, kernel_block, kernel_cosine, median_gamma, mmd2, require_comparable
from .mixing import scale_of_rows
from .pictures import column_names
from .rkme import Floats, Rkme
from .table import read_table, refusal

COVERED_SHARE: Final = 0.1
"""A tenth of the searcher's own density at a row; below it the learnware saw next to nothing there."""


@dataclass(frozen=True)
class NoiseFloor:
    """How far apart two samples of the searcher's own distribution lie.

    Parameters
    ----------
    mean
        The mean squared MMD of two samples of as many rows.
    upper
        The 95 % quantile; a hit nearer than this is within the noise.
    """

    mean: float
    upper: float


@dataclass(frozen=True)
class ColumnShare:
    """One column's part in a distance.

    Parameters
    ----------
    name
        The column with its unit.
    mmd2
        Squared MMD of this column alone.
    share
        Its part of the sum over all columns, in [0, 1].
    shift
        The candidate's location minus the requirement's, in spreads of the requirement.
    spread_ratio
        The candidate's spread over the requirement's.
    """

    name: str
    mmd2: float
    share: float
    shift: float
    spread_ratio: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a learnware is as near or as far as it is.

    Parameters
    ----------
    mmd2, cosine
        The distance and the kernel cosine in the searcher's metric.
    columns
        One entry a column, largest share first.
    uncovered
        Row numbers of the searcher's data that the learnware did not cover, or None without rows.
    uncovered_rate
        Their share of all rows, or None without rows.
    """

    mmd2: float
    cosine: float
    columns: tuple[ColumnShare, ...]
    uncovered: npt.NDArray[np.intp] | None
    uncovered_rate: float | None


def noise_floor(data: Rkme | Any, seed: int = 0, *, kind: Kind = "table") -> NoiseFloor:
    """Return the noise floor of a searcher's data.

    Parameters
    ----------
    data
        (n, d) rows or a data frame; of more than ``NOISE_ROWS_MAX`` rows that many are drawn and the result
        is scaled. An RKME is taken as if its points were the rows: its floor is too high, so it never calls a
        difference real that is not.
    seed
        Seed of the draws.
    kind
        What the rows are; those of texts and images are features (see ``kinds.py``).

    Raises
    ------
    SpecificationError
        With fewer than four rows: halves of one row say nothing.
    """
    rng = np.random.default_rng(seed)
    if isinstance(data, Rkme):
        scale = Scale.of(data)
        rows, count = scale.embed_rkme(data), len(data)
    else:
        values = read_table(data).values
        scale, count = scale_of_rows(values, unit_rows=kind != "table"), len(values)
        chosen = rng.choice(count, min(count, NOISE_ROWS_MAX), replace=False)
        rows = filled(scale, values[chosen], np.float64)
    if len(rows) < 4:
        raise refusal("data", f"{len(rows)} rows; a noise floor needs at least 4")
    distances = _halves(rows, scale.gamma, rng) / 2 * len(rows) / count
    return NoiseFloor(float(distances.mean()), float(np.quantile(distances, 0.95)))


def explain(requirement: Rkme, candidate: Rkme, X: Any = None) -> Explanation:
    """Return where the distance between a requirement and a candidate comes from.

    Parameters
    ----------
    requirement, candidate
        Specifications of one island; see ``align`` for others.
    X
        The searcher's rows, for the rows that are not covered.

    Raises
    ------
    SpecificationError
        When islands differ, or X has other columns.
    """
    require_comparable(requirement, candidate)
    scale = Scale.of(requirement)
    uncovered = None if X is None else _uncovered(requirement, candidate, read_table(X).values, scale)
    return Explanation(
        mmd2=mmd2(requirement, candidate),
        cosine=kernel_cosine(requirement, candidate),
        columns=_column_shares(requirement, candidate, scale),
        uncovered=None if uncovered is None else np.flatnonzero(uncovered),
        uncovered_rate=None if uncovered is None else float(uncovered.mean()),
    )


def _halves(rows: Floats, gamma: float, rng: np.random.Generator) -> Floats:
    """Return squared MMDs (``NOISE_SPLITS``,) between random halves of rows in scale."""
    half = len(rows) // 2
    gram = kernel_block(rows, rows, gamma)
    signs = np.zeros((len(rows), NOISE_SPLITS))
    for split in range(NOISE_SPLITS):
        order = rng.permutation(len(rows))
        signs[order[:half], split] = 1 / half
        signs[order[half : 2 * half], split] = -1 / half
    distances: Floats = np.einsum("is,is->s", signs, gram @ signs)
    return distances


def _column_shares(requirement: Rkme, candidate: Rkme, scale: Scale) -> tuple[ColumnShare, ...]:
    x, z = scale.embed_rkme(requirement), scale.embed_rkme(candidate)
    alone = np.array(
        [
            _column_mmd2(x[:, [column]], requirement.weights, z[:, [column]], candidate.weights)
            for column in range(requirement.dimension)
        ]
    )
    total = max(float(alone.sum()), np.finfo(np.float64).tiny)
    shift = (candidate.marginals.location - requirement.marginals.location) / scale.spread
    ratio = candidate.marginals.spread / scale.spread
    names = column_names(requirement)
    return tuple(
        ColumnShare(
            names[column],
            float(alone[column]),
            float(alone[column]) / total,
            float(shift[column]),
            float(ratio[column]),
        )
        for column in np.argsort(-alone, kind="stable")
    )


def _column_mmd2(x: Floats, weights: Floats, z: Floats, other: Floats) -> float:
    gamma = median_gamma(x, weights)
    distance = (
        inner(x, weights, x, weights, gamma)
        - 2 * inner(x, weights, z, other, gamma)
        + inner(z, other, z, other, gamma)
    )
    return max(distance, 0.0)


def _uncovered(requirement: Rkme, candidate: Rkme, values: Floats, scale: Scale) -> npt.NDArray[np.bool_]:
    """Return which rows (n,) the candidate's embedding does not reach."""
    if values.shape[1] != requirement.dimension:
        raise refusal("X", f"{values.shape[1]} columns, the requirement has {requirement.dimension}")
    x, z = scale.embed_rkme(requirement), scale.embed_rkme(candidate)
    uncovered = np.empty(len(values), np.bool_)
    step = max(1, BLOCK_FLOATS_MAX // max(len(x), len(z)))
    for start in range(0, len(values), step):
        rows = filled(scale, values[start : start + step], np.float64)
        own = kernel_block(rows, x, scale.gamma) @ requirement.weights
        theirs = kernel_block(rows, z, scale.gamma) @ candidate.weights
        uncovered[start : start + step] = theirs < COVERED_SHARE * own
    return uncovered
