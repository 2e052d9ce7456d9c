"""Frames: every message survives, sizes are bounded, unknown types are passed over."""

from __future__ import annotations

import types
import typing

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import fields as fields_of

from skerry.protocol import MESSAGE, LocalProtocolError, Violation
from skerry.protocol.card import Card
from skerry.protocol.catalogue import Proof
from skerry.protocol.charter import Charter
from skerry.protocol.head import Head
from skerry.protocol.hello import HelloBody
from skerry.protocol.limits import (
    CHAIN_BYTES_MAX,
    ENVELOPE_BYTES_MAX,
    FRAME_BYTES_MAX,
    FRAME_ITEMS_MAX,
    ITEM_BYTES_OVERHEAD,
)
from skerry.protocol.messages import (
    MESSAGE_TYPES,
    Cards,
    CardsRequest,
    HelloProof,
    Missing,
    UnknownMessage,
    chunk,
)
from skerry.protocol.node_record import NodeRecord

from .world import outcome, random_ids, refused

MISSING = Missing(bytes(32))


def structs_in(annotation: object) -> typing.Iterator[type[Struct]]:
    """All structs inside a field's type."""
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, Struct)
    ):
        yield annotation
        for field in fields_of(annotation):
            yield from structs_in(field.type)
    for inner in typing.get_args(annotation):
        yield from structs_in(inner)


@pytest.mark.parametrize(
    "kind",
    [*MESSAGE_TYPES, Card, Charter, Head, HelloBody, NodeRecord, Proof],
    ids=lambda kind: kind.__name__,
)
def test_what_stands_inside_a_record_is_closed(kind: type[Struct]) -> None:
    """The decoder bounds the depth of unknown fields at the outside alone, so none may be inside."""
    inner = [item for field in fields_of(kind) for item in structs_in(field.type)]
    assert [item for item in inner if not item.__struct_config__.forbid_unknown_fields] == []


def test_types_differ_and_fit_a_short_string() -> None:
    tags = [str(kind.__struct_config__.tag) for kind in MESSAGE_TYPES]
    assert len(set(tags)) == len(tags)
    assert all(0 < len(tag) <= 31 and tag.isascii() for tag in tags)


def test_the_type_comes_first_and_decides() -> None:
    frame = MESSAGE.encode(MISSING)
    assert list(msgpack.unpackb(frame)) == ["type", "head"]
    assert MESSAGE.decode(frame) == MISSING
    with refused(Violation.MALFORMED):
        MESSAGE.decode(bytes(msgpack.packb({"head": bytes(32), "type": "missing"})))


def test_a_message_of_a_later_version_is_passed_over() -> None:
    later = bytes(msgpack.packb({"type": "sing?", "melody": [1, 2, 3]}))
    assert MESSAGE.decode(later) == UnknownMessage("sing?")
    extended = bytes(msgpack.packb({"type": "missing", "head": bytes(32), "why": {"text": "gone"}}))
    assert MESSAGE.decode(extended) == MISSING


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x80",
        b"\xc0",
        b"\x05\xa4type\xa3abc",
        b"\x91\xa4type",
        b"\x81\xa4type\x01",
        b"\x81\xa4type\xa1\xff",
        b"\x81\xa4type\xa0",
        b"\xde",
        b"\xde\x00\x01\xa4type",
        MESSAGE.encode(MISSING)[:-1],
        MESSAGE.encode(MISSING) + b"\0",
    ],
    ids=bytes.hex,
)
def test_other_than_one_message_is_refused(frame: bytes) -> None:
    with refused(Violation.MALFORMED):
        MESSAGE.decode(frame)


def test_frames_are_bounded_both_ways() -> None:
    with refused(Violation.TOO_LARGE):
        MESSAGE.decode(bytes(FRAME_BYTES_MAX + 1))
    with pytest.raises(LocalProtocolError):
        MESSAGE.encode(Cards(bytes(32), (bytes(2048),) * 40))
    with refused(Violation.MALFORMED):
        MESSAGE.decode(MESSAGE.encode(CardsRequest(bytes(32), tuple(random_ids(513)))))


def test_the_largest_proof_of_a_handshake_fits_a_frame() -> None:
    charters = (bytes(8192),) * (CHAIN_BYTES_MAX // 8192) + (bytes(CHAIN_BYTES_MAX % 8192),)
    MESSAGE.encode(HelloProof(charters, bytes(ENVELOPE_BYTES_MAX), bytes(3 * 1024)))


@given(st.lists(st.integers(0, 3000), max_size=120))
def test_chunks_keep_the_order_and_fit_frames(sizes: list[int]) -> None:
    items = [bytes(size) for size in sizes]
    parts = list(chunk(items))
    assert [item for part in parts for item in part] == items
    assert all(parts)
    for part in parts:
        assert sum(len(item) + ITEM_BYTES_OVERHEAD for item in part) <= FRAME_BYTES_MAX
        assert len(part) <= FRAME_ITEMS_MAX


def test_an_item_that_fits_no_frame_is_our_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        list(chunk([bytes(FRAME_BYTES_MAX)]))


@given(st.binary(max_size=400))
def test_any_frame_is_accepted_or_refused(frame: bytes) -> None:
    for data in (frame, b"\x83\xa4type" + frame):
        assert outcome(MESSAGE.decode, data) in {None, Violation.MALFORMED, Violation.TOO_DEEP}
