"""AutoReuse changes its mind only where labels show that it should, and says why."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skerry.reuse import AutoReuse, Average, Routed, as_estimator
from skerry.reuse.auto import SHIFT_A_ROW_MAX, Trial, remembering
from skerry.spec.fit import fit_table
from skerry.spec.shift import SHIFT_MAX, shift
from tests.reuse.test_pooling import Constant


def rows(seed: int, count: int, mean: float = 0.0) -> Any:
    return np.random.default_rng(seed).normal(mean, 1, (count, 3))


def learnware(seed: int, column: int, *, specified: bool = True) -> Any:
    X = rows(seed, 300)
    return as_estimator(LinearRegression().fit(X, X[:, column]), fit_table(X) if specified else None)


def market(*, specified: bool = True) -> list[Any]:
    return [learnware(seed, seed % 2, specified=specified) for seed in range(4)]


def test_without_labels_it_is_routed() -> None:
    auto = AutoReuse(market()).fit(rows(9, 50))
    assert auto.report_["chosen"] == "Routed"
    assert "no labels" in auto.report_["why"]
    np.testing.assert_array_equal(
        auto.predict(rows(8, 5)), Routed(market()).fit(rows(9, 50)).predict(rows(8, 5))
    )


def test_without_specifications_it_is_the_average() -> None:
    auto = AutoReuse(market(specified=False)).fit(rows(9, 50))
    assert auto.report_["chosen"] == "Average"
    assert isinstance(auto.reuser_, Average)


def test_labels_that_show_a_difference_decide() -> None:
    X = rows(9, 100)
    y = 3 * X[:, 0] - 2 * X[:, 2]
    auto = AutoReuse(market()).fit(X, y)
    assert auto.report_["chosen"] == "FeatureAugment"
    assert "lower than that of Routed by" in auto.report_["why"]
    assert auto.score(X, y) > 0.99


def test_labels_that_show_none_do_not() -> None:
    X = rows(9, 60)
    noise = np.random.default_rng(1).normal(0, 3, 60)
    auto = AutoReuse(market()).fit(X, X[:, :2].mean(axis=1) + noise)
    assert auto.report_["chosen"] in ("Routed", "Weighted", "Average", "EnsemblePruning")
    routed = auto.report_["trials"][0]
    assert routed["name"] == "Routed"
    assert routed["difference"] is None


def test_too_few_labels_do_not() -> None:
    auto = AutoReuse(market()).fit(rows(9, 2), [0.0, 1.0])
    assert "too few labels" in auto.report_["why"]


def test_labels_from_elsewhere_do_not() -> None:
    X = rows(9, 100, mean=2.0)
    y = 3 * X[:, 0] - 2 * X[:, 2]
    auto = AutoReuse(market(), requirement=fit_table(rows(7, 500))).fit(X, y)
    assert auto.report_["chosen"] == "Routed"
    assert "no sample of the searcher's data" in auto.report_["why"]


def test_many_labels_from_nearly_the_same_data_do() -> None:
    """That they differ is certain, and how much is little."""
    requirement, few = fit_table(rows(8, 2000)), rows(9, 600, mean=0.15)
    assert SHIFT_MAX < shift(requirement, few) < SHIFT_A_ROW_MAX * len(few)
    auto = AutoReuse(market(), requirement=requirement).fit(few, few[:, 0])
    assert auto.report_["trials"]


def test_a_spent_budget_leaves_the_default() -> None:
    X = rows(9, 100)
    auto = AutoReuse(market(), budget_seconds=1e-9).fit(X, 3 * X[:, 2])
    assert auto.report_["chosen"] == "Routed"
    assert {trial["note"] for trial in auto.report_["trials"][1:]} == {"no time was left"}


def test_a_candidate_that_fails_is_reported_and_passed_over() -> None:
    class Brightness:
        def predict(self, X: Any) -> Any:
            return X.sum(axis=(1, 2))

    images = np.random.default_rng(0).uniform(size=(30, 8, 8))
    auto = AutoReuse([as_estimator(Brightness())]).fit(images, 3.0 * images.sum(axis=(1, 2)))
    notes = {trial["name"]: trial["note"] for trial in auto.report_["trials"]}
    assert "E-REUSE-TABLE" in notes["FeatureAugment"]
    assert auto.report_["chosen"] == "Stacking"


def test_the_report_is_plain_data_and_the_estimator_a_usual_one() -> None:
    X = rows(9, 40)
    auto = AutoReuse(market()).fit(X, X[:, 0])
    assert json.loads(json.dumps(auto.report_)) == auto.report_
    copy = clone(auto)
    assert not hasattr(copy, "reuser_")
    assert make_pipeline(FunctionTransformer(), copy).fit(X, X[:, 0]).predict(X).shape == (40,)


@pytest.mark.parametrize(
    ("difference", "error", "convinces"),
    [(-2.0, 1.0, True), (-0.5, 1.0, False), (0.5, 0.1, False), (None, None, False)],
)
def test_a_difference_counts_beyond_its_standard_error(difference: Any, error: Any, convinces: bool) -> None:
    assert Trial("Stacking", 1.0, difference, error).convinces is convinces


def test_learnwares_are_asked_about_labelled_rows_once() -> None:
    model = Constant(1.0)
    X = rows(9, 60)
    AutoReuse([as_estimator(model), as_estimator(Constant(2.0))]).fit(X, X[:, 0])
    # Once for the trials, and once more by the chosen reuser if it learns from labels.
    assert model.asked <= 2 * len(X)


def test_memory_answers_what_the_learnware_would() -> None:
    known, member = rows(9, 30), learnware(0, 0)
    remembered = remembering(member, known)
    np.testing.assert_array_equal(remembered.predict(known[[4, 2, 4]]), member.predict(known[[4, 2, 4]]))
    with pytest.raises(KeyError):
        remembered.predict(rows(8, 1))
