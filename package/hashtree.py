"""The hash tree that names a blob: SHA-256 over leaves of 256 KiB.

Theory of operation. A blob of ``size`` bytes is cut into leaves of 262,144 bytes; the last may be
shorter, and an empty blob has one empty leaf. With ``||`` for joining bytes::

    leaf(i)  = SHA-256("skerry/blob-leaf/1" || 0x00 || data(i))
    node     = SHA-256("skerry/blob-node/1" || 0x00 || left || right)
    root     = SHA-256("skerry/blob/1" || 0x00 || size as 8 bytes, big-endian || top)

Each level pairs its hashes from the left; an odd last one moves up unchanged, until one, the *top*,
remains. The size under the root fixes the number of leaves and so the shape of the tree; with the
three domain strings no leaf can pass for a node.

A reader who knows the root checks the leaf list once (``verify_leaves``) and then every leaf on its
own (``verify_leaf``), in any order and from any source. Pure: bytes in, hashes out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .limits import BLOB_BYTES_MAX, LEAF_BYTES

HASH_BYTES = 32
_LEAF = b"skerry/blob-leaf/1\x00"
_NODE = b"skerry/blob-node/1\x00"
_ROOT = b"skerry/blob/1\x00"


class Readable(Protocol):
    """A stream of bytes, such as an open file."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...


@dataclass(frozen=True)
class HashTree:
    """The hashes of one blob.

    Attributes
    ----------
    root
        32 bytes: the blob's name.
    size
        Bytes of the blob.
    leaves
        The hash of every leaf, 32 bytes each, in order; at least one.
    """

    root: bytes
    size: int
    leaves: tuple[bytes, ...]

    @classmethod
    def of(cls, source: bytes | Readable) -> HashTree:
        """Hash a whole blob, in the memory of one leaf when it is a stream."""
        size = 0
        leaves = []
        for data in _cut(source):
            size += len(data)
            leaves.append(leaf_hash(data))
        return cls(root_of(size, leaves), size, tuple(leaves))


def leaf_count(size: int) -> int:
    """Return how many leaves a blob of `size` bytes has; at least one."""
    return max(1, -(-size // LEAF_BYTES))


def leaf_size(size: int, index: int) -> int:
    """Return the bytes of leaf `index` in a blob of `size` bytes."""
    return min(LEAF_BYTES, size - index * LEAF_BYTES)


def leaf_hash(data: bytes | memoryview) -> bytes:
    """Return the hash of one leaf's bytes."""
    digest = hashlib.sha256(_LEAF)
    digest.update(data)
    return digest.digest()


def root_of(size: int, leaves: Sequence[bytes]) -> bytes:
    """Return the root over `leaves`, which are the leaf hashes of a blob of `size` bytes."""
    level = list(leaves)
    while len(level) > 1:
        level = list(_pairs(level))
    return hashlib.sha256(_ROOT + size.to_bytes(8, "big") + level[0]).digest()


def verify_leaves(root: bytes, size: int, leaves: Sequence[bytes]) -> bool:
    """Return whether `leaves` is the leaf list of the blob named `root` with `size` bytes."""
    if not 0 <= size <= BLOB_BYTES_MAX or len(leaves) != leaf_count(size):
        return False
    return all(len(leaf) == HASH_BYTES for leaf in leaves) and root_of(size, leaves) == root


def verify_leaf(leaves: Sequence[bytes], index: int, data: bytes | memoryview) -> bool:
    """Return whether `data` is leaf `index` of a blob whose verified leaf list is `leaves`."""
    return 0 <= index < len(leaves) and leaf_hash(data) == leaves[index]


def _pairs(level: list[bytes]) -> Iterable[bytes]:
    for index in range(0, len(level), 2):
        pair = level[index : index + 2]
        yield hashlib.sha256(_NODE + b"".join(pair)).digest() if len(pair) == 2 else pair[0]


def _cut(source: bytes | Readable) -> Iterable[bytes]:
    if isinstance(source, bytes):
        for start in range(0, max(1, len(source)), LEAF_BYTES):
            yield source[start : start + LEAF_BYTES]
        return
    data = _read_leaf(source)
    yield data
    while len(data) == LEAF_BYTES and (data := _read_leaf(source)):
        yield data


def _read_leaf(source: Readable) -> bytes:
    """Read one whole leaf: a raw stream may return less than was asked for before its end."""
    data = b""
    while len(data) < LEAF_BYTES and (more := source.read(LEAF_BYTES - len(data))):
        data += more
    return data
