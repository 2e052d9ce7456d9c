"""The hash tree names bytes as its documentation says, and a wrong leaf or list never passes."""

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.package.hashtree import HashTree, leaf_count, leaf_size, verify_leaf, verify_leaves
from skerry.package.limits import LEAF_BYTES

SIZES = [0, 1, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, 3 * LEAF_BYTES, 5 * LEAF_BYTES + 7]


def naive_root(data: bytes) -> bytes:
    """Return the root by the written formula, recursively: the left part is the largest power of two."""

    def top(hashes: list[bytes]) -> bytes:
        if len(hashes) == 1:
            return hashes[0]
        half = 1
        while half * 2 < len(hashes):
            half *= 2
        joined = top(hashes[:half]) + top(hashes[half:])
        return hashlib.sha256(b"skerry/blob-node/1\x00" + joined).digest()

    cut = [data[at : at + LEAF_BYTES] for at in range(0, len(data), LEAF_BYTES)] or [b""]
    leaves = [hashlib.sha256(b"skerry/blob-leaf/1\x00" + leaf).digest() for leaf in cut]
    return hashlib.sha256(b"skerry/blob/1\x00" + len(data).to_bytes(8, "big") + top(leaves)).digest()


def sample(size: int) -> bytes:
    return hashlib.shake_256(b"seed").digest(size)


class Dribble(io.BytesIO):
    """A stream that returns less than it is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 1000))


@pytest.mark.parametrize("size", SIZES)
def test_the_root_follows_the_formula(size: int) -> None:
    data = sample(size)
    tree = HashTree.of(data)
    assert tree.root == naive_root(data)
    assert tree == HashTree.of(io.BytesIO(data)) == HashTree.of(Dribble(data))
    assert (tree.size, len(tree.leaves)) == (size, leaf_count(size))
    assert sum(leaf_size(size, index) for index in range(leaf_count(size))) == size
    assert verify_leaves(tree.root, size, tree.leaves)


def test_the_root_of_a_known_text_is_frozen() -> None:
    assert HashTree.of(b"skerry").root.hex() == (
        "a3302f0247d1f83ef854b7f275b43fb4d8cbf7cfcf126064c3caedfe11822b37"
    )


@given(st.integers(0, 5), st.integers(0, 31))
def test_a_changed_leaf_hash_is_noticed(leaf: int, byte: int) -> None:
    tree = HashTree.of(bytes(5 * LEAF_BYTES + 7))
    leaves = [bytearray(each) for each in tree.leaves]
    leaves[leaf][byte] ^= 1
    assert not verify_leaves(tree.root, tree.size, [bytes(each) for each in leaves])


def test_a_list_for_another_size_is_no_leaf_list() -> None:
    tree = HashTree.of(bytes(2 * LEAF_BYTES))
    assert not verify_leaves(tree.root, tree.size + 1, tree.leaves)
    assert not verify_leaves(tree.root, tree.size - 1, tree.leaves)
    assert not verify_leaves(tree.root, -1, tree.leaves)
    assert not verify_leaves(tree.root, tree.size, tree.leaves[:1])
    assert not verify_leaves(tree.root, 2**70, tree.leaves)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    data = bytes(2 * LEAF_BYTES)
    tree = HashTree.of(data)
    node_as_data = b"".join(tree.leaves)
    assert HashTree.of(node_as_data).root != tree.root


def test_a_leaf_is_verified_alone() -> None:
    data = sample(2 * LEAF_BYTES + 5)
    leaves = HashTree.of(data).leaves
    assert verify_leaf(leaves, 2, data[2 * LEAF_BYTES :])
    assert not verify_leaf(leaves, 1, data[2 * LEAF_BYTES :])
    assert not verify_leaf(leaves, 3, b"")
    assert not verify_leaf(leaves, -1, data[2 * LEAF_BYTES :])
