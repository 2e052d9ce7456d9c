"""A backup on request, for a scheduler that has a token and no shell on the node's machine.

The file stays on that machine, in the node's folder: it holds the private keys, and an admin's token, which
may be revoked, must not be worth as much as they are.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from skerry.node.folder import folder_error
from skerry.node.storage.backup import back_up
from skerry.protocol.api import Backup

from .routes import Route, caller_of, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from skerry.node.audit import AuditLog
    from skerry.node.folder import Folder


class BackupRoutes:
    """``/backup``.

    Parameters
    ----------
    folder
        The node's.
    audit
        Where each backup is written down.
    clock
        Nanoseconds since 1970 UTC; names the files.
    """

    def __init__(self, folder: Folder, audit: AuditLog, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder
        self._audit = audit
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (plain("POST", "/backup", "admin", Backup, self._back_up),)

    async def _back_up(self, request: web.Request) -> Backup:
        """Write keys, configuration, database and own blobs to a new file in the node's folder."""
        async with self._one_at_a_time:
            made = await asyncio.to_thread(self._write)
        await self._audit.note(caller_of(request), "backed-up", made.path, f"{made.bytes} bytes")
        return made

    def _write(self) -> Backup:
        seconds, rest = divmod(self._clock(), 10**9)
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{rest:09}Z.tar"
        try:
            self._folder.backups.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise folder_error(self._folder.backups, error) from error
        path = self._folder.backups / name
        return Backup(str(path), back_up(self._folder, path))
