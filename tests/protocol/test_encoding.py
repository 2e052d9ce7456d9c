"""The same answer for the same bytes, in bounded time, or a named refusal."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.protocol import Violation
from skerry.protocol.card import CARD
from skerry.protocol.encoding import check_depth
from skerry.protocol.envelope import RECORD_HEADER
from skerry.protocol.head import HEAD
from skerry.protocol.limits import CARD_BYTES_MAX, NESTING_DEPTH_MAX

from .world import card, outcome, refused

HEADER = {"owner": bytes(32), "scope": b"", "issued": 1, "lease": 2}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 2**53)
    | st.binary(max_size=40)
    | st.text(max_size=20)
    | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def encoded(fields: dict[str, object]) -> bytes:
    return bytes(msgpack.packb(fields))


def test_a_value_survives_and_its_encoding_is_the_only_one() -> None:
    value = card(bytes(32))
    raw = CARD.encode(value)
    assert CARD.decode(raw) == value
    assert CARD.encode(CARD.decode(raw)) == raw
    assert msgpack.packb(msgpack.unpackb(raw)) == raw


def test_an_unknown_field_is_passed_over() -> None:
    header = RECORD_HEADER.decode(encoded({**HEADER, "later": [1, {"deep": b"x"}]}))
    assert (header.issued, header.lease) == (1, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": bytes(31)},
        {"owner": "text"},
        {"issued": -1},
        {"issued": 2**53},
        {"issued": 1.0},
        {"issued": True},
        {"issued": None},
        {"scope": bytes(33)},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_form_is_refused(changes: dict[str, object]) -> None:
    with refused(Violation.MALFORMED):
        RECORD_HEADER.decode(encoded({**HEADER, **changes}))


@pytest.mark.parametrize("field", HEADER)
def test_a_missing_field_is_refused(field: str) -> None:
    with refused(Violation.MALFORMED):
        RECORD_HEADER.decode(encoded({name: value for name, value in HEADER.items() if name != field}))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        b"\xc0",
        encoded(HEADER) + b"\xc0",
        encoded(HEADER)[:-1],
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff\xc0",
        b"\xc6\xff\xff\xff\xff",
    ],
    ids=bytes.hex,
)
def test_other_than_one_whole_value_is_refused(raw: bytes) -> None:
    with refused(Violation.MALFORMED):
        RECORD_HEADER.decode(raw)


def test_a_field_given_twice_is_refused() -> None:
    """Readers disagree on which of the two counts."""
    twice = b"\x85" + encoded(HEADER)[1:] + b"\xa5lease\x07"
    with refused(Violation.MALFORMED):
        RECORD_HEADER.decode(twice)
    unknown_twice = b"\x86" + encoded(HEADER)[1:] + b"\xa1x\x01\xa1x\x02"
    with refused(Violation.MALFORMED):
        RECORD_HEADER.decode(unknown_twice)


def test_text_that_is_not_utf8_is_refused() -> None:
    raw = CARD.encode(card(bytes(32), slug="wards"))
    with refused(Violation.MALFORMED):
        CARD.decode(raw.replace(b"Ward model", b"Ward\xff\xfeodel"))


def test_size_is_checked_before_anything_else() -> None:
    with refused(Violation.TOO_LARGE):
        CARD.decode(bytes(CARD_BYTES_MAX + 1))


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1x", b"\xdc\x00\x01", b"\xdf\x00\x00\x00\x01\xa0"])
def test_depth_is_bounded_whatever_the_container(opening: bytes) -> None:
    check_depth(opening * NESTING_DEPTH_MAX + b"\xc0", "test")
    with refused(Violation.TOO_DEEP):
        check_depth(opening * (NESTING_DEPTH_MAX + 1) + b"\xc0", "test")


def test_a_deep_unknown_field_does_not_reach_the_interpreters_stack() -> None:
    raw = b"\x85" + encoded(HEADER)[1:] + b"\xa1x" + b"\x91" * 10_000 + b"\xc0"
    with refused(Violation.TOO_DEEP):
        RECORD_HEADER.decode(raw)


def test_nor_does_one_that_takes_the_place_of_a_known_field() -> None:
    fields = {name: value for name, value in HEADER.items() if name != "lease"}
    raw = b"\x84" + encoded(fields)[1:] + b"\xa1x" + b"\x91" * 10_000 + b"\xc0"
    with refused(Violation.MALFORMED):
        RECORD_HEADER.decode(raw)


@given(VALUES)
def test_the_depth_check_accepts_what_msgpack_writes(value: object) -> None:
    check_depth(bytes(msgpack.packb(value)), "test")


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5))
def test_unknown_fields_of_any_kind_are_passed_over(unknown: dict[str, object]) -> None:
    fields = {**unknown, **HEADER}
    assert RECORD_HEADER.decode(encoded(fields)).lease == 2


@given(st.binary(max_size=300))
def test_any_bytes_are_accepted_or_refused(raw: bytes) -> None:
    for form in (RECORD_HEADER, HEAD, CARD):
        assert outcome(form.decode, raw) in {None, Violation.MALFORMED, Violation.TOO_DEEP}
