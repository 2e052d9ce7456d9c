"""The counted Merkle tree under shelves and catalogues.

Theory of operation. Items have a 32-byte key, a leaf of fixed length and a count. They are spread over 2^k
buckets by the first k bits of their keys; k is the smallest number for which no bucket holds more than 24, so
equal sets have equal trees, however they came about. Level 0 is the buckets; every 16 neighbours have one
parent, up to one root.

A node is kept as its parent sees it and as it travels: eight bytes of count and 32 of hash (*a child*).
Buckets are kept as joined entries in the order of their keys, empty buckets and the nodes above only such are
not kept at all: keys made to collide could otherwise make a small set claim a million buckets. One change
hashes one bucket and one node a level; everything is hashed anew only when k changes.

Rules of this file:

1. Nothing here knows what a leaf means, but for the function that says how much it counts.
2. A change that cannot be made whole is not made at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import xor
from typing import Annotated

from msgspec import Meta, Struct

from .errors import RemoteProtocolError
from .hashing import HASH_BYTES, tagged_hash, u64
from .limits import (
    BUCKET_ITEMS_AT_MOST_BITS_MAX,
    BUCKET_ITEMS_MAX,
    CATALOGUE_CARDS_MAX,
    TREE_BITS_MAX,
    TREE_FANOUT_BITS,
)
from .violations import Violation

COUNT_BYTES = 8
CHILD_BYTES = COUNT_BYTES + HASH_BYTES
KEY_BYTES = 32
LEAF_BYTES_MAX = 128
"""Longest leaf that a message may carry; those of catalogues have 73 bytes."""
LEVEL_MAX = TREE_BITS_MAX // TREE_FANOUT_BITS
"""The level of the root of the largest tree."""
TOP_LEVEL = 255
"""What a request names for the root of a tree whose k it does not know yet."""

_FANOUT = 1 << TREE_FANOUT_BITS
_PREFIX_BITS = 32

CountOf = Callable[[bytes], int]
"""How much a leaf counts."""


def one(leaf: bytes) -> int:
    """Count every leaf as one."""
    del leaf
    return 1


def height(k: int) -> int:
    """Return the level of the root of a tree with 2^k buckets."""
    return -(-k // TREE_FANOUT_BITS)


def width(k: int, level: int) -> int:
    """Return how many nodes a level has."""
    return 1 << max(0, k - TREE_FANOUT_BITS * level)


def fanout(k: int, level: int) -> int:
    """Return how many children each node of a level above 0 has: 16, or fewer for the root."""
    return min(_FANOUT, width(k, level - 1))


def bucket_of(key: bytes, k: int) -> int:
    """Return the bucket of a key: its first k bits."""
    return int.from_bytes(key[:4], "big") >> (_PREFIX_BITS - k)


def child(count: int, digest: bytes) -> bytes:
    """Return a node as its parent sees it (40 bytes).

    Raises
    ------
    RemoteProtocolError
        ``count-wrong``: a count that no catalogue has.
    """
    if count > CATALOGUE_CARDS_MAX:
        raise RemoteProtocolError(Violation.COUNT_WRONG, f"{count} cards", where="tree")
    return u64(count) + digest


def count_in(node: bytes) -> int:
    """Return the count of a node given as a child."""
    return int.from_bytes(node[:COUNT_BYTES], "big")


def bucket_node(leaves: Sequence[bytes], count_of: CountOf) -> bytes:
    """Return the child that stands for a bucket (40 bytes)."""
    count = len(leaves) if count_of is one else sum(map(count_of, leaves))
    return child(count, tagged_hash("skerry/bucket/1", *leaves))


def parent_node(children: Sequence[bytes]) -> bytes:
    """Return the child that stands for the parent of ``children`` (40 bytes)."""
    return child(sum(map(count_in, children)), tagged_hash("skerry/node/1", *children))


def _empty_nodes() -> tuple[bytes, ...]:
    nodes = [bucket_node((), one)]
    for _ in range(LEVEL_MAX):
        nodes.append(parent_node([nodes[-1]] * _FANOUT))
    return tuple(nodes)


EMPTY = _empty_nodes()
"""By level, the node over empty buckets only."""


class Path(Struct, frozen=True, forbid_unknown_fields=True):
    """What it takes to compute a tree's root from one of its items."""

    k: Annotated[int, Meta(ge=0, le=TREE_BITS_MAX)]
    bucket: Annotated[
        tuple[Annotated[bytes, Meta(max_length=LEAF_BYTES_MAX)], ...],
        Meta(max_length=BUCKET_ITEMS_AT_MOST_BITS_MAX),
    ]
    levels: Annotated[
        tuple[
            Annotated[
                tuple[Annotated[bytes, Meta(min_length=CHILD_BYTES, max_length=CHILD_BYTES)], ...],
                Meta(max_length=_FANOUT),
            ],
            ...,
        ],
        Meta(max_length=LEVEL_MAX),
    ]


class CountedTree:
    """A set of items with the root that follows from it.

    Parameters
    ----------
    leaf_bytes
        Length of a leaf.
    count_of
        How much a leaf counts.
    """

    __slots__ = ("_buckets", "_count_of", "_crowded_pairs", "_entry_bytes", "_items", "_levels", "k")

    def __init__(self, leaf_bytes: int, count_of: CountOf = one) -> None:
        self._entry_bytes = KEY_BYTES + leaf_bytes
        self._count_of = count_of
        self._build([])

    def __len__(self) -> int:
        """Return the number of items."""
        return self._items

    @property
    def root(self) -> bytes:
        """The root as a child: count and hash (40 bytes)."""
        return self.node(height(self.k), 0)

    def get(self, key: bytes) -> bytes | None:
        """Return the leaf of a key, None when it is not there."""
        joined = self._buckets.get(bucket_of(key, self.k), b"")
        size = self._entry_bytes
        start = joined.find(key)
        # The key's bytes may also stand across two entries or in a leaf.
        while start % size and start != -1:
            start = joined.find(key, start + 1)
        return None if start == -1 else joined[start + KEY_BYTES : start + size]

    def node(self, level: int, index: int) -> bytes:
        """Return a node as a child (40 bytes)."""
        return self._levels[level].get(index, EMPTY[level])

    def children(self, level: int, index: int) -> tuple[bytes, ...]:
        """Return the children of a node above level 0."""
        count = fanout(self.k, level)
        below = self._levels[level - 1]
        empty = EMPTY[level - 1]
        return tuple([below.get(item, empty) for item in range(index * count, (index + 1) * count)])

    def leaves(self, bucket: int) -> tuple[bytes, ...]:
        """Return the leaves of a bucket in the order of their keys."""
        joined = self._buckets.get(bucket, b"")
        size = self._entry_bytes
        starts = range(KEY_BYTES, len(joined), size)
        return tuple([joined[start : start + size - KEY_BYTES] for start in starts])

    def items(self, k: int = 0, index: int = 0) -> list[tuple[bytes, bytes]]:
        """Return (key, leaf) of the items whose keys begin with the ``k`` bits ``index``; all by default."""
        first = index << self.k >> k
        last = ((index + 1) << self.k >> k) if self.k > k else first + 1
        if last - first < len(self._buckets):
            buckets: Iterable[int] = range(first, last)
        else:
            buckets = sorted(bucket for bucket in self._buckets if first <= bucket < last)
        found = (entry for bucket in buckets for entry in self._entries(bucket))
        return [(entry[:KEY_BYTES], entry[KEY_BYTES:]) for entry in found if bucket_of(entry, k) == index]

    def path(self, key: bytes) -> Path:
        """Return the path from the bucket of a key to the root."""
        bucket = bucket_of(key, self.k)
        levels = [
            self.children(level, bucket >> (TREE_FANOUT_BITS * level))
            for level in range(1, height(self.k) + 1)
        ]
        return Path(self.k, self.leaves(bucket), tuple(levels))

    def update(self, put: Iterable[tuple[bytes, bytes]], removed: Iterable[bytes] = ()) -> None:
        """Remove keys and put items, which replace those of the same key.

        Raises
        ------
        RemoteProtocolError
            ``tree-invalid``: too many keys that begin alike. Nothing was changed.
        """
        if not self._items:
            self._build(sorted(key + leaf for key, leaf in dict(put).items()))
            return
        changes: dict[int, dict[bytes, bytes | None]] = {}
        for key in removed:
            changes.setdefault(bucket_of(key, self.k), {})[key] = None
        for key, leaf in put:
            changes.setdefault(bucket_of(key, self.k), {})[key] = leaf
        buckets = {index: self._changed(index, items) for index, items in changes.items()}
        if any(len(bucket) > self._bucket_bytes_max for bucket in buckets.values()):
            self._build(self._all_entries(buckets))
            return
        pairs = {index >> 1 for index in buckets}
        self._crowded_pairs -= sum(map(self._pair_is_crowded, pairs))
        for index, bucket in buckets.items():
            self._replace(index, bucket)
        self._crowded_pairs += sum(map(self._pair_is_crowded, pairs))
        if self.k and not self._crowded_pairs:
            self._build(self._all_entries({}))
        else:
            self._rehash(set(buckets))

    @property
    def _bucket_bytes_max(self) -> int:
        """Above this length of a bucket the tree is built anew, which finds its k or refuses."""
        items = BUCKET_ITEMS_MAX if self.k < TREE_BITS_MAX else BUCKET_ITEMS_AT_MOST_BITS_MAX
        return items * self._entry_bytes

    def _entries(self, bucket: int) -> list[bytes]:
        joined = self._buckets.get(bucket, b"")
        size = self._entry_bytes
        return [joined[start : start + size] for start in range(0, len(joined), size)]

    def _changed(self, index: int, items: dict[bytes, bytes | None]) -> bytes:
        """Return a bucket as it is after the changes."""
        kept = {entry[:KEY_BYTES]: entry for entry in self._entries(index)}
        for key, leaf in items.items():
            if leaf is None:
                kept.pop(key, None)
            else:
                kept[key] = key + leaf
        return b"".join(sorted(kept.values()))

    def _replace(self, index: int, bucket: bytes) -> None:
        self._items += (len(bucket) - len(self._buckets.get(index, b""))) // self._entry_bytes
        if bucket:
            self._buckets[index] = bucket
        else:
            self._buckets.pop(index, None)

    def _pair_is_crowded(self, pair: int) -> bool:
        """Return whether two neighbours hold too many items for a tree with one bit less."""
        first, second = (len(self._buckets.get(index, b"")) for index in (2 * pair, 2 * pair + 1))
        return first + second > BUCKET_ITEMS_MAX * self._entry_bytes

    def _all_entries(self, changed: dict[int, bytes]) -> list[bytes]:
        """Return all entries in the order of their keys, with some buckets replaced."""
        buckets = {**self._buckets, **changed}
        joined = b"".join([buckets[index] for index in sorted(buckets)])
        size = self._entry_bytes
        return [joined[start : start + size] for start in range(0, len(joined), size)]

    def _build(self, entries: list[bytes]) -> None:
        """Take over a whole set of entries in the order of their keys."""
        prefixes = [int.from_bytes(entry[:4], "big") for entry in entries]
        k = _smallest_bits(prefixes)
        buckets: dict[int, list[bytes]] = {}
        for prefix, entry in zip(prefixes, entries, strict=True):
            buckets.setdefault(prefix >> (_PREFIX_BITS - k), []).append(entry)
        if any(len(bucket) > BUCKET_ITEMS_AT_MOST_BITS_MAX for bucket in buckets.values()):
            raise RemoteProtocolError(Violation.TREE_INVALID, "too many keys begin alike", where="tree")
        self.k: int = k
        self._items = len(entries)
        self._buckets: dict[int, bytes] = {index: b"".join(bucket) for index, bucket in buckets.items()}
        self._levels: list[dict[int, bytes]] = [{} for _ in range(height(k) + 1)]
        self._crowded_pairs = sum(map(self._pair_is_crowded, {index >> 1 for index in buckets}))
        self._rehash(set(buckets))

    def _rehash(self, touched: set[int]) -> None:
        """Compute the nodes above the touched buckets."""
        for index in touched:
            self._set_node(0, index, bucket_node(self.leaves(index), self._count_of))
        for level in range(1, len(self._levels)):
            touched = {index >> TREE_FANOUT_BITS for index in touched}
            for index in touched:
                self._set_node(level, index, parent_node(self.children(level, index)))

    def _set_node(self, level: int, index: int, node: bytes) -> None:
        if node == EMPTY[level]:
            self._levels[level].pop(index, None)
        else:
            self._levels[level][index] = node


def _smallest_bits(prefixes: Sequence[int]) -> int:
    """Return the smallest k for which no bucket is too full, from the first 32 bits of the sorted keys.

    A bucket is too full exactly when two keys that stand 24 apart in the order agree in their first k bits.
    """
    if len(prefixes) <= BUCKET_ITEMS_MAX:
        return 0
    closest: int = min(map(xor, prefixes, prefixes[BUCKET_ITEMS_MAX:]))
    return min(_PREFIX_BITS - closest.bit_length() + 1, TREE_BITS_MAX)


def verify_bucket(node: bytes, leaves: Sequence[bytes], leaf_bytes: int, count_of: CountOf) -> None:
    """Check that the leaves are the bucket that ``node`` stands for.

    Raises
    ------
    RemoteProtocolError
        ``tree-invalid``, ``count-wrong`` or ``hash-wrong``.
    """
    if len(leaves) > BUCKET_ITEMS_AT_MOST_BITS_MAX or any(len(leaf) != leaf_bytes for leaf in leaves):
        raise RemoteProtocolError(
            Violation.TREE_INVALID, "leaves of a wrong number or length", where="bucket"
        )
    _expect(bucket_node(leaves, count_of), node, "bucket")


def verify_children(node: bytes, children: Sequence[bytes], k: int, level: int) -> None:
    """Check that the children are those of ``node``, which stands at ``level`` of a tree with 2^k buckets.

    Raises
    ------
    RemoteProtocolError
        ``tree-invalid``, ``count-wrong`` or ``hash-wrong``.
    """
    if not 1 <= level <= height(k) or len(children) != fanout(k, level):
        raise RemoteProtocolError(Violation.TREE_INVALID, "children of a wrong number", where="tree")
    _expect(parent_node(children), node, "tree")


def _expect(found: bytes, node: bytes, where: str) -> None:
    if found[:COUNT_BYTES] != node[:COUNT_BYTES]:
        raise RemoteProtocolError(
            Violation.COUNT_WRONG, f"{count_in(found)} instead of {count_in(node)}", where=where
        )
    if found != node:
        raise RemoteProtocolError(Violation.HASH_WRONG, where=where)


def root_of_path(path: Path, key: bytes, leaf: bytes, count_of: CountOf) -> bytes:
    """Return the root (40 bytes) of the tree in which ``path`` shows the item.

    Raises
    ------
    RemoteProtocolError
        ``not-included`` or ``tree-invalid``: the path does not hold the item, or does not fit together.
    """
    if leaf not in path.bucket:
        raise RemoteProtocolError(Violation.NOT_INCLUDED, where="proof")
    if len(path.levels) != height(path.k) or any(len(item) != len(leaf) for item in path.bucket):
        raise RemoteProtocolError(Violation.TREE_INVALID, "levels or leaves of a wrong number", where="proof")
    node = bucket_node(path.bucket, count_of)
    index = bucket_of(key, path.k)
    for level, children in enumerate(path.levels, start=1):
        count = fanout(path.k, level)
        if len(children) != count or children[index % count] != node:
            raise RemoteProtocolError(Violation.TREE_INVALID, f"level {level}", where="proof")
        node = parent_node(children)
        index //= count
    return node
