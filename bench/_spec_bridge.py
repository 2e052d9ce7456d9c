"""What an exact bridge is worth: a searcher lacks columns that the owners' models want.

Twelve air-quality stations; each is an owner with a model of PM2.5 on ten columns, trained on its first three
years. A station in its last year plays the searcher: it has some of the columns, and the other eleven
owners' models, each behind its own bridge, are averaged. No label is used. The peers are trained by the
searcher on the shared columns with the 168 labelled hours just before the eight weeks of the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import Row
from skerry.spec import Bridge, Column, Rkme, bridge, fit_table
from skerry.spec.rkme import Floats

COLUMNS = ("PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM")
SHARED = {
    "all but PM10": ("SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM"),
    "PM10 SO2 TEMP DEWP WSPM": ("PM10", "SO2", "TEMP", "DEWP", "WSPM"),
    "NO2 CO O3 PRES RAIN": ("NO2", "CO", "O3", "PRES", "RAIN"),
    "SO2 NO2 O3": ("SO2", "NO2", "O3"),
    "weather only": ("TEMP", "PRES", "DEWP", "RAIN", "WSPM"),
}
TRAIN_HOURS = 3 * 365 * 24
TEST_HOURS = 8 * 7 * 24
LABELLED_HOURS = 168
OWNER_ROWS_MAX = 8_000


@dataclass(frozen=True)
class Owner:
    """A station's model and specification."""

    model: Any
    rkme: Rkme


def rows(air: Path, *, quick: bool, seed: int) -> list[Row]:
    """Return the bridged models' error over each peer's, a row a set of shared columns and peer."""
    stations = _stations(air)
    rng = np.random.default_rng(seed)
    owners = {name: _owner(X, y, rng) for name, (X, y) in stations.items()}
    windows = _windows(stations, 6 if quick else 24, rng)
    found = []
    for label, shared in SHARED.items():
        errors = np.array([_errors(name, start, stations, owners, shared) for name, start in windows]).mean(
            axis=0
        )
        params = {"shared": label, "windows": len(windows), "labelled_hours": LABELLED_HOURS}
        found += [
            Row(
                "exact_bridge_gain",
                errors[0],
                "RMSE",
                {**params, "baseline": peer},
                peer,
                value,
                "<= 1",
                "ratio",
            )
            for peer, value in zip(("owners' means imputed", "ridge", "boosting"), errors[1:], strict=True)
        ]
    return found


def _stations(air: Path) -> dict[str, tuple[Floats, Floats]]:
    """Return ten columns and PM2.5 of each station, by hour."""
    import polars as pl

    frame = pl.read_parquet(air).sort("station", "year", "month", "day", "hour")
    return {
        str(name[0]): (
            part.select(COLUMNS).to_numpy().astype(np.float64),
            part["PM2.5"].to_numpy().astype(np.float64),
        )
        for name, part in frame.group_by("station", maintain_order=True)
    }


def _owner(X: Floats, y: Floats, rng: np.random.Generator) -> Owner:
    X, y = X[:TRAIN_HOURS], y[:TRAIN_HOURS]
    known = np.flatnonzero(~np.isnan(y))
    chosen = rng.choice(known, OWNER_ROWS_MAX, replace=False)
    return Owner(_boosting().fit(X[chosen], y[chosen]), fit_table(X[chosen], columns=COLUMNS))


def _windows(
    stations: dict[str, tuple[Floats, Floats]], count: int, rng: np.random.Generator
) -> list[tuple[str, int]]:
    """Return stations and first test hours, spread over the last year."""
    names = list(stations)
    hours = len(next(iter(stations.values()))[0])
    return [
        (names[index % len(names)], int(rng.integers(TRAIN_HOURS + LABELLED_HOURS, hours - TEST_HOURS)))
        for index in range(count)
    ]


def _errors(
    station: str,
    start: int,
    stations: dict[str, tuple[Floats, Floats]],
    owners: dict[str, Owner],
    shared: tuple[str, ...],
) -> list[float]:
    """Return the RMSE of the bridged owners, of mean imputation, of ridge and of boosting in one window."""
    X, y = stations[station]
    columns = [COLUMNS.index(name) for name in shared]
    test, labelled = slice(start, start + TEST_HOURS), slice(start - LABELLED_HOURS, start)
    others = [owner for name, owner in owners.items() if name != station]
    searcher = [Column(name) for name in shared]
    bridges: list[Bridge] = [bridge(owner.rkme, searcher) for owner in others]
    bridged = [
        owner.model.predict(built.transform(X[test][:, columns]))
        for owner, built in zip(others, bridges, strict=True)
    ]
    by_mean = [owner.model.predict(_with_means(owner.rkme, X[test], columns)) for owner in others]
    known = ~np.isnan(y[labelled])
    own = [
        model.fit(X[labelled][known][:, columns], y[labelled][known]).predict(X[test][:, columns])
        for model in (_ridge(), _boosting())
    ]
    predictions = [np.mean(bridged, axis=0), np.mean(by_mean, axis=0), *own]
    return [float(np.sqrt(np.nanmean((prediction - y[test]) ** 2))) for prediction in predictions]


def _with_means(rkme: Rkme, X: Floats, columns: list[int]) -> Floats:
    filled = np.tile(rkme.marginals.location, (len(X), 1))
    filled[:, columns] = X[:, columns]
    return filled


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=0)


def _ridge() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), RidgeCV(np.logspace(-2, 4, 13))
    )
