"""Copies of rows among the points of default fits, on every data set at hand: there should be none.

Beside each the distance of the points to their nearest rows, over the usual distance of neighbouring rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import datasets

from bench.report import Row
from skerry.client.demo.hospitals import NAMES, load
from skerry.spec import exposure, fit_table

LOADERS = ("load_iris", "load_wine", "load_diabetes", "load_breast_cancer", "load_digits")


def rows(options: argparse.Namespace) -> list[Row]:
    """Return a row for each data set, and the total."""
    found = [_row(name, data, options.seed) for name, data in tables(options)]
    total = sum(row.value or 0 for row in found)
    return [*found, Row("copies", total, "points", {"data": "all"}, goal="<= 0")]


def tables(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Yield the name and the rows of every table."""
    for loader in LOADERS:
        yield loader.removeprefix("load_"), getattr(datasets, loader)().data
    for name in NAMES:
        yield name, load(name).rows
    if options.air is not None:
        from bench._spec_bridge import _stations

        for name, (X, _) in _stations(options.air).items():
            yield name, X[:2000]


def _row(name: str, data: Any, seed: int) -> Row:
    rkme = fit_table(data)
    found = exposure(rkme, data, seed)
    params = {
        "data": name,
        "rows": len(data),
        "points": len(rkme),
        "nearest": round(float(np.median(found.distances) / max(found.neighbour_distance, 1e-12)), 3),
    }
    return Row("copies", len(found.copies), "points", params)
