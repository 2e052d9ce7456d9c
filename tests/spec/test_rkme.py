from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import Column, Island, Marginals, Rkme, unreduced


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "points": np.arange(6.0).reshape(3, 2),
        "weights": np.array([0.2, 0.3, 0.5]),
        "island": Island("table", None, 2),
        **changes,
    }


def test_fields_are_kept_and_derived() -> None:
    rkme = Rkme(**fields(island=Island("table", (Column("a"), Column("b", "m")), 2)))
    assert (rkme.kind, rkme.dimension, rkme.shape, len(rkme)) == ("table", 2, (2,), 3)
    assert rkme.columns == (Column("a"), Column("b", "m"))
    assert rkme.points.dtype == np.float64
    assert rkme.marginals.location == pytest.approx([2.6, 3.6])
    assert rkme.marginals.spread == pytest.approx(np.sqrt([2.44, 2.44]))


def test_integers_become_float32_and_float64_is_kept() -> None:
    assert Rkme(**fields(points=np.arange(6).reshape(3, 2))).points.dtype == np.float32
    assert Rkme(**fields(points=np.arange(6, dtype=np.float32).reshape(3, 2))).points.dtype == np.float32


def test_nothing_can_be_changed() -> None:
    points = np.arange(6.0).reshape(3, 2)
    rkme = Rkme(**fields(points=points, meta={"a": 1}))
    points[0, 0] = 99
    assert rkme.points[0, 0] == 0
    for array in (rkme.points, rkme.weights, rkme.marginals.location):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        rkme.gamma = 1.0  # type: ignore[misc] # wrong on purpose
    with pytest.raises(TypeError):
        rkme.meta["a"] = 2  # type: ignore[index] # wrong on purpose


def test_equality_is_of_content() -> None:
    assert Rkme(**fields()) == Rkme(**fields())
    assert hash(Rkme(**fields())) == hash(Rkme(**fields()))
    assert Rkme(**fields()) != Rkme(**fields(gamma=0.1))
    assert Rkme(**fields()) != "an RKME"
    assert Rkme(**fields(meta={"a": 1})) != Rkme(**fields(meta={"a": True}))
    assert unreduced(np.ones((5000, 1))) == unreduced(np.ones((5000, 1)))


BAD_FIELDS = [
    ("points", [[1, 2], [3, 4], [5, np.nan]]),
    ("points", [[1, 2], [3, 4], [5, np.inf]]),
    ("points", [[1, 2], [3, 4], [5, 1e31]]),
    ("points", [1, 2, 3]),
    ("points", np.zeros((0, 2))),
    ("points", [["a", "b"]] * 3),
    ("points", np.zeros((3, 4))),
    ("weights", [0.5, 0.5]),
    ("weights", [0.2, 0.3, np.nan]),
    ("weights", [1.5, -0.5, 0.0]),
    ("weights", [0.5, 0.5, 0.5]),
    ("gamma", 0.0),
    ("gamma", -1.0),
    ("gamma", float("inf")),
    ("shape", (3, 2)),
    ("shape", (-1, -2)),
    ("shape", (1,) * 8 + (2,)),
    ("responses", np.zeros((2, 1))),
    ("responses", np.full((3, 1), np.nan)),
    ("responses", np.zeros((3, 1001))),
    ("meta", {"a": [1]}),
    ("meta", {5: 1}),
    ("meta", {"a": "x" * 501}),
    ("meta", {"a": "\ud800"}),
    ("meta", {"a": 2**64}),
    ("meta", {str(index): 1 for index in range(33)}),
    ("meta", [1]),
    ("marginals", Marginals(np.zeros(3), np.zeros(3), np.zeros(3))),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
def test_refusals_name_the_field(field: str, value: object) -> None:
    with pytest.raises(SpecificationError) as caught:
        Rkme(**fields(**{field: value}))
    assert caught.value.where.split(".")[0] == field
    assert caught.value.code in {"E-SPEC-RKME", "E-SPEC-TEXT"}


def test_rounding_in_weights_becomes_zero() -> None:
    assert Rkme(**fields(weights=[0.5, 0.5 + 1e-9, -1e-9])).weights[2] == 0


@pytest.mark.parametrize(
    ("location", "spread", "missing"),
    [([0.0], [-1.0], [0.0]), ([0.0], [1.0], [1.5]), ([0.0], [1.0], [-0.1]), ([0.0, 1.0], [1.0], [0.0])],
)
def test_impossible_marginals_are_refused(
    location: list[float], spread: list[float], missing: list[float]
) -> None:
    with pytest.raises(SpecificationError, match="marginals"):
        Marginals(np.array(location), np.array(spread), np.array(missing))


def test_html_escapes_what_others_wrote() -> None:
    rkme = Rkme(**fields(island=Island("table", (Column("<script>"), Column("b")), 2)))
    assert "<script>" not in rkme._repr_html_()
    assert "&lt;script&gt;" in rkme._repr_html_()
