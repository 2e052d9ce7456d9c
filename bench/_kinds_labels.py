"""What a few labels are worth before any model is fetched: hospitals, and stations of air quality.

*Hospitals.* Each of the four UCI heart-disease hospitals in turn searches among the models of the other
three, with 20 labels of its own, drawn anew from each seed. Measured is the ROC AUC on all of its rows of
the learnware that comes first, and of the default mix without those that the labels show to be worse.

*Air.* One of twelve stations searches among 44 learnwares of the other eleven, with labels of the hours just
before the weeks to predict; see :mod:`bench._air`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import Row
from skerry.client.demo.hospitals import COLUMNS, NAMES, SELF_LABELS, Hospital, load, pipeline, probability
from skerry.reuse import Routed, as_estimator
from skerry.spec import Features, Rkme, SemanticSpec, Specification, fit_table, rank, weigh_labels
from skerry.spec.rkme import Floats

LABEL_HOURS = (24, 168)
DRAWS, DRAWS_QUICK = 200, 20


@dataclass(frozen=True)
class Member:
    """One hospital's learnware, and its probabilities for another's rows."""

    spec: Specification
    estimator: Any
    auc: float


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the figures of both markets; without a path, of the hospitals alone."""
    found = list(hospital_rows(DRAWS_QUICK if options.quick else DRAWS, options.seed))
    if options.air is not None:
        found += air_rows(options.air, 1 if options.quick else 4, options.seed)
    return found


def hospital_rows(draws: int, seed: int) -> Iterator[Row]:
    """Yield the AUC of the first hit and of the mix beside those without labels."""
    hospitals = [load(name) for name in NAMES]
    models = {hospital.name: pipeline().fit(hospital.rows, hospital.labels) for hospital in hospitals}
    found = np.array([_hospital(hospital, hospitals, models, draws, seed) for hospital in hospitals])
    first, mixed, by_distance, plain, best = found.mean(axis=0)
    params = {"labels": SELF_LABELS, "draws": draws, "best_possible": round(float(best), 4)}
    yield Row("label_auc", first, "AUC", params, "first by distance", by_distance, ">= 0.785")
    yield Row("mix_auc", mixed, "AUC", params, "mix without labels", plain, ">= 0.8")


def _hospital(
    searcher: Hospital, hospitals: list[Hospital], models: dict[str, Any], draws: int, seed: int
) -> list[float]:
    """Return mean AUCs: first with labels, mix with labels, first by distance, mix without, the best."""
    requirement = fit_table(searcher.rows, columns=COLUMNS)
    others = [_member(other, models[other.name], searcher) for other in hospitals if other is not searcher]
    order = rank(requirement, [member.spec.rkme for member in others]).indices
    nearest = [others[index] for index in order]
    mixes: dict[tuple[bool, ...], float] = {}

    def mixed(worse: tuple[bool, ...]) -> float:
        if worse not in mixes:
            kept = [member.estimator for member, out in zip(nearest, worse, strict=True) if not out]
            mixes[worse] = _auc(searcher, Routed(kept, requirement=requirement).fit(searcher.rows))
        return mixes[worse]

    first, pooled = [], []
    for draw in range(seed, seed + draws):
        chosen = _labelled(searcher, draw)
        weighed = weigh_labels(
            requirement, searcher.rows[chosen], searcher.labels[chosen], [member.spec for member in nearest]
        )
        first.append(nearest[weighed.order[0]].auc)
        pooled.append(mixed(weighed.worse))
    plain = mixed((False,) * len(nearest))
    best = max(member.auc for member in others)
    return [float(np.mean(first)), float(np.mean(pooled)), nearest[0].auc, plain, best]


def _member(owner: Hospital, model: Any, searcher: Hospital) -> Member:
    rkme = fit_table(owner.rows, columns=COLUMNS, responses=model.predict_proba)
    return Member(_classifier(rkme), as_estimator(model, rkme), _auc(searcher, model))


def _auc(hospital: Hospital, model: Any) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(hospital.labels, probability(model, hospital.rows)))


def _labelled(hospital: Hospital, seed: int) -> Any:
    """Return the positions of labelled rows, drawn until both classes are among them."""
    rng = np.random.default_rng(seed)
    while True:
        chosen = rng.choice(len(hospital.labels), SELF_LABELS, replace=False)
        if 0 < hospital.labels[chosen].sum() < SELF_LABELS:
            return chosen


def _classifier(rkme: Rkme) -> Specification:
    return Specification(_semantic("Classification", rkme, ("0", "1")), rkme)


def _semantic(task: str, rkme: Rkme, classes: tuple[str, ...] = ()) -> SemanticSpec:
    return SemanticSpec(
        data="Table",
        task=task,
        library="Scikit-learn",
        scenario=("Others",),
        license="CC-BY-4.0",
        name="benchmark",
        description="a learnware of a benchmark",
        input=Features(rkme.dimension),
        output=Features(len(classes) or 1),
        classes=classes,
    )


def air_rows(path: Path, per_station: int, seed: int) -> Iterator[Row]:
    """Yield the RMSE of the first hit with labels over that of the first by distance, and its regret."""
    from bench._air import windows

    found: dict[int, list[Floats]] = {hours: [] for hours in LABEL_HOURS}
    for window in windows(path, per_station, seed):
        errors, specs = _air_market(window)
        for hours in LABEL_HOURS:
            labelled = window.earlier_rows.iloc[-hours:], window.earlier_truth[-hours:]
            weighed = weigh_labels(window.requirement, *labelled, specs)
            moved = float(weighed.order != tuple(range(len(specs))))
            found[hours].append(np.array([errors[weighed.order[0]], errors[0], errors.min(), moved]))
    for hours, each in found.items():
        first, by_distance, best, moved = np.mean(each, axis=0)
        params = {"hours": hours, "windows": len(each), "reordered": round(float(moved), 3)}
        peer = ("first by distance", by_distance)
        yield Row("air_label_rmse_ratio", first, "RMSE", params, *peer, "<= 1", "ratio")
        yield Row("air_label_regret", first - best, "RMSE", params, "first by distance", by_distance - best)


def _air_market(window: Any) -> tuple[Floats, list[Specification]]:
    """Return the learnwares' errors in the window and specifications with responses, nearest first."""
    from bench._air import rmse

    order = rank(window.requirement, [member.rkme for member in window.learnwares]).indices
    nearest = [window.learnwares[index] for index in order]
    specs = [Specification(_semantic("Regression", member.rkme), member.rkme) for member in nearest]
    return np.array([rmse(member, window) for member in nearest]), specs
