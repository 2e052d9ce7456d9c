"""The closed-form distance against the formula, and against a sample of the two Gaussians."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec.gaussian import GaussianDistance
from skerry.spec.metric import Scale
from skerry.spec.sketch import Sketch

Array = npt.NDArray[np.float32]


def question(columns: int, seed: int = 0) -> tuple[Sketch, Scale]:
    rng = np.random.default_rng(seed)
    units = 10.0 ** rng.uniform(-6, 4, columns)
    means = (rng.normal(size=columns) * units).astype(np.float32)
    spreads = (rng.uniform(0.5, 2, columns) * units).astype(np.float32)
    scale = Scale(means.astype(float), spreads.astype(float), np.full(columns, np.inf), 0.5 / columns)
    return Sketch(1, np.zeros(256, np.int8), means, spreads), scale


def cards(requirement: Sketch, count: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed + 1)
    shape = (requirement.columns, count)
    means = requirement.means[:, None] + rng.normal(size=shape) * requirement.spreads[:, None]
    spreads = requirement.spreads[:, None] * rng.uniform(0, 2, shape)
    return means.astype(np.float32), spreads.astype(np.float32)


def by_formula(requirement: Sketch, scale: Scale, means: Array, spreads: Array) -> npt.NDArray[np.float64]:
    """Return the squared MMD in float64, as the module's description gives it."""

    def inner(m: Array, a: Array, n: Array, b: Array) -> npt.NDArray[np.float64]:
        d = 1 + 2 * scale.gamma * (a + b)
        return np.prod(d**-0.5, axis=0) * np.exp(-scale.gamma * np.sum((m - n) ** 2 / d, axis=0))

    bound, unit, location = scale.bound[:, None], scale.spread[:, None], scale.location[:, None]
    n, b = np.clip((means - location) / unit, -bound, bound), np.minimum(spreads / unit, bound) ** 2
    m = np.clip((requirement.means[:, None] - location) / unit, -bound, bound)
    a = np.minimum(requirement.spreads[:, None] / unit, bound) ** 2
    return inner(m, a, m, a) + inner(n, b, n, b) - 2 * inner(m, a, n, b)


@pytest.mark.parametrize("columns", [1, 3, 30, 64])
def test_it_is_the_formula(columns: int) -> None:
    requirement, scale = question(columns)
    means, spreads = cards(requirement, 200)
    expected = by_formula(requirement, scale, means, spreads)
    assert GaussianDistance(requirement, scale).of(means, spreads) == pytest.approx(expected, abs=2e-6)


def test_it_is_the_mmd_of_samples() -> None:
    requirement, scale = question(2)
    means, spreads = cards(requirement, 1)
    rng = np.random.default_rng(3)
    x = rng.normal(requirement.means, requirement.spreads, (4000, 2)) / scale.spread
    y = rng.normal(means[:, 0], spreads[:, 0], (4000, 2)) / scale.spread

    def mean_kernel(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
        return float(np.exp(-scale.gamma * ((p[:, None] - q[None]) ** 2).sum(-1)).mean())

    sampled = mean_kernel(x[:2000], x[2000:]) + mean_kernel(y[:2000], y[2000:]) - 2 * mean_kernel(x, y)
    assert GaussianDistance(requirement, scale).of(means, spreads)[0] == pytest.approx(sampled, abs=0.02)


def test_the_requirement_itself_is_nearest() -> None:
    requirement, scale = question(10)
    means, spreads = cards(requirement, 50)
    means[:, 7], spreads[:, 7] = requirement.means, requirement.spreads
    distances = GaussianDistance(requirement, scale).of(means, spreads)
    assert np.argmin(distances) == 7
    assert distances[7] == pytest.approx(0, abs=1e-6)


def test_the_unit_of_a_column_does_not_count() -> None:
    requirement, scale = question(4)
    means, spreads = cards(requirement, 50)
    before = GaussianDistance(requirement, scale).of(means, spreads)
    unit = np.float32(2.0**-30)
    smaller = replace(requirement, means=requirement.means * unit, spreads=requirement.spreads * unit)
    scaled = replace(scale, location=scale.location * unit, spread=scale.spread * unit)
    assert np.allclose(before, GaussianDistance(smaller, scaled).of(means * unit, spreads * unit), atol=1e-6)


def test_bounded_columns_are_clipped_and_columns_without_a_value_ignored() -> None:
    requirement, scale = question(3)
    scale = replace(scale, bound=np.array([1.0, 0.0, np.inf]))
    means, spreads = cards(requirement, 20)
    distances = GaussianDistance(requirement, scale).of(means, spreads)
    assert distances == pytest.approx(by_formula(requirement, scale, means, spreads), abs=2e-6)
    elsewhere = means.copy()
    elsewhere[1] = 1e9
    assert np.array_equal(distances, GaussianDistance(requirement, scale).of(elsewhere, spreads))


values = st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from([1e-38, 3e38, -3e38])


@settings(deadline=None)
@given(st.lists(st.tuples(values, values), min_size=1, max_size=30), st.floats(1e-300, 1e30))
def test_it_is_finite_whatever_a_card_says(pairs: list[tuple[float, float]], unit: float) -> None:
    requirement, scale = question(2)
    scale = replace(scale, spread=np.array([unit, 1.0]))
    column = np.array(pairs, np.float32)
    means = np.stack([column[:, 0], column[:, 1]])
    spreads = np.abs(means[::-1]).copy()
    assert np.all(np.isfinite(GaussianDistance(requirement, scale).of(means, spreads)))


def test_a_scale_of_other_columns_is_refused() -> None:
    with pytest.raises(SpecificationError) as refusal:
        GaussianDistance(question(3)[0], question(4)[1])
    assert refusal.value.where == "means"
