from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.spec.rkme import Floats
from skerry.spec.weights import simplex_weights, small_simplex_weights
from tests.spec.test_reference import GOLDEN


def problem(seed: int, count: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, count + 2))
    return features @ features.T, features @ rng.normal(size=count + 2)


def value(gram: Floats, cross: Floats, weights: Floats) -> float:
    return float(0.5 * weights @ gram @ weights - weights @ cross)


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_the_two_solvers_agree(seed: int, count: int) -> None:
    gram, cross = problem(seed, count)
    general = simplex_weights(gram, cross)
    exact, values = small_simplex_weights(gram[None], cross[None])
    assert general.sum() == pytest.approx(1)
    assert exact[0].sum() == pytest.approx(1)
    assert min(general.min(), exact.min()) >= 0
    assert values[0] == pytest.approx(value(gram, cross, exact[0]), rel=1e-6, abs=1e-8)
    assert value(gram, cross, general) == pytest.approx(values[0], rel=1e-5, abs=1e-5)


@given(st.integers(0, 2**32), st.integers(2, 12))
def test_no_point_of_the_simplex_is_better(seed: int, count: int) -> None:
    gram, cross = problem(seed, count)
    best = value(gram, cross, simplex_weights(gram, cross))
    others = np.random.default_rng(seed).dirichlet(np.ones(count), size=50)
    assert (
        min(value(gram, cross, other) for other in [*others, *np.eye(count)])
        >= best - 1e-6 * abs(best) - 1e-6
    )


@pytest.mark.parametrize(
    "case", json.loads((GOLDEN / "qp.json").read_text()), ids=lambda case: str(len(case["w"]))
)
def test_the_reference_engines_problems(case: dict[str, list[float]]) -> None:
    weights = simplex_weights(np.array(case["K"]), np.array(case["C"]))
    np.testing.assert_allclose(weights, case["w"], atol=1e-5)


def test_copies_among_the_parts_are_no_trouble() -> None:
    gram, cross = np.ones((3, 3)), np.ones(3)
    np.testing.assert_allclose(simplex_weights(gram, cross).sum(), 1)
    weights, _ = small_simplex_weights(gram[None], cross[None])
    assert weights[0].sum() == pytest.approx(1)
