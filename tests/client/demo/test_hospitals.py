"""The four hospitals' data, and that labels stay where they may be used."""

from __future__ import annotations

import numpy as np
import pytest

from skerry.client.demo.hospitals import COLUMNS, NAMES, auc, load, pipeline, self_trained_auc

SIZES = {"cleveland": 303, "hungarian": 294, "switzerland": 123, "va": 200}


@pytest.mark.parametrize("name", NAMES)
def test_every_hospital_has_its_patients(name: str) -> None:
    hospital = load(name)
    assert hospital.rows.shape == (SIZES[name], len(COLUMNS))
    assert set(hospital.labels) == {0, 1}
    cholesterol = COLUMNS.index("chol")
    assert not (hospital.rows[:, cholesterol] == 0).any()
    differs = ~np.isclose(hospital.rows, hospital.recorded, equal_nan=True)
    assert set(np.flatnonzero(differs.any(axis=0))) <= {cholesterol}
    assert np.isnan(hospital.rows[:, cholesterol]).all() == (name == "switzerland")


def test_self_training_is_measured_the_same_every_time_and_beats_chance() -> None:
    hospital = load("cleveland")
    score = self_trained_auc(hospital)
    assert score == self_trained_auc(hospital)
    assert 0.75 < score < auc(hospital, pipeline().fit(hospital.rows, hospital.labels))
