from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

from skerry.errors import SpecificationError
from skerry.spec import Column, Rkme, fit_table, mmd2, unreduced
from skerry.spec.fit import _value_and_gradients, kmeans, sample_error
from skerry.spec.limits import POINTS_MAX, SAMPLE_ROWS_MAX
from skerry.spec.metric import inner
from skerry.spec.rkme import Floats


def mmd2_to_data(rkme: Rkme, X: Floats, gamma: float) -> float:
    """The exact squared MMD between an RKME and all rows, in float64."""
    shares = np.full(len(X), 1 / len(X))
    rows, points = X.astype(np.float64), rkme.points.astype(np.float64)
    return (
        inner(rows, shares, rows, shares, gamma)
        - 2 * inner(points, rkme.weights, rows, shares, gamma)
        + inner(points, rkme.weights, points, rkme.weights, gamma)
    )


# Squared MMD of the reference engine's own result on the same standardised data (median of three seeds).
REFERENCE = {"digits": 9.0753e-3, "breast_cancer": 3.3365e-3, "wine": 1.7285e-3, "diabetes": 1.2356e-3}


def test_it_is_closer_to_the_data_than_the_reference_engine() -> None:
    ratios = {}
    for name, theirs in REFERENCE.items():
        X = StandardScaler().fit_transform(getattr(datasets, f"load_{name}")().data)
        ratios[name] = mmd2_to_data(fit_table(X, 100, 0.1), X, 0.1) / theirs
    assert max(ratios.values()) <= 0.72, ratios
    assert np.exp(np.mean(np.log(list(ratios.values())))) <= 0.25, ratios


@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_those_of_the_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, shares = rng.normal(size=(20, 3)), rng.dirichlet(np.ones(20))
    points, weights = rng.normal(size=(4, 3)), rng.dirichlet(np.ones(4))
    _, to_points, to_weights = _value_and_gradients(rows, shares, points, weights, 0.3)
    step = 1e-6
    for index in np.ndindex(points.shape):
        moved = [points.copy(), points.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        up, down = (_value_and_gradients(rows, shares, place, weights, 0.3)[0] for place in moved)
        assert to_points[index] == pytest.approx((up - down) / (2 * step), abs=1e-8)
    for index in range(4):
        change = np.eye(4)[index] * step
        up, down = (
            _value_and_gradients(rows, shares, points, weights + sign * change, 0.3)[0] for sign in (1, -1)
        )
        assert to_weights[index] == pytest.approx((up - down) / (2 * step), abs=1e-8)


def test_the_default_size_keeps_ten_rows_behind_a_point() -> None:
    rows = np.random.default_rng(0).normal(size=(2000, 2))
    assert [len(fit_table(rows[:n])) for n in (1, 5, 20, 250, 2000)] == [1, 1, 2, 25, 100]
    assert len(fit_table(rows[:50], size=40)) == 40
    assert len(fit_table(rows[:50], size=80)) == 50


@pytest.mark.parametrize("size", [0, -1, POINTS_MAX + 1])
def test_impossible_sizes_are_refused(size: int) -> None:
    with pytest.raises(SpecificationError, match="size"):
        fit_table(np.ones((5, 2)), size=size)


@pytest.mark.parametrize("gamma", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_gammas_are_refused(gamma: float) -> None:
    with pytest.raises(SpecificationError, match="gamma"):
        fit_table(np.ones((5, 2)), gamma=gamma)


def test_the_same_seed_gives_the_same_bytes() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 4))
    assert fit_table(rows, seed=5) == fit_table(rows, seed=5)
    assert fit_table(rows, seed=5) != fit_table(rows, seed=6)


def test_global_random_state_is_left_alone() -> None:
    np.random.seed(0)  # noqa: NPY002 - the global state is what is tested
    before = np.random.get_state()[1].copy()  # type: ignore[index] # noqa: NPY002 - as above
    fit_table(np.arange(40.0).reshape(20, 2))
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index] # noqa: NPY002 - as above


def test_points_are_in_the_owners_units() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"small": rng.normal(0, 1e-4, 500), "large": rng.normal(1e6, 10, 500)})
    rkme = fit_table(frame, units={"large": "Pa"})
    assert rkme.columns == (Column("small"), Column("large", "Pa"))
    assert rkme.gamma is None
    mean = rkme.weights @ rkme.points
    np.testing.assert_allclose(mean, frame.mean(), rtol=1e-5, atol=3e-5)
    assert mmd2(unreduced(frame, units={"large": "Pa"}), rkme) < 1e-3


def test_missing_values_stand_at_the_mean_and_are_counted() -> None:
    rows = np.random.default_rng(0).normal(5, 1, size=(400, 3))
    rows[:100, 1] = np.nan
    rows[:, 2] = np.nan
    rkme = fit_table(rows, 20)
    np.testing.assert_allclose(rkme.marginals.missing_rate, [0, 0.25, 1])
    np.testing.assert_allclose(rkme.weights @ rkme.points, [*np.nanmean(rows[:, :2], axis=0), 0], atol=0.05)


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((1, 3)),
        np.ones((50, 3)),
        np.full((10, 2), np.nan),
        np.repeat(np.arange(3.0), 40)[:, None],
        np.column_stack([np.arange(50.0), np.full(50, 1e20)]),
        np.arange(20, dtype=np.uint8).reshape(10, 2),
    ],
    ids=["one row", "constant", "all missing", "three values", "a huge constant", "bytes"],
)
@pytest.mark.parametrize("gamma", [None, 0.1])
def test_odd_data_have_a_defined_result(rows: Floats, gamma: float | None) -> None:
    rkme = fit_table(rows, size=min(5, len(rows)), gamma=gamma)
    assert rkme.weights.sum() == pytest.approx(1)
    assert Rkme.from_bytes(rkme.to_bytes()) == rkme


@settings(max_examples=30)
@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.floats(-1e29, 1e29) | st.just(np.nan),
    )
)
def test_any_finite_table_can_be_fitted(rows: Floats) -> None:
    rkme = fit_table(rows)
    assert mmd2(rkme, rkme) == pytest.approx(0, abs=1e-9)


def test_large_data_are_fitted_on_a_sample_with_a_stated_bound() -> None:
    rows = np.random.default_rng(0).normal(size=(SAMPLE_ROWS_MAX + 5000, 3)).astype(np.float32)
    rkme = fit_table(rows, 30, 0.1)
    assert rkme.meta["sample_rows"] == SAMPLE_ROWS_MAX
    assert rkme.meta["sample_error"] == pytest.approx(sample_error(SAMPLE_ROWS_MAX))
    assert mmd2_to_data(rkme, rows[::5], 0.1) < sample_error(SAMPLE_ROWS_MAX) ** 2


def test_responses_are_the_models_answers_at_the_points() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3))
    rkme = fit_table(rows, 10, responses=lambda points: points.sum(axis=1))
    assert rkme.responses is not None
    np.testing.assert_allclose(rkme.responses[:, 0], rkme.points.sum(axis=1), rtol=1e-5)


def test_unreduced_is_the_data() -> None:
    rows = np.array([[1.0, np.nan], [3.0, 4.0]])
    rkme = unreduced(rows)
    np.testing.assert_array_equal(rkme.points, [[1, 4], [3, 4]])
    assert rkme.meta["unreduced"] is True


def test_centres_of_repeated_rows() -> None:
    rows = np.repeat(np.array([[0.0], [10.0]]), 20, axis=0)
    centres = kmeans(rows, np.full(40, 1 / 40), 4, np.random.default_rng(0))
    assert set(np.round(centres[:, 0], 9)) == {0.0, 10.0}


@pytest.mark.parametrize("gamma", [None, 0.1])
def test_many_rows_of_enormous_values_are_fitted(gamma: float | None) -> None:
    """Above ``FLOAT64_ROWS_MAX`` rows the data term is float32, whose squares end at 1e38."""
    rows = np.random.default_rng(0).normal(size=(3000, 2)) * [1.0, 1e28]
    rkme = fit_table(rows, 10, gamma)
    assert np.isfinite(rkme.points).all()
    assert rkme.weights.sum() == pytest.approx(1)
