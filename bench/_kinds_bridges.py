"""What a learned bridge is worth: the searcher's columns have other names, another order and other units.

*Air.* Twelve stations; eleven owners' models of PM2.5, each behind a bridge of its own, are averaged on eight
weeks of the twelfth. *Hospitals.* Four; the models of three are averaged for the fourth, whose table is
written as another hospital might write it. No bridge sees a label. The baselines have 50 labelled rows of the
searcher's: the hours just before the weeks to predict, or patients drawn from the hospital.

- *own model*: boosted trees, or the hospital's own pipeline, on the labelled rows;
- *ridge*: ridge or logistic regression with cross-validated strength on the searcher's columns;
- *untrained map*: the searcher's standardised rows through a random linear map into the owner's columns, as
  the reference engine's map between feature spaces is before anybody trained it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench._spec_bridge import COLUMNS as AIR_COLUMNS
from bench._spec_bridge import TEST_HOURS, Owner, _boosting, _owner, _ridge, _stations, _windows
from bench.report import Row
from skerry.client.demo.hospitals import COLUMNS, NAMES, Hospital, load, pipeline, probability
from skerry.reuse.bridged import UntrainedMaps
from skerry.spec import Bridge, fit_bridge, fit_table
from skerry.spec.rkme import Floats

LABELS = 50
BASELINES = ("own model", "ridge", "untrained map")

AIR_NAMES = {
    "PM10": ("particulate matter 10um", 1e-3, 0.0),
    "SO2": ("sulphur_dioxide", 1e-3, 0.0),
    "NO2": ("nitrogen_dioxide", 1e-3, 0.0),
    "CO": ("carbon_monoxide", 1e-3, 0.0),
    "O3": ("ozone", 1e-3, 0.0),
    "TEMP": ("air_temperature", 1.8, 32.0),
    "PRES": ("air_pressure", 0.1, 0.0),
    "DEWP": ("dew_point", 1.8, 32.0),
    "RAIN": ("precipitation", 1 / 25.4, 0.0),
    "WSPM": ("wind_speed", 3.6, 0.0),
}
"""Another name, and the factor and offset of another unit: mg/m3, degrees Fahrenheit, kPa, inches, km/h."""

HOSPITAL_NAMES = {
    "age": ("patient age", 12.0, 0.0),
    "sex": ("male", 1.0, 1.0),
    "cp": ("chest pain type", 1.0, 0.0),
    "trestbps": ("resting blood pressure", 0.1333, 0.0),
    "chol": ("cholesterol", 0.02586, 0.0),
    "fbs": ("fasting sugar high", 1.0, 0.0),
    "restecg": ("resting ecg", 1.0, 1.0),
    "thalach": ("max heart rate", 1 / 60, 0.0),
    "exang": ("exercise angina", 1.0, 1.0),
    "oldpeak": ("st depression", 0.1, 0.0),
}
"""Months, kPa, mmol/l, beats a second, mV in place of mm; codes that begin at 1."""


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the figures of both markets; without a path, of the hospitals alone."""
    found = list(hospital_rows(5 if options.quick else 20, options.seed))
    if options.air is not None:
        found += air_rows(options.air, 4 if options.quick else 24, options.seed)
    return found


def renamed(
    values: Floats, names: dict[str, tuple[str, float, float]], order: Any
) -> tuple[Floats, list[str]]:
    """Return rows in other units, under other names and in another order."""
    factors, offsets = np.array([[factor, offset] for _, factor, offset in names.values()]).T
    titles = [name for name, _, _ in names.values()]
    return (values * factors + offsets)[:, order], [titles[place] for place in order]


def found_share(bridge: Bridge, order: Any) -> float:
    """Return the share of the searcher's columns that were matched with what they are."""
    return sum(match.target == order[match.source] for match in bridge.matches) / len(order)


def hospital_rows(draws: int, seed: int) -> Iterator[Row]:
    """Yield columns found and the AUC of the bridged models over each baseline's."""
    hospitals = [load(name) for name in NAMES]
    models = {hospital.name: pipeline().fit(hospital.rows, hospital.labels) for hospital in hospitals}
    rng = np.random.default_rng(seed)
    each = [_hospital(searcher, hospitals, models, draws, rng) for searcher in hospitals]
    yield from _rows("hospitals", np.mean(each, axis=0), "AUC", {"hospitals": 4, "draws": draws}, ">= 1")


def _hospital(
    searcher: Hospital,
    hospitals: list[Hospital],
    models: dict[str, Any],
    draws: int,
    rng: np.random.Generator,
) -> list[float]:
    """Return the share of columns found, the bridged AUC, and those of the baselines."""
    order = rng.permutation(len(COLUMNS))
    X, names = renamed(searcher.rows, HOSPITAL_NAMES, order)
    requirement = fit_table(X, columns=names)
    others = [owner for owner in hospitals if owner is not searcher]
    rkmes = [fit_table(owner.rows, columns=COLUMNS) for owner in others]
    maps = UntrainedMaps(X, rkmes, int(rng.integers(2**31)))
    bridged, mapped, found = [], [], []
    for place, (owner, rkme) in enumerate(zip(others, rkmes, strict=True)):
        bridge = fit_bridge(rkme, requirement)
        bridged.append(probability(models[owner.name], bridge.transform(X)))
        mapped.append(probability(models[owner.name], maps(X, place)))
        found.append(found_share(bridge, order))
    own = [_trained_auc(searcher, X, make, draws, rng) for make in (pipeline, _logistic)]
    pooled = [_auc(searcher.labels, np.mean(answers, axis=0)) for answers in (bridged, mapped)]
    return [float(np.mean(found)), pooled[0], *own, pooled[1]]


def _trained_auc(searcher: Hospital, X: Floats, make: Any, draws: int, rng: np.random.Generator) -> float:
    """Return the mean AUC of a model trained on some labelled rows, measured on the others."""
    scores = []
    while len(scores) < draws:
        chosen = rng.choice(len(X), LABELS, replace=False)
        rest = np.setdiff1d(np.arange(len(X)), chosen)
        if np.bincount(searcher.labels[chosen], minlength=2).min() >= 3:
            model = make().fit(X[chosen], searcher.labels[chosen])
            scores.append(_auc(searcher.labels[rest], probability(model, X[rest])))
    return float(np.mean(scores))


def _logistic() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegressionCV(
        Cs=np.logspace(-3, 1, 9),
        cv=3,
        scoring="neg_log_loss",
        max_iter=2000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), regression
    )


def _auc(labels: Any, answers: Floats) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, answers))


def air_rows(path: Path, count: int, seed: int) -> Iterator[Row]:
    """Yield columns found and the RMSE of the bridged models over each baseline's."""
    stations = _stations(path)
    rng = np.random.default_rng(seed)
    owners = {name: _owner(X, y, rng) for name, (X, y) in stations.items()}
    windows = _windows(stations, count, rng)
    each = [
        _window(*stations[name], start, [owner for other, owner in owners.items() if other != name], rng)
        for name, start in windows
    ]
    yield from _rows("air", np.mean(each, axis=0), "RMSE", {"windows": count}, "<= 1")


def _window(X: Floats, y: Floats, start: int, owners: list[Owner], rng: np.random.Generator) -> list[float]:
    """Return the share of columns found, the bridged RMSE, and those of the baselines."""
    order = rng.permutation(len(AIR_COLUMNS))
    renamed_X, names = renamed(X, AIR_NAMES, order)
    test = slice(start, start + TEST_HOURS)
    labelled = np.flatnonzero(~np.isnan(y[:start]))[-LABELS:]
    requirement = fit_table(renamed_X[test], columns=names)
    bridges = [fit_bridge(owner.rkme, requirement) for owner in owners]
    maps = UntrainedMaps(renamed_X[test], [owner.rkme for owner in owners], int(rng.integers(2**31)))
    answers = [
        np.mean(
            [
                owner.model.predict(bridge.transform(renamed_X[test]))
                for owner, bridge in zip(owners, bridges, strict=True)
            ],
            axis=0,
        ),
        *(
            model.fit(renamed_X[labelled], y[labelled]).predict(renamed_X[test])
            for model in (_boosting(), _ridge())
        ),
        np.mean(
            [owner.model.predict(maps(renamed_X[test], place)) for place, owner in enumerate(owners)], axis=0
        ),
    ]
    found = float(np.mean([found_share(bridge, order) for bridge in bridges]))
    return [found, *(float(np.sqrt(np.nanmean((answer - y[test]) ** 2))) for answer in answers)]


def _rows(data: str, means: Floats, unit: str, params: dict[str, Any], goal: str) -> Iterator[Row]:
    found, bridged, *baselines = (float(value) for value in means)
    params = {"data": data, "labels": LABELS, **params}
    yield Row("bridge_columns_found", found, "share", params, goal=">= 0.9")
    for name, value in zip(BASELINES, baselines, strict=True):
        yield Row("bridge_gain", bridged, unit, {**params, "baseline": name}, name, value, goal, "ratio")
