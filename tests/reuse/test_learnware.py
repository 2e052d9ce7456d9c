"""A learnware is a fitted estimator around whatever runs the model."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skerry.errors import SandboxError, SpecificationError
from skerry.reuse import LearnwareClassifier, LearnwareRegressor, as_estimator
from skerry.spec.fit import fit_table

IRIS = load_iris(as_frame=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[IRIS.target]
COLUMNS = list(IRIS.data.columns)


class Scores:
    """A model that answers what it is given, as a package of the reference engine may."""

    def __init__(self, answer: Any, classes: Any = None) -> None:
        self.answer = answer
        self.classes = classes
        self.methods = frozenset({"predict"})

    def predict(self, X: Any) -> Any:
        return self.answer

    def predict_proba(self, X: Any) -> Any:
        raise AssertionError("the model does not offer it")


@pytest.fixture(scope="module")
def flower() -> LearnwareClassifier:
    model = LogisticRegression(max_iter=1000).fit(IRIS.data.to_numpy(), NAMES)
    learnware = as_estimator(model, fit_table(IRIS.data))
    assert isinstance(learnware, LearnwareClassifier)
    return learnware


def test_it_is_a_fitted_classifier(flower: LearnwareClassifier) -> None:
    assert is_classifier(flower)
    assert list(flower.classes_) == ["setosa", "versicolor", "virginica"]
    assert flower.n_features_in_ == 4
    assert list(flower.feature_names_in_) == COLUMNS
    assert flower.score(IRIS.data, NAMES) > 0.95
    assert get_scorer("roc_auc_ovr")(flower, IRIS.data, NAMES) > 0.99


def test_it_is_a_fitted_regressor() -> None:
    X, y = load_diabetes(return_X_y=True)
    learnware = as_estimator(LinearRegression().fit(X, y))
    assert isinstance(learnware, LearnwareRegressor)
    assert is_regressor(learnware)
    assert learnware.score(X, y) > 0.5
    assert not hasattr(learnware, "feature_names_in_")
    assert not hasattr(learnware, "n_features_in_")


def test_columns_are_reordered_by_name(flower: LearnwareClassifier) -> None:
    np.testing.assert_array_equal(
        flower.predict_proba(IRIS.data[COLUMNS[::-1]]), flower.predict_proba(IRIS.data.to_numpy())
    )
    with pytest.raises(SpecificationError, match=r"missing: petal width \(cm\)"):
        flower.predict(IRIS.data.drop(columns="petal width (cm)"))


def test_missing_values_reach_the_model() -> None:
    seen = []

    class Watching(Scores):
        def predict(self, X: Any) -> Any:
            seen.append(X)
            return np.zeros(len(X))

    as_estimator(Watching(None)).predict(pd.DataFrame({"a": [1.0, None]}))
    np.testing.assert_array_equal(seen[0], [[1.0], [np.nan]])


def test_it_is_frozen(flower: LearnwareClassifier) -> None:
    assert clone(flower) is flower
    assert flower.fit(IRIS.data, IRIS.target) is flower
    assert list(flower.classes_) == ["setosa", "versicolor", "virginica"]


def test_it_works_in_a_pipeline_and_survives_a_pickle(flower: LearnwareClassifier) -> None:
    pipeline = make_pipeline(FunctionTransformer(), flower).fit(IRIS.data, NAMES)
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict(IRIS.data), flower.predict(IRIS.data))
    assert again[-1].rkme == flower.rkme


def test_scores_become_probabilities_and_labels() -> None:
    learnware = as_estimator(Scores([[0.0, np.log(3.0)], [1.0, 1.0]], ["no", "yes"]))
    np.testing.assert_allclose(learnware.predict_proba(np.zeros((2, 1))), [[0.25, 0.75], [0.5, 0.5]])
    assert list(learnware.predict(np.zeros((2, 1)))) == ["yes", "no"]


def test_probabilities_answered_by_predict_are_not_squashed_again() -> None:
    learnware = as_estimator(Scores([[0.2, 0.8]], ["no", "yes"]))
    np.testing.assert_allclose(learnware.predict_proba(np.zeros((1, 1))), [[0.2, 0.8]])


def test_a_label_alone_gets_probability_one() -> None:
    learnware = as_estimator(Scores(["yes", "no"], ["no", "yes"]))
    np.testing.assert_array_equal(learnware.predict_proba(np.zeros((2, 1))), [[0, 1], [1, 0]])


@pytest.mark.parametrize("answer", [[1.0], [[1.0], [2.0], [3.0]], 5.0])
def test_an_answer_of_the_wrong_length_is_the_models_fault(answer: Any) -> None:
    with pytest.raises(SandboxError) as caught:
        as_estimator(Scores(answer)).predict(np.zeros((2, 1)))
    assert caught.value.code == "E-REUSE-SHAPE"


def test_an_answer_with_too_many_classes_is_the_models_fault() -> None:
    with pytest.raises(SandboxError, match="wrong number of classes"):
        as_estimator(Scores([[1.0, 0.0, 0.0]], ["no", "yes"])).predict(np.zeros((1, 1)))


def test_a_classifier_whose_classes_nobody_knows_says_so() -> None:
    with pytest.raises(SpecificationError) as caught:
        as_estimator(Scores([[1.0, 0.0]]), task="Classification").predict(np.zeros((1, 1)))
    assert caught.value.code == "E-REUSE-CLASSES"
