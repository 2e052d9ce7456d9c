from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skerry.errors import SpecificationError
from skerry.spec import RkmeTransformer


def test_it_stands_in_a_pipeline() -> None:
    data = load_wine()
    pipeline = make_pipeline(RkmeTransformer(40), LogisticRegression(C=100, max_iter=1000))
    assert cross_val_score(pipeline, data.data, data.target, cv=3).mean() > 0.9


@pytest.mark.parametrize("gamma", [None, 0.5])
def test_features_are_kernel_values_at_the_points(gamma: float | None) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    transformer = clone(RkmeTransformer(7, gamma)).fit(rows)
    features = transformer.transform(rows)
    assert features.shape == (60, 7)
    assert list(transformer.get_feature_names_out()) == [f"point{index}" for index in range(7)]
    np.testing.assert_allclose(np.diag(transformer.transform(transformer.rkme_.points)), 1)
    if gamma is not None:
        distance = ((rows[0] - transformer.rkme_.points[0]) ** 2).sum()
        assert features[0, 0] == pytest.approx(np.exp(-gamma * distance), rel=1e-6)


def test_refusals() -> None:
    with pytest.raises(NotFittedError):
        RkmeTransformer().transform([[1.0]])
    with pytest.raises(SpecificationError, match="X"):
        RkmeTransformer().fit(np.ones((5, 2))).transform(np.ones((5, 3)))
