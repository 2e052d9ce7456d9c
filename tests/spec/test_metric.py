from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec import Column, Island, Marginals, Rkme, Scale, kernel_cosine, mmd2, unreduced
from skerry.spec.metric import inner, inner_many, kernel_block, median_gamma, self_terms
from skerry.spec.rkme import Floats


def by_hand(x: Floats, p: Floats, z: Floats, q: Floats, gamma: float) -> float:
    """The squared MMD, straight from its definition."""

    def k(a: Floats, b: Floats) -> float:
        return float(np.exp(-gamma * ((a - b) ** 2).sum()))

    def product(a: Floats, wa: Floats, b: Floats, wb: Floats) -> float:
        return sum(wa[i] * wb[j] * k(a[i], b[j]) for i in range(len(a)) for j in range(len(b)))

    return product(x, p, x, p) - 2 * product(x, p, z, q) + product(z, q, z, q)


def random_rkme(rng: np.random.Generator, count: int = 5, dimension: int = 3) -> Rkme:
    weights = rng.random(count)
    points = rng.normal(size=(count, dimension))
    return Rkme(points, weights / weights.sum(), Island("table", None, dimension))


@pytest.mark.parametrize("seed", range(5))
def test_both_metrics_follow_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_rkme(rng), random_rkme(rng, 4)
    raw = by_hand(first.points, first.weights, second.points, second.weights, 0.1)
    assert mmd2(first, second, "reference") == pytest.approx(raw)
    location, spread = first.marginals.location, first.marginals.spread
    x, z = (first.points - location) / spread, (second.points - location) / spread
    gamma = Scale.of(first).gamma
    assert mmd2(first, second) == pytest.approx(by_hand(x, first.weights, z, second.weights, gamma))


@given(st.integers(0, 2**32), st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_the_searchers_metric_does_not_know_units(seed: int, factor: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_rkme(rng), random_rkme(rng)
    turned = [Rkme(rkme.points * factor + offset, rkme.weights, rkme.island) for rkme in (first, second)]
    assert mmd2(*turned) == pytest.approx(mmd2(first, second), rel=1e-5, abs=1e-8)


@given(st.integers(0, 2**32))
def test_an_mmd_is_a_squared_distance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_rkme(rng), random_rkme(rng)
    assert mmd2(first, first) == pytest.approx(0, abs=1e-12)
    assert 0 <= mmd2(first, second) <= 2
    assert 0 <= kernel_cosine(first, second) <= 1
    assert kernel_cosine(first, first) == pytest.approx(1)


def test_a_saturated_raw_metric_still_ranks_in_the_searchers_scale() -> None:
    """Columns in tens of thousands: at gamma = 0.1 all candidates look alike, in our scale they do not."""
    rng = np.random.default_rng(0)
    requirement = unreduced(rng.uniform(-1e4, 1e4, (80, 20)))
    same = unreduced(rng.uniform(-1e4, 1e4, (80, 20)))
    other = unreduced(rng.uniform(-1e4, 1e4, (80, 20)) + 6e3)
    raw = mmd2(requirement, other, "reference") / mmd2(requirement, same, "reference")
    assert raw == pytest.approx(1, abs=0.01)
    assert mmd2(requirement, other) > 5 * mmd2(requirement, same)


def test_the_median_is_weighted() -> None:
    points = np.array([[0.0], [1.0], [10.0]])
    assert median_gamma(points, np.array([0.45, 0.45, 0.1])) == pytest.approx(1)
    assert median_gamma(points, np.array([0.45, 0.1, 0.45])) == pytest.approx(0.01)


@pytest.mark.parametrize("count", [1, 5])
def test_without_any_difference_gamma_is_that_of_standard_columns(count: int) -> None:
    assert median_gamma(np.ones((count, 4)), np.full(count, 1 / count)) == 1 / 8


def test_a_constant_column_can_never_saturate() -> None:
    """A requirement that is constant in one column, in which candidates are far away in unknown units."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3))
    rows[:, 2] = 0
    requirement = unreduced(rows)
    near, far = rows.copy(), rows + np.array([2, 2, 0])
    near[:, 2] = far[:, 2] = 246
    assert 0 < mmd2(requirement, unreduced(near)) < mmd2(requirement, unreduced(far)) < 1


def test_columns_without_any_value_have_no_say() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3))
    without = rows.copy()
    without[:, 1] = np.nan
    assert mmd2(unreduced(without), unreduced(rows)) == pytest.approx(
        mmd2(unreduced(rows[:, [0, 2]]), unreduced(rows[:, [0, 2]])), abs=1e-9
    )
    elsewhere = Rkme(
        rows + np.array([0, 1e6, 0]),
        np.full(50, 0.02),
        Island("table", None, 3),
        marginals=Marginals(np.zeros(3), np.ones(3), np.array([0.0, 1.0, 0.0])),
    )
    assert mmd2(unreduced(rows), elsewhere) < 0.5


def test_texts_and_images_are_brought_to_length_one() -> None:
    island = Island("text", None, 2, "extractor")
    short = Rkme(np.array([[1.0, 0.0], [0.0, 1.0]]), np.full(2, 0.5), island)
    long = Rkme(np.array([[9.0, 0.0], [0.0, 5.0]]), np.full(2, 0.5), island)
    assert mmd2(short, long) == pytest.approx(0, abs=1e-12)


def test_different_islands_are_refused() -> None:
    table = Rkme(np.ones((1, 2)), np.ones(1), Island("table", (Column("a"), Column("b")), 2))
    unnamed = Rkme(np.ones((1, 2)), np.ones(1), Island("table", None, 2))
    assert mmd2(table, unnamed) == 0
    others = [
        Rkme(np.ones((1, 2)), np.ones(1), Island("table", (Column("b"), Column("a")), 2)),
        Rkme(np.ones((1, 2)), np.ones(1), Island("text", None, 2, "x")),
        Rkme(np.ones((1, 3)), np.ones(1), Island("table", None, 3)),
    ]
    for other, word in zip(others, ["column 0 is a", "kind", "dimension"], strict=True):
        with pytest.raises(SpecificationError, match=f"E-SPEC-ISLANDS.*{word}"):
            mmd2(table, other)


def test_an_unknown_metric_is_refused() -> None:
    rkme = random_rkme(np.random.default_rng(0))
    with pytest.raises(SpecificationError, match="metric"):
        mmd2(rkme, rkme, "cosine")  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_many_candidates_at_once_are_the_same_as_one_by_one(dtype: type, error: float) -> None:
    rng = np.random.default_rng(0)
    first = random_rkme(rng, 7)
    others = [random_rkme(rng, count) for count in (1, 4, 9)]
    stacked = np.concatenate([other.points for other in others]).astype(dtype)
    weights = np.concatenate([other.weights for other in others])
    starts = np.array([0, 1, 5])
    together = inner_many(first.points.astype(dtype), first.weights, stacked, weights, starts, 0.3)
    alone = [inner(first.points, first.weights, other.points, other.weights, 0.3) for other in others]
    np.testing.assert_allclose(together, alone, atol=error)
    selfs = [inner(other.points, other.weights, other.points, other.weights, 0.3) for other in others]
    np.testing.assert_allclose(self_terms(stacked, weights, starts, 0.3), selfs, atol=error)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first, second = random_rkme(rng, 50), random_rkme(rng, 30)
    whole = mmd2(first, second)
    monkeypatch.setattr("skerry.spec.metric.BLOCK_FLOATS_MAX", 64)
    assert mmd2(first, second) == pytest.approx(whole, rel=1e-12)


def test_kernel_values_are_at_most_one() -> None:
    points = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32) * 1e3
    block = kernel_block(points, points, 1.0)
    assert block.max() <= 1
    assert block.min() >= 0
