from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec import Island, Rkme, Scale, mix, mmd2, responsibility, unreduced
from skerry.spec.rkme import Floats

METHODS = ["greedy", "auto", "simplex"]


def cluster(seed: int, centre: float, count: int = 120) -> Floats:
    return np.random.default_rng(seed).normal(centre, 1, size=(count, 2))


MARKET = [unreduced(cluster(seed, 6.0 * seed)) for seed in range(6)]


@pytest.mark.parametrize("method", METHODS)
def test_a_mixture_of_two_is_found_with_its_weights(method: Any) -> None:
    rows = np.concatenate([cluster(10, 6, 300), cluster(11, 18, 100)])
    found = mix(unreduced(rows), MARKET, method=method)
    assert found.indices[:2].tolist() == [1, 3]
    np.testing.assert_allclose(found.weights[:2], [0.75, 0.25], atol=0.05)
    assert found.weights.sum() == pytest.approx(1)
    assert found.mmd2 < found.single_mmd2 / 10


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.sampled_from(METHODS), st.integers(1, 5))
def test_never_worse_than_the_best_single(seed: int, method: Any, size_max: int) -> None:
    rng = np.random.default_rng(seed)
    candidates = [unreduced(rng.normal(rng.normal(0, 1, 3), 1, (30, 3))) for _ in range(8)]
    requirement = unreduced(rng.normal(0, 1, (30, 3)))
    found = mix(requirement, candidates, size_max, method)
    singles = [mmd2(requirement, candidate) for candidate in candidates]
    assert found.single_mmd2 == pytest.approx(min(singles), abs=1e-6)
    assert found.mmd2 <= found.single_mmd2
    assert found.weights.sum() == pytest.approx(1)
    assert found.weights.min() > 0
    assert (np.diff(found.weights) <= 0).all()
    assert method == "simplex" or len(found) <= size_max
    assert found.mmd2 == pytest.approx(mixture_by_hand(requirement, candidates, found), abs=1e-9)


def mixture_by_hand(requirement: Rkme, candidates: list[Rkme], found: Any) -> float:
    """The same mixture as one RKME of all members' points."""
    points = np.concatenate([candidates[index].points for index in found.indices])
    weights = np.concatenate(
        [share * candidates[index].weights for share, index in zip(found.weights, found.indices, strict=True)]
    )
    return mmd2(requirement, Rkme(points, weights, requirement.island))


def test_an_exact_match_stands_alone() -> None:
    assert mix(MARKET[2], MARKET).indices.tolist() == [2]


def test_the_stop_does_not_depend_on_the_kernels_scale() -> None:
    rows = np.concatenate([cluster(10 + place, 6.0 * place, 100) for place in range(4)])
    requirement = unreduced(rows)
    base = Scale.of(requirement)
    for factor in (0.2, 1.0, 5.0):
        scale = Scale(base.location, base.spread, base.bound, base.gamma * factor)
        assert {0, 1, 2, 3} <= set(mix(requirement, MARKET, scale=scale).indices), factor


def test_only_the_nearest_are_considered() -> None:
    many = [unreduced(cluster(seed, 50.0)) for seed in range(40)]
    assert mix(MARKET[0], [*many, MARKET[0]]).indices.tolist() == [40]


def test_responsibility_follows_the_rows() -> None:
    rows = np.concatenate([cluster(10, 6, 50), cluster(11, 18, 50)])
    shares = responsibility(rows, [MARKET[1], MARKET[3]], [0.5, 0.5])
    assert shares.shape == (100, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares[:50, 0].min() > 0.7
    assert shares[50:, 1].min() > 0.7


def test_responsibility_is_the_share_of_weighted_density() -> None:
    island = Island("table", None, 1)
    first = Rkme(np.array([[0.0], [1.0]]), np.array([0.25, 0.75]), island)
    second = Rkme(np.array([[2.0]]), np.ones(1), island)
    shares = responsibility([[0.5]], [first, second], [0.6, 0.4], Scale.raw(1, 1.0))
    density = [0.6 * np.exp(-0.25), 0.4 * np.exp(-2.25)]
    np.testing.assert_allclose(shares[0], np.array(density) / sum(density))


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
def test_responsibility_is_defined_everywhere(first: float, second: float) -> None:
    scale = Scale.of(MARKET[0])
    shares = responsibility([[first, second], [np.nan, np.nan]], MARKET, np.full(6, 1 / 6), scale)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_a_member_without_weight_has_no_responsibility() -> None:
    shares = responsibility(cluster(0, 0.0), [MARKET[0], MARKET[1]], [0, 1])
    assert (shares[:, 0] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"size_max": 0}, "size_max"),
        ({"size_max": 6}, "size_max"),
        ({"method": "best"}, "method"),
        ({"candidates": []}, "candidates"),
    ],
)
def test_mix_refusals(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        mix(**{"requirement": MARKET[0], "candidates": MARKET, **arguments})
    assert caught.value.where == field


@pytest.mark.parametrize(
    ("weights", "X"), [([1], [[0, 0]]), ([-1, 2], [[0, 0]]), ([0, 0], [[0, 0]]), ([1, 1], [[0]])]
)
def test_responsibility_refusals(weights: list[float], X: list[list[float]]) -> None:
    with pytest.raises(SpecificationError, match="E-SPEC-MIX"):
        responsibility(X, MARKET[:2], weights)
