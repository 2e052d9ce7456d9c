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

from .backend import Rows, filled, open_rows
from .limits import EXPOSURE_DISTANCES_MAX, EXPOSURE_ROWS_MAX, EXPOSURE_ROWS_MIN
from .metric import column_scale
from .rkme import Floats, Rkme
from .table import read_table, refusal

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
    return exposure_to(rkme, _rows(rkme, X), seed)


def exposure_to(rkme: Rkme, rows: Rows, seed: int = 0) -> Exposure:
    """Return the exposure to rows that were opened already, as those that an RKME is being fitted to are."""
    scale, count = column_scale(rows.moments()), rows.shape[0]
    sample = min(count, EXPOSURE_ROWS_MAX, max(EXPOSURE_ROWS_MIN, EXPOSURE_DISTANCES_MAX // count))
    chosen = np.random.default_rng(seed).choice(count, sample, replace=False)
    drawn = filled(scale, rows.take(chosen), np.float64)
    own, _ = rows.nearest(drawn, scale, np.zeros(sample), skip=chosen)
    neighbour = float(np.median(own)) if count > 1 else 0.0
    points = scale.embed_rkme(rkme)
    radius = np.full(len(points), max(COPY_SHARE * neighbour, ROUNDING * np.sqrt(rkme.dimension)))
    distances, company = rows.nearest(points, scale, radius)
    return Exposure(distances, neighbour, np.flatnonzero((distances <= radius) & (company < COMPANY_MIN)))


def require_no_copies(rkme: Rkme, X: Any) -> Exposure:
    """Return the exposure, or refuse an RKME that copies rows.

    Raises
    ------
    SpecificationError
        When a point is a copy of a row, or X is not acceptable.
    """
    found = exposure(rkme, X)
    _refuse_copies(rkme, found)
    return found


def without_copies(rkme: Rkme, X: Any) -> Rkme:
    """Return the RKME without the points that copy rows, the other weights raised to sum to 1.

    Raises
    ------
    SpecificationError
        ``E-SPEC-COPIES`` when the copies hold more than ``COPIES_WEIGHT_MAX`` of the weight, or X is not
        acceptable.
    """
    found = exposure(rkme, X)
    kept = _without_light(rkme, found)
    if kept is rkme:
        _refuse_copies(rkme, found)
    return kept


def without_light_copies(rkme: Rkme, rows: Rows) -> Rkme:
    """Return the RKME without the points that copy rows, or itself where these hold much of the weight."""
    return _without_light(rkme, exposure_to(rkme, rows))


def _refuse_copies(rkme: Rkme, found: Exposure) -> None:
    if len(found.copies):
        raise SpecificationError(
            "The specification would publish rows of the data",
            where="points",
            why=f"{len(found.copies)} of {len(rkme)} points are copies of single rows",
            todo="Fit to more rows, or fewer points: at most one for ten rows",
            code="E-SPEC-COPIES",
        )


def _without_light(rkme: Rkme, found: Exposure) -> Rkme:
    copies = found.copies
    if not len(copies) or rkme.weights[copies].sum() > COPIES_WEIGHT_MAX:
        return rkme
    weights = np.delete(rkme.weights, copies)
    return replace(
        rkme,
        points=np.delete(rkme.points, copies, axis=0),
        weights=weights / weights.sum(),
        responses=None if rkme.responses is None else np.delete(rkme.responses, copies, axis=0),
    )


def _rows(rkme: Rkme, X: Any) -> Rows:
    """Return the data that an RKME was fitted to, where they should be worked on."""
    values = read_table(X).values
    if values.shape[1] != rkme.dimension:
        raise refusal("X", f"{values.shape[1]} columns, the RKME has {rkme.dimension}")
    return open_rows(values, "auto")
