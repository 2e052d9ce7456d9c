"""Invariant of the decoder: any bytes give an Rkme or a SpecificationError, never anything else."""

from __future__ import annotations

import struct
import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec import Island, Rkme
from skerry.spec.codec import decode_rkmes
from skerry.spec.limits import POINTS_MAX, SPECIFICATION_BYTES_MAX
from tests.spec.strategies import rkmes

SMALL = Rkme(
    np.arange(6.0).reshape(3, 2), np.full(3, 1 / 3), Island("table", None, 2), meta={"b": 1, "a": "x"}
)
ARRAYS = ("points", "weights", "location", "spread", "missing_rate")


@given(rkmes())
def test_bytes_round_trip(rkme: Rkme) -> None:
    again = Rkme.from_bytes(rkme.to_bytes())
    assert again.to_bytes() == rkme.to_bytes()
    assert again.island == rkme.island
    assert again.points.dtype == rkme.points.dtype
    np.testing.assert_array_equal(again.points, rkme.points)
    np.testing.assert_array_equal(again.weights, rkme.weights)
    assert (again.gamma, again.shape, dict(again.meta)) == (rkme.gamma, rkme.shape, dict(rkme.meta))


def test_an_independent_reader_understands_the_bytes() -> None:
    document = msgpack.unpackb(SMALL.to_bytes())
    assert list(document) == [
        "type", "version", "kind", "extractor", "columns", "count", "dimension", "shape", "dtype", "points",
        "weights", "gamma", "location", "spread", "missing_rate", "response_width", "responses", "meta",
    ]  # fmt: skip
    assert (document["type"], document["version"], document["dtype"]) == ("rkme", 1, "<f8")
    assert np.frombuffer(document["points"], "<f8").tolist() == [0, 1, 2, 3, 4, 5]
    assert list(document["meta"]) == ["a", "b"]


def test_meta_order_does_not_change_the_bytes() -> None:
    other = Rkme(SMALL.points, SMALL.weights, SMALL.island, meta={"a": "x", "b": 1})
    assert other.to_bytes() == SMALL.to_bytes()


def test_unknown_keys_are_ignored() -> None:
    document = msgpack.unpackb(SMALL.to_bytes())
    document["later"] = [1, {"deep": b""}]
    assert Rkme.from_bytes(msgpack.packb(document)) == SMALL


HOSTILE = [
    ({"version": 2}, "version"),
    ({"count": 2**31}, "count"),
    ({"count": -1}, "count"),
    ({"count": 4096, "dimension": 16384}, "count"),
    ({"count": 2}, "points"),
    ({"dimension": 10**5}, "dimension"),
    ({"dimension": 0}, "dimension"),
    ({"points": struct.pack("<6d", *[float("nan")] * 6)}, "points"),
    ({"points": struct.pack("<6d", *[1e300] * 6)}, "points"),
    ({"weights": struct.pack("<3d", 2, -1, 0)}, "weights"),
    ({"weights": struct.pack("<3d", 1, 1, 1)}, "weights"),
    ({"dtype": "<f4"}, "points"),
    ({"dtype": "object"}, "bytes"),
    ({"response_width": 10**9}, "response_width"),
    ({"response_width": 2}, "responses"),
    ({"gamma": -1.0}, "gamma"),
    ({"shape": [1] * 100}, "bytes"),
    ({"shape": [7]}, "shape"),
    ({"kind": "video"}, "bytes"),
    ({"columns": [["a", ""]]}, "columns"),
    ({"columns": [["a", ""], ["a", ""]]}, "columns"),
    ({"meta": {"a": b"bytes"}}, "bytes"),
    ({"meta": {str(index): 0 for index in range(40)}}, "bytes"),
    ({"spread": struct.pack("<2d", -1, 0)}, "marginals.spread"),
]


DOUBTFUL: list[dict[str, object]] = [
    {"weights": struct.pack("<3d", 0.5, 0.5, -1e-9)},
    {"weights": struct.pack("<3d", 0.5, 0.5, 9e-4)},
    {"weights": struct.pack("<3d", 0.5, 0.5, 1.1e-3)},
    {"shape": [1, 2]},
    {"shape": []},
    {"columns": [["a", ""], ["b", "kg"]]},
    {"columns": [["a", ""], ["e\u0301", ""]]},
    {"gamma": 2.0},
    {"spread": struct.pack("<2d", 1, -1)},
    {"missing_rate": struct.pack("<2d", 0, 2)},
]
"""What is read as it is, changed by the reader, or at the edge of being refused."""


@pytest.mark.parametrize(("changes", "field"), HOSTILE)
def test_hostile_fields_are_refused_by_name(changes: dict[str, object], field: str) -> None:
    blob = msgpack.packb({**msgpack.unpackb(SMALL.to_bytes()), **changes})
    with pytest.raises(SpecificationError) as caught:
        Rkme.from_bytes(blob)
    assert caught.value.where == field


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\xc6" + struct.pack(">I", 2**30),
        b"\xdd" + struct.pack(">I", 2**31),
        b"\xdf" + struct.pack(">I", 2**31),
        b"\x82\xa4type\xa4rkme\xa1x" + b"\x91" * 2_000_000,
        b"\x93\x01\x02\x03",
        bytes(SPECIFICATION_BYTES_MAX + 1),
    ],
)
def test_claims_take_no_memory(blob: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(SpecificationError) as caught:
            Rkme.from_bytes(blob)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.where == "bytes"
    assert peak < 8 * 1024 * 1024


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(blob: bytes) -> None:
    with pytest.raises(SpecificationError):
        Rkme.from_bytes(blob)


@settings(max_examples=150)
@given(rkmes(), st.data())
def test_damaged_bytes_are_decoded_or_refused(rkme: Rkme, data: st.DataObject) -> None:
    blob = bytearray(rkme.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(blob) - 1))
        blob[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(blob)))
    damaged = bytes(blob[: cut if data.draw(st.booleans()) else len(blob)])
    try:
        decoded = Rkme.from_bytes(damaged)
    except SpecificationError:
        return
    assert np.isfinite(decoded.points).all()
    assert decoded.weights.min() >= 0


def alone(blob: bytes) -> Rkme | None:
    try:
        return Rkme.from_bytes(blob)
    except SpecificationError:
        return None


@settings(max_examples=60)
@given(st.lists(rkmes(), max_size=6))
def test_many_at_once_are_what_each_is_alone(drawn: list[Rkme]) -> None:
    blobs = [rkme.to_bytes() for rkme in [*drawn, SMALL, *drawn]]
    blobs += [blob[:-1] for blob in blobs]
    for made, blob in zip(decode_rkmes(blobs), blobs, strict=True):
        expected = alone(blob)
        assert made == expected
        if made is None or expected is None:
            continue
        assert made.to_bytes() == expected.to_bytes()
        for name in ("points", "weights"):
            array = getattr(made, name)
            assert (array.dtype, array.flags.writeable) == (getattr(expected, name).dtype, False)
        assert made.island.id == expected.island.id
        assert made.shape == expected.shape


@pytest.mark.parametrize("changes", [changes for changes, _ in HOSTILE] + DOUBTFUL)
def test_one_bad_among_many_is_found_and_harms_no_other(changes: dict[str, object]) -> None:
    document = msgpack.unpackb(SMALL.to_bytes())
    changed = msgpack.packb(document | changes)
    made = decode_rkmes([SMALL.to_bytes(), changed, SMALL.to_bytes()])
    assert made == [SMALL, alone(changed), SMALL]


def test_what_is_too_large_to_publish_has_no_bytes() -> None:
    count = POINTS_MAX + 1
    rkme = Rkme(np.zeros((count, 1)), np.full(count, 1 / count), Island("table", None, 1))
    with pytest.raises(SpecificationError, match="count"):
        rkme.to_bytes()
