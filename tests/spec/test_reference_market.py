from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import Island, Rkme, mmd2, reference_search
from tests.spec.test_reference import GOLDEN, read

MARKET = json.loads((GOLDEN / "market.json").read_text())
USERS = {user["user"]: user for user in MARKET["users"]}
LEARNWARES = [name for name in MARKET["specs"] if name.startswith("lw")]
CANDIDATES = [read(MARKET["specs"][name]) for name in LEARNWARES]


@pytest.mark.parametrize("method", ["greedy", "auto"])
@pytest.mark.parametrize("user", USERS)
def test_answers_are_the_engines(user: str, method: Literal["greedy", "auto"]) -> None:
    result = reference_search(read(MARKET["specs"][user]), CANDIDATES, method)
    expected = USERS[user][method]
    assert [LEARNWARES[index] for index, _ in result.single] == [name for name, _ in expected["single"]]
    np.testing.assert_allclose(
        [score for _, score in result.single], [score for _, score in expected["single"]], rtol=1e-6
    )
    if expected["multiple"] is None:
        assert result.mixture_score is None
    else:
        inside = expected["mixture_internal"]
        assert [LEARNWARES[index] for index in result.mixture] == inside["ids"]
        np.testing.assert_allclose(result.weights, inside["weights"], atol=1e-5)
        assert result.mixture_mmd2 == pytest.approx(inside["mmd"], rel=1e-5)
        assert result.mixture_score == pytest.approx(expected["multiple"]["score"])


def one_point(place: float) -> Rkme:
    return Rkme(np.array([[place]]), np.ones(1), Island("table", None, 1))


def test_a_greedy_mixture_needs_a_real_gain() -> None:
    # A mixture of two points is nearly the requirement; the third candidate adds nothing.
    requirement = Rkme(np.array([[-3.0], [3.0]]), np.full(2, 0.5), Island("table", None, 1))
    result = reference_search(requirement, [one_point(-3.2), one_point(3.2), one_point(20)])
    assert sorted(result.mixture) == [0, 1]
    np.testing.assert_allclose(result.weights, [0.5, 0.5], atol=1e-6)
    mixture = Rkme(np.array([[-3.2], [3.2]]), np.full(2, 0.5), Island("table", None, 1))
    assert result.mixture_mmd2 == pytest.approx(mmd2(requirement, mixture, "reference"))


def test_an_exact_match_gets_no_mixture() -> None:
    result = reference_search(one_point(0), [one_point(0), one_point(5)])
    assert result.mixture == ()
    assert result.single == ((0, 1.0),)


def test_equal_distances_all_score_one() -> None:
    result = reference_search(one_point(0), [one_point(5), one_point(-5)], size_max=1)
    assert [score for _, score in result.single] == [1.0, 1.0]


def test_candidates_of_another_shape_are_passed_over() -> None:
    wide = Rkme(np.zeros((1, 2)), np.ones(1), Island("table", None, 2))
    assert [index for index, _ in reference_search(one_point(0), [wide, one_point(0)]).single] == [1]
    with pytest.raises(SpecificationError, match="candidates"):
        reference_search(one_point(0), [wide])


@pytest.mark.parametrize(("method", "size_max"), [("best", 5), ("greedy", 0), ("greedy", 6)])
def test_arguments_are_checked(method: Any, size_max: int) -> None:
    with pytest.raises(SpecificationError, match="method"):
        reference_search(one_point(0), [one_point(1)], method, size_max)
