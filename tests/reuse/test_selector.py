"""The job selector sends each row to the learnware whose data it looks like."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from skerry.reuse import JobSelector, as_estimator
from skerry.spec.fit import fit_table

DIGITS, LABELS = (array[:800] for array in load_digits(return_X_y=True))
SECONDS_MAX = 10.0
"""Ten times the goal that the benchmark holds on a quiet machine: here only minutes would be a failure."""


def specialist(classes: list[int]) -> Any:
    own = np.flatnonzero(np.isin(LABELS, classes))[::2]
    model = LogisticRegression(max_iter=500).fit(DIGITS[own], LABELS[own])
    return as_estimator(model, fit_table(DIGITS[own]))


@pytest.fixture(scope="module")
def specialists() -> list[Any]:
    return [specialist([0, 1, 2]), specialist([3, 4, 5]), specialist([6, 7, 8, 9])]


def test_specialists_together_know_all_digits(specialists: list[Any]) -> None:
    mine, truth = DIGITS[1::2], LABELS[1::2]
    started = time.perf_counter()
    selector = JobSelector(specialists).fit(mine)
    assert selector.score(mine, truth) > 0.8
    assert time.perf_counter() - started < SECONDS_MAX


def test_every_row_has_one_learnware(specialists: list[Any]) -> None:
    selector = JobSelector(specialists).fit(DIGITS)
    shares = selector._shares(DIGITS[:100])
    np.testing.assert_array_equal(np.sort(shares, axis=1), [[0.0, 0.0, 1.0]] * 100)


def test_learnwares_without_weight_are_never_chosen(specialists: list[Any]) -> None:
    selector = JobSelector(specialists, weights=[1, 0, 1], requirement=fit_table(DIGITS)).fit()
    assert not np.isin(selector.predict(DIGITS), [3, 4, 5]).any()


def test_the_same_seed_chooses_the_same(specialists: list[Any]) -> None:
    first, second = (
        JobSelector(specialists, herded=60, random_state=3).fit(DIGITS).predict(DIGITS) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
