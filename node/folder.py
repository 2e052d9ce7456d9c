"""A node's folder: where everything of one node lies, and the lock that lets one daemon use it at a time.

======================  =====================================================================
``config.toml``         configuration; may be missing
``keys/owner.key``      the owner's key: signs charters only, may be kept elsewhere
``keys/recovery.key``   replaces the owner's key when that is lost or stolen; keep it elsewhere
``keys/node.key``       signs heads, node records and handshakes
``keys/tls.key``        the key of the certificate
``keys/tls.crt``        the self-signed certificate whose hash others pin
``charters``            the owner's charter chain, as MessagePack
``store.sqlite``        what must survive a restart (see ``store.py``)
``blobs/``              own packages and specifications, by content
``cache/``              fetched specifications, by content; can be deleted
``sketches``            the search index; can be deleted while no daemon runs
``tokens.json``         hashes of the named tokens; not part of a backup
``audit.jsonl``         who did what; only ever appended to
``backups/``            backups made through the local API; in no backup
``api.json``            while the node runs: how programs on this machine reach it
``lock``                held by the running daemon
``incarnation``         tells this database from an older copy of it; in no backup
======================  =====================================================================

Rules of this file:

1. The folder and everything in it is for its owner alone (modes 0700 and 0600).
2. The lock is the kernel's, on an open file: it cannot outlive its process, whatever killed that.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from skerry.errors import ConfigError, StorageError
from skerry.protocol.api import ENDPOINT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator


class Folder:
    """The paths of one node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys: Path = root / "keys"
        self.owner_key: Path = self.keys / "owner.key"
        self.recovery_key: Path = self.keys / "recovery.key"
        self.node_key: Path = self.keys / "node.key"
        self.tls_key: Path = self.keys / "tls.key"
        self.tls_certificate: Path = self.keys / "tls.crt"
        self.charters: Path = root / "charters"
        self.database: Path = root / "store.sqlite"
        self.blobs: Path = root / "blobs"
        self.cache: Path = root / "cache"
        self.sketches: Path = root / "sketches"
        self.tokens: Path = root / "tokens.json"
        self.audit: Path = root / "audit.jsonl"
        self.backups: Path = root / "backups"
        self.endpoint: Path = root / ENDPOINT_FILE
        self.lock_file: Path = root / "lock"
        self.incarnation: Path = root / "incarnation"

    def require(self) -> None:
        """Raise :class:`ConfigError` (``E-CONFIG-FOLDER``) unless a node was initialised here."""
        if not self.charters.is_file():
            raise ConfigError(
                "There is no node in this folder",
                where=str(self.root),
                why="it holds no charter",
                todo="Make one with `skerry init`, or name another folder with --folder.",
                code="E-CONFIG-FOLDER",
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one daemon.

        Raises
        ------
        StorageError
            ``E-STORAGE-LOCKED`` when another daemon holds it, ``E-STORAGE-FOLDER`` when the folder cannot
            be written.
        """
        with _opened(self.lock_file) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                raise StorageError(
                    "Another daemon uses this folder",
                    where=str(self.root),
                    why=f"process {holder} holds its lock",
                    todo="Stop that daemon, or give this one a folder of its own with --folder.",
                    code="E-STORAGE-LOCKED",
                ) from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield


def write_private(path: Path, data: bytes) -> None:
    """Write `path` durably and at once, readable by its owner alone: all of `data` or the file as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise folder_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _sync(folder: Path) -> None:
    """Have a rename in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def folder_error(path: Path, error: OSError) -> StorageError:
    """Return what to raise when the operating system refuses to write `path`."""
    return StorageError(
        "The node's folder cannot be written",
        where=str(path),
        why=error.strerror or str(error),
        todo="Check the folder's owner, its permissions and the free space.",
        code="E-STORAGE-FOLDER",
    )


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise folder_error(path, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
