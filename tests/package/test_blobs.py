"""The blob store keeps whole blobs only, resumes downloads, and survives being killed at any point."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skerry.errors import StorageError
from skerry.package import blobs
from skerry.package.blobs import BlobStore
from skerry.package.hashtree import HashTree
from skerry.package.limits import LEAF_BYTES


def sample(size: int, seed: int = 0) -> bytes:
    return hashlib.shake_256(seed.to_bytes(4, "big")).digest(size)


def leaf(data: bytes, index: int) -> bytes:
    return data[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.mark.parametrize("size", [0, 1, LEAF_BYTES, 3 * LEAF_BYTES + 1])
def test_what_is_put_is_there(store: BlobStore, tmp_path: Path, size: int) -> None:
    data = sample(size)
    tree = store.put_bytes(data)
    assert store.exists(tree.root)
    with store.open(tree.root) as file:
        assert file.read() == data
    assert store.tree(tree.root) == tree == HashTree.of(data)
    (tmp_path / "file").write_bytes(data)
    assert store.put_file(tmp_path / "file") == tree
    assert list(store.roots()) == [tree.root]
    assert store.verify() == []
    store.remove(tree.root)
    store.remove(tree.root)
    assert list(store.roots()) == []
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_a_missing_blob_is_named(store: BlobStore) -> None:
    with pytest.raises(StorageError, match="00ff") as caught:
        store.open(bytes.fromhex("00ff" * 16))
    assert caught.value.code == "E-STORAGE-BLOB"


def test_a_damaged_blob_is_found(store: BlobStore) -> None:
    whole, damaged = store.put_bytes(sample(1000)), store.put_bytes(sample(1000, 1))
    store.path(damaged.root).write_bytes(sample(1000, 2))
    assert store.verify() == [damaged.root]
    assert store.exists(whole.root)


def test_a_lost_or_damaged_leaf_file_is_made_up_for(store: BlobStore) -> None:
    tree = store.put_bytes(sample(2 * LEAF_BYTES))
    leaves = next(store.folder.glob("??/*.leaves"))
    for damage in (b"", b"short", leaves.read_bytes()[:-1] + b"x"):
        leaves.write_bytes(damage)
        assert store.tree(tree.root) == tree


def test_a_download_takes_leaves_in_any_order_and_resumes(store: BlobStore) -> None:
    data = sample(6 * LEAF_BYTES + 100)
    tree = HashTree.of(data)
    partial = store.partial(tree.root, tree.size, tree.leaves)
    for index in (6, 0, 3):
        assert partial.write_leaf(index, leaf(data, index))
    assert not partial.write_leaf(1, leaf(data, 2))
    assert not partial.write_leaf(7, b"")
    with pytest.raises(StorageError, match="4 of 7 leaves"):
        partial.finish()
    assert not store.exists(tree.root)
    again = BlobStore(store.folder)
    assert list(again.resumable()) == [tree]
    resumed = again.partial(tree.root, tree.size, tree.leaves)
    assert resumed.missing() == [1, 2, 4, 5]
    for index in resumed.missing():
        assert resumed.write_leaf(index, leaf(data, index))
    assert resumed.finish().read_bytes() == data
    assert again.verify() == []
    assert list(again.resumable()) == []


def test_a_torn_leaf_is_a_missing_leaf(store: BlobStore) -> None:
    data = sample(3 * LEAF_BYTES)
    tree = HashTree.of(data)
    partial = store.partial(tree.root, tree.size, tree.leaves)
    for index in range(3):
        partial.write_leaf(index, leaf(data, index))
    part = next(store.folder.glob("??/*.part"))
    with part.open("r+b") as file:
        file.seek(LEAF_BYTES + 17)
        file.write(b"torn")
    assert store.partial(tree.root, tree.size, tree.leaves).missing() == [1]


def test_an_empty_blob_can_be_downloaded(store: BlobStore) -> None:
    tree = HashTree.of(b"")
    assert store.partial(tree.root, 0, tree.leaves).finish().read_bytes() == b""


def test_a_false_leaf_list_is_refused(store: BlobStore) -> None:
    tree = HashTree.of(sample(2 * LEAF_BYTES))
    with pytest.raises(StorageError) as caught:
        store.partial(tree.root, tree.size, tree.leaves[::-1])
    assert caught.value.code == "E-STORAGE-LEAVES"


def test_a_blob_over_the_limit_is_refused(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(blobs, "BLOB_BYTES_MAX", 100)
    with pytest.raises(StorageError, match="too large"):
        store.put_bytes(bytes(101))
    (tmp_path / "file").write_bytes(bytes(101))
    with pytest.raises(StorageError, match="too large"):
        store.put_file(tmp_path / "file")
    assert list(store.roots()) == []
    assert list(store.folder.glob("tmp-*")) == []


def test_old_leavings_are_swept_and_new_ones_kept(store: BlobStore) -> None:
    old, new = store.folder / "tmp-old", store.folder / "tmp-new"
    for path in (old, new):
        path.touch()
    before = time.time() - blobs.BLOB_STALE_SECONDS - 10
    os.utime(old, (before, before))
    BlobStore(store.folder)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        BlobStore(tmp_path / "file")
    assert caught.value.code == "E-STORAGE-IO"


WRITER = """
import hashlib, sys
from pathlib import Path
from skerry.package.blobs import BlobStore
from skerry.package.hashtree import HashTree
from skerry.package.limits import LEAF_BYTES
store = BlobStore(Path(sys.argv[1]))
print("ready", flush=True)
for seed in range(10_000):
    data = hashlib.shake_256(seed.to_bytes(4, "big")).digest(3 * LEAF_BYTES + seed)
    if seed % 2:
        store.put_bytes(data)
    else:
        tree = HashTree.of(data)
        partial = store.partial(tree.root, tree.size, tree.leaves)
        for index in partial.missing():
            partial.write_leaf(index, data[index * LEAF_BYTES : (index + 1) * LEAF_BYTES])
        partial.finish()
    print(seed, flush=True)
"""


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_any_point_loses_nothing_that_was_kept(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "blobs"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(random.Random(seed).uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    kept = [int(line) for line in process.stdout.read().splitlines()]
    process.wait()
    process.stdout.close()
    store = BlobStore(folder)
    assert store.verify() == []
    for number in kept:
        assert store.exists(HashTree.of(sample(3 * LEAF_BYTES + number, number)).root)
