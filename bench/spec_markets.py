"""The markets that search is measured on: learnwares, and requirements that are not among them.

- ``air``: bootstraps of one station's week of hourly air quality, 50 rows in eleven columns with their units.
- ``digits``: bootstraps of the images of one to four digits, 50 rows of 64 pixels.
- ``mixed units``: mixtures of three correlated Gaussians in thirty columns whose units run from 1e-6 to 1e4,
  some with an offset of up to a thousand units; 20 rows.
- ``clusters``: 100 rows from one to five of sixty clusters in thirty standardised columns.

A learnware's points are its rows: what is measured is whether the filter finds what the exact distance finds,
and fitting a hundred thousand specifications would take a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skerry.spec import Island, Rkme

AIR_COLUMNS = ["PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM"]
WEEK_ROWS_MIN = 100
"""Complete hours that a station's week must have; a full week has 168."""

BOOTSTRAP_ROWS = 50


@dataclass(frozen=True)
class Market:
    name: str
    learnwares: list[Rkme]
    queries: list[Rkme]


def air(path: Path, count: int, queries: int, seed: int) -> Market:
    """Return bootstraps of the station-weeks in a parquet file."""
    import pandas as pd

    table = pd.read_parquet(path)
    hours = pd.to_datetime(table[["year", "month", "day", "hour"]])
    table["week"] = (hours - hours.min()).dt.days // 7
    complete = table.dropna(subset=AIR_COLUMNS)
    groups = [group[AIR_COLUMNS].to_numpy(np.float32) for _, group in complete.groupby(["station", "week"])]
    weeks = [group for group in groups if len(group) >= WEEK_ROWS_MIN]
    rng = np.random.default_rng(seed)
    chosen = [weeks[index] for index in rng.integers(len(weeks), size=count + queries)]
    samples = [rows[rng.integers(len(rows), size=BOOTSTRAP_ROWS)] for rows in chosen]
    return _market("air", np.stack(samples), count)


def digits(count: int, queries: int, seed: int) -> Market:
    """Return bootstraps of the images of some digits."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(count + queries):
        classes = rng.choice(10, rng.integers(1, 5), replace=False)
        samples.append(X[rng.choice(np.flatnonzero(np.isin(y, classes)), BOOTSTRAP_ROWS)])
    return _market("digits", np.stack(samples), count)


def mixed_units(count: int, queries: int, seed: int, columns: int = 30, points: int = 20) -> Market:
    """Return mixtures of Gaussians in awkward units; each learnware is its points, unreduced."""
    rng = np.random.default_rng(seed)
    units = 10.0 ** rng.uniform(-6, 4, columns)
    offsets = np.where(rng.random(columns) < 0.3, 10.0 ** rng.uniform(0, 3, columns), 0)
    families = rng.normal(size=(200, columns))
    turns = np.stack([np.linalg.qr(rng.normal(size=(columns, columns)))[0] for _ in range(20)])
    samples = np.empty((count + queries, points, columns), np.float32)
    for place in range(count + queries):
        centres = families[rng.integers(200)] + 0.7 * rng.normal(size=(3, columns))
        shape = rng.uniform(0.1, 1.2, columns)[:, None] * turns[rng.integers(20)]
        rows = centres[rng.integers(3, size=points)] + rng.normal(size=(points, columns)) @ shape
        samples[place] = (rows + offsets) * units
    return _market("mixed units", samples, count)


def clusters(count: int, seed: int, columns: int = 30, points: int = 100) -> Market:
    """Return learnwares over few of many clusters and one user who has five."""
    rng = np.random.default_rng(seed)
    means, scales = rng.normal(0, 2, (60, columns)), rng.uniform(0.5, 1.5, (60, columns))
    rows = np.empty((count + 1, points, columns), np.float32)
    for place in range(count + 1):
        size = 5 if place == count else int(rng.integers(1, 6))
        members = rng.choice(60, size, replace=False)
        cluster = rng.choice(members, points, p=rng.dirichlet(np.full(size, 3.0)))
        rows[place] = means[cluster] + scales[cluster] * rng.normal(size=(points, columns))
    rows -= rows.mean(axis=(0, 1))
    rows /= rows.std(axis=(0, 1))
    return _market("clusters", rows, count)


def _market(name: str, samples: np.ndarray, count: int) -> Market:
    """Return the first ``count`` of the samples (n, rows, columns) as learnwares, the others as queries."""
    island, share = Island("table", None, samples.shape[2]), np.full(samples.shape[1], 1 / samples.shape[1])
    made = [Rkme(sample.astype(np.float32), share, island) for sample in samples]
    return Market(name, made[:count], made[count:])
