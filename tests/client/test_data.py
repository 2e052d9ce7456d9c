"""Files as tables: what is read, what is left out, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skerry.client.data import read_file
from skerry.errors import SpecificationError

CSV = "id,age,bmi,sick\na1,63,22.5,0\nb2,,31,1\n\nc3,41,NA,1\n"


def written(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_file_is_read_with_missing_values_and_without_texts(tmp_path: Path) -> None:
    table, labels = read_file(written(tmp_path, CSV), "sick")
    assert table.columns == ("age", "bmi")
    assert table.ignored == ("id",)
    np.testing.assert_array_equal(table.values, [[63, 22.5], [np.nan, 31], [41, np.nan]])
    np.testing.assert_array_equal(labels, [0, 1, 1])


def test_without_a_target_there_are_no_labels(tmp_path: Path) -> None:
    table, labels = read_file(written(tmp_path, "﻿" + CSV))
    assert labels is None
    assert table.columns == ("age", "bmi", "sick")


def test_labels_may_be_texts(tmp_path: Path) -> None:
    _, labels = read_file(written(tmp_path, CSV), "id")
    assert labels is not None
    assert labels.tolist() == ["a1", "b2", "c3"]


@pytest.mark.parametrize(
    ("cells", "kind"), [("1 0 -2", "i"), ("1.0 0 2", "i"), ("1 0.5 2", "f"), ("1 NA 2", "f")]
)
def test_labels_that_are_whole_numbers_are_integers(tmp_path: Path, cells: str, kind: str) -> None:
    rows = "".join(f"1,{cell}\n" for cell in cells.split())
    _, labels = read_file(written(tmp_path, f"a,label\n{rows}"), "label")
    assert labels is not None
    assert labels.dtype.kind == kind


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a", "b"], "n": [1, 2], "b": [True, False]}).to_parquet(tmp_path / "data.parquet")
    table, _ = read_file(tmp_path / "data.parquet")
    assert table.columns == ("n", "b")
    assert table.ignored == ("id",)
    np.testing.assert_array_equal(table.values, [[1, 1], [2, 0]])


def test_the_row_numbers_that_pandas_writes_are_no_column(tmp_path: Path) -> None:
    shuffled = pd.DataFrame({"n": [1, 2, 3]}).sample(frac=1, random_state=1)
    shuffled.to_parquet(tmp_path / "data.parquet")
    assert read_file(tmp_path / "data.parquet")[0].columns == ("n",)


def test_columns_are_selected_by_name(tmp_path: Path) -> None:
    table, _ = read_file(written(tmp_path, CSV))
    np.testing.assert_array_equal(table.select(["sick", "age"])[0], [0, 63])
    with pytest.raises(SpecificationError, match="missing: weight; there besides: bmi, sick") as caught:
        table.select(["age", "weight"])
    assert caught.value.code == "E-DATA-COLUMNS"


@pytest.mark.parametrize(
    ("text", "target", "code", "words"),
    [
        ("", None, "E-DATA-EMPTY", "0 rows"),
        ("a,b\n", None, "E-DATA-EMPTY", "0 rows"),
        ("name\nx\n", None, "E-DATA-EMPTY", "0 columns"),
        ("a,a\n1,2\n", None, "E-DATA-FILE", "two columns are called 'a'"),
        ("a,b\n1\n", None, "E-DATA-FILE", "line 2 has 1 cells"),
        ("a,b\n1,2\n", "c", "E-DATA-TARGET", "no column 'c'"),
        ("a\n1\n", "a", "E-DATA-EMPTY", "0 columns"),
    ],
)
def test_what_cannot_be_used_says_why(
    tmp_path: Path, text: str, target: str | None, code: str, words: str
) -> None:
    with pytest.raises(SpecificationError, match=words) as caught:
        read_file(written(tmp_path, text), target)
    assert caught.value.code == code
    assert str(tmp_path) in caught.value.where


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet", "broken.parquet", "binary.csv"])
def test_unreadable_files_are_named(tmp_path: Path, name: str) -> None:
    if not name.startswith("absent"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00 no such format")
    with pytest.raises(SpecificationError) as caught:
        read_file(tmp_path / name)
    assert caught.value.code == "E-DATA-FILE"
    assert name in caught.value.where
