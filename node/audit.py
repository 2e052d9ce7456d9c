"""The audit log: who published, withdrew, fetched, joined, approved, removed; appended to and never changed.

Theory of operation. A file of its own with one JSON line an act, each naming the SHA-256 of the line before:
whoever keeps the last hash can tell later that nothing before it was changed, and ``skerry audit export``
checks the chain. It is no part of the database, so that restoring a backup does not take it back (ADR 51).

Rules of this file:

1. An act of this institution is on the disk before its caller is answered. What strangers fetch is written
   without waiting for the disk, and once an hour for the same blob and reader, so that none can fill it.
2. A last line without its line break was never acknowledged: it is cut off at the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec
import structlog

from skerry.errors import StorageError
from skerry.protocol.api import Audit, AuditEntry

from .api.problems import BadRequest
from .folder import folder_error
from .limits import AUDIT_FETCH_SECONDS, AUDIT_LINE_BYTES_MAX, AUDIT_READERS_MAX, AUDIT_TEXT_CHARACTERS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log: Final = structlog.get_logger()

FIRST: Final = "0" * 64
"""What the first line names as the hash of the one before."""


class AuditLog:
    """The audit log of one node.

    Parameters
    ----------
    path
        Its file; made, readable by its owner alone, when there is none.
    clock
        Wall clock, seconds since 1970 UTC.

    Raises
    ------
    StorageError
        ``E-STORAGE-AUDIT`` when the last line is none of ours; ``E-STORAGE-FOLDER`` when the file cannot be
        used.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = asyncio.Lock()
        self._fetched: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._waiting: list[tuple[str, str]] = []
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise folder_error(path, error) from error
        self._file: BinaryIO = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            self._seq, self._previous = self._resume()
        except BaseException:
            self._file.close()
            raise

    async def note(self, who: str, action: str, subject: str, detail: str = "") -> None:
        """Write down an act; returns when it is on the disk.

        Parameters
        ----------
        who
            Name of the token that allowed it, or a node key in hexadecimal.
        action
            One word in the past tense.
        subject, detail
            What it was done to, and more.
        """
        async with self._lock:
            line = self._line(who, action, subject, detail)
            await asyncio.to_thread(self._write, line, sync=True)
            self._write_waiting()

    def fetched(self, who: str, root: str) -> None:
        """Write down that `who` began to fetch a blob, unless that was so a while ago, too."""
        now = self._clock()
        if now - self._fetched.get((who, root), float("-inf")) < AUDIT_FETCH_SECONDS:
            return
        self._fetched[who, root] = now
        self._fetched.move_to_end((who, root))
        while len(self._fetched) > AUDIT_READERS_MAX:
            self._fetched.popitem(last=False)
        self._waiting.append((who, root))
        if not self._lock.locked():
            self._write_waiting()

    def read(self, cursor: int, limit: int) -> Audit:
        """Return a page that begins at byte `cursor`, which an earlier page gave.

        Raises
        ------
        BadRequest
            ``E-API-CURSOR`` when no line begins there.
        """
        entries: list[AuditEntry] = []
        with self._path.open("rb") as file:
            # Beyond the end nothing begins, and a file system may refuse to look so far.
            size = os.fstat(file.fileno()).st_size
            file.seek(min(max(0, cursor - 1), size))
            if cursor and file.read(1) != b"\n":
                why = "no entry begins there"
                raise BadRequest("That is no page of the log", where="cursor", why=why, code="E-API-CURSOR")
            while len(entries) < limit and (line := file.readline(AUDIT_LINE_BYTES_MAX)).endswith(b"\n"):
                entries.append(_entry(line, self._path))
            following = file.tell()
            more = bool(file.readline(AUDIT_LINE_BYTES_MAX).endswith(b"\n"))
        return Audit(entries, following if more else None)

    def close(self) -> None:
        """Sync and close the file."""
        self._write_waiting()
        os.fsync(self._file.fileno())
        self._file.close()

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for who, root in waiting:
            try:
                self._write(self._line(who, "fetched", root, ""), sync=False)
            except StorageError as error:
                log.warning("a fetch could not be written down", reader=who, blob=root, why=error.why)

    def _line(self, who: str, action: str, subject: str, detail: str) -> bytes:
        self._seq += 1
        entry = AuditEntry(
            seq=self._seq,
            at=int(self._clock()),
            who=who[:AUDIT_TEXT_CHARACTERS_MAX],
            action=action[:AUDIT_TEXT_CHARACTERS_MAX],
            subject=subject[:AUDIT_TEXT_CHARACTERS_MAX],
            detail=detail[:AUDIT_TEXT_CHARACTERS_MAX],
            previous=self._previous,
        )
        line = msgspec.json.encode(entry)
        self._previous = hashlib.sha256(line).hexdigest()
        return line + b"\n"

    def _write(self, line: bytes, *, sync: bool) -> None:
        try:
            self._file.write(line)
            if sync:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise folder_error(self._path, error) from error

    def _resume(self) -> tuple[int, str]:
        """Cut off a torn line; return the last entry's number and hash."""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - 2 * AUDIT_LINE_BYTES_MAX))
        tail = self._file.read()
        whole = tail.rfind(b"\n") + 1
        os.ftruncate(self._file.fileno(), size - len(tail) + whole)
        if not whole:
            return 0, FIRST
        line = tail[:whole].splitlines()[-1]
        return _entry(line, self._path).seq, hashlib.sha256(line).hexdigest()


def _entry(line: bytes, path: Path) -> AuditEntry:
    try:
        return msgspec.json.decode(line, type=AuditEntry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StorageError(
            "The audit log cannot be read there",
            where=str(path),
            why=str(error),
            todo="Keep the file as evidence and move it away; the node begins a new one.",
            code="E-STORAGE-AUDIT",
        ) from error
