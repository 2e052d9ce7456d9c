"""The content-addressed store: the node keeps its blobs in it, the client its cache.

Theory of operation. A blob's name is the root of its hash tree. Under the store's folder it is the
file ``ab/abcd...`` (hexadecimal), beside it ``abcd....leaves`` with its size and leaf hashes, so that
a leaf list can be served without hashing the blob again. Rules:

1. A name appears by one rename, after the bytes are on disk: a blob that exists is whole, whenever
   the process is killed. The leaf file is written first; alone it means nothing.
2. A download lies in ``abcd....part`` at full size. Which of its leaves count is never written down:
   on resuming, every leaf is hashed again, so a torn write is a missing leaf and nothing worse.
3. Whoever names a blob has said what its bytes are: writing it twice is the same as once, and two
   processes may share a store without a lock.
"""

from __future__ import annotations

import os
import stat
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from skerry.errors import StorageError

from .hashtree import (
    HASH_BYTES,
    HashTree,
    Readable,
    leaf_count,
    leaf_hash,
    leaf_size,
    verify_leaf,
    verify_leaves,
)
from .limits import BLOB_BYTES_MAX, BLOB_STALE_SECONDS, LEAF_BYTES

_SIZE = struct.Struct(">Q")
_TEMPORARY_PREFIX = "tmp-"
_PART = ".part"
_LEAVES = ".leaves"


class BlobStore:
    """Blobs by the root of their hash tree.

    Parameters
    ----------
    folder
        Where the blobs lie; made, readable by its owner alone, when it does not exist.

    Raises
    ------
    StorageError
        From every method: the folder cannot be used, or a blob that was asked for is not here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Path = Path(folder)
        with _storage_errors(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()

    def put_bytes(self, data: bytes) -> HashTree:
        """Store `data` durably and return its hash tree."""
        tree = HashTree.of(data)
        if not self.exists(tree.root):
            with self._temporary() as file:
                file.write(data)
                self._publish(file, tree)
        return tree

    def put_file(self, path: Path) -> HashTree:
        """Store a copy of the file at `path` durably and return its hash tree."""
        with _storage_errors(path), Path(path).open("rb") as source, self._temporary() as file:
            tree = HashTree.of(_Copied(source, file))
            if not self.exists(tree.root):
                self._publish(file, tree)
        return tree

    def exists(self, root: bytes) -> bool:
        """Return whether the blob is here, whole."""
        try:
            return stat.S_ISREG(self.path(root).lstat().st_mode)
        except OSError:
            return False

    def path(self, root: bytes) -> Path:
        """Return where the blob lies or would lie."""
        name = root.hex()
        return self.folder / name[:2] / name

    def open(self, root: bytes) -> BinaryIO:
        """Open the blob for reading; a link in its place, which could lead anywhere, is no blob."""
        try:
            return os.fdopen(os.open(self.path(root), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except OSError as error:
            raise StorageError(
                "The blob is not in the store",
                where=root.hex(),
                why=str(error),
                todo="Fetch it from its owner again",
                code="E-STORAGE-BLOB",
            ) from error

    def read(self, root: bytes) -> bytes | None:
        """Return the bytes of a small blob, None when it is not here."""
        name = root.hex()
        try:
            handle = os.open(f"{self.folder}/{name[:2]}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(handle, "rb", buffering=0) as file:
            return file.readall()

    def tree(self, root: bytes) -> HashTree:
        """Return the hash tree of a blob that is here: for serving its leaf list."""
        kept = self._kept_tree(root)
        if kept is not None:
            return kept
        with self.open(root) as file:
            return HashTree.of(file)

    def remove(self, root: bytes) -> None:
        """Remove the blob and what is left of a download of it; nothing happens when it is not here."""
        path = self.path(root)
        with _storage_errors(path):
            for name in (path, _beside(path, _PART), _beside(path, _LEAVES)):
                name.unlink(missing_ok=True)

    def roots(self) -> Iterator[bytes]:
        """Yield the root of every whole blob, in no particular order."""
        with _storage_errors(self.folder):
            for path in self.folder.glob("??/*"):
                if len(path.name) == 2 * HASH_BYTES:
                    with suppress(ValueError):
                        yield bytes.fromhex(path.name)

    def verify(self) -> list[bytes]:
        """Hash every blob again and return the roots of those whose bytes are not what they were."""
        broken = []
        for root in self.roots():
            with self.open(root) as file:
                if HashTree.of(file).root != root:
                    broken.append(root)
        return broken

    def partial(self, root: bytes, size: int, leaves: tuple[bytes, ...]) -> PartialBlob:
        """Begin or resume a download.

        Raises
        ------
        StorageError
            ``E-STORAGE-LEAVES``: `leaves` is not the leaf list of `root`; whoever sent it is wrong.
        """
        if not verify_leaves(root, size, leaves):
            raise StorageError(
                "The leaf list does not hash to the blob's root",
                where=root.hex(),
                why=f"{len(leaves)} leaves for {size} bytes",
                todo="Ask another source",
                code="E-STORAGE-LEAVES",
            )
        tree = HashTree(root, size, leaves)
        with _storage_errors(self.folder):
            self._keep_tree(tree)
        return PartialBlob(self.path(root), tree)

    def resumable(self) -> Iterator[HashTree]:
        """Yield the hash tree of every download that was begun and not finished."""
        with _storage_errors(self.folder):
            for path in self.folder.glob("??/*" + _PART):
                with suppress(ValueError):
                    tree = self._kept_tree(bytes.fromhex(path.stem))
                    if tree is not None:
                        yield tree

    def _kept_tree(self, root: bytes) -> HashTree | None:
        try:
            data = _beside(self.path(root), _LEAVES).read_bytes()
        except OSError:
            return None
        if len(data) < _SIZE.size:
            return None
        (size,) = _SIZE.unpack_from(data)
        hashes = data[_SIZE.size :]
        leaves = tuple(hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES))
        return HashTree(root, size, leaves) if verify_leaves(root, size, leaves) else None

    def _keep_tree(self, tree: HashTree) -> None:
        path = _beside(self.path(tree.root), _LEAVES)
        if self._kept_tree(tree.root) is None:
            _make_folder(path.parent)
            with self._temporary() as file:
                file.write(_SIZE.pack(tree.size) + b"".join(tree.leaves))
                _rename_durably(file, path)

    def _publish(self, file: tempfile._TemporaryFileWrapper[bytes], tree: HashTree) -> None:
        if tree.size > BLOB_BYTES_MAX:
            raise StorageError(
                "The blob is too large for the store",
                where=tree.root.hex(),
                why=f"{tree.size} bytes, at most {BLOB_BYTES_MAX} are kept",
                todo="Publish a smaller model",
                code="E-STORAGE-SIZE",
            )
        self._keep_tree(tree)
        _rename_durably(file, self.path(tree.root))

    @contextmanager
    def _temporary(self) -> Iterator[tempfile._TemporaryFileWrapper[bytes]]:
        """Give a file in the store's own file system, so that a rename can publish it; gone if none did."""
        with (
            _storage_errors(self.folder),
            tempfile.NamedTemporaryFile(prefix=_TEMPORARY_PREFIX, dir=self.folder, delete=False) as file,
        ):
            try:
                yield file
            finally:
                Path(file.name).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what killed processes left behind, once it is old enough to belong to no living one."""
        before = time.time() - BLOB_STALE_SECONDS
        for pattern in (_TEMPORARY_PREFIX + "*", "??/*" + _PART):
            for path in self.folder.glob(pattern):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        path.unlink()


class PartialBlob:
    """A download in progress; made by :meth:`BlobStore.partial`. Leaves may come in any order."""

    def __init__(self, path: Path, tree: HashTree) -> None:
        self.tree = tree
        self._path = path
        self._part = _beside(path, _PART)
        with _storage_errors(self._part):
            self._have = self._resume()

    def write_leaf(self, index: int, data: bytes | memoryview) -> bool:
        """Keep leaf `index` if `data` is that leaf, and say whether it was; a wrong leaf changes nothing."""
        if not verify_leaf(self.tree.leaves, index, data):
            return False
        with _storage_errors(self._part):
            _write_at(self._part, index * LEAF_BYTES, data)
        self._have.add(index)
        return True

    def missing(self) -> list[int]:
        """Return the indices of the leaves that are still to come."""
        return [index for index in range(len(self.tree.leaves)) if index not in self._have]

    def finish(self) -> Path:
        """Make the blob appear in the store, durably, and return where it lies.

        Raises
        ------
        StorageError
            When leaves are missing.
        """
        if missing := self.missing():
            raise StorageError(
                "The download is not complete",
                where=self.tree.root.hex(),
                why=f"{len(missing)} of {len(self.tree.leaves)} leaves are missing",
                todo="Fetch the missing leaves first",
                code="E-STORAGE-PARTIAL",
            )
        with _storage_errors(self._part), self._part.open("r+b") as file:
            _rename_durably(file, self._path)
        return self._path

    def _resume(self) -> set[int]:
        if not self._part.exists() or self._part.stat().st_size != self.tree.size:
            with self._part.open("wb") as file:
                file.truncate(self.tree.size)
            return {0} if self.tree.size == 0 else set()
        with self._part.open("rb") as file:
            return {index for index in range(leaf_count(self.tree.size)) if self._holds(file, index)}

    def _holds(self, file: Readable, index: int) -> bool:
        return leaf_hash(file.read(leaf_size(self.tree.size, index))) == self.tree.leaves[index]


class _Copied:
    """A stream that writes down what is read from it, so that one pass both hashes and copies."""

    def __init__(self, source: Readable, target: tempfile._TemporaryFileWrapper[bytes]) -> None:
        self._source = source
        self._target = target

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._target.write(data)
        return data


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _write_at(path: Path, position: int, data: bytes | memoryview) -> None:
    """Write into a file that is there; without a buffer, which a whole leaf would only pass through."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(handle, data[written:], position + written)
    finally:
        os.close(handle)


def _rename_durably(file: BinaryIO | tempfile._TemporaryFileWrapper[bytes], target: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    Path(file.name).replace(target)
    _sync_folder(target.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _storage_errors(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            "The blob store cannot be used",
            where=str(where),
            why=str(error),
            todo="Check the folder's permissions and the free space",
            code="E-STORAGE-IO",
        ) from error
