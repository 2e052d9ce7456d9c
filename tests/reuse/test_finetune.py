"""Fine-tuning adapts a copy of a learnware, in this process and in a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.naive_bayes import GaussianNB

from skerry.errors import SpecificationError
from skerry.package.build import build_package
from skerry.package.worker import Worker
from skerry.reuse import FineTune, Routed, as_estimator
from skerry.spec.fit import fit_table

NAMES = np.array(["low", "high"])


def data(mean: float, seed: int = 0) -> tuple[Any, Any]:
    """Return rows around ``mean`` and whether the first column is above it."""
    X = np.random.default_rng(seed).normal(mean, 1, (200, 2))
    return X, NAMES[(X[:, 0] > mean).astype(int)]


def incremental(mean: float) -> Any:
    X, y = data(mean)
    return as_estimator(GaussianNB().fit(X, y), fit_table(X))


def test_the_nearest_is_adapted_and_the_learnware_stays() -> None:
    near, far = incremental(0.0), incremental(50.0)
    X, y = data(1.5, seed=1)
    before = near.predict_proba(X)
    tuned = FineTune([far, near]).fit(X, y)
    assert tuned.tuned_.rkme == near.rkme
    assert tuned.score(X, y) > near.score(X, y) + 0.05
    np.testing.assert_array_equal(near.predict_proba(X), before)


def test_every_fit_begins_anew() -> None:
    tuned = FineTune([incremental(0.0)])
    X, y = data(3.0, seed=1)
    once = tuned.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(tuned.fit(X, y).predict_proba(X), once)


def test_a_market_without_it_says_what_to_use() -> None:
    X, y = np.zeros((3, 1)), np.zeros(3)
    with pytest.raises(SpecificationError) as caught:
        FineTune([as_estimator(LinearRegression().fit(X, y))]).fit(X, y)
    assert caught.value.code == "E-REUSE-FINETUNE"
    assert "Stacking" in caught.value.todo


@pytest.mark.processes
def test_a_package_is_adapted_in_a_worker_of_its_own(tmp_path: Path) -> None:
    X, y = data(0.0)
    rkme = fit_table(X)
    package = build_package(
        GaussianNB().fit(X, y),
        X,
        y,
        semantic={},
        specification_json=rkme.to_reference_json(),
        path=tmp_path / "model.zip",
        lane="python",
    )
    with Worker(package, unconfined=True) as worker:
        learnware = as_estimator(worker, rkme)
        assert list(learnware.classes_) == ["high", "low"]
        mine, labels = data(1.5, seed=1)
        before = Routed([learnware]).fit(mine).predict_proba(mine)
        tuned = FineTune([learnware]).fit(mine, labels)
        assert tuned.score(mine, labels) > learnware.score(mine, labels) + 0.05
        np.testing.assert_array_equal(Routed([learnware]).fit(mine).predict_proba(mine), before)
        tuned.tuned_.predictor.close()
