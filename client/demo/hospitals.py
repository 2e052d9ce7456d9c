"""The four hospitals of the UCI heart-disease data, and what each does with its own rows.

The data and its licence are described in ``SOURCE.md`` beside this file. Ten columns are used, those that
all four hospitals recorded; a cholesterol of 0 means that it was not measured. The label is whether there
is any disease (``num > 0``).

Rule of this file: labels are used for a hospital's own model and for the final measurement, and for
nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from skerry.client.data import read_file

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Floats = npt.NDArray[np.float64]

NAMES: Final = ("cleveland", "hungarian", "switzerland", "va")
TITLES: Final = {
    "cleveland": "Cleveland Clinic",
    "hungarian": "Hungarian Institute of Cardiology",
    "switzerland": "University Hospitals of Switzerland",
    "va": "VA Medical Center Long Beach",
}
COLUMNS: Final = (
    "age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak",
)  # fmt: skip
TARGET: Final = "num"
SELF_LABELS: Final = 20
"""Labels that a hospital without help is assumed to have."""
SELF_DRAWS: Final = 20
"""Seeded draws of such labels whose mean is shown: one draw alone is mostly luck."""


@dataclass(frozen=True)
class Hospital:
    """One hospital's own data.

    Attributes
    ----------
    name, title
        Short and full name.
    rows
        (n, 10) float64 in the order of ``COLUMNS``; NaN where a value is missing.
    labels
        (n,) int, 1 for disease.
    recorded
        (n, 10) float64, the same before cholesterol 0 became missing: how the rows stand in the file.
    """

    name: str
    title: str
    rows: Floats
    labels: npt.NDArray[np.int64]
    recorded: Floats


def load(name: str) -> Hospital:
    """Return one hospital's data, which ships with the package."""
    with as_file(files(__package__) / f"{name}.csv") as path:
        table, degrees = read_file(path, TARGET)
    assert degrees is not None
    recorded = table.select(COLUMNS)
    rows = recorded.copy()
    cholesterol = rows[:, COLUMNS.index("chol")]
    cholesterol[cholesterol == 0] = np.nan
    return Hospital(name, TITLES[name], rows, (degrees > 0).astype(np.int64), recorded)


def pipeline() -> Pipeline:
    """Return the pipeline that each hospital trains: median imputation, scaling, logistic regression."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Switzerland measured no cholesterol at all: a column without values must not change the model's width.
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


def auc(hospital: Hospital, model: Any) -> float:
    """Return the ROC AUC of a fitted classifier on all rows of a hospital."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(hospital.labels, probability(model, hospital.rows)))


def self_trained_auc(hospital: Hospital) -> float:
    """Return the mean ROC AUC of the hospital's own pipeline trained on few of its labels.

    Each draw trains on ``SELF_LABELS`` rows of both classes and is measured on the hospital's other rows.
    """
    from sklearn.metrics import roc_auc_score

    scores = []
    for seed in range(SELF_DRAWS):
        chosen = _draw(hospital.labels, np.random.default_rng(seed))
        rest = np.setdiff1d(np.arange(len(hospital.labels)), chosen)
        model = pipeline().fit(hospital.rows[chosen], hospital.labels[chosen])
        scores.append(roc_auc_score(hospital.labels[rest], probability(model, hospital.rows[rest])))
    return float(np.mean(scores))


def probability(model: Any, rows: Floats) -> Floats:
    """Return the probability of disease (n,) that a classifier gives."""
    disease = list(model.classes_).index(1)
    return np.asarray(model.predict_proba(rows)[:, disease], dtype=np.float64)


def _draw(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    while True:
        chosen = rng.choice(len(labels), SELF_LABELS, replace=False)
        if 0 < labels[chosen].sum() < SELF_LABELS:
            return chosen
