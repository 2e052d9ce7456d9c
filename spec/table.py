"""From arrays and data frames to one matrix of numbers, and what is refused on the way.

Data frames of any library come in through narwhals. What is defined for odd data:

- missing values are NaN (or null); they are kept here, counted in the marginals, and stand at their
  column's mean while points are fitted; a column without any value stands at 0;
- infinities, texts and nested values are refused, naming the column;
- integers and booleans become float64; constant columns and single rows are fine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from skerry.errors import SpecificationError

from .island import Column, Island
from .limits import BLOCK_FLOATS_MAX, COLUMNS_MAX, MAGNITUDE_MAX, ROWS_MAX
from .rkme import Floats, Marginals

Names = Sequence[str | Column] | None
Units = Mapping[str, str] | Sequence[str] | None


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of numbers with what is known of their columns.

    Parameters
    ----------
    values
        (n, d) float32 or float64; NaN where a value is missing.
    columns
        The named columns, or None.
    shape
        The shape of one row before it was flattened.
    """

    values: Floats
    columns: tuple[Column, ...] | None
    shape: tuple[int, ...]

    @property
    def island(self) -> Island:
        """Return the island of specifications made from this table."""
        return Island("table", self.columns, self.values.shape[1])


def read_table(X: Any, columns: Names = None, units: Units = None) -> Table:
    """Return an array or data frame as a table.

    Parameters
    ----------
    X
        (n, d) array, (n, ...) array whose rows are flattened, list of rows, or data frame.
    columns
        Names, for arrays; a data frame has its own unless they are given.
    units
        Units by column name, or one for each column.

    Raises
    ------
    SpecificationError
        When the data are empty, too large, infinite, no numbers, or the names do not fit; names the column.
    """
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        _validate_size(frame.shape)
        columns = frame.columns if columns is None else columns
        array = _frame_values(frame)
    else:
        array = _array_values(X)
    named = _named_columns(columns, units, array.shape[1:])
    flat = array.reshape(len(array), -1)
    _refuse_infinities(flat, named)
    return Table(flat, named, array.shape[1:])


def marginals_of(values: Floats) -> Marginals:
    """Return mean, standard deviation and missing rate of each column (n, d), ignoring missing values."""
    present, total = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for chunk in row_chunks(values):
        there = ~np.isnan(chunk)
        present += there.sum(axis=0)
        total += np.where(there, chunk, 0).sum(axis=0, dtype=np.float64)
    location = total / np.maximum(present, 1)
    squares = np.zeros(values.shape[1])
    for chunk in row_chunks(values):
        squares += np.nansum((chunk - location) ** 2, axis=0, dtype=np.float64)
    spread = np.sqrt(squares / np.maximum(present, 1))
    return Marginals(location, spread, 1 - present / len(values))


def row_chunks(values: Floats) -> Iterator[Floats]:
    """Yield views of consecutive rows, each of at most ``BLOCK_FLOATS_MAX`` values."""
    rows = max(1, BLOCK_FLOATS_MAX // values.shape[1])
    for start in range(0, len(values), rows):
        yield values[start : start + rows]


def _frame_values(frame: nw.DataFrame[Any]) -> Floats:
    """Return a data frame's columns as (n, d) float64, nulls as NaN."""
    values = np.empty(frame.shape, np.float64)
    for index, name in enumerate(frame.columns):
        series = frame[name]
        if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
            raise refusal(str(name), f"its type is {series.dtype}, a number is needed")
        values[:, index] = series.cast(nw.Float64).to_numpy()
    return values


def _array_values(X: Any) -> Floats:
    """Return an array, tensor or list of rows as (n, ...) float32 or float64."""
    try:
        array = np.asarray(X)
    except (ValueError, TypeError) as error:
        raise refusal("X", "the rows differ in length, or it is no array") from error
    if array.ndim < 2:
        raise refusal("X", f"its shape is {array.shape}; rows and columns are needed")
    _validate_size(array.shape)
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind in "US":
        raise refusal(f"column {_first_odd_column(array)}", "it holds texts, numbers are needed")
    if array.dtype.kind not in "biufO":
        raise refusal("X", f"its type is {array.dtype}, numbers are needed")
    return _to_float64(array)


def _to_float64(array: Any) -> Floats:
    try:
        values: Floats = array.astype(np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise refusal(f"column {_first_odd_column(array)}", "it holds something that is no number") from error
    return values


def _first_odd_column(array: Any) -> int:
    """Return the first column of an object array that does not convert."""
    flat = array.reshape(len(array), -1)
    for index in range(flat.shape[1]):
        try:
            flat[:, index].astype(np.float64)
        except (ValueError, TypeError, OverflowError):
            return index
    return 0


def _validate_size(shape: tuple[int, ...]) -> None:
    rows, dimension = shape[0], int(np.prod(shape[1:]))
    if not 1 <= rows <= ROWS_MAX:
        raise refusal("X", f"{rows} rows; at least 1 and at most {ROWS_MAX} are allowed")
    if not 1 <= dimension <= COLUMNS_MAX:
        raise refusal("X", f"{dimension} columns; at least 1 and at most {COLUMNS_MAX} are allowed")


def _named_columns(columns: Names, units: Units, shape: tuple[int, ...]) -> tuple[Column, ...] | None:
    """Return names and units as columns, or None where there are no names."""
    if columns is None:
        if units is not None:
            raise refusal("units", "units need column names")
        return None
    if len(columns) != int(np.prod(shape)):
        raise refusal("columns", f"{len(columns)} names for {int(np.prod(shape))} columns")
    named = [column if isinstance(column, Column) else Column(str(column)) for column in columns]
    if isinstance(units, Mapping):
        unknown = set(units) - {column.name for column in named}
        if unknown:
            raise refusal("units", f"there is no column {min(unknown)!r}")
        return tuple(Column(column.name, units.get(column.name, column.unit)) for column in named)
    if units is not None:
        if len(units) != len(named):
            raise refusal("units", f"{len(units)} units for {len(named)} columns")
        return tuple(Column(column.name, unit) for column, unit in zip(named, units, strict=True))
    return tuple(named)


def _refuse_infinities(values: Floats, columns: tuple[Column, ...] | None) -> None:
    """Refuse infinite and enormous values, naming the column."""
    for chunk in row_chunks(values):
        # Two plain reductions are several times faster; a missing value makes both comparisons false.
        if chunk.max() <= MAGNITUDE_MAX and chunk.min() >= -MAGNITUDE_MAX:
            continue
        odd = (np.abs(chunk) > MAGNITUDE_MAX).any(axis=0)
        if odd.any():
            index = int(np.argmax(odd))
            name = f"column {index}" if columns is None else columns[index].name
            raise refusal(name, f"a value is infinite, or larger than {MAGNITUDE_MAX:g}")


def refusal(where: str, why: str) -> SpecificationError:
    """Return the error for data that no specification can be made from."""
    return SpecificationError("The data cannot be used", where=where, why=why, code="E-SPEC-DATA")
