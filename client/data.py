"""What a person calls "my data", as one numeric table with column names.

Accepted are data frames of any library that narwhals knows (pandas, polars, pyarrow), matrices and lists
of rows, and paths of CSV and Parquet files.

Rules of this file:

1. Columns that hold no numbers are left out and named in ``Table.ignored``, so that an id column in a
   file does no harm; nothing is guessed from text.
2. Missing values become NaN and stay: the specification and the models know what to do with them.
3. What cannot be used is a ``SpecificationError`` that names the file, row or column; the caller's object
   is never changed.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .limits import CSV_FIELD_CHARACTERS_MAX, TABLE_CELLS_MAX

if TYPE_CHECKING:
    import narwhals as nw

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]

MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""Cells of a CSV file, in lower case, that stand for a missing value."""


@dataclass(frozen=True)
class Table:
    """Numbers in rows and columns.

    Parameters
    ----------
    values
        (n, d) float64; NaN where a value is missing.
    columns
        d names, or None when the data came without.
    ignored
        Names of columns that were left out, since they hold no numbers.
    """

    values: Floats
    columns: tuple[str, ...] | None
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)


def read_table(source: Any, target: str | None = None) -> tuple[Table, Labels | None]:
    """Return the data as a table, and the labels when `target` names their column.

    Parameters
    ----------
    source
        A data frame, a matrix (n, d), a list of rows, or the path of a CSV or Parquet file.
    target
        Name of the column that holds labels; it does not become part of the table.

    Returns
    -------
    tuple
        The :class:`Table`, and labels (n,) or None.

    Raises
    ------
    SpecificationError
        ``E-DATA-FILE``, ``E-DATA-EMPTY``, ``E-DATA-SHAPE``, ``E-DATA-TARGET`` or ``E-DATA-SIZE``.
    """
    if isinstance(source, str | Path):
        return _from_path(Path(source), target)
    frame = _as_frame(source)
    if frame is not None:
        return _from_columns(_frame_columns(frame), "the data frame", target)
    if target is not None:
        raise _refusal(
            "E-DATA-TARGET", "a matrix has no named columns", target, "Pass y itself, or a data frame"
        )
    return _validated(Table(_matrix(source), None)), None


def _from_path(path: Path, target: str | None) -> tuple[Table, Labels | None]:
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            columns = _frame_columns(_read_parquet(path))
        else:
            with path.open(newline="", encoding="utf-8-sig") as file:
                columns = _csv_columns(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        todo = "Pass a CSV file in UTF-8 with a header line, or a Parquet file"
        raise _refusal("E-DATA-FILE", str(error), str(path), todo) from error
    return _from_columns(columns, str(path), target)


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
        if not row:
            continue
        if len(row) != len(names):
            raise csv.Error(f"line {reader.line_num} has {len(row)} cells, the header has {len(names)}")
        rows.append(row)
    cells = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: _csv_column(column) for name, column in zip(names, cells, strict=True)}


def _csv_column(cells: Sequence[str]) -> Labels:
    try:
        return np.array([np.nan if cell.strip().lower() in MISSING else float(cell) for cell in cells])
    except ValueError:
        return np.array(cells, dtype=object)


def _read_parquet(path: Path) -> nw.DataFrame[Any]:
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


def _as_frame(source: Any) -> nw.DataFrame[Any] | None:
    import narwhals as nw

    frame = nw.from_native(source, eager_only=True, pass_through=True)
    return frame if isinstance(frame, nw.DataFrame) else None


def _frame_columns(frame: nw.DataFrame[Any]) -> dict[str, Labels]:
    import narwhals as nw

    columns: dict[str, Labels] = {}
    for name, dtype in frame.schema.items():
        series = frame[name]
        if dtype.is_numeric() or dtype == nw.Boolean:
            columns[str(name)] = np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)
        else:
            columns[str(name)] = np.asarray(series.to_list(), dtype=object)
    return columns


def _from_columns(columns: dict[str, Labels], where: str, target: str | None) -> tuple[Table, Labels | None]:
    if target is not None and target not in columns:
        raise _refusal(
            "E-DATA-TARGET", f"there is no column {target!r}", where, f"Columns: {', '.join(columns)}"
        )
    labels = None if target is None else columns.pop(target)
    numeric = {name: column for name, column in columns.items() if column.dtype == np.float64}
    if not numeric:
        raise _refusal(
            "E-DATA-EMPTY", "no column holds numbers", where, "Pass at least one column of numbers"
        )
    ignored = tuple(name for name in columns if name not in numeric)
    table = Table(np.column_stack(list(numeric.values())), tuple(numeric), ignored)
    return _validated(table, where), labels


def _matrix(source: Any) -> Floats:
    try:
        values = np.asarray(source, dtype=np.float64)
    except (TypeError, ValueError) as error:
        todo = "Pass a data frame, or rows of numbers with equal length"
        raise _refusal("E-DATA-SHAPE", str(error), type(source).__name__, todo) from error
    if values.ndim != 2:
        todo = "Pass one row per example and one column per feature: X.reshape(-1, 1) for a single feature"
        raise _refusal("E-DATA-SHAPE", f"{values.ndim} axes where 2 are needed", "", todo)
    return values


def _validated(table: Table, where: str = "") -> Table:
    rows, columns = table.values.shape
    if rows == 0 or columns == 0:
        raise _refusal("E-DATA-EMPTY", f"{rows} rows and {columns} columns", where, "Pass at least one row")
    if rows * columns > TABLE_CELLS_MAX:
        todo = "Pass a random sample of the rows: a specification needs no more"
        raise _refusal("E-DATA-SIZE", f"{rows} x {columns} cells, at most {TABLE_CELLS_MAX}", where, todo)
    if np.isnan(table.values).all():
        raise _refusal("E-DATA-EMPTY", "every value is missing", where, "Pass rows with values")
    return table


def _refusal(code: str, why: str, where: str, todo: str) -> SpecificationError:
    return SpecificationError("The data cannot be used", where=where, why=why, todo=todo, code=code)
