"""Data files as numbers: CSV and Parquet.

Arrays and data frames are the business of :func:`skerry.spec.fit_table`, which takes them as they are;
this file is for paths, on the command line and in Python.

Rules of this file:

1. A column of a file that holds no numbers is left out and named in ``Table.ignored``, so that an id
   column does no harm; nothing is guessed from text.
2. Missing values become NaN and stay: the specification and the models know what to do with them.
3. What cannot be used is a ``SpecificationError`` that names the file, line or column.
4. CSV needs no library: a core install has no data frames.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .limits import CSV_FIELD_CHARACTERS_MAX, TABLE_CELLS_MAX

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]

MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""Cells of a CSV file, in lower case, that stand for a missing value."""

_PANDAS_INDEX: Final = re.compile(r"__index_level_\d+__")
"""What pandas calls an index without a name when it writes one to Parquet; the row's number is no column."""


@dataclass(frozen=True)
class Table:
    """The numbers of a file.

    Parameters
    ----------
    values
        (n, d) float64; NaN where a value is missing.
    columns
        d names.
    ignored
        Names of columns that were left out, since they hold no numbers.
    """

    values: Floats
    columns: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def select(self, names: Sequence[str]) -> Floats:
        """Return the columns of these names in this order, (n, len(names)).

        Raises
        ------
        SpecificationError
            ``E-DATA-COLUMNS``, with the columns that are missing and those that are there besides.
        """
        missing = [name for name in names if name not in self.columns]
        if missing:
            extra = [name for name in self.columns if name not in names]
            why = f"missing: {', '.join(missing)}; there besides: {', '.join(extra) or 'none'}"
            raise _refusal("E-DATA-COLUMNS", why, "columns", rename_advice(missing, extra))
        return self.values[:, [self.columns.index(name) for name in names]]


def rename_advice(missing: Sequence[str], extra: Sequence[str]) -> str:
    """Return what to do about columns that are missing, with the likeliest of the others in an example."""
    nearest = difflib.get_close_matches(missing[0].casefold(), [name.casefold() for name in extra], 1, 0.3)
    old = next((name for name in extra if nearest and name.casefold() == nearest[0]), None)
    if old is None:
        return "Add the columns with missing values, or name others for them: --map old=new (columns_map)"
    return f"Rename columns, as in --map {old}={missing[0]} (columns_map), or add them with missing values"


def read_file(path: Path | str, target: str | None = None) -> tuple[Table, Labels | None]:
    """Return the table in a file, and the labels when `target` names their column.

    Parameters
    ----------
    path
        A CSV file in UTF-8 with a header line, or a Parquet file.
    target
        Name of the column that holds labels; it does not become part of the table.

    Returns
    -------
    tuple
        The :class:`Table`, and labels (n,), int64, float64 or text, or None.

    Raises
    ------
    SpecificationError
        ``E-DATA-FILE``, ``E-DATA-EMPTY``, ``E-DATA-TARGET`` or ``E-DATA-SIZE``.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            columns = _parquet_columns(path)
        else:
            with path.open(newline="", encoding="utf-8-sig") as file:
                columns = _csv_columns(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        todo = "Pass a CSV file in UTF-8 with a header line, or a Parquet file"
        why = getattr(error, "strerror", None) or str(error)
        raise _refusal("E-DATA-FILE", why, str(path), todo) from error
    return _table(columns, str(path), target)


def _csv_columns(file: IO[str]) -> dict[str, Labels]:
    """Return the columns of a CSV file: float64 where every cell is a number or missing, text otherwise."""
    csv.field_size_limit(CSV_FIELD_CHARACTERS_MAX)
    reader = csv.reader(file)
    names = next(reader, [])
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise csv.Error(f"two columns are called {twice!r}")
    rows = []
    for row in reader:
        if row and len(row) != len(names):
            raise csv.Error(f"line {reader.line_num} has {len(row)} cells, the header has {len(names)}")
        if row:
            rows.append(row)
        if len(rows) * len(names) > TABLE_CELLS_MAX:
            raise csv.Error(
                f"it has more than {TABLE_CELLS_MAX} cells; a random sample of the rows is enough"
            )
    cells = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: _csv_column(column) for name, column in zip(names, cells, strict=True)}


def _csv_column(cells: Sequence[str]) -> Labels:
    try:
        return np.array([np.nan if cell.strip().lower() in MISSING else float(cell) for cell in cells])
    except ValueError:
        return np.array(cells, dtype=object)


def _parquet_columns(path: Path) -> dict[str, Labels]:
    import narwhals as nw

    frame = _read_parquet(path)
    columns: dict[str, Labels] = {}
    for name, dtype in frame.schema.items():
        if _PANDAS_INDEX.fullmatch(name):
            continue
        if dtype.is_numeric() or dtype == nw.Boolean:
            columns[name] = np.asarray(frame[name].cast(nw.Float64).to_numpy(), dtype=np.float64)
        else:
            columns[name] = np.asarray(frame[name].to_list(), dtype=object)
    return columns


def _read_parquet(path: Path) -> Any:
    """Read a Parquet file by whichever of the frame libraries is installed."""
    import narwhals as nw

    for backend in ("pyarrow", "polars", "pandas"):
        try:
            return nw.read_parquet(str(path), backend=backend)
        except ImportError:
            continue
        except (ValueError, RuntimeError) as error:
            raise OSError(str(error)) from error
    raise OSError("no library for Parquet is installed: pip install 'skerry[frames]'")


def _table(columns: dict[str, Labels], where: str, target: str | None) -> tuple[Table, Labels | None]:
    if target is not None and target not in columns:
        todo = f"Name one of {', '.join(columns)}"
        raise _refusal("E-DATA-TARGET", f"there is no column {target!r}", where, todo)
    labels = None if target is None else _labels(columns.pop(target))
    numeric = {name: column for name, column in columns.items() if column.dtype == np.float64}
    rows = len(next(iter(numeric.values()), ()))
    if not rows:
        todo = "Pass at least one row and one column of numbers"
        raise _refusal("E-DATA-EMPTY", f"{rows} rows, {len(numeric)} columns of numbers", where, todo)
    ignored = tuple(name for name in columns if name not in numeric)
    return Table(np.column_stack(list(numeric.values())), tuple(numeric), ignored), labels


@dataclass(frozen=True)
class FewLabels:
    """The rows of a file whose label is known.

    Attributes
    ----------
    rows
        (m,) positions of the rows.
    labels
        (m,) their labels.
    """

    rows: npt.NDArray[np.intp]
    labels: Labels


def known_labels(labels: Labels) -> FewLabels | None:
    """Return the labels (n,) that are there, or None when none is."""
    if labels.dtype.kind == "f":
        known = ~np.isnan(labels)
    else:
        known = np.array([str(label).strip().lower() not in MISSING for label in labels], dtype=np.bool_)
    rows = np.flatnonzero(known)
    return FewLabels(rows, _labels(labels[rows])) if len(rows) else None


def _labels(column: Labels) -> Labels:
    """Return whole numbers as integers: the class 1 is called "1" whether a file says 1 or 1.0."""
    if column.dtype != np.float64 or not np.array_equal(column, np.trunc(column)):
        return column
    return column.astype(np.int64)


def _refusal(code: str, why: str, where: str, todo: str) -> SpecificationError:
    return SpecificationError("The data cannot be used", where=where, why=why, todo=todo, code=code)
