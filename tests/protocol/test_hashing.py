"""Hashes with a domain, and fingerprints of sets."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from skerry.protocol import fingerprint, tagged_hash
from skerry.protocol.hashing import fingerprint_of_sum, u8, u64

HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=20)


def test_a_domain_separates() -> None:
    assert tagged_hash("skerry/a/1", b"x", b"y") == sha256(b"skerry/a/1\0xy").digest()
    assert tagged_hash("skerry/a/1", b"x") != tagged_hash("skerry/b/1", b"x")


def test_numbers_are_big_endian() -> None:
    assert (u8(7), u64(258)) == (b"\7", b"\0\0\0\0\0\0\1\2")


@given(HASHES, st.randoms(use_true_random=False))
def test_a_fingerprint_does_not_depend_on_order(hashes: list[bytes], rng: object) -> None:
    shuffled = list(hashes)
    rng.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis types its random generator as object
    assert fingerprint(shuffled) == fingerprint(hashes)


@given(HASHES.filter(bool))
def test_a_fingerprint_depends_on_every_member_and_the_count(hashes: list[bytes]) -> None:
    assert fingerprint(hashes[1:]) != fingerprint(hashes)
    assert fingerprint([*hashes, bytes(32)]) != fingerprint(hashes)


def test_a_member_twice_does_not_vanish() -> None:
    """With an XOR it would."""
    one = sha256(b"one").digest()
    assert fingerprint([one, one]) != fingerprint([bytes(32), bytes(32)])


def test_a_kept_sum_gives_the_same() -> None:
    hashes = [sha256(bytes([number])).digest() for number in range(5)]
    total = sum(int.from_bytes(item, "big") for item in hashes) % 2**256
    assert fingerprint_of_sum(5, total) == fingerprint(hashes)
