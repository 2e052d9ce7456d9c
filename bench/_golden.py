"""The market of 40 models and nine users whose accuracies the reference engine recorded.

The models are trained again here, on the same rows; what the reference engine reached with them is read from
its records. Nothing is taken from its code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
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
from skerry.spec.fit import fit_table
from skerry.spec.rkme import Rkme

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "golden_market"
LOADERS = {"digits": load_digits, "wine": load_wine, "breast_cancer": load_breast_cancer}
JOB_SELECTOR = "job_selector herding_num=100 (2 seeds; default 1000 is too slow here)"


@dataclass(frozen=True)
class User:
    """One searcher: learnwares found, labelled rows, test rows, and the data's specification."""

    name: str
    learnwares: list[Learnware]
    labelled: tuple[Any, Any]
    test: tuple[Any, Any]
    requirement: Rkme


REUSERS: dict[str, Callable[[User], Any]] = {
    "Average": lambda user: Average(user.learnwares, vote="label"),
    "JobSelector": lambda user: JobSelector(user.learnwares, requirement=user.requirement),
    "FeatureAugment": lambda user: FeatureAugment(user.learnwares),
    "EnsemblePruning": lambda user: EnsemblePruning(user.learnwares),
    "Weighted": lambda user: Weighted(user.learnwares, requirement=user.requirement),
    "Routed": lambda user: Routed(user.learnwares, requirement=user.requirement),
    "Stacking": lambda user: Stacking(user.learnwares),
    "AutoReuse": lambda user: AutoReuse(user.learnwares, requirement=user.requirement),
}
"""How each reuser is made for a user; the first four have a counterpart in the reference engine."""


def records(folder: Path, name: str) -> Any:
    """Return one of the recorded files."""
    text = (folder / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)


@cache
def dataset(name: str) -> tuple[Any, Any]:
    """Return standardised columns and labels."""
    bunch = LOADERS[name]()
    return StandardScaler().fit_transform(bunch.data), bunch.target


def market(folder: Path) -> dict[str, Learnware]:
    """Return the 40 learnwares by id, trained again."""
    found = {}
    for number, record in enumerate(records(folder, "learnwares.json")):
        X, y = dataset(record["dataset"])
        rows = record["train_idx"]
        logistic = LogisticRegression(max_iter=500)
        forest = RandomForestClassifier(50, max_depth=10, random_state=number)
        model = logistic if number % 2 else forest
        found[record["id"]] = as_estimator(model.fit(X[rows], y[rows]), fit_table(X[rows]))
    return found


def users(folder: Path = FOLDER) -> Iterator[User]:
    """Yield the nine users with the learnwares that the reference engine's search gave them."""
    learnwares = market(folder)
    searches = {search["user"]: search for search in records(folder, "rankings.json")["users"]}
    for record in records(folder, "reuse_accuracy.json"):
        search = searches[record["user"]]
        X, y = dataset(search["dataset"])
        labelled, test = record["lab_idx"], record["test_idx"]
        yield User(
            record["user"],
            [learnwares[name] for name in record["used"]],
            (X[labelled], y[labelled]),
            (X[test], y[test]),
            fit_table(X[search["user_idx"]]),
        )


def recorded(folder: Path = FOLDER) -> dict[str, dict[str, float]]:
    """Return the reference engine's accuracy by reuser and user; a user for whom it crashed is left out."""
    rows = records(folder, "reuse_accuracy.json")
    pruning = records(folder, "ensemble_pruning.jsonl")
    return {
        "Average": {row["user"]: row["averaging_vote_by_label"] for row in rows},
        "JobSelector": {row["user"]: float(np.mean(row[JOB_SELECTOR])) for row in rows},
        "FeatureAugment": {row["user"]: row["feature_augment_patched"] for row in rows},
        "EnsemblePruning": {
            row["user"]: float(np.mean(row["acc"]))
            for row in pruning
            if row["acc"] and row["user"] != "timing"
        },
    }


def accuracies(reuser: str, found: list[User]) -> dict[str, float]:
    """Return a reuser's test accuracy by user."""
    return {user.name: REUSERS[reuser](user).fit(*user.labelled).score(*user.test) for user in found}
