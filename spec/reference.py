"""The reference engine's table specification file, ``stat.json``, read and written.

The engine (``learnware`` 0.3.2) writes compact JSON with ``z`` (K rows of the original feature shape),
``beta``, ``gamma``, ``num_points`` and ``type``; its legacy alias ``RKMEStatSpecification`` wrote
``cuda_idx`` and ``device`` as well and no ``type``. Text and image files of the engine live in spaces that
its own extractors span; they are no table and are refused here by name.

Points are kept in float64: the engine computes in it, and its distances can only be repeated so.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from skerry.errors import SpecificationError

from .island import Island
from .limits import FLOATS_MAX, REFERENCE_JSON_BYTES_MAX
from .rkme import Floats, Rkme

REFERENCE_GAMMA: Final = 0.1
"""The engine's only kernel width; it compares specifications with it whatever their own says."""

TABLE_TYPES: Final = ("RKMETableSpecification", "RKMEStatSpecification")


class _StatJson(msgspec.Struct):
    z: msgspec.Raw
    beta: list[float]
    gamma: float = REFERENCE_GAMMA
    num_points: int | None = None
    type: str = TABLE_TYPES[0]


class _StatJsonOut(msgspec.Struct):
    z: object
    beta: list[float]
    gamma: float
    num_points: int
    type: str


def read_stat_json(text: bytes) -> Rkme:
    """Return the table RKME in the bytes of a ``stat.json``; its columns have no names.

    Raises
    ------
    SpecificationError
        When it is too large, malformed, no table, or holds values that no RKME may have.
    """
    if len(text) > REFERENCE_JSON_BYTES_MAX:
        raise _refusal("bytes", f"{len(text)} bytes, at most {REFERENCE_JSON_BYTES_MAX} are allowed")
    try:
        document = msgspec.json.decode(text, type=_StatJson)
        nested = msgspec.json.decode(document.z, type=list[object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise _refusal("bytes", str(error)) from error
    if document.type not in TABLE_TYPES:
        raise _refusal("type", f"{document.type!r} is none of {', '.join(TABLE_TYPES)}")
    points = _points(nested)
    flat = points.reshape(len(points), -1)
    return Rkme(
        points=flat,
        weights=np.asarray(document.beta, np.float64),
        island=Island("table", None, flat.shape[1]),
        gamma=document.gamma,
        shape=points.shape[1:],
        meta={} if document.num_points is None else {"num_points": document.num_points},
    )


def write_stat_json(rkme: Rkme) -> bytes:
    """Return the bytes of a ``stat.json`` that the engine loads.

    An RKME without a gamma of its own is written with the engine's 0.1, which the engine would use anyway.
    ``num_points`` is 0 unless the RKME carries it: the size of the data is not published.
    """
    if rkme.kind != "table":
        raise _refusal("kind", f"a table is needed, this is {rkme.kind}")
    document = _StatJsonOut(
        z=rkme.points.astype(np.float64).reshape(len(rkme), *rkme.shape).tolist(),
        beta=rkme.weights.tolist(),
        gamma=rkme.gamma if rkme.gamma is not None else REFERENCE_GAMMA,
        num_points=int(rkme.meta.get("num_points", 0)),
        type=TABLE_TYPES[0],
    )
    return msgspec.json.encode(document)


def _points(nested: list[object]) -> Floats:
    """Return nested lists as (K, ...) float64; their number of values is bounded by the JSON's bytes."""
    try:
        points = np.asarray(nested, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise _refusal("z", "the rows differ in shape, or hold something that is no number") from error
    if points.ndim < 2 or not 1 <= points.size <= FLOATS_MAX:
        raise _refusal("z", f"shape {points.shape}; at least two axes, at most {FLOATS_MAX} values")
    return points


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError(
        "The file is no table specification of the reference engine",
        where=where,
        why=why,
        code="E-SPEC-REFERENCE",
    )
