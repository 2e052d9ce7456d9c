"""Cards: form, size, owner, and numbers that are numbers."""

from __future__ import annotations

import struct

import msgpack
import msgspec
import pytest

from skerry.protocol import Card, LocalProtocolError, Violation, card_hash, card_id, tagged_hash, verify_card
from skerry.protocol.card import CARD
from skerry.protocol.limits import CARD_BYTES_MAX

from .world import Lab, card, flipped, outcome, refused

OWNER = bytes(range(32))
RAW = card(OWNER).to_bytes()


def test_a_card_is_verified_with_its_id_and_hash() -> None:
    verified = verify_card(RAW, owner=OWNER, expected_hash=card_hash(RAW))
    assert verified.value == card(OWNER)
    assert verified.raw == RAW
    assert verified.hash == tagged_hash("skerry/card/1", RAW)
    assert verified.value.id == card_id(OWNER, "wards") == tagged_hash("skerry/card-id/1", OWNER, b"wards")


def test_the_id_is_the_same_for_all_versions_and_differs_between_owners() -> None:
    assert card(OWNER, version=2).id == card(OWNER).id
    assert card(bytes(32)).id != card(OWNER).id


def test_one_flipped_byte_gives_another_hash() -> None:
    for position, raw in flipped(RAW):
        with refused(Violation.HASH_WRONG):
            verify_card(raw, expected_hash=card_hash(RAW))
        assert outcome(verify_card, raw) is not Violation.HASH_WRONG, position


def test_other_bytes_are_the_senders_fault_before_anything_is_decoded() -> None:
    with refused(Violation.HASH_WRONG):
        verify_card(b"no card", expected_hash=card_hash(RAW))
    with refused(Violation.MALFORMED):
        verify_card(b"no card", expected_hash=card_hash(b"no card"))


def test_another_owners_card_is_refused() -> None:
    with refused(Violation.OWNER_WRONG):
        verify_card(RAW, owner=bytes(32))


def test_a_card_over_its_size_is_refused_and_cannot_be_made() -> None:
    large = card(OWNER, summary="x" * 400, tags=tuple("y" * 64 for _ in range(16)))
    padded = CARD.encode(large)
    assert len(padded) > CARD_BYTES_MAX
    with refused(Violation.TOO_LARGE):
        verify_card(padded)
    with pytest.raises(LocalProtocolError, match="E-PROTOCOL-LOCAL"):
        large.to_bytes()


def test_the_largest_card_holds_64_columns_and_real_texts() -> None:
    columns = struct.pack("<64f", *range(64))
    full = card(OWNER, dimension=64, means=columns, spreads=columns, summary="word " * 80, slug="s" * 64)
    assert len(full.to_bytes()) <= CARD_BYTES_MAX


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a_b", "a\n", "a" * 65, "ä", "a/b", ".."])
def test_a_slug_is_safe_in_addresses_and_file_names(slug: str) -> None:
    with refused(Violation.MALFORMED):
        verify_card(CARD.encode(card(OWNER, slug=slug)))


@pytest.mark.parametrize(
    "changes",
    [
        {"means": bytes(4), "spreads": bytes(8)},
        {"means": bytes(3), "spreads": bytes(3)},
        {"means": bytes(4), "spreads": bytes(4)},
        {"means": struct.pack("<2f", 0, float("nan"))},
        {"means": struct.pack("<2f", float("inf"), float("-inf"))},
        {"spreads": struct.pack("<2f", 1, -1)},
        {"spreads": struct.pack("<2f", 1, float("inf"))},
    ],
    ids=str,
)
def test_columns_that_are_no_numbers_are_refused(changes: dict[str, object]) -> None:
    with refused(Violation.CARD_INVALID):
        verify_card(CARD.encode(card(OWNER, **changes)))


def test_the_largest_float32_values_are_numbers() -> None:
    columns = struct.pack("<2f", 3.4e38, 3.4e38)
    verify_card(CARD.encode(card(OWNER, means=columns, spreads=columns)))


def test_a_card_without_columns_is_fine() -> None:
    verify_card(card(OWNER, dimension=384, means=b"", spreads=b"").to_bytes())


def test_a_newer_writers_field_is_kept_and_covered() -> None:
    fields = msgspec.to_builtins(card(OWNER), builtin_types=(bytes,))
    raw = bytes(msgpack.packb({**fields, "carbon": {"grams": 5}}))
    verified = verify_card(raw, owner=OWNER, expected_hash=card_hash(raw))
    assert verified.value == card(OWNER)
    assert msgpack.unpackb(verified.raw)["carbon"] == {"grams": 5}
    assert verified.hash != card_hash(RAW)


def test_a_word_of_a_later_version_is_shown_not_refused() -> None:
    later: Card = verify_card(card(OWNER, lane="webgpu", task="Dreaming").to_bytes()).value
    assert (later.lane, later.task) == ("webgpu", "Dreaming")


def test_a_lab_makes_cards_that_verify() -> None:
    lab = Lab()
    assert verify_card(lab.card().to_bytes(), owner=lab.id).value.slug == "wards"
