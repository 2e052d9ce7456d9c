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
4. Many blobs at once (``decode_rkmes``) give what each gives alone: what is not plainly valid among them goes
   the way of one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .island import Column, Island, Kind
from .limits import (
    COLUMNS_MAX,
    FLOATS_MAX,
    MAGNITUDE_MAX,
    META_ENTRIES_MAX,
    POINTS_MAX,
    RESPONSES_MAX,
    SHAPE_AXES_MAX,
    SPECIFICATION_BYTES_MAX,
    WEIGHT_SUM_TOLERANCE,
)
from .rkme import Floats, Marginals, Rkme, Scalar, clean_meta

RKME_VERSION: Final = 1

_MARGINALS: Final = ("location", "spread", "missing_rate")

_Record = TypeVar("_Record", bound=msgspec.Struct)
_Columns = TypeVar("_Columns")


class _ColumnRecord(msgspec.Struct, array_like=True):
    name: str
    unit: str


class _RkmeRecord(msgspec.Struct, Generic[_Columns], tag_field="type", tag="rkme"):
    version: int
    kind: Kind
    extractor: str
    columns: _Columns
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


_OneRecord = _RkmeRecord[Annotated[list[_ColumnRecord], msgspec.Meta(max_length=COLUMNS_MAX)] | None]
_ManyRecord = _RkmeRecord[msgspec.Raw]
"""Where many are decoded their columns stay as they are, since they hardly differ."""


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
    record = decode_record(blob, _OneRecord)
    _validate_record(record)
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


def decode_rkmes(blobs: Sequence[bytes]) -> list[Rkme | None]:
    """Return the RKME in each blob, None where :func:`decode_rkme` refuses it; in a fifth of its time.

    Nearly all of that time goes into validating small arrays, so those of one shape are validated together.
    The arrays of an RKME that passed are read-only views of bytes that nobody else has.
    """
    made: list[Rkme | None] = [None] * len(blobs)
    groups: defaultdict[tuple[object, ...], list[tuple[int, _ManyRecord]]] = defaultdict(list)
    for at, blob in enumerate(blobs):
        try:
            record = decode_record(blob, _ManyRecord)
            _validate_record(record)
        except SpecificationError:
            continue
        if _has_its_bytes(record):
            shape = record.count, record.dimension, record.dtype, record.response_width
            groups[shape, record.kind, record.extractor, bytes(record.columns)].append((at, record))
    for members in groups.values():
        plain = _plainly_valid([record for _, record in members]).tolist()
        island: Island | None = None
        for (at, record), valid in zip(members, plain, strict=True):
            try:
                if island is None or not (valid and _is_plain(record)):
                    made[at] = alone = decode_rkme(blobs[at])
                    island = alone.island
                else:
                    made[at] = _unvalidated(record, island)
            except SpecificationError:
                continue
    return made


def _validate_record(record: _RkmeRecord[Any]) -> None:
    """Refuse a record of another version, or whose counts are beyond the limits."""
    if record.version != RKME_VERSION:
        raise _refusal("version", f"{record.version} is unknown, {RKME_VERSION} is known")
    _validate_counts(record.count, record.dimension)
    if not 0 <= record.response_width <= RESPONSES_MAX:
        raise _refusal("response_width", f"{record.response_width} is not between 0 and {RESPONSES_MAX}")


def _has_its_bytes(record: _ManyRecord) -> bool:
    """Return whether each array has as many bytes as the counts say."""
    count, doubles = record.count, 8 * record.dimension
    return (
        len(record.points) == count * record.dimension * int(record.dtype[2])
        and len(record.weights) == 8 * count
        and len(record.location) == len(record.spread) == len(record.missing_rate) == doubles
        and (record.response_width == 0 or len(record.responses) == 4 * count * record.response_width)
    )


def _plainly_valid(records: Sequence[_ManyRecord]) -> npt.NDArray[np.bool_]:
    """Return which records of one shape hold values that are valid beyond doubt, and need no change."""

    def stacked(name: str, dtype: str) -> Floats:
        raw = b"".join([getattr(record, name) for record in records])
        return np.frombuffer(raw, dtype).reshape(len(records), -1)

    weights, spread = stacked("weights", "<f8"), stacked("spread", "<f8")
    missing = stacked("missing_rate", "<f8")
    values = [stacked("points", records[0].dtype), weights, stacked("location", "<f8"), spread]
    if records[0].response_width:
        values.append(stacked("responses", "<f4"))
    valid: npt.NDArray[np.bool_] = np.logical_and((spread >= 0).all(axis=1), (weights >= 0).all(axis=1))
    valid &= ((missing >= 0) & (missing <= 1)).all(axis=1)
    # The order of a sum moves its last bits, so a sum at the very limit is left to the way of one.
    valid &= np.abs(weights.sum(axis=1) - 1) <= WEIGHT_SUM_TOLERANCE / 2
    for array in values:
        valid &= np.abs(array).max(axis=1) <= MAGNITUDE_MAX
    return valid


def _is_plain(record: _ManyRecord) -> bool:
    """Return whether the rest of a record is as nearly all are: rows without axes, a sound gamma or none."""
    gamma = record.gamma
    sound = gamma is None or (math.isfinite(gamma) and gamma > 0)
    return sound and record.shape in ([], [record.dimension])


def _unvalidated(record: _ManyRecord, island: Island) -> Rkme:
    """Return the RKME of a record whose values were validated."""
    return Rkme.of_valid(
        points=np.frombuffer(record.points, record.dtype).reshape(record.count, record.dimension),
        weights=np.frombuffer(record.weights, np.float64),
        island=island,
        gamma=record.gamma,
        shape=(record.dimension,),
        marginals=Marginals.of_valid(
            location=np.frombuffer(record.location, np.float64),
            spread=np.frombuffer(record.spread, np.float64),
            missing_rate=np.frombuffer(record.missing_rate, np.float64),
        ),
        responses=_responses(record),
        meta=clean_meta(record.meta),
    )


def decode_record(blob: bytes, record_type: type[_Record]) -> _Record:
    """Return one typed record of a bounded blob; any malformed input is a SpecificationError."""
    if len(blob) > SPECIFICATION_BYTES_MAX:
        raise _refusal("bytes", f"{len(blob)} bytes, at most {SPECIFICATION_BYTES_MAX} are allowed")
    try:
        return msgspec.msgpack.decode(blob, type=record_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise _refusal("bytes", str(error)) from error


def _island(record: _OneRecord) -> Island:
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


def _marginals(record: _OneRecord) -> Marginals:
    return Marginals(
        *(
            _from_raw(getattr(record, name), f"marginals.{name}", "<f8", (record.dimension,))
            for name in _MARGINALS
        )
    )


def _responses(record: _RkmeRecord[Any]) -> Floats | None:
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
