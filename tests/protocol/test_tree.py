"""The counted Merkle tree against a slow rebuilding from the document."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from skerry.protocol import RemoteProtocolError, Violation
from skerry.protocol.limits import BUCKET_ITEMS_AT_MOST_BITS_MAX, CATALOGUE_CARDS_MAX
from skerry.protocol.tree import (
    EMPTY,
    CountedTree,
    Path,
    bucket_node,
    bucket_of,
    child,
    count_in,
    fanout,
    height,
    one,
    parent_node,
    root_of_path,
    verify_bucket,
    verify_children,
    width,
)

from .world import random_ids, refused


def slow_root(items: dict[bytes, bytes]) -> tuple[int, bytes]:
    """The document's section 5, word for word, without any of our code."""
    for k in range(21):
        buckets: list[list[bytes]] = [[] for _ in range(2**k)]
        for key in sorted(items):
            buckets[int.from_bytes(key, "big") >> (256 - k)].append(items[key])
        if max(map(len, buckets)) <= 24:
            break
    level = [(len(bucket), sha256(b"skerry/bucket/1\0" + b"".join(bucket)).digest()) for bucket in buckets]
    while len(level) > 1:
        groups = [level[start : start + 16] for start in range(0, len(level), 16)]
        level = [
            (
                sum(count for count, _ in group),
                sha256(
                    b"skerry/node/1\0"
                    + b"".join(count.to_bytes(8, "big") + digest for count, digest in group)
                ).digest(),
            )
            for group in groups
        ]
    return k, level[0][0].to_bytes(8, "big") + level[0][1]


def tree_of(items: dict[bytes, bytes]) -> CountedTree:
    tree = CountedTree(32)
    tree.update(items.items())
    return tree


def some_items(count: int, seed: int = 1) -> dict[bytes, bytes]:
    return dict(zip(random_ids(count, seed), random_ids(count, seed + 1), strict=True))


@pytest.mark.parametrize("count", [0, 1, 24, 25, 100, 700, 5000])
def test_the_root_is_the_documents(count: int) -> None:
    items = some_items(count)
    tree = tree_of(items)
    assert (tree.k, tree.root) == slow_root(items)
    assert len(tree) == count_in(tree.root) == count


def test_a_key_is_found_at_the_beginning_of_an_entry_alone() -> None:
    """Leaves may hold any bytes, another item's key among them."""
    first, second, absent = sorted(random_ids(3))
    tree = tree_of({first: absent, second: first})
    assert tree.get(first) == absent
    assert tree.get(second) == first
    assert tree.get(absent) is None
    across = absent[16:] + second[:16]
    assert tree.get(across) is None


@pytest.mark.parametrize("k", range(21))
def test_levels_have_their_widths(k: int) -> None:
    assert width(k, 0) == 2**k
    assert width(k, height(k)) == 1
    for level in range(1, height(k) + 1):
        assert width(k, level) * fanout(k, level) == width(k, level - 1)
        assert fanout(k, level) == 16 or level == height(k)


class Changes(RuleBasedStateMachine):
    """Any sequence of changes ends in the tree that building the final set gives."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = CountedTree(32)
        self.items: dict[bytes, bytes] = {}
        self.rng = random.Random(0)

    @rule(count=st.integers(1, 60), seed=st.integers(0, 2**32))
    def put(self, count: int, seed: int) -> None:
        new = some_items(count, seed)
        self.tree.update(new.items())
        self.items.update(new)

    @rule(count=st.integers(1, 30), prefix=st.binary(min_size=1, max_size=2))
    def put_crowd(self, count: int, prefix: bytes) -> None:
        new = {prefix + key[len(prefix) :]: key for key in random_ids(count, count)}
        self.tree.update(new.items())
        self.items.update(new)

    @rule(share=st.floats(0, 1), replaced=st.integers(0, 5))
    def remove(self, share: float, replaced: int) -> None:
        keys = sorted(self.items)
        gone = set(self.rng.sample(keys, int(share * len(keys))))
        kept = [key for key in keys if key not in gone][:replaced]
        self.tree.update([(key, bytes(32)) for key in kept], gone)
        self.items = {key: leaf for key, leaf in self.items.items() if key not in gone}
        self.items.update(dict.fromkeys(kept, bytes(32)))

    @invariant()
    def agrees(self) -> None:
        fresh = tree_of(self.items)
        assert (self.tree.k, self.tree.root, len(self.tree)) == (fresh.k, fresh.root, len(self.items))
        assert dict(self.tree.items()) == self.items


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 400), st.integers(0, 2**32), st.integers(0, 12))
def test_items_of_a_range_are_those_whose_keys_begin_so(count: int, seed: int, k: int) -> None:
    tree = tree_of(some_items(count, seed))
    index = seed % 2**k
    expected = [item for item in tree.items() if int.from_bytes(item[0], "big") >> (256 - k) == index]
    assert tree.items(k, index) == expected


@pytest.mark.parametrize("count", [1, 24, 25, 500, 3000])
def test_a_path_leads_from_every_item_to_the_root(count: int) -> None:
    items = some_items(count)
    tree = tree_of(items)
    for key in list(items)[:20]:
        path = tree.path(key)
        assert root_of_path(path, key, items[key], one) == tree.root
        with refused(Violation.NOT_INCLUDED):
            root_of_path(path, key, bytes(32), one)


def test_a_path_holds_for_the_place_of_its_key_only() -> None:
    items = some_items(500)
    tree = tree_of(items)
    first, *others = items
    elsewhere = next(key for key in others if bucket_of(key, tree.k) != bucket_of(first, tree.k))
    with refused(Violation.TREE_INVALID):
        root_of_path(tree.path(first), elsewhere, items[first], one)


def test_a_path_of_a_wrong_shape_is_refused() -> None:
    items = some_items(500)
    tree = tree_of(items)
    key = next(iter(items))
    path = tree.path(key)
    for other in (
        Path(path.k, path.bucket, path.levels[:-1]),
        Path(path.k, path.bucket, (path.levels[0][:-1], *path.levels[1:])),
        Path(path.k, (*path.bucket, b"short"), path.levels),
        Path(path.k - 1, path.bucket, path.levels),
        Path(path.k, (*path.bucket, items[key]), path.levels),
    ):
        with refused(Violation.TREE_INVALID):
            root_of_path(other, key, items[key], one)


def test_buckets_and_children_are_verified_against_their_parent() -> None:
    tree = tree_of(some_items(500))
    root, level = tree.root, height(tree.k)
    children = tree.children(level, 0)
    verify_children(root, children, tree.k, level)
    with refused(Violation.TREE_INVALID):
        verify_children(root, children[:-1], tree.k, level)
    with refused(Violation.HASH_WRONG):
        verify_children(root, [*children[:-2], children[-1], children[-2]], tree.k, level)
    one_more = child(count_in(children[0]) + 1, children[0][8:])
    with refused(Violation.COUNT_WRONG):
        verify_children(root, [one_more, *children[1:]], tree.k, level)
    with refused(Violation.TREE_INVALID):
        verify_children(root, children, tree.k, level + 1)
    leaves = tree.leaves(0)
    verify_bucket(tree.node(0, 0), leaves, 32, one)
    with refused(Violation.COUNT_WRONG):
        verify_bucket(tree.node(0, 0), leaves[:-1], 32, one)
    with refused(Violation.HASH_WRONG):
        verify_bucket(tree.node(0, 0), [*leaves[:-1], bytes(32)], 32, one)
    with refused(Violation.TREE_INVALID):
        verify_bucket(tree.node(0, 0), [*leaves[:-1], b"short"], 32, one)


def test_counts_that_no_catalogue_has_are_refused() -> None:
    with refused(Violation.COUNT_WRONG):
        parent_node([b"\xff" * 40] * 16)
    with refused(Violation.COUNT_WRONG):
        child(CATALOGUE_CARDS_MAX + 1, bytes(32))


def test_keys_made_to_collide_cost_little_and_end_at_a_limit() -> None:
    """25 keys that agree in 20 bits take the tree to its depth, which must not cost a million buckets."""
    crowd = {
        bytes(28) + index.to_bytes(4, "big"): bytes(32) for index in range(BUCKET_ITEMS_AT_MOST_BITS_MAX)
    }
    tree = tree_of(crowd)
    assert tree.k == 20
    assert len(tree._buckets) == 1
    before = tree.root
    one_too_many = (bytes(28) + b"\xff" * 4, bytes(32))
    with pytest.raises(RemoteProtocolError):
        tree.update([one_too_many])
    assert tree.root == before
    tree.update([], crowd)
    assert (tree.k, tree.root) == (0, EMPTY[0])


def test_the_empty_nodes_are_those_over_nothing() -> None:
    assert EMPTY[0] == bucket_node((), one)
    assert EMPTY[1] == parent_node([EMPTY[0]] * 16)
    assert all(count_in(node) == 0 for node in EMPTY)


def test_one_change_hashes_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tree_of(some_items(20_000))
    hashed: list[str] = []

    def counting(domain: str, *parts: bytes) -> bytes:
        hashed.append(domain)
        return sha256(domain.encode() + b"\0" + b"".join(parts)).digest()

    monkeypatch.setattr("skerry.protocol.tree.tagged_hash", counting)
    k = tree.k
    tree.update([(random_ids(1, seed=77)[0], bytes(32))])
    assert tree.k == k
    assert len(hashed) == 1 + height(k)
