"""Learnwares of other columns answer across bridges, and only where these beat what needs none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier
from sklearn.linear_model import LogisticRegression, Ridge

from skerry.errors import SpecificationError
from skerry.reuse import Bridged, Learnware, as_estimator
from skerry.spec import fit_bridge, fit_table

RNG = np.random.default_rng(0)
SIZE = 2000
AGE = RNG.gamma(9, 6, SIZE)
PRESSURE = 90 + 0.6 * AGE + RNG.normal(0, 9, SIZE)
TEMPERATURE = RNG.normal(37, 0.6, SIZE)
ROWS = np.stack([AGE, PRESSURE, TEMPERATURE], axis=1)
RISK = 0.05 * AGE + 0.02 * PRESSURE + 0.3 * (TEMPERATURE - 37) + RNG.normal(0, 0.3, SIZE)
ILL = np.where(np.median(RISK) < RISK, "ill", "well")
MINE = pd.DataFrame({"temp (F)": 1.8 * TEMPERATURE + 32, "patient age": AGE, "bp kPa": PRESSURE * 0.133322})


def learnware(target: Any) -> Learnware:
    model = LogisticRegression(max_iter=5000) if target is ILL else Ridge()
    rkme = fit_table(ROWS[:1000], columns=["age", "systolic bp", "body temperature"])
    return as_estimator(model.fit(ROWS[:1000], target[:1000]), rkme)


def test_a_classifier_answers_rows_of_other_columns() -> None:
    reuser = Bridged([learnware(ILL)]).fit(MINE[1000:])
    assert is_classifier(reuser)
    assert reuser.score(MINE[1000:], ILL[1000:]) > 0.85
    assert reuser.predict_proba(MINE[:5]).shape == (5, 2)
    assert list(reuser.feature_names_in_) == list(MINE.columns)
    assert 0 < reuser.confidence_ < 1
    assert reuser.trials_ == []


def test_with_few_labels_bridges_are_shown_against_three_baselines_and_win() -> None:
    reuser = Bridged([learnware(RISK), learnware(RISK)]).fit(MINE[1000:1020], RISK[1000:1020])
    assert [trial.name for trial in reuser.trials_] == ["bridged", "own model", "ridge", "untrained map"]
    assert reuser.score(MINE[1100:], RISK[1100:]) > 0.6


def test_a_bridge_that_does_not_beat_them_is_not_used() -> None:
    upside_down = learnware(-RISK)
    reuser = Bridged([upside_down]).fit(MINE[1000:1200], RISK[1000:1200])
    losses = {trial.name: trial.loss for trial in reuser.trials_}
    assert reuser.chosen_ == "ridge"
    assert losses["ridge"] < losses["bridged"]
    assert reuser.score(MINE[1200:], RISK[1200:]) > 0.7


def test_a_published_bridge_is_used_as_it_is() -> None:
    member = learnware(ILL)
    assert member.rkme is not None
    known = fit_bridge(member.rkme, fit_table(MINE))
    few = Bridged([member], bridges=[known]).fit(MINE[1000:1005])
    assert few.bridges_ == [known]
    assert few.score(MINE[1000:], ILL[1000:]) > 0.85


def test_labels_too_few_for_folds_measure_what_needs_no_training() -> None:
    reuser = Bridged([learnware(ILL)], bridges=None).fit(MINE[1000:1003], ILL[1000:1003])
    measured = {trial.name: trial.loss is not None for trial in reuser.trials_}
    assert measured == {"bridged": True, "own model": False, "ridge": False, "untrained map": True}


def test_what_cannot_be_bridged_says_why() -> None:
    with pytest.raises(SpecificationError, match="E-REUSE-LEARNWARES"):
        Bridged([learnware(ILL)]).fit()
    with pytest.raises(SpecificationError, match="E-REUSE-LEARNWARES"):
        Bridged([learnware(ILL)], bridges=[]).fit(MINE)
