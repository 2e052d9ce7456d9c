"""What a searcher's data become before anything is sent: a specification, and from it a sketch.

Rules of this file:

1. Rows, texts and images are read here and go nowhere; what leaves is in :class:`Requirement`.
2. What kind of data it is follows from what was given: text from str, images from arrays of three or four
   axes, tables from all else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from skerry.errors import Refused, SpecificationError
from skerry.protocol import api

from .data import Floats, Labels, Table, known_labels, read_file
from .limits import NOISE_ROWS_MIN, REMOTE_ROWS_MIN

if TYPE_CHECKING:
    from skerry.spec import Rkme

CARD_ID: Final = re.compile(r"[0-9a-f]{64}")
IMAGE_AXES: Final = (3, 4)
_FILES: Final = (".csv", ".parquet", ".pq")


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """The rows whose label is known; they stay in this process.

    Attributes
    ----------
    X
        (m, d) float64 in the requirement's columns; features, of texts and images.
    y
        (m,) labels or targets.
    """

    X: Floats
    y: Labels


@dataclass(frozen=True, eq=False)
class Requirement:
    """What a searcher's rows become before anything is sent.

    Attributes
    ----------
    rkme
        The specification of the rows.
    noise_mmd2
        Squared MMD between two halves of the rows; what is no farther than that cannot be told apart from
        them. None with fewer than four rows.
    rows
        How many rows it was made of; None when only the specification is known.
    labelled
        The rows whose label is known, if any is.
    """

    rkme: Rkme
    noise_mmd2: float | None = None
    rows: int | None = None
    labelled: LabelledRows | None = None

    def sketch(self, *, allow_small: bool = False, noise: float = 0.0, secret: bytes = b"") -> api.SketchView:
        """Return what a node elsewhere may see: the sketch and the island's id.

        Parameters
        ----------
        allow_small
            Send it however few rows it was made of.
        noise
            Random errors to add; see :func:`skerry.spec.noisy_sketch`.
        secret
            Decides the errors together with the sketch: the same rows get the same ones, so that asking again
            and again does not average them out.

        Raises
        ------
        Refused
            ``E-SEARCH-SMALL``: of fewer than 50 rows, a sketch may give rows away.
        SpecificationError
            `noise` is outside its range.
        """
        if not allow_small and self.rows is not None and self.rows < REMOTE_ROWS_MIN:
            raise Refused(
                "So few rows are not described to a node elsewhere",
                where=f"{self.rows} rows",
                why=f"a sketch of fewer than {REMOTE_ROWS_MIN} rows may give the rows themselves away",
                todo="Search through a node of this machine (`skerry init`, `skerry serve`), or say "
                "allow_small=True if the rows are no secret",
                code="E-SEARCH-SMALL",
            )
        from skerry.spec import noisy_sketch, sketch_of

        sketch = sketch_of(self.rkme)
        if noise:
            seed = hashlib.sha256(b"".join([secret, *sketch.to_bytes()[1:]])).digest()
            sketch = noisy_sketch(sketch, noise, np.random.default_rng(list(seed)))
        version, vector, means, spreads = sketch.to_bytes()
        return api.SketchView(self.rkme.island.id.hex(), version, vector, means, spreads)


def requirement(
    X: Any,
    y: Any = None,
    columns: Sequence[str] | None = None,
    columns_map: Mapping[str, str] | None = None,
) -> Requirement:
    """Return what a search for data is made with.

    Parameters
    ----------
    X
        Rows (n, d) as an array or a data frame of pandas, polars or pyarrow; the path of a CSV or Parquet
        file; a list of str; images (n, height, width) or (n, height, width, channels); an
        :class:`~skerry.spec.Rkme`; or a :class:`Requirement`.
    y
        Labels of the rows, (n,), missing where none is known; for a file the name of their column.
    columns
        Names of the columns, for rows without names.
    columns_map
        New names for columns, by their old names.

    Raises
    ------
    SpecificationError
        When the data cannot be used; names the column.
    """
    from skerry.spec import Rkme

    if isinstance(X, Requirement):
        return X
    if isinstance(X, Rkme):
        return Requirement(X)
    if isinstance(X, str | Path):
        X, y = read_file(X, y)
    if isinstance(X, Table):
        X, columns = X.values, X.columns
    made = _specified(X, columns, columns_map or {})
    return made if y is None else replace(made, labelled=_labelled(X, y, made))


def _labelled(X: Any, y: Any, made: Requirement) -> LabelledRows | None:
    """Return the rows whose label is known; None when none is."""
    from skerry.spec.kinds import rows_of

    labels = np.asarray(y)
    if labels.shape != (made.rows,):
        raise SpecificationError(
            "The labels cannot be used",
            where="y",
            why=f"shape {labels.shape} for {made.rows} rows",
            todo="Pass one label for each row, missing where it is not known",
            code="E-DATA-LABELS",
        )
    few = known_labels(labels)
    if few is None:
        return None
    return LabelledRows(np.asarray(rows_of(X, made.rkme)[few.rows], dtype=np.float64), few.labels)


def is_file(X: Any) -> bool:
    """Return whether this names a file of rows, rather than words to search for."""
    return isinstance(X, Path) or (isinstance(X, str) and X.lower().endswith(_FILES))


def _specified(X: Any, columns: Sequence[str] | None, renamed: Mapping[str, str]) -> Requirement:
    from skerry.reuse.inputs import column_names, is_text
    from skerry.spec import fit_image, fit_table, fit_text, noise_floor, rows_of

    if is_text(X) or getattr(X, "ndim", 2) in IMAGE_AXES:
        rkme = fit_text(X) if is_text(X) else fit_image(X)
        noise = noise_floor(rows_of(X, rkme), kind=rkme.kind).upper if len(X) >= NOISE_ROWS_MIN else None
        return Requirement(rkme, noise, len(X))
    columns = columns or column_names(X)
    if renamed:
        columns = renamed_columns(columns, renamed)
    rkme = fit_table(X, columns=columns)
    rows = len(X)
    noise = noise_floor(X).upper if rows >= NOISE_ROWS_MIN else None
    return Requirement(rkme, noise, rows)


def renamed_columns(columns: Sequence[str] | None, renamed: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of columns after renaming.

    Raises
    ------
    SpecificationError
        ``E-DATA-MAP``: a column to be renamed does not exist, or two would have one name.
    """
    names = tuple(columns or ())
    absent = [old for old in renamed if old not in names]
    after = tuple(renamed.get(name, name) for name in names)
    twice = sorted({name for name in after if after.count(name) > 1})
    if absent or twice:
        why = (
            f"there is no column {', '.join(absent)}" if absent else f"two would be called {', '.join(twice)}"
        )
        raise SpecificationError(
            "The columns cannot be renamed like that",
            where=", ".join(f"{old}={new}" for old, new in renamed.items()),
            why=why,
            todo=f"The columns are: {', '.join(names) or 'without names'}",
            code="E-DATA-MAP",
        )
    return after
