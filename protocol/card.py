"""Cards: a learnware's entry in the index, at most 2 KiB.

A card has no signature of its own: a head signs the catalogue that holds its hash. :func:`verify_card` checks
form, owner and size, and returns id and hash; whether a live head covers it is for :mod:`.catalogue` to say.

Rules of this file:

1. Words (data, task, lane, ...) are open: a card with a word that this version does not know is shown, not
   refused.
2. Numbers are closed: a mean that is not finite would poison every comparison, so it is refused here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cache, lru_cache
from math import isfinite
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from .encoding import Format, Hash, Natural
from .envelope import SEAL, Verified
from .errors import LocalProtocolError, RemoteProtocolError
from .hashing import tagged_hash
from .limits import (
    CARD_BYTES_MAX,
    CARD_COLUMNS_MAX,
    CARD_WORDS_MAX,
    CARDS_REMEMBERED_MAX,
    NAME_CHARACTERS_MAX,
    SKETCH_BYTES,
    SLUG_CHARACTERS_MAX,
    SUMMARY_CHARACTERS_MAX,
    WORD_CHARACTERS_MAX,
)
from .violations import Violation

FLOAT_BYTES = 4

Slug = Annotated[str, Meta(pattern=rf"^[a-z0-9]([a-z0-9-]{{0,{SLUG_CHARACTERS_MAX - 2}}}[a-z0-9])?\Z")]
Word = Annotated[str, Meta(max_length=WORD_CHARACTERS_MAX)]
Words = Annotated[tuple[Word, ...], Meta(max_length=CARD_WORDS_MAX)]
Floats = Annotated[bytes, Meta(max_length=CARD_COLUMNS_MAX * FLOAT_BYTES)]
"""Little-endian float32, one a column."""


class Blob(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A file named by the root of its hash tree."""

    root: Hash
    size: Natural


class Card(Struct, frozen=True, gc=False):
    """What others learn about a learnware before they fetch anything.

    It holds plain values only, so the garbage collector need not look at a million of them.
    """

    owner: Hash
    slug: Slug
    version: Annotated[int, Meta(ge=1, le=2**31)]
    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    summary: Annotated[str, Meta(max_length=SUMMARY_CHARACTERS_MAX)]
    data: Word
    task: Word
    library: Word
    scenarios: Words
    license: Word
    tags: Words
    language: Word
    classes: Natural
    island: Hash
    dimension: Natural
    sketch_version: Natural
    sketch: Annotated[bytes, Meta(min_length=SKETCH_BYTES, max_length=SKETCH_BYTES)]
    means: Floats
    spreads: Floats
    specification: Blob
    package: Blob
    lane: Word
    published: Natural

    @property
    def id(self) -> bytes:
        """The card's id, 32 bytes: the same for all versions."""
        return card_id(self.owner, self.slug)

    def to_bytes(self) -> bytes:
        """Return the card as it travels.

        Raises
        ------
        LocalProtocolError
            Others would refuse it.
        """
        raw = CARD.encode(self)
        try:
            verify_card(raw)
        except RemoteProtocolError as error:
            raise LocalProtocolError(
                "this card would be refused",
                where=self.slug,
                why=f"{error.what}: {error.why}",
                todo="shorten the texts or correct the field",
            ) from error
        return raw


CARD = Format(Card, "card", CARD_BYTES_MAX)


@lru_cache(CARDS_REMEMBERED_MAX)
def decoded(raw: bytes) -> Card:
    """Return the card in some bytes as :meth:`Format.decode` does; of those of late it is remembered.

    Who verifies a card, who shows it and who finds it decode it within the same second.
    """
    return CARD.decode(raw)


@lru_cache(CARDS_REMEMBERED_MAX)
def card_id(owner: bytes, slug: str) -> bytes:
    """Return the id (32 bytes) of an owner's learnware."""
    return tagged_hash("skerry/card-id/1", owner, slug.encode("ascii"))


class _Placed(Struct):
    """What says where a card stands."""

    owner: Hash
    slug: str
    island: Hash


_PLACED = msgspec.msgpack.Decoder(_Placed)


def place_of(raw: bytes) -> tuple[bytes, bytes]:
    """Return id and island of a card that was verified before, in a third of the time."""
    placed = _PLACED.decode(raw)
    return card_id(placed.owner, placed.slug), placed.island


def card_hash(raw: bytes) -> bytes:
    """Return the hash (32 bytes) of a card's bytes."""
    return tagged_hash("skerry/card/1", raw)


def by_hash(cards: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return encoded cards by their hashes."""
    return {card_hash(card): card for card in cards}


def verify_card(
    raw: bytes,
    *,
    owner: bytes | None = None,
    expected_hash: bytes | None = None,
) -> Verified[Card]:
    """Verify a card's bytes.

    Parameters
    ----------
    raw
        The card as received.
    owner
        The owner that it must name; any when None.
    expected_hash
        The hash under which it was asked for. It is checked first: other bytes are the sender's fault, a
        bad card with the right hash is its owner's.

    Returns
    -------
    Verified of Card
        ``hash`` is the card's hash.

    Raises
    ------
    RemoteProtocolError
        ``hash-wrong``, ``too-large``, ``malformed``, ``owner-wrong`` or ``card-invalid``.
    """
    digest = card_hash(raw[: CARD_BYTES_MAX + 1])
    if expected_hash is not None and digest != expected_hash:
        raise RemoteProtocolError(Violation.HASH_WRONG, where="card")
    return Verified(read_card(raw, owner), raw, digest, SEAL)


def read_card(raw: bytes, owner: bytes | None) -> Card:
    """Return the card in some bytes whose hash the caller looks after; raise as :func:`verify_card`."""
    card = decoded(raw)
    if owner is not None and card.owner != owner:
        raise RemoteProtocolError(Violation.OWNER_WRONG, where=card.slug)
    _check_columns(card)
    return card


@cache
def _floats(count: int) -> struct.Struct:
    """Return how so many numbers are read; there are at most as many formats as columns."""
    return struct.Struct(f"<{count}f")


def _check_columns(card: Card) -> None:
    """Refuse means and spreads of different or odd lengths, and numbers that are not finite."""
    length = len(card.means)
    if length != len(card.spreads) or length % FLOAT_BYTES:
        raise RemoteProtocolError(
            Violation.CARD_INVALID, "means and spreads differ in length", where=card.slug
        )
    columns = length // FLOAT_BYTES
    if columns not in (0, card.dimension):
        raise RemoteProtocolError(
            Violation.CARD_INVALID, f"{columns} means for {card.dimension} columns", where=card.slug
        )
    if not columns:
        return
    numbers = _floats(2 * columns).unpack(card.means + card.spreads)
    # A sum of float32 in float64 cannot overflow, so it is finite exactly when all are.
    if not isfinite(sum(numbers)) or min(numbers[columns:]) < 0:
        raise RemoteProtocolError(Violation.CARD_INVALID, "a mean or spread is no number", where=card.slug)
