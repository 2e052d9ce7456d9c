"""Bytes of an RKME, and back.

The encoding is MessagePack of one map whose keys stand in the order of ``_RkmeRecord``; arrays are raw
little-endian bytes, so equal specifications have equal bytes and the bytes can be named by their hash.
``docs/specification.md`` is the written format.

Rules of this file:

1. Decoding is total: any bytes give an ``Rkme`` or a ``SpecificationError`` that names the field.
2. Memory is bounded before it is taken: the whole blob first, then every count against ``limits.py``,
   then every array's bytes against the counts; arrays are views of the blob until ``Rkme`` copies them.
3. Unknown keys are ignored, so that a later version can add some; a version that changes a meaning
   takes a new number, which this one refuses.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import numpy as np

from skerry.errors import SpecificationError

from .island import Column, Island, Kind
from .limits import (
    COLUMNS_MAX,
    FLOATS_MAX,
    META_ENTRIES_MAX,
    POINTS_MAX,
    RESPONSES_MAX,
    SHAPE_AXES_MAX,
    SPECIFICATION_BYTES_MAX,
)
from .rkme import Floats, Marginals, Rkme, Scalar

RKME_VERSION: Final = 1

_Record = TypeVar("_Record", bound=msgspec.Struct)


class _ColumnRecord(msgspec.Struct, array_like=True):
    name: str
    unit: str


class _RkmeRecord(msgspec.Struct, tag_field="type", tag="rkme"):
    version: int
    kind: Kind
    extractor: str
    columns: Annotated[list[_ColumnRecord], msgspec.Meta(max_length=COLUMNS_MAX)] | None
    count: int
    dimension: int
    shape: Annotated[list[int], msgspec.Meta(max_length=SHAPE_AXES_MAX)]
    dtype: Literal["<f4", "<f8"]
    points: bytes
    weights: bytes
    gamma: float | None
    location: bytes
    spread: bytes
    missing_rate: bytes
    response_width: int
    responses: bytes
    meta: Annotated[dict[str, Scalar], msgspec.Meta(max_length=META_ENTRIES_MAX)]


def encode_rkme(rkme: Rkme) -> bytes:
    """Return the bytes of an RKME; equal RKMEs give equal bytes.

    Raises
    ------
    SpecificationError
        When it is larger than what may be published (an unreduced one is for local use).
    """
    _validate_counts(len(rkme), rkme.dimension)
    dtype: Literal["<f4", "<f8"] = "<f8" if rkme.points.dtype == np.float64 else "<f4"
    record = _RkmeRecord(
        version=RKME_VERSION,
        kind=rkme.kind,
        extractor=rkme.island.extractor,
        columns=_column_records(rkme.columns),
        count=len(rkme),
        dimension=rkme.dimension,
        shape=list(rkme.shape),
        dtype=dtype,
        points=_to_raw(rkme.points, dtype),
        weights=_to_raw(rkme.weights, "<f8"),
        gamma=rkme.gamma,
        location=_to_raw(rkme.marginals.location, "<f8"),
        spread=_to_raw(rkme.marginals.spread, "<f8"),
        missing_rate=_to_raw(rkme.marginals.missing_rate, "<f8"),
        response_width=0 if rkme.responses is None else rkme.responses.shape[1],
        responses=b"" if rkme.responses is None else _to_raw(rkme.responses, "<f4"),
        meta={key: rkme.meta[key] for key in sorted(rkme.meta)},
    )
    return msgspec.msgpack.encode(record)


def decode_rkme(blob: bytes) -> Rkme:
    """Return the RKME in ``blob``.

    Raises
    ------
    SpecificationError
        When the bytes are not one valid RKME within the limits; names the field.
    """
    record = decode_record(blob, _RkmeRecord)
    if record.version != RKME_VERSION:
        raise _refusal("version", f"{record.version} is unknown, {RKME_VERSION} is known")
    _validate_counts(record.count, record.dimension)
    if not 0 <= record.response_width <= RESPONSES_MAX:
        raise _refusal("response_width", f"{record.response_width} is not between 0 and {RESPONSES_MAX}")
    return Rkme(
        points=_from_raw(record.points, "points", record.dtype, (record.count, record.dimension)),
        weights=_from_raw(record.weights, "weights", "<f8", (record.count,)),
        island=_island(record),
        gamma=record.gamma,
        shape=tuple(record.shape),
        marginals=_marginals(record),
        responses=_responses(record),
        meta=record.meta,
    )


def decode_record(blob: bytes, record_type: type[_Record]) -> _Record:
    """Return one typed record of a bounded blob; any malformed input is a SpecificationError."""
    if len(blob) > SPECIFICATION_BYTES_MAX:
        raise _refusal("bytes", f"{len(blob)} bytes, at most {SPECIFICATION_BYTES_MAX} are allowed")
    try:
        return msgspec.msgpack.decode(blob, type=record_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise _refusal("bytes", str(error)) from error


def _island(record: _RkmeRecord) -> Island:
    columns = record.columns
    named = None if columns is None else tuple((column.name, column.unit) for column in columns)
    return _island_of(record.kind, named, record.dimension, record.extractor)


@lru_cache(maxsize=16)
def _island_of(
    kind: Kind, columns: tuple[tuple[str, str], ...] | None, dimension: int, extractor: str
) -> Island:
    """Return an island; the hundreds of specifications that a search reads are of few."""
    named = None if columns is None else tuple(Column(name, unit) for name, unit in columns)
    return Island(kind, named, dimension, extractor)


def _marginals(record: _RkmeRecord) -> Marginals:
    return Marginals(
        *(
            _from_raw(getattr(record, name), f"marginals.{name}", "<f8", (record.dimension,))
            for name in ("location", "spread", "missing_rate")
        )
    )


def _responses(record: _RkmeRecord) -> Floats | None:
    if record.response_width == 0:
        return None
    return _from_raw(record.responses, "responses", "<f4", (record.count, record.response_width))


def _column_records(columns: tuple[Column, ...] | None) -> list[_ColumnRecord] | None:
    return None if columns is None else [_ColumnRecord(column.name, column.unit) for column in columns]


def _validate_counts(count: int, dimension: int) -> None:
    if not 1 <= count <= POINTS_MAX:
        raise _refusal("count", f"{count} points, between 1 and {POINTS_MAX} may be published")
    if not 1 <= dimension <= COLUMNS_MAX:
        raise _refusal("dimension", f"{dimension} columns, between 1 and {COLUMNS_MAX} are allowed")
    if count * dimension > FLOATS_MAX:
        raise _refusal("count", f"{count} x {dimension} values, at most {FLOATS_MAX} are allowed")


def _to_raw(array: Floats, dtype: str) -> bytes:
    return np.ascontiguousarray(array, dtype=dtype).tobytes()


def _from_raw(raw: bytes, name: str, dtype: str, shape: tuple[int, ...]) -> Floats:
    """Return a view of ``raw`` as an array whose size was bounded by the caller."""
    bytes_needed = math.prod(shape) * np.dtype(dtype).itemsize
    if len(raw) != bytes_needed:
        raise _refusal(name, f"{len(raw)} bytes where {bytes_needed} are needed")
    array: np.ndarray[Any, np.dtype[np.floating[Any]]] = np.frombuffer(raw, dtype=dtype)
    return array.reshape(shape)


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError("The bytes are no specification", where=where, why=why, code="E-SPEC-BYTES")
