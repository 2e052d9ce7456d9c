"""Stacking and feature augmentation learn whom to trust from labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from skerry.errors import SpecificationError
from skerry.reuse import Average, FeatureAugment, Stacking, as_estimator


def rows(seed: int, count: int = 200) -> Any:
    return np.random.default_rng(seed).normal(size=(count, 3))


def learnware(column: int, factor: float) -> Any:
    X = rows(99)
    return as_estimator(LinearRegression().fit(X, factor * X[:, column]))


def test_a_learnware_that_answers_the_opposite_is_turned_around() -> None:
    X = rows(0)
    y = X[:, 0]
    learnwares = [learnware(0, -3.0), learnware(1, 1.0)]
    assert Stacking(learnwares).fit(X, y).score(X, y) > 0.99
    assert Average(learnwares).fit(X, y).score(X, y) < 0.0


def test_augmenting_adds_what_the_learnwares_do_not_know() -> None:
    X, fresh = rows(0), rows(1)
    learnwares = [learnware(0, 1.0)]
    target = X[:, 0] + 2 * X[:, 2]
    truth = fresh[:, 0] + 2 * fresh[:, 2]
    assert FeatureAugment(learnwares).fit(X, target).score(fresh, truth) > 0.99
    assert Stacking(learnwares).fit(X, target).score(fresh, truth) < 0.4


def test_the_searchers_own_classes_count() -> None:
    X = rows(0)
    model = LogisticRegression().fit(X, np.where(X[:, 0] > 0, "high", "low"))
    mine = np.where(X[:, 0] > 0, "ill", "well")
    stacking = Stacking([as_estimator(model)]).fit(X, mine)
    assert list(stacking.classes_) == ["ill", "well"]
    assert stacking.score(X, mine) > 0.97
    np.testing.assert_allclose(stacking.predict_proba(X).sum(axis=1), 1)


def test_missing_values_are_filled_from_the_training_rows() -> None:
    X = np.column_stack([rows(0)[:, 0], np.full(200, 7.0)])
    y = X[:, 0] + X[:, 1]

    class Sum:
        def predict(self, X: Any) -> Any:
            return np.nansum(X, axis=1)

    augmented = FeatureAugment([as_estimator(Sum())]).fit(X, y)
    lone = augmented.predict(np.array([[1.0, np.nan]]))
    many = augmented.predict(np.array([[1.0, np.nan], [50.0, 900.0]]))
    assert lone[0] == many[0]


def test_columns_of_a_frame_may_come_in_another_order() -> None:
    frame = pd.DataFrame(rows(0), columns=["a", "b", "c"])
    augmented = FeatureAugment([learnware(0, 1.0)]).fit(frame, frame["b"])
    np.testing.assert_allclose(augmented.predict(frame[["c", "b", "a"]]), augmented.predict(frame))


def test_few_labels_of_one_class_do_not_stop_it() -> None:
    X = rows(0, 20)
    y = np.array([1] + [0] * 19)
    model = LogisticRegression().fit(rows(1), rows(1)[:, 0] > 0)
    assert Stacking([as_estimator(model)]).fit(X, y).predict_proba(X).shape == (20, 2)


class Length:
    def predict(self, X: Any) -> Any:
        return np.array([float(len(text)) for text in X])


def test_texts_can_be_stacked_and_augmented_even_without_a_word() -> None:
    texts, targets = ["a" * n for n in range(1, 30)], [2.0 * n for n in range(1, 30)]
    assert Stacking([as_estimator(Length())]).fit(texts, targets).score(texts, targets) > 0.99
    assert FeatureAugment([as_estimator(Length())]).fit(texts, targets).score(texts, targets) > 0.99
    signs = ["!" * n for n in range(1, 30)]
    assert FeatureAugment([as_estimator(Length())]).fit(signs, targets).score(signs, targets) > 0.99


def test_images_without_a_specification_cannot_be_augmented() -> None:
    images = np.zeros((30, 8, 8))
    with pytest.raises(SpecificationError) as caught:
        FeatureAugment([as_estimator(Length())]).fit(images, np.arange(30.0))
    assert caught.value.code == "E-REUSE-TABLE"


@pytest.mark.parametrize("reuser", [Stacking, FeatureAugment])
def test_labels_are_needed(reuser: Any) -> None:
    with pytest.raises(SpecificationError) as caught:
        reuser([learnware(0, 1.0)]).fit(rows(0))
    assert caught.value.code == "E-REUSE-LABELS"
