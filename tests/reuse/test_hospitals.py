"""Four hospitals reuse each other's models: what the demo claims, on the same real data.

Each hospital trains a model on its own patients and publishes it. In turn each one has unlabelled patients
and asks the other three. Labels are used for a hospital's own model and for the final AUC only.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skerry.reuse import Average, Learnware, Routed, Weighted, as_estimator
from skerry.spec.fit import fit_table
from skerry.spec.metric import mmd2

FOLDER = Path(__file__).resolve().parents[2] / "client" / "demo"
HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
COLUMNS = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak"]
OWN_LABELS = 20
OWN_DRAWS = 20


@cache
def patients(hospital: str) -> tuple[pd.DataFrame, Any]:
    """Return a hospital's ten columns and who has the disease; a cholesterol of 0 was not measured."""
    table = pd.read_csv(FOLDER / f"{hospital}.csv")
    rows = table[COLUMNS].astype(float)
    return rows.assign(chol=rows["chol"].replace(0.0, np.nan)), (table["num"] > 0).to_numpy().astype(int)


def pipeline() -> Pipeline:
    return make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)
    )


@cache
def learnware(hospital: str) -> Learnware:
    rows, disease = patients(hospital)
    return as_estimator(pipeline().fit(rows.to_numpy(), disease), fit_table(rows))


def others(hospital: str) -> list[Learnware]:
    return [learnware(name) for name in HOSPITALS if name != hospital]


def auc(reuser: Any, hospital: str) -> float:
    rows, disease = patients(hospital)
    return float(roc_auc_score(disease, reuser.fit(rows).predict_proba(rows)[:, 1]))


def self_trained_auc(hospital: str) -> float:
    """Return the mean AUC of the hospital's own pipeline on 20 labels, over 20 stratified draws."""
    rows, disease = patients(hospital)
    split = StratifiedShuffleSplit(OWN_DRAWS, train_size=OWN_LABELS, random_state=0)
    figures = []
    for own, rest in split.split(rows, disease):
        model = pipeline().fit(rows.iloc[own], disease[own])
        figures.append(roc_auc_score(disease[rest], model.predict_proba(rows.iloc[rest])[:, 1]))
    return float(np.mean(figures))


@pytest.mark.parametrize("hospital", HOSPITALS)
@pytest.mark.parametrize("reuser", [Average, Weighted, Routed])
def test_the_others_models_beat_training_on_twenty_labels(reuser: Any, hospital: str) -> None:
    assert auc(reuser(others(hospital)), hospital) > self_trained_auc(hospital)


def test_pooling_beats_the_nearest_model_on_average() -> None:
    def nearest(hospital: str) -> Learnware:
        requirement = fit_table(patients(hospital)[0])
        return min(others(hospital), key=lambda member: mmd2(requirement, member.rkme))

    first = np.mean([auc(nearest(hospital), hospital) for hospital in HOSPITALS])
    for reuser in (Average, Weighted, Routed):
        assert np.mean([auc(reuser(others(hospital)), hospital) for hospital in HOSPITALS]) > first


def test_the_columns_order_does_not_matter_but_their_names_do() -> None:
    rows, _ = patients("va")
    pool = Routed(others("va")).fit(rows)
    shuffled = rows[COLUMNS[::-1]].assign(ward="A")
    np.testing.assert_array_equal(pool.predict_proba(shuffled), pool.predict_proba(rows))
    with pytest.raises(ValueError, match=r"E-SPEC-COLUMNS .*missing: chol, fbs"):
        pool.predict(rows.drop(columns=["chol", "fbs"]))
