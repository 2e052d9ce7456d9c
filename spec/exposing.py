"""How close published points come to single rows.

An RKME is published, its data are not. A point that lies on one person's row publishes that row, so before
anything leaves, each point's distance to the nearest row is held against the data's own nearest-neighbour
distance, in the data's own scale. A point much nearer than neighbours are to each other is a *copy*, unless
so many rows lie there that it says nothing about any one of them (as in tables of few categories).

With at most one point for ten rows, fitted points are rarely copies; with K near n they are the rule. A row
far from all others keeps a point for itself at any K (one of 30 points at one outlier in 301 rows), with
next to no weight: ``fit_table`` drops such points where it chooses K. Nothing
here bounds what an attacker with other knowledge may infer; that takes differential privacy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .backend import filled
from .limits import BLOCK_FLOATS_MAX, EXPOSURE_DISTANCES_MAX, EXPOSURE_ROWS_MAX, EXPOSURE_ROWS_MIN
from .metric import column_scale, squared_distances
from .rkme import Floats, Rkme
from .table import marginals_of, read_table, refusal

COPY_SHARE: Final = 0.1
"""A point within a tenth of the usual distance of neighbours is on the row, for every practical purpose."""

COMPANY_MIN: Final = 5
"""Rows that must lie at a point for it to stand for nobody; a usual threshold of statistics offices."""

COPIES_WEIGHT_MAX: Final = 0.1
"""Share of the weight that copies may hold to be dropped; with more the rest would not stand for the data."""

ROUNDING: Final = 1e-6
"""Distances in spreads below which two rows are equal, float32's rounding of the points included."""


@dataclass(frozen=True, eq=False)
class Exposure:
    """How close the points of an RKME come to the rows that it was fitted to.

    Parameters
    ----------
    distances
        (K,) float64, from each point to its nearest row, in spreads.
    neighbour_distance
        The median distance of rows to their nearest other row.
    copies
        Positions of the points that are copies of rows.
    """

    distances: Floats
    neighbour_distance: float
    copies: npt.NDArray[np.intp]


def exposure(rkme: Rkme, X: Any, seed: int = 0) -> Exposure:
    """Return how close the points of an RKME come to single rows.

    Parameters
    ----------
    rkme
        What is to be published.
    X
        (n, d) the rows that it was fitted to, all of them.
    seed
        Seed of the sample of rows that the neighbour distance is taken over.

    Raises
    ------
    SpecificationError
        When X is not acceptable or has other columns.
    """
    values = read_table(X).values
    if values.shape[1] != rkme.dimension:
        raise refusal("X", f"{values.shape[1]} columns, the RKME has {rkme.dimension}")
    scale = column_scale(marginals_of(values))
    rows = filled(scale, values, np.float64)
    sample = min(len(rows), EXPOSURE_ROWS_MAX, max(EXPOSURE_ROWS_MIN, EXPOSURE_DISTANCES_MAX // len(rows)))
    chosen = np.random.default_rng(seed).choice(len(rows), sample, replace=False)
    own, _ = _nearest(rows[chosen], rows, np.zeros(len(chosen)), skip=chosen)
    neighbour = float(np.median(own)) if len(rows) > 1 else 0.0
    points = scale.embed_rkme(rkme)
    radius = np.full(len(points), max(COPY_SHARE * neighbour, ROUNDING * np.sqrt(rkme.dimension)))
    distances, company = _nearest(points, rows, radius)
    return Exposure(distances, neighbour, np.flatnonzero((distances <= radius) & (company < COMPANY_MIN)))


def require_no_copies(rkme: Rkme, X: Any) -> Exposure:
    """Return the exposure, or refuse an RKME that copies rows.

    Raises
    ------
    SpecificationError
        When a point is a copy of a row, or X is not acceptable.
    """
    found = exposure(rkme, X)
    if len(found.copies):
        raise SpecificationError(
            "The specification would publish rows of the data",
            where="points",
            why=f"{len(found.copies)} of {len(rkme)} points are copies of single rows",
            todo="Fit to more rows, or fewer points: at most one for ten rows",
            code="E-SPEC-COPIES",
        )
    return found


def without_copies(rkme: Rkme, X: Any) -> Rkme:
    """Return the RKME without the points that copy rows, the other weights raised to sum to 1.

    Raises
    ------
    SpecificationError
        ``E-SPEC-COPIES`` when the copies hold more than ``COPIES_WEIGHT_MAX`` of the weight, or X is not
        acceptable.
    """
    kept = without_light_copies(rkme, X)
    if kept is rkme:
        require_no_copies(rkme, X)
    return kept


def without_light_copies(rkme: Rkme, X: Any) -> Rkme:
    """Return the RKME without the points that copy rows, or itself where these hold much of the weight."""
    copies = exposure(rkme, X).copies
    if not len(copies) or rkme.weights[copies].sum() > COPIES_WEIGHT_MAX:
        return rkme
    weights = np.delete(rkme.weights, copies)
    return replace(
        rkme,
        points=np.delete(rkme.points, copies, axis=0),
        weights=weights / weights.sum(),
        responses=None if rkme.responses is None else np.delete(rkme.responses, copies, axis=0),
    )


def _nearest(
    points: Floats, rows: Floats, radius: Floats, skip: npt.NDArray[np.intp] | None = None
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return each point's distance to its nearest row, and how many rows lie within its radius."""
    nearest = np.full(len(points), np.inf)
    company = np.zeros(len(points), np.intp)
    step = max(1, BLOCK_FLOATS_MAX // len(points))
    for start in range(0, len(rows), step):
        distances = np.sqrt(squared_distances(points, rows[start : start + step]))
        if skip is not None:
            here = (skip >= start) & (skip < start + step)
            distances[np.flatnonzero(here), skip[here] - start] = np.inf
        nearest = np.minimum(nearest, distances.min(axis=1))
        company += (distances <= radius[:, None]).sum(axis=1)
    return nearest, company
