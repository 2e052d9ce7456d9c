"""Hashes with a domain: no bytes ever mean two things.

``H(domain, parts...)`` of ``docs/protocol.md`` is :func:`tagged_hash`. Parts are joined without lengths, so a
caller passes parts of fixed length and at most one of variable length, or separates them.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256

HASH_BYTES = 32


def tagged_hash(domain: str, *parts: bytes) -> bytes:
    """Return SHA-256 over the domain in ASCII, one zero byte, and the parts one after another (32 bytes)."""
    start = _start(domain)
    # Most hashes are over one part, and joining two byte strings is quicker than a list of them.
    return sha256(start + parts[0] if len(parts) == 1 else b"".join((start, *parts))).digest()


@cache
def _start(domain: str) -> bytes:
    """Return what every hash of a domain begins with; there are as many as this component has domains."""
    return domain.encode("ascii") + b"\0"


def u8(value: int) -> bytes:
    """Return one unsigned byte."""
    return value.to_bytes(1, "big")


def u64(value: int) -> bytes:
    """Return eight unsigned bytes, most significant first."""
    return value.to_bytes(8, "big")


def fingerprint(hashes: list[bytes]) -> bytes:
    """Return the fingerprint of a set of hashes: order does not matter.

    The hashes are added as big-endian integers modulo 2^256, and the sum is hashed with the count. It is a
    sum and never an XOR: an XOR of chosen records can be made to vanish (Bellare and Micciancio 1997).
    """
    total = sum(int.from_bytes(item, "big") for item in hashes) % 2**256
    return fingerprint_of_sum(len(hashes), total)


def fingerprint_of_sum(count: int, total: int) -> bytes:
    """Return the fingerprint of ``count`` hashes that add up to ``total`` modulo 2^256."""
    return tagged_hash("skerry/fingerprint/1", u64(count), total.to_bytes(HASH_BYTES, "big"))
