"""Averages: plain, weighted by the searcher's data, and weighted row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skerry.errors import SpecificationError
from skerry.reuse import Average, LearnwareClassifier, LearnwareRegressor, Routed, Weighted, as_estimator
from skerry.spec.fit import fit_table


class Constant:
    """A model that has one answer, and counts the rows it was asked about."""

    def __init__(self, answer: Any, classes: Any = None) -> None:
        self.answer = np.asarray(answer)
        self.classes = classes
        self.asked = 0

    def predict(self, X: Any) -> Any:
        self.asked += len(X)
        return np.repeat(self.answer[None], len(X), axis=0)


def around(center: float, seed: int = 0, columns: tuple[str, ...] = ("a", "b")) -> pd.DataFrame:
    rows = np.random.default_rng(seed).normal(center, 1, (200, len(columns)))
    return pd.DataFrame(rows, columns=list(columns))


def specified(answer: Any, center: float, **options: Any) -> Any:
    return as_estimator(Constant(answer, **options), fit_table(around(center)))


def test_the_average_of_numbers() -> None:
    pool = Average([as_estimator(Constant(1.0)), as_estimator(Constant(4.0))]).fit()
    np.testing.assert_allclose(pool.predict(np.zeros((3, 2))), [2.5] * 3)
    assert not is_classifier(pool)
    assert not hasattr(pool, "predict_proba")


def test_the_average_of_several_targets() -> None:
    pool = Average([as_estimator(Constant([1.0, 2.0])), as_estimator(Constant([3.0, 6.0]))]).fit()
    np.testing.assert_allclose(pool.predict(np.zeros((2, 1))), [[2.0, 4.0]] * 2)


def test_classes_are_aligned_by_name() -> None:
    first = as_estimator(Constant([0.9, 0.1], classes=["cat", "dog"]))
    second = as_estimator(Constant([0.3, 0.7], classes=["dog", "ant"]))
    pool = Average([first, second]).fit()
    assert list(pool.classes_) == ["ant", "cat", "dog"]
    np.testing.assert_allclose(pool.predict_proba(np.zeros((1, 1))), [[0.35, 0.45, 0.2]])
    assert pool.predict(np.zeros((1, 1))) == ["cat"]


def test_numbers_and_texts_meet_as_texts() -> None:
    pool = Average(
        [
            as_estimator(Constant([1.0, 0.0], classes=[0, 1])),
            as_estimator(Constant([0.0, 1.0], classes=["0", "1"])),
        ]
    ).fit()
    assert list(pool.classes_) == ["0", "1"]
    np.testing.assert_allclose(pool.predict_proba(np.zeros((1, 1))), [[0.5, 0.5]])


def test_a_vote_counts_labels_and_a_tie_goes_to_the_first() -> None:
    answers = [[0.6, 0.4], [0.55, 0.45], [0.01, 0.99]]
    learnwares = [as_estimator(Constant(answer, classes=[0, 1])) for answer in answers]
    rows = np.zeros((1, 1))
    assert Average(learnwares, vote="label").fit().predict(rows) == [0]
    assert Average(learnwares, vote="probability").fit().predict(rows) == [1]
    assert Average(learnwares[1:], vote="label").fit().predict(rows) == [0]
    with pytest.raises(ValueError, match="vote='plurality'"):
        Average(learnwares, vote="plurality").fit()


def test_the_mixs_weights_follow_the_searchers_data() -> None:
    pool = Weighted([specified(0.0, -5), specified(1.0, 5)])
    mine = pd.concat([around(-5, 1)[:50], around(5, 1)[:150]])
    assert pool.fit(mine).weights_ == pytest.approx([0.25, 0.75], abs=0.05)
    assert pool.predict(mine)[0] == pytest.approx(0.75, abs=0.05)


def test_given_weights_are_used_and_bad_ones_refused() -> None:
    learnwares = [specified(0.0, -5), specified(1.0, 5)]
    for reuser in (Weighted, Routed):
        pool = reuser(learnwares, weights=[3, 1], requirement=fit_table(around(0))).fit()
        np.testing.assert_allclose(pool.weights_, [0.75, 0.25])
        for wrong in ([1.0], [1.0, -1.0], [0.0, 0.0]):
            with pytest.raises(ValueError, match="weights="):
                reuser(learnwares, weights=wrong, requirement=fit_table(around(0))).fit()


def test_routing_asks_whoever_saw_such_rows() -> None:
    learnwares = [specified(0.0, -5), specified(1.0, 5)]
    mine = pd.concat([around(-5, 1), around(5, 1)])
    answers = Routed(learnwares).fit(mine).predict(mine)
    np.testing.assert_allclose(answers, [0.0] * 200 + [1.0] * 200, atol=0.1)


def test_routing_beats_the_average_of_specialists() -> None:
    def learnware(center: float, slope: float) -> Any:
        rows = around(center)
        return as_estimator(LinearRegression().fit(rows.to_numpy(), slope * rows["a"]), fit_table(rows))

    learnwares = [learnware(-4, -1.0), learnware(4, 1.0)]
    mine = pd.concat([around(-4, 1), around(4, 1)])
    truth = mine["a"].abs()
    assert Routed(learnwares).fit(mine).score(mine, truth) > 0.95
    assert Average(learnwares).fit(mine).score(mine, truth) < 0.5


def test_only_the_nearest_are_asked() -> None:
    learnwares = [specified(float(center), center) for center in (0, 1, 50)]
    pool = Routed(learnwares, nearest=2).fit(around(0, 1))
    np.testing.assert_array_equal(pool.weights_, [0.5, 0.5, 0.0])
    pool.predict(around(0, 2))
    assert [member.predictor.asked for member in learnwares] == [200, 200, 0]


def test_each_learnware_gets_its_own_columns() -> None:
    class First(Constant):
        def predict(self, X: Any) -> Any:
            return X[:, 0]

    pool = Average(
        [as_estimator(First(0), columns=["a", "b"]), as_estimator(First(0), columns=["c", "a"])]
    ).fit()
    assert list(pool.feature_names_in_) == ["a", "b", "c"]
    frame = pd.DataFrame({"c": [3.0], "b": [2.0], "a": [1.0]})
    assert pool.predict(frame) == [2.0]
    assert pool.predict(np.array([[1.0, 2.0, 3.0]])) == [2.0]
    with pytest.raises(ValueError, match="X has 2 features, but Average is expecting 3"):
        pool.predict(np.zeros((1, 2)))


def test_texts_are_pooled_like_tables() -> None:
    class Length(Constant):
        def predict(self, X: Any) -> Any:
            return np.array([float(len(text)) for text in X])

    pool = Average([as_estimator(Length(0)), as_estimator(Constant(0.0))]).fit(["abc"])
    np.testing.assert_allclose(pool.predict(["abcd", "ab"]), [2.0, 1.0])


def test_what_does_not_fit_together_is_refused() -> None:
    numbers, classes = as_estimator(Constant(1.0)), as_estimator(Constant(["a"], classes=["a"]))
    for wrong in ([], [numbers, classes]):
        with pytest.raises(SpecificationError) as caught:
            Average(wrong).fit()
        assert caught.value.code == "E-REUSE-LEARNWARES"
    with pytest.raises(SpecificationError, match="no statistical specification"):
        Routed([numbers]).fit(around(0))
    with pytest.raises(SpecificationError) as caught:
        Routed([specified(1.0, 0)]).fit()
    assert caught.value.code == "E-REUSE-REQUIREMENT"


def test_hits_are_resolved_and_bring_their_requirement() -> None:
    class Hit:
        def __init__(self, learnware: Any) -> None:
            self.learnware = learnware

        def estimator(self) -> Any:
            return self.learnware

    class Hits(list[Hit]):
        requirement = fit_table(around(5, 1))

    pool = Weighted(Hits([Hit(specified(0.0, -5)), Hit(specified(1.0, 5))])).fit()
    np.testing.assert_allclose(pool.weights_, [0, 1], atol=0.02)


def test_a_grid_search_chooses_the_vote() -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = (X[:, 0] > 0).astype(int)
    sure = as_estimator(LogisticRegression(C=100).fit(X, y))
    unsure = [as_estimator(Constant([0.51, 0.49], classes=[0, 1])) for _ in range(2)]
    search = GridSearchCV(Average([sure, *unsure]), {"vote": ["label", "probability"]}).fit(X, y)
    assert search.best_params_ == {"vote": "probability"}
    assert make_pipeline(FunctionTransformer(), clone(search.best_estimator_)).fit(X, y).score(X, y) > 0.9


def test_learnwares_have_the_kind_their_task_says() -> None:
    assert isinstance(as_estimator(Constant(1.0)), LearnwareRegressor)
    assert isinstance(as_estimator(Constant(1.0), classes=[1]), LearnwareClassifier)
    assert isinstance(as_estimator(Constant(1.0, classes=[1]), task="Regression"), LearnwareRegressor)
