"""Air quality at twelve stations: models of eleven stations answer for the twelfth.

The data are hourly pollutants and weather of Beijing, March 2013 to February 2017 (UCI Machine Learning
Repository, data set 501, CC BY 4.0), as one Parquet file. Each of eleven stations owns four models of PM2.5,
one a season, trained on the first three years. The searcher is the twelfth: eight weeks of the last year,
begun at a random hour, without PM2.5; with labels, those of the hours just before. Error is the root mean
squared error in micrograms per cubic metre.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skerry.reuse import (
    AutoReuse,
    Average,
    EnsemblePruning,
    FeatureAugment,
    JobSelector,
    Learnware,
    Routed,
    Stacking,
    Weighted,
    as_estimator,
)
from skerry.reuse.auto import remembering
from skerry.spec.fit import fit_table
from skerry.spec.ranking import rank
from skerry.spec.rkme import Rkme

COLUMNS = ["PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM"]
TARGET = "PM2.5"
TRAIN_END = pd.Timestamp("2016-03-01")
LABELS_MAX = pd.Timedelta(hours=672)
WINDOW = pd.Timedelta(weeks=8)
LABEL_HOURS = (24, 168, 672)
BUDGET_SECONDS = 5.0
"""Time that each AutoReuse may take to cross-validate."""

SEASONS = {"winter": (12, 1, 2), "spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11)}


@dataclass(frozen=True)
class Window:
    """One searcher: rows to predict, labelled rows before them (newest last), the others' learnwares."""

    rows: Any
    truth: Any
    earlier_rows: Any
    earlier_truth: Any
    requirement: Rkme
    learnwares: list[Learnware]


UNLABELLED: dict[str, Callable[[Window], Any]] = {
    "Average": lambda window: Average(window.learnwares),
    "Weighted": lambda window: Weighted(window.learnwares, requirement=window.requirement),
    "Routed": lambda window: Routed(window.learnwares, requirement=window.requirement),
    "JobSelector": lambda window: JobSelector(window.learnwares, requirement=window.requirement),
}
LABELLED: dict[str, Callable[[Window], Any]] = {
    "EnsemblePruning": lambda window: EnsemblePruning(window.learnwares),
    "Stacking": lambda window: Stacking(window.learnwares),
    "FeatureAugment": lambda window: FeatureAugment(window.learnwares),
    "AutoReuse": lambda window: AutoReuse(
        window.learnwares, requirement=window.requirement, budget_seconds=BUDGET_SECONDS
    ),
}


def hours(path: Path) -> pd.DataFrame:
    """Return all hours that have a label, with a time column."""
    table = pd.read_parquet(path)
    table["time"] = pd.to_datetime(table[["year", "month", "day", "hour"]])
    return table[table[TARGET].notna()].sort_values(["station", "time"])


def owners(table: pd.DataFrame) -> dict[str, list[Learnware]]:
    """Return each station's four learnwares."""
    past = table[table["time"] < TRAIN_END]
    found: dict[str, list[Learnware]] = {}
    for station, own in past.groupby("station"):
        for months in SEASONS.values():
            part = own[own["month"].isin(months)]
            model = HistGradientBoostingRegressor(random_state=0).fit(part[COLUMNS].to_numpy(), part[TARGET])
            rkme = fit_table(part[COLUMNS], responses=model.predict)
            found.setdefault(str(station), []).append(as_estimator(model, rkme))
    return found


def windows(path: Path, per_station: int, seed: int) -> Iterator[Window]:
    """Yield the searchers, each with the learnwares of all other stations."""
    table = hours(path)
    market = owners(table)
    rng = np.random.default_rng(seed)
    first, last = TRAIN_END + LABELS_MAX, table["time"].max() - WINDOW
    for station, own in table[table["time"] >= TRAIN_END].groupby("station"):
        for share in rng.uniform(size=per_station):
            start = (first + (last - first) * share).floor("h")
            others = [member for name, members in market.items() if name != station for member in members]
            yield _window(own, start, others)


def _window(own: pd.DataFrame, start: pd.Timestamp, others: list[Learnware]) -> Window:
    test = own[(own["time"] >= start) & (own["time"] < start + WINDOW)]
    earlier = own[(own["time"] >= start - LABELS_MAX) & (own["time"] < start)]
    known = np.concatenate([earlier[COLUMNS].to_numpy(np.float64), test[COLUMNS].to_numpy(np.float64)])
    return Window(
        test[COLUMNS],
        test[TARGET].to_numpy(),
        earlier[COLUMNS],
        earlier[TARGET].to_numpy(),
        fit_table(test[COLUMNS]),
        [remembering(member, known) for member in others],
    )


def rmse(model: Any, window: Window) -> float:
    """Return the root mean squared error over the window."""
    return float(np.sqrt(np.mean((model.predict(window.rows) - window.truth) ** 2)))


def self_trained(rows: pd.DataFrame, truth: Any, window: Window) -> float:
    """Return the error of the better of a ridge regression and boosted trees trained on the own labels.

    The better one is taken after the fact, which favours training one's own.
    """
    ridge = make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), RidgeCV(np.logspace(-2, 3, 11))
    )
    boosting = HistGradientBoostingRegressor(random_state=0)
    return min(rmse(model.fit(rows, truth), window) for model in (ridge, boosting))


def errors(window: Window) -> dict[tuple[int, str], float]:
    """Return the error of every reuser, by hours of labels and name."""
    rkmes = [member.rkme for member in window.learnwares if member.rkme is not None]
    nearest = window.learnwares[int(rank(window.requirement, rkmes, k=1).indices[0])]
    found = {(0, "first hit"): rmse(nearest, window)}
    for name, make in UNLABELLED.items():
        found[0, name] = rmse(make(window).fit(window.rows), window)
    for count in LABEL_HOURS:
        rows, truth = window.earlier_rows[-count:], window.earlier_truth[-count:]
        found[count, "self-training"] = self_trained(rows, truth, window)
        for name, make in LABELLED.items():
            found[count, name] = rmse(make(window).fit(rows, truth), window)
    return found


def mean_errors(path: Path, per_station: int, seed: int) -> tuple[dict[tuple[int, str], float], int]:
    """Return the mean error over all windows by hours of labels and name, and the number of windows."""
    all_errors = [errors(window) for window in windows(path, per_station, seed)]
    means = {key: float(np.mean([found[key] for found in all_errors])) for key in all_errors[0]}
    return means, len(all_errors)


def draw_curve(means: dict[tuple[int, str], float], path: Path) -> None:
    """Draw the errors over the hours of labels as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for name in dict.fromkeys(name for _, name in means):
        points = sorted((count, value) for (count, label), value in means.items() if label == name)
        if len(points) == 1:
            axes.axhline(
                points[0][1], label=f"{name} (no labels)", linestyle="--", linewidth=1, color=f"C{len(name)}"
            )
        else:
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(
        xscale="log", xticks=LABEL_HOURS, xticklabels=LABEL_HOURS, xlabel="hours of the searcher's labels"
    )
    axes.set(ylabel="RMSE of PM2.5 (µg/m³)", title="Models of eleven stations answer for the twelfth")
    axes.minorticks_off()
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)
