"""Specifications of parts become one: data in chunks, and data in several places.

A mean embedding is a mean. The embedding of a union of data sets is the average of their embeddings by
numbers of rows, so the weighted points of all parts together embed the whole exactly as well as the parts
embed their own; that larger set is then reduced again like any data set whose rows have shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from skerry.errors import SpecificationError

from .backend import NumpyRows
from .fit import fit_scale, fit_table, point_count, reduce_rows, unreduced
from .limits import CHUNK_POINTS_MAX, MERGE_POINTS_MAX, POINTS_DEFAULT, ROWS_PER_POINT_MIN
from .rkme import Floats, Marginals, Rkme
from .table import Names, Units, read_table


def merge(
    rkmes: Sequence[Rkme],
    weights: Sequence[float] | Floats,
    size: int | None = None,
    gamma: float | None = None,
    seed: int = 0,
) -> Rkme:
    """Return one RKME of the union of several data sets.

    Parameters
    ----------
    rkmes
        Specifications of one island.
    weights
        Their shares of the union, such as numbers of rows; brought to sum 1.
    size
        The number of points; the largest of the parts' when None.
    gamma, seed
        As in ``fit_table``.

    Raises
    ------
    SpecificationError
        When there is none, islands differ, or a weight is not positive.
    """
    shares = _shares(rkmes, weights)
    size = max(len(rkme) for rkme in rkmes) if size is None else size
    marginals = pooled_marginals([rkme.marginals for rkme in rkmes], shares)
    points = np.concatenate([rkme.points for rkme in rkmes])
    mass = np.concatenate([share * rkme.weights for share, rkme in zip(shares, rkmes, strict=True)])
    mass /= mass.sum()
    count = point_count(len(points), points.shape[1], size)
    sample, sample_shares = _bounded(points, mass, seed)
    unit_rows = rkmes[0].kind != "table"
    scale = fit_scale(sample, sample_shares, marginals, gamma, unit_rows=unit_rows)
    reduced, reduced_weights = reduce_rows(NumpyRows(points, mass), sample, sample_shares, scale, count, seed)
    return Rkme(reduced, reduced_weights, rkmes[0].island, gamma, rkmes[0].shape, marginals)


def fit_chunks(
    chunks: Iterable[Any],
    size: int | None = None,
    gamma: float | None = None,
    seed: int = 0,
    columns: Names = None,
    units: Units = None,
) -> Rkme:
    """Return the RKME of data that come in chunks of rows and never fit memory as a whole.

    Large chunks are reduced to ``CHUNK_POINTS_MAX`` points; when these fill ``MERGE_POINTS_MAX`` they are
    merged, so memory stays that of one chunk. Parameters are those of ``fit_table``.

    Raises
    ------
    SpecificationError
        When there is no chunk, chunks differ in columns, or one is not acceptable.
    """
    parts: list[Rkme] = []
    counts: list[int] = []
    for chunk in chunks:
        part, count = _part(chunk, gamma, seed, columns, units)
        parts.append(part)
        counts.append(count)
        if sum(len(part) for part in parts) >= MERGE_POINTS_MAX:
            parts, counts = [merge(parts, counts, CHUNK_POINTS_MAX, gamma, seed)], [sum(counts)]
    if size is None:
        size = max(1, min(POINTS_DEFAULT, sum(counts) // ROWS_PER_POINT_MIN))
    return merge(parts, counts, size, gamma, seed)


def pooled_marginals(parts: Sequence[Marginals], shares: Floats) -> Marginals:
    """Return the marginals of a union from those of its parts: mixture mean and variance, exactly."""
    missing = np.stack([part.missing_rate for part in parts])
    present = shares[:, None] * (1 - missing)
    total = np.maximum(present.sum(axis=0), np.finfo(np.float64).tiny)
    locations = np.stack([part.location for part in parts])
    location = (present * locations).sum(axis=0) / total
    squares = np.stack([part.spread for part in parts]) ** 2 + (locations - location) ** 2
    spread = np.sqrt((present * squares).sum(axis=0) / total)
    return Marginals(location, spread, np.clip(shares @ missing, 0, 1))


def _part(chunk: Any, gamma: float | None, seed: int, columns: Names, units: Units) -> tuple[Rkme, int]:
    """Return the RKME of one chunk and its number of rows; a small chunk is kept whole."""
    table = read_table(chunk, columns, units)
    rows = table.values.reshape(-1, *table.shape)
    if len(rows) <= 2 * CHUNK_POINTS_MAX:
        return unreduced(rows, table.columns), len(rows)
    return fit_table(rows, CHUNK_POINTS_MAX, gamma, seed, "cpu", table.columns), len(rows)


def _shares(rkmes: Sequence[Rkme], weights: Sequence[float] | Floats) -> Floats:
    shares = np.asarray(weights, np.float64)
    if not rkmes or shares.shape != (len(rkmes),):
        raise _refusal("weights", f"{shares.shape} weights for {len(rkmes)} specifications")
    if not np.all(np.isfinite(shares)) or np.any(shares <= 0):
        raise _refusal("weights", "a weight is not a positive number")
    if any(rkme.island != rkmes[0].island for rkme in rkmes):
        raise _refusal("island", "the specifications are of different islands")
    normalised: Floats = shares / shares.sum()
    return normalised


def _bounded(points: Floats, mass: Floats, seed: int) -> tuple[Floats, Floats]:
    """Return the points to fit on, at most ``MERGE_POINTS_MAX``, drawn by weight where there are more."""
    if len(points) <= MERGE_POINTS_MAX:
        return points, mass
    drawn = np.random.default_rng((seed, 3)).choice(len(points), MERGE_POINTS_MAX, p=mass)
    return points[drawn], np.full(len(drawn), 1 / len(drawn))


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError(
        "The specifications cannot be merged", where=where, why=why, code="E-SPEC-MERGE"
    )
