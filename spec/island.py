"""Islands: which specifications can be compared at all.

An island is named by exactly what two specifications must share so that their points live in one
space: the kind of data, the ordered columns with their units (or the dimension, when columns have no
names), and for text and images the feature extractor. Its id is a hash of that description in the
written form below, so that every node computes the same id and nobody hands out names.

Canonical form: the MessagePack array ``[kind, columns, dimension, extractor]`` in the shortest
encoding, where ``columns`` is nil or an array of ``[name, unit]`` and texts are UTF-8 in Unicode
normalization form C. The id is ``SHA-256(ISLAND_DOMAIN || canonical form)``.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, Literal, get_args

import msgspec

from skerry.errors import SpecificationError

from .limits import COLUMN_NAME_CHARS_MAX, COLUMNS_MAX, EXTRACTOR_CHARS_MAX, UNIT_CHARS_MAX

Kind = Literal["table", "text", "image"]

KINDS: Final[tuple[str, ...]] = get_args(Kind)
_SHORT_CHARS: Final = 64
"""Texts that are worth keeping: names and single words."""
ISLAND_DOMAIN: Final = b"skerry/island/1\x00"


@dataclass(frozen=True)
class Column:
    """One named column of a table, with its unit of measurement where it has one.

    Raises
    ------
    SpecificationError
        When a text is empty, too long, or holds control characters.
    """

    name: str
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", clean_text(self.name, "columns.name", COLUMN_NAME_CHARS_MAX))
        object.__setattr__(self, "unit", clean_text(self.unit, "columns.unit", UNIT_CHARS_MAX, empty=True))


@dataclass(frozen=True)
class Island:
    """What specifications must share to be comparable.

    Parameters
    ----------
    kind
        ``"table"``, ``"text"`` or ``"image"``.
    columns
        The ordered columns, or None where columns have no names.
    dimension
        The number of features.
    extractor
        Id of the feature extractor; empty for tables.

    Raises
    ------
    SpecificationError
        When a field is not acceptable; names the field.
    """

    kind: Kind
    columns: tuple[Column, ...] | None
    dimension: int
    extractor: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise _refusal("kind", f"{self.kind!r} is not one of {', '.join(KINDS)}")
        if not 1 <= self.dimension <= COLUMNS_MAX:
            raise _refusal("dimension", f"{self.dimension} is not between 1 and {COLUMNS_MAX}")
        clean = clean_text(self.extractor, "island.extractor", EXTRACTOR_CHARS_MAX, empty=True)
        object.__setattr__(self, "extractor", clean)
        if self.columns is not None:
            self._validate_columns(self.columns)

    def _validate_columns(self, columns: tuple[Column, ...]) -> None:
        if len(columns) != self.dimension:
            raise _refusal("columns", f"{len(columns)} names for {self.dimension} columns")
        names = [column.name for column in columns]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise _refusal("columns", f"the name {twice!r} stands twice")

    @property
    def canonical(self) -> bytes:
        """Return the written form that the id is a hash of."""
        columns = None if self.columns is None else [[column.name, column.unit] for column in self.columns]
        return msgspec.msgpack.encode([self.kind, columns, self.dimension, self.extractor])

    @cached_property
    def id(self) -> bytes:
        """Return the 32 bytes that name this island everywhere."""
        return hashlib.sha256(ISLAND_DOMAIN + self.canonical).digest()


def clean_text(text: object, field: str, chars_max: int, *, empty: bool = False, lines: bool = False) -> str:
    """Return ``text`` in normalization form C; line breaks and tabs are allowed where ``lines`` is set.

    Raises
    ------
    SpecificationError
        When it is no text, too long, empty (unless ``empty``), or holds control or surrogate characters.
    """
    if not isinstance(text, str):
        raise _bad_text(field, f"a text is needed, not {type(text).__name__}")
    if len(text) <= _SHORT_CHARS:
        return _clean(text, field, chars_max, empty, lines)
    return _clean.__wrapped__(text, field, chars_max, empty, lines)


@lru_cache(maxsize=4096)
def _clean(text: str, field: str, chars_max: int, empty: bool, lines: bool) -> str:  # noqa: FBT001 - cached
    """Clean a text; names of columns come again with every specification of their island."""
    if len(text) > chars_max:
        raise _bad_text(field, f"{len(text)} characters, at most {chars_max} are allowed")
    if not text and not empty:
        raise _bad_text(field, "it is empty")
    allowed = "\n\r\t" if lines else ""
    if any(
        unicodedata.category(character) in {"Cc", "Cs"} and character not in allowed for character in text
    ):
        raise _bad_text(field, "it holds control characters")
    return unicodedata.normalize("NFC", text)


def _refusal(field: str, why: str) -> SpecificationError:
    return SpecificationError("The island cannot be described", where=field, why=why, code="E-SPEC-ISLAND")


def _bad_text(field: str, why: str) -> SpecificationError:
    return SpecificationError("The text is not acceptable", where=field, why=why, code="E-SPEC-TEXT")
