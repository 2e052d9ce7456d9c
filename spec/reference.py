"""The reference engine's specification file, ``stat.json``, read and written.

The engine (``learnware`` 0.3.2) writes compact JSON with ``z`` (K rows of the original feature shape),
``beta``, ``gamma``, ``num_points`` and ``type``; its legacy alias ``RKMEStatSpecification`` wrote
``cuda_idx`` and ``device`` as well and no ``type``. A text's rows are embeddings by its own extractor, and
``language`` lists codes; an image's are images of 32 x 32 in a standardised scale, compared by the kernel of
``reference_images.py``, with ``n_models`` and ``model_config`` instead of a gamma. Both are islands of their
own here, since nothing but the engine's own files lies in those spaces. Features of our extractors are
written under the engine's type with one key more, ``extractor``; the engine ignores keys that it does not
know, and compares only what has the shape of its own.

Points are kept in float64: the engine computes in it, and its distances can only be repeated so.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from skerry.errors import SpecificationError

from .island import Island, Kind
from .limits import FLOATS_MAX, REFERENCE_JSON_BYTES_MAX
from .rkme import Floats, Rkme, Scalar

REFERENCE_GAMMA: Final = 0.1
"""The engine's only kernel width; it compares specifications with it whatever their own says."""

TABLE_TYPES: Final = ("RKMETableSpecification", "RKMEStatSpecification")
TEXT_TYPE: Final = "RKMETextSpecification"
IMAGE_TYPE: Final = "RKMEImageSpecification"

TEXT_EXTRACTOR: Final = "learnware/paraphrase-multilingual-MiniLM-L12-v2"
"""The engine's sentence embeddings, 384 columns, not normalised."""

IMAGE_EXTRACTOR: Final = "learnware/RKMEImageSpecification/1"
"""The engine's standardised images of 32 x 32."""

_EXTRACTORS: Final = {"table": "", "text": TEXT_EXTRACTOR, "image": IMAGE_EXTRACTOR}

IMAGE_SIDE: Final = 32

_IMAGE_FIELDS: Final = {
    "RKME_IMAGE_VERSION": 1,
    "msg": None,
    "n_models": 16,
    "model_config": {"k": 2, "mu": 0, "sigma": None, "net_width": 128, "net_depth": 3},
}
"""What the engine writes into every image file; the depth is that of the kernel."""


class _ModelConfig(msgspec.Struct):
    net_depth: int = 3


class _StatJson(msgspec.Struct):
    z: msgspec.Raw
    beta: list[float]
    gamma: float = REFERENCE_GAMMA
    num_points: int | None = None
    type: str = TABLE_TYPES[0]
    language: list[str] = []
    model_config: _ModelConfig = msgspec.field(default_factory=_ModelConfig)
    extractor: str = ""


def read_stat_json(text: bytes) -> Rkme:
    """Return the RKME in the bytes of a ``stat.json``; its columns have no names.

    Raises
    ------
    SpecificationError
        When it is too large, malformed, of an unknown type, or holds values that no RKME may have.
    """
    if len(text) > REFERENCE_JSON_BYTES_MAX:
        raise _refusal("bytes", f"{len(text)} bytes, at most {REFERENCE_JSON_BYTES_MAX} are allowed")
    try:
        document = msgspec.json.decode(text, type=_StatJson)
        nested = msgspec.json.decode(document.z, type=list[object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise _refusal("bytes", str(error)) from error
    points = _points(nested)
    flat = points.reshape(len(points), -1)
    kind = _kind(document, points)
    meta: dict[str, Scalar] = {} if document.num_points is None else {"num_points": document.num_points}
    if document.language:
        meta["languages"] = " ".join(document.language)
    extractor = document.extractor or _EXTRACTORS[kind]
    return Rkme(
        points=flat,
        weights=np.asarray(document.beta, np.float64),
        island=Island(kind, None, flat.shape[1], extractor),
        gamma=None if kind == "image" or document.extractor else document.gamma,
        shape=points.shape[1:],
        meta=meta,
    )


def write_stat_json(rkme: Rkme) -> bytes:
    """Return the bytes of a ``stat.json`` that the engine loads.

    An RKME without a gamma of its own is written with the engine's 0.1, which the engine would use anyway.
    ``num_points`` is 0 unless the RKME carries it: the size of the data is not published.
    """
    document: dict[str, object] = {
        "z": rkme.points.astype(np.float64).reshape(len(rkme), *rkme.shape).tolist(),
        "beta": rkme.weights.tolist(),
    }
    own = rkme.island.extractor == _EXTRACTORS[rkme.kind]
    if rkme.kind == "image" and own:
        document |= {**_IMAGE_FIELDS, "type": IMAGE_TYPE}
    else:
        document["gamma"] = rkme.gamma if rkme.gamma is not None else REFERENCE_GAMMA
        document["num_points"] = int(rkme.meta.get("num_points", 0))
        document["type"] = {"table": TABLE_TYPES[0], "text": TEXT_TYPE, "image": IMAGE_TYPE}[rkme.kind]
    if rkme.kind == "text":
        document["language"] = str(rkme.meta.get("languages", "")).split()
    if not own:
        document["extractor"] = rkme.island.extractor
    return msgspec.json.encode(document)


def _kind(document: _StatJson, points: Floats) -> Kind:
    """Return the kind of data of a file, whose points must have the shape that the engine gives it."""
    if document.type in TABLE_TYPES:
        return "table"
    if document.type == TEXT_TYPE:
        return "text"
    if document.type != IMAGE_TYPE:
        raise _refusal(
            "type", f"{document.type!r} is none of {', '.join((*TABLE_TYPES, TEXT_TYPE, IMAGE_TYPE))}"
        )
    if document.extractor:
        return "image"
    if points.ndim != 4 or points.shape[2:] != (IMAGE_SIDE, IMAGE_SIDE):
        raise _refusal("z", f"shape {points.shape[1:]}; an image has channels x {IMAGE_SIDE} x {IMAGE_SIDE}")
    if document.model_config.net_depth != 3:
        raise _refusal("model_config.net_depth", f"{document.model_config.net_depth}; 3 is known")
    return "image"


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
        "The file is no specification of the reference engine",
        where=where,
        why=why,
        code="E-SPEC-REFERENCE",
    )
