"""Data frames, arrays, texts and images reach a model in its own order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skerry.errors import SpecificationError
from skerry.reuse.inputs import as_array, column_names, is_text

DATA = {"a": [1.0, 2.0], "b": [3, 4], "c": [None, 6.0]}


@pytest.mark.parametrize("frame", [pd.DataFrame(DATA), pl.DataFrame(DATA), pa.table(DATA)])
def test_columns_are_found_by_name(frame: Any) -> None:
    expected = [[np.nan, 1.0], [6.0, 2.0]]
    np.testing.assert_array_equal(as_array(frame, ("c", "a")), expected)
    assert column_names(frame) == ("a", "b", "c")


def test_a_missing_column_is_an_error_that_names_both_sides() -> None:
    with pytest.raises(SpecificationError) as caught:
        as_array(pd.DataFrame(DATA), ("a", "x", "y"))
    assert caught.value.code == "E-SPEC-COLUMNS"
    assert "missing: x, y" in caught.value.where
    assert "b, c" in caught.value.where


def test_an_array_is_taken_by_place_and_its_width_must_fit() -> None:
    rows = np.arange(6.0).reshape(2, 3)
    assert as_array(rows, ("a", "b", "c")) is rows
    with pytest.raises(SpecificationError, match=r"3 features, but the model is expecting 2") as caught:
        as_array(rows, ("a", "b"))
    assert caught.value.code == "E-SPEC-COLUMNS"


def test_a_column_of_words_is_refused_by_name() -> None:
    with pytest.raises(SpecificationError, match="word"):
        as_array(pd.DataFrame({"a": [1.0], "word": ["x"]}), ("word", "a"))


def test_the_callers_frame_stays_as_it_was() -> None:
    frame = pd.DataFrame(DATA)
    before = frame.copy()
    as_array(frame, ("c", "a"))[:] = 0
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    "texts", [["one", "two"], ("one", "two"), np.array(["one", "two"]), pd.Series(["one", "two"])]
)
def test_texts_stay_texts(texts: Any) -> None:
    assert is_text(texts)
    answer = as_array(texts, None)
    assert answer.dtype == object
    assert list(answer) == ["one", "two"]


@pytest.mark.parametrize("other", ["one", [], [1.0, 2.0], np.zeros(3), np.zeros((2, 2)), [["one"], ["two"]]])
def test_what_is_no_text(other: Any) -> None:
    assert not is_text(other)


def test_images_pass_through() -> None:
    images = np.zeros((2, 8, 8, 3))
    assert as_array(images, None) is images
