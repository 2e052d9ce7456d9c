from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skerry.errors import SpecificationError
from skerry.spec import Column
from skerry.spec.table import marginals_of, read_table

ROWS = {"a": [1.0, None, 3.0], "b": [True, False, True], "c": [1, 2, 3]}


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(ROWS), pl.DataFrame(ROWS), pa.table(ROWS)], ids=lambda f: type(f).__module__
)
def test_frames_of_every_library_read_alike(frame: Any) -> None:
    table = read_table(frame, units={"c": "kg"})
    assert table.columns == (Column("a"), Column("b"), Column("c", "kg"))
    np.testing.assert_array_equal(table.values, [[1, 1, 1], [np.nan, 0, 2], [3, 1, 3]])


def test_nullable_pandas_integers() -> None:
    frame = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64")})
    np.testing.assert_array_equal(read_table(frame).values, [[1], [np.nan], [3]])


def test_floats_are_not_copied() -> None:
    for dtype in (np.float32, np.float64):
        values = np.ones((4, 3), dtype)
        assert np.shares_memory(read_table(values).values, values)


def test_rows_of_more_axes_are_flattened() -> None:
    table = read_table(np.arange(24).reshape(2, 3, 4))
    assert table.values.shape == (2, 12)
    assert table.shape == (3, 4)


def test_names_and_units_for_arrays() -> None:
    table = read_table(np.ones((2, 2)), ["a", Column("b", "m")], ["kg", "cm"])
    assert table.columns == (Column("a", "kg"), Column("b", "cm"))
    assert table.island.columns == table.columns


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (np.zeros((0, 3)), {}, "X"),
    (np.zeros((3, 0)), {}, "X"),
    (pd.DataFrame({"a": []}), {}, "X"),
    (pd.DataFrame(), {}, "X"),
    (np.zeros(3), {}, "X"),
    (np.float64(3), {}, "X"),
    (np.zeros((2, 10**5)), {}, "X"),
    ([[1], [1, 2]], {}, "X"),
    ([["a", "b"]], {}, "column 0"),
    ([[1.5, "b"]], {}, "column 1"),
    (np.ones((2, 2), complex), {}, "X"),
    (np.array([[1, None], [2, "q"]], dtype=object), {}, "column 1"),
    (pd.DataFrame({"a": [1.0], "b": ["x"]}), {}, "b"),
    (pl.DataFrame({"a": [1.0], "b": [[1]]}), {}, "b"),
    (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}), {}, "a"),
    (pd.DataFrame({"a": [1.0], "b": [np.inf]}), {}, "b"),
    (np.array([[1, -np.inf]]), {}, "column 1"),
    (np.array([[1, 1e200]]), {}, "column 1"),
    (np.ones((2, 2)), {"columns": ["a"]}, "columns"),
    (np.ones((2, 2)), {"columns": ["a", ""]}, "columns.name"),
    (np.ones((2, 2)), {"units": ["m", "m"]}, "units"),
    (np.ones((2, 2)), {"columns": ["a", "b"], "units": {"z": "m"}}, "units"),
    (np.ones((2, 2)), {"columns": ["a", "b"], "units": ["m"]}, "units"),
    ("a text", {}, "X"),
    (None, {}, "X"),
]


@pytest.mark.parametrize(("data", "arguments", "where"), BAD)
def test_bad_data_are_refused_by_column(data: Any, arguments: dict[str, Any], where: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        read_table(data, **arguments)
    assert caught.value.where == where


def test_duplicate_column_names_are_refused() -> None:
    with pytest.raises(SpecificationError, match="twice"):
        _ = read_table(np.ones((2, 2)), ["a", "a"]).island


@given(
    hnp.arrays(
        np.float64, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1e6, 1e6) | st.just(np.nan)
    )
)
def test_marginals_are_those_of_the_values_that_are_there(values: Any) -> None:
    marginals = marginals_of(values)
    for column in range(values.shape[1]):
        there = values[~np.isnan(values[:, column]), column]
        assert marginals.missing_rate[column] == pytest.approx(1 - len(there) / len(values))
        if len(there):
            assert marginals.location[column] == pytest.approx(there.mean(), abs=1e-6)
            assert marginals.spread[column] == pytest.approx(there.std(), abs=1e-6)
        else:
            assert (marginals.location[column], marginals.spread[column]) == (0, 0)


def test_a_small_spread_at_a_large_location_survives() -> None:
    values = np.random.default_rng(0).normal(1e9, 1.0, size=(1000, 1))
    assert marginals_of(values).spread[0] == pytest.approx(values.std(), rel=1e-6)
