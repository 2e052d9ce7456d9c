"""Losses are guessed well from responses, labels overrule distances only where they separate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import Features, Rkme, SemanticSpec, Specification, expected_loss, fit_table, weigh_labels
from skerry.spec.labels import PROBABILITY_MIN, standard_error
from skerry.spec.shift import SHIFT_MAX

ROWS = np.random.default_rng(0).normal(size=(600, 3))


def spec_of(rkme: Rkme, classes: tuple[str, ...] = ()) -> Specification:
    semantic = SemanticSpec(
        data="Table",
        task="Classification" if classes else "Regression",
        library="Others",
        scenario=("Others",),
        license="MIT",
        name="a model",
        description="a model for a test",
        input=Features(rkme.dimension),
        output=Features(len(classes) or 1),
        classes=classes,
    )
    return Specification(semantic, rkme)


def regressor(slope: float) -> Specification:
    return spec_of(fit_table(ROWS, 40, responses=lambda points: slope * points[:, :1]))


def chances(rows: Any, sign: float = 1.0) -> Any:
    first = 1 / (1 + np.exp(-4 * sign * rows[:, 0]))
    return np.stack([1 - first, first], axis=1)


def classifier(sign: float) -> Specification:
    return spec_of(fit_table(ROWS, 40, responses=lambda points: chances(points, sign)), ("0", "1"))


def test_a_regressors_loss_is_its_squared_error() -> None:
    targets = 2 * ROWS[:, 0]
    right, wrong = expected_loss(regressor(2.0), ROWS, targets), expected_loss(regressor(-2.0), ROWS, targets)
    assert right is not None
    assert wrong is not None
    assert right.loss < 0.1
    assert wrong.loss == pytest.approx(16, rel=0.2)
    assert wrong.interval[0] < wrong.loss < wrong.interval[1]
    assert not wrong.classifies


@pytest.mark.parametrize("kind", [int, float, str])
def test_a_classifiers_loss_is_its_log_loss_whatever_labels_are_written_as(kind: type) -> None:
    labels = [kind(value) for value in (ROWS[:, 0] > 0).astype(int)]
    found = expected_loss(classifier(1.0), ROWS, labels)
    truth = -np.log(np.clip(chances(ROWS)[np.arange(600), np.array(ROWS[:, 0] > 0, int)], PROBABILITY_MIN, 1))
    assert found is not None
    assert found.classifies
    assert found.loss == pytest.approx(truth.mean(), abs=0.05)
    opposite = expected_loss(classifier(-1.0), ROWS, labels)
    assert opposite is not None
    assert opposite.loss > 5 * found.loss


def test_a_class_that_the_model_does_not_know_costs_what_the_least_probability_costs() -> None:
    found = expected_loss(classifier(1.0), ROWS[:2], ["other", "1"])
    assert found is not None
    assert found.rows[0] == pytest.approx(-np.log(PROBABILITY_MIN))


def test_rows_without_a_label_do_not_count() -> None:
    targets = 2 * ROWS[:, 0]
    some = np.where(np.arange(600) < 20, targets, np.nan)
    with_gaps, few = (
        expected_loss(regressor(2.0), ROWS, some),
        expected_loss(regressor(2.0), ROWS[:20], targets[:20]),
    )
    assert with_gaps is not None
    assert few is not None
    assert np.array_equal(with_gaps.rows, few.rows)


@pytest.mark.parametrize(
    ("X", "y", "why"),
    [
        (ROWS[:2], [np.nan, None], "no row has a label"),
        (ROWS[:2], [1.0], "shape"),
        (ROWS[:2, :2], [1.0, 2.0], "columns"),
        (ROWS[:2], ["high", "low"], "needs numbers"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_with_the_reason(X: Any, y: Any, why: str) -> None:
    with pytest.raises(SpecificationError, match=f"E-SPEC-LABELS.*{why}"):
        expected_loss(regressor(1.0), X, y)


def test_a_specification_without_responses_has_no_estimate() -> None:
    assert expected_loss(spec_of(fit_table(ROWS, 10)), ROWS[:5], [1.0] * 5) is None


def test_one_label_separates_nothing() -> None:
    found = expected_loss(regressor(1.0), ROWS[:1], [0.0])
    assert found is not None
    assert found.interval == (-np.inf, np.inf)
    weighed = weigh_labels(fit_table(ROWS), ROWS[:1], [0.0], [regressor(1.0), regressor(0.0)])
    assert weighed.order == (0, 1)


def test_labels_reverse_the_order_of_models_that_distances_cannot_tell_apart() -> None:
    requirement = fit_table(ROWS)
    market = [classifier(-1.0), spec_of(fit_table(ROWS, 10)), classifier(1.0)]
    chosen = np.random.default_rng(1).choice(600, 20, replace=False)
    weighed = weigh_labels(requirement, ROWS[chosen], (ROWS[chosen, 0] > 0).astype(int), market)
    assert weighed.order == (2, 0, 1)
    assert weighed.worse == (True, False, False)
    assert weighed.losses[1] is None


def test_labels_from_elsewhere_decide_nothing() -> None:
    moved = ROWS[:50] + 3
    weighed = weigh_labels(fit_table(ROWS), moved, moved[:, 0], [regressor(0.0), regressor(1.0)])
    assert weighed.shift > SHIFT_MAX
    assert weighed.order == (0, 1)
    assert weighed.worse == (False, False)


def test_other_columns_have_no_estimate() -> None:
    named = replace(regressor(1.0), rkme=fit_table(ROWS, 10, columns=["a", "b", "c"]))
    assert weigh_labels(fit_table(ROWS), ROWS[:5], ROWS[:5, 0], [named]).losses == (None,)


def test_rows_in_time_count_for_fewer() -> None:
    rng = np.random.default_rng(0)
    independent = rng.normal(size=2000)
    series = np.zeros(2000)
    for hour in range(1, 2000):
        series[hour] = 0.9 * series[hour - 1] + independent[hour]
    shuffled = rng.permutation(series)
    assert standard_error(series) / standard_error(shuffled) == pytest.approx(np.sqrt(1.9 / 0.1), rel=0.2)
    assert standard_error(independent) == pytest.approx(independent.std(ddof=1) / np.sqrt(2000))
    assert standard_error(np.ones(5)) == 0
