"""Ensemble pruning finds the subset that a few labels speak for."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.reuse import EnsemblePruning, as_estimator
from skerry.reuse.limits import PRUNING_EXHAUSTIVE_MAX, PRUNING_FRONT_MAX
from skerry.reuse.pruning import best_subset, error_objectives, margin_objectives, pareto_search

SEEDS = [0, 1, 2]


class Column:
    """A model that answers one column of what it is asked."""

    def __init__(self, column: int) -> None:
        self.column = column

    def predict(self, X: Any) -> Any:
        return X[:, self.column]


def learners(count: int, good: int, seed: int, rows: int = 300) -> tuple[Any, Any]:
    """Return answers (rows, count) and the truth; the first ``good`` answers are close to it."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=rows)
    noise = rng.normal(size=(rows, count)) * np.where(np.arange(count) < good, 0.5, 5.0)
    return truth[:, None] + noise, truth


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [6, 24])
def test_the_bad_ones_are_left_out(count: int, seed: int) -> None:
    X, y = learners(count, 4, seed)
    pruning = EnsemblePruning([as_estimator(Column(i)) for i in range(count)]).fit(X, y)
    assert set(pruning.selected_) == {0, 1, 2, 3}
    again = EnsemblePruning([as_estimator(Column(i)) for i in range(count)]).fit(X, y)
    np.testing.assert_array_equal(again.selected_, pruning.selected_)
    np.testing.assert_allclose(pruning.predict(X), X[:, :4].mean(axis=1))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_small_search_is_exhaustive(seed: int) -> None:
    X, y = learners(5, 3, seed, rows=20)
    objectives = error_objectives(X.T, y)
    subsets = np.array([bits for bits in product([False, True], repeat=5) if any(bits)])
    found = best_subset(5, objectives, 0, np.random.RandomState(0))
    assert objectives(found[None])[0, 0] == pytest.approx(objectives(subsets)[:, 0].min())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_front_holds_nothing_that_is_beaten(seed: int) -> None:
    count = PRUNING_EXHAUSTIVE_MAX + 10
    X, y = learners(count, count // 2, seed)
    front, values = pareto_search(count, error_objectives(X.T, y), 500, np.random.RandomState(seed))
    assert 1 <= len(front) <= PRUNING_FRONT_MAX
    for i, value in enumerate(values):
        others = np.delete(values, i, axis=0)
        assert not (others <= value).all(axis=1).any()


def test_margins_count_ties_as_half_an_error() -> None:
    answers = np.array([[[0.9, 0.1], [0.9, 0.1], [0.5, 0.5]], [[0.1, 0.9], [0.9, 0.1], [0.5, 0.5]]])
    truth = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    values = margin_objectives(answers, truth)(np.array([[True, False], [False, True], [True, True]]))
    np.testing.assert_allclose(values[:, 0], [1.5 / 3, 2.5 / 3, 2 / 3])
    np.testing.assert_allclose(values[:, 1], [-1, -1, -2])


def test_of_equally_good_subsets_the_larger_is_taken() -> None:
    answers = np.array([[[0.9, 0.1]], [[0.8, 0.2]], [[0.1, 0.9]]])
    objectives = margin_objectives(answers, np.array([[1.0, 0.0]]))
    np.testing.assert_array_equal(best_subset(3, objectives, 0, np.random.RandomState(0)), [True, True, True])


def test_labels_are_needed() -> None:
    with pytest.raises(SpecificationError) as caught:
        EnsemblePruning([as_estimator(Column(0))]).fit(np.zeros((3, 1)))
    assert caught.value.code == "E-REUSE-LABELS"
