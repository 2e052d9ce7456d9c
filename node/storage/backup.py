"""Backup and restore of a node's folder, in one file.

Theory of operation. A backup is a tar archive: keys, charters, configuration, audit log, the database as of
one moment, and the node's own blobs. It is made while the node runs or not: SQLite copies its database in one
read, which stops no writer, and a blob is on the disk before any card in the database names it, so blobs are
copied after. What can be had or made again (cache, sketches, tokens) is left out, and so is the mark that
tells this database from older copies: a restored node finds none and voids its open invites.

A restored node knows an old head of its own. It does not sign before its peers told it the newest one that
they know of, and goes on above that (see ``protocol/publishing.py``).

Rules of this file:

1. The archive holds the private keys, so it is for its owner alone (mode 0600), and appears whole or not at
   all.
2. Nothing is restored over a node. Of an archive only regular files of expected names are read, and the
   folder appears when all of it is written.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from skerry.errors import ConfigError, StorageError
from skerry.node.folder import Folder, folder_error
from skerry.node.limits import BACKUP_MEMBERS_MAX
from skerry.package.blobs import BlobStore

from .failures import database_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES: Final = (
    "config.toml",
    "charters",
    "audit.jsonl",
    "keys/owner.key",
    "keys/recovery.key",
    "keys/node.key",
    "keys/tls.key",
    "keys/tls.crt",
)
"""What is copied as it is; the owner's and the recovery key may be kept elsewhere."""

DATABASE: Final = "store.sqlite"
NEEDED: Final = ("charters", "keys/node.key", "keys/tls.key", "keys/tls.crt", DATABASE)

_BLOB: Final = re.compile(r"blobs/([0-9a-f]{2})/\1[0-9a-f]{62}")


def back_up(folder: Folder, target: Path) -> int:
    """Write a backup to ``target``, which must not exist, and return its size in bytes.

    Raises
    ------
    ConfigError
        ``E-CONFIG-FOLDER`` when there is no node in the folder.
    StorageError
        ``E-STORAGE-BACKUP`` when the target exists; others when something cannot be read or written.
    """
    folder.require()
    if target.exists():
        raise StorageError(
            "A backup overwrites nothing",
            where=str(target),
            why="the file exists",
            todo="Name a new file.",
            code="E-STORAGE-BACKUP",
        )
    with _written_whole(target) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for name in FILES:
            if (folder.root / name).is_file():
                archive.add(folder.root / name, name, recursive=False)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".skerry-backup-") as beside:
            copy = Path(beside) / DATABASE
            _copy_database(folder.database, copy)
            archive.add(copy, DATABASE, recursive=False)
        for root in BlobStore(folder.blobs).roots():
            name = f"blobs/{root.hex()[:2]}/{root.hex()}"
            archive.add(folder.root / name, name, recursive=False)
    return target.stat().st_size


def restore(source: Path, folder: Folder) -> int:
    """Make the node of a backup in ``folder``, which must be empty or missing; return how many files came.

    Raises
    ------
    ConfigError
        ``E-CONFIG-EXISTS`` when there is something in the folder.
    StorageError
        ``E-STORAGE-BACKUP`` when the file is no backup, or not a whole one.
    """
    if folder.root.exists() and any(folder.root.iterdir()):
        raise ConfigError(
            "There is something in this folder already",
            where=str(folder.root),
            why="a node is never restored over another",
            todo="Name an empty folder with --folder, or move this one away.",
            code="E-CONFIG-EXISTS",
        )
    try:
        folder.root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.root.parent, prefix=".skerry-restore-") as beside:
            made = Path(beside) / "node"
            count = _unpack(source, made)
            _require_sound(made / DATABASE, source)
            made.chmod(0o700)
            made.replace(folder.root)
    except OSError as error:
        raise folder_error(folder.root, error) from error
    return count


def _copy_database(source: Path, target: Path) -> None:
    with (
        database_errors(source),
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as read,
        closing(sqlite3.connect(target)) as write,
    ):
        read.backup(write)


def _unpack(source: Path, into: Path) -> int:
    """Write the members of an archive below a new folder."""
    seen: set[str] = set()
    try:
        with tarfile.open(source, mode="r:") as archive:
            for member in archive:
                name = member.name
                if name in seen or not member.isreg() or not _is_expected(name):
                    raise _no_backup(source, f"{name!r} does not belong there")
                if len(seen) >= BACKUP_MEMBERS_MAX:
                    raise _no_backup(source, f"more than {BACKUP_MEMBERS_MAX} files")
                seen.add(name)
                _write_member(archive, member, into / name)
    except (tarfile.TarError, EOFError) as error:
        raise _no_backup(source, str(error)) from error
    except FileNotFoundError as error:
        raise _no_backup(source, "there is no such file") from error
    missing = [name for name in NEEDED if name not in seen]
    if missing:
        raise _no_backup(source, f"it lacks {', '.join(missing)}")
    return len(seen)


def _is_expected(name: str) -> bool:
    return name in FILES or name == DATABASE or _BLOB.fullmatch(name) is not None


def _write_member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = archive.extractfile(member)
    assert data is not None
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(data, file)
        if file.tell() != member.size:
            raise tarfile.ReadError(f"{member.name} is cut off")
        file.flush()
        os.fsync(descriptor)


def _require_sound(database: Path, source: Path) -> None:
    try:
        with closing(sqlite3.connect(database)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise _no_backup(source, str(error)) from error
    if found != "ok":
        raise _no_backup(source, str(found))


@contextmanager
def _written_whole(target: Path) -> Iterator[BinaryIO]:
    """Give a file that takes its name when everything is on the disk."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
    except OSError as error:
        raise folder_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _no_backup(source: Path, why: str) -> StorageError:
    return StorageError(
        "The file is no whole backup of a node",
        where=str(source),
        why=why,
        todo="Take another backup; nothing was restored.",
        code="E-STORAGE-BACKUP",
    )
