"""What people hand to a model, as the one array that the model gets.

Three kinds of data arrive by the same argument ``X``: *tables* (a data frame of any library, a matrix, a
list of rows), *texts* (a list, series or array of str) and *images* (an array of three or four axes).

Rules of this file:

1. A column with a name is found by its name, whatever its place; one without is found by its place.
2. Missing values become NaN and stay: models bring their own imputation.
3. The caller's object is never changed.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError
from skerry.spec.table import read_table

Array = npt.NDArray[Any]


def as_array(X: Any, columns: tuple[str, ...] | None) -> Array:
    """Return ``X`` as the array a model with these columns gets.

    Parameters
    ----------
    X
        A data frame, a matrix (n, d), texts (n,), or images (n, ...).
    columns
        Names of the model's columns in its order; None when it knows only places.

    Returns
    -------
    numpy.ndarray
        (n, d) float64 for a frame, whose columns are put into the model's order and whose surplus columns
        are left out; (n,) of ``object`` for texts; anything else as it came.

    Raises
    ------
    SpecificationError
        E-SPEC-COLUMNS when the model needs a column that is not there; as :func:`skerry.spec.read_table`
        when a column holds no numbers.
    """
    if is_text(X):
        return np.asarray(X, dtype=object)
    names = column_names(X)
    if names is None or columns is None or names == columns:
        frame = nw.from_native(X, eager_only=True, pass_through=True)
        return _by_place(read_table(X).values if isinstance(frame, nw.DataFrame) else np.asarray(X), columns)
    return _by_name(X, names, columns)


def is_text(X: Any) -> bool:
    """Return whether ``X`` is a sequence of texts: one axis, every entry a str."""
    if isinstance(X, str) or not hasattr(X, "__len__") or getattr(X, "ndim", 1) != 1:
        return False
    entries = X if isinstance(X, list | tuple) else np.asarray(X)
    return len(entries) > 0 and all(isinstance(entry, str) for entry in entries)


def column_names(X: Any) -> tuple[str, ...] | None:
    """Return the column names of a data frame; None for anything else, and where a name is no text."""
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame) or not all(isinstance(name, str) for name in frame.columns):
        return None
    return tuple(frame.columns)


def _by_name(X: Any, names: tuple[str, ...], columns: tuple[str, ...]) -> Array:
    missing = [name for name in columns if name not in names]
    if missing:
        raise _mismatch(missing, [name for name in names if name not in columns])
    selected = nw.from_native(X, eager_only=True).select(columns)
    return read_table(selected.to_native()).values


def _by_place(values: Array, columns: tuple[str, ...] | None) -> Array:
    if columns and values.ndim == 2 and values.shape[1] != len(columns):
        # The first clause is scikit-learn's wording, which its own tools look for.
        raise SpecificationError(
            f"X has {values.shape[1]} features, but the model is expecting {len(columns)} features as input",
            todo=f"Pass a data frame, or the columns in this order: {', '.join(columns)}",
            code="E-SPEC-COLUMNS",
        )
    return values


def _mismatch(missing: list[str], extra: list[str]) -> SpecificationError:
    surplus = f"; the data has these besides: {', '.join(extra)}" if extra else ""
    return SpecificationError(
        "The data lacks columns that the model needs",
        where=f"missing: {', '.join(missing)}{surplus}",
        todo="Rename the columns (columns_map={old: new} when searching, --map old=new), or add them with "
        "missing values",
        code="E-SPEC-COLUMNS",
    )
