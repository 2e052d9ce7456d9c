"""Blobs over HTTP, to whoever knows their name: ``GET /blob/NAME`` with ranges, ``GET /blob/NAME/leaves``.

``POST /blobs`` sends many small ones together (see ``batches.py``).

A blob is served when a live card of this node names it that the reader may see, and else it is *not there*:
whether the store holds bytes that nobody published, or published for others, is nobody's business. The reader
verifies; this side only reads files.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, BinaryIO

from aiohttp import web

from skerry.errors import NotFound, Unavailable
from skerry.node.api.problems import BadRequest
from skerry.node.groups.sources import token_of
from skerry.node.limits import BLOBS_SERVED_MAX
from skerry.node.network.listening import abort

from . import batches
from .kernel import KernelSender
from .pace import Pace
from .sending import send_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from skerry.package.blobs import BlobStore

BINARY = "application/octet-stream"


class BlobRoutes:
    """The routes of the public listener that serve blobs.

    Parameters
    ----------
    blobs
        The store that holds them.
    may_have
        Whether who bears a token may have the blob with a root now.
    upload_bytes_per_second
        Limit for all readers together; 0 for none.
    on_served
        Told of the request, the blob and the bytes that were sent.
    """

    def __init__(
        self,
        blobs: BlobStore,
        may_have: Callable[[bytes, bytes], bool],
        upload_bytes_per_second: int = 0,
        on_served: Callable[[web.Request, bytes, int], None] = lambda *_: None,
    ) -> None:
        self.pace: Pace = Pace(upload_bytes_per_second)
        self._on_served = on_served
        self._blobs = blobs
        self._may_have = may_have
        self._serving = 0
        self._kernel = KernelSender()

    def add_to(self, application: web.Application) -> None:
        """Add the routes, and end with the application."""
        application.on_cleanup.append(self._close)
        application.router.add_get("/blob/{name}", self._blob, allow_head=False)
        application.router.add_get("/blob/{name}/leaves", self._leaves, allow_head=False)
        application.router.add_post("/blobs", self._many)

    async def _close(self, _: web.Application) -> None:
        self._kernel.close()

    async def _leaves(self, request: web.Request) -> web.StreamResponse:
        tree = await asyncio.to_thread(self._blobs.tree, self._root(request))
        return web.Response(body=b"".join(tree.leaves), content_type=BINARY)

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        root = self._root(request)
        if self._serving >= BLOBS_SERVED_MAX:
            raise Unavailable("The node serves too many blobs now", code="E-UNAVAILABLE-FULL")
        self._serving += 1
        try:
            with self._blobs.open(root) as file:
                return await self._send(request, root, file)
        finally:
            self._serving -= 1

    async def _many(self, request: web.Request) -> web.StreamResponse:
        """Answer with those of some small blobs that the reader may have."""
        roots = batches.asked_roots(await request.read())
        if self._serving >= BLOBS_SERVED_MAX:
            raise Unavailable("The node serves too many blobs now", code="E-UNAVAILABLE-FULL")
        self._serving += 1
        try:
            allowed = {root: self._may_have(root, _token(request)) for root in roots}
            # All are read in any case: how long "no" takes must not tell why.
            found = await asyncio.to_thread(batches.read_pieces, self._blobs, allowed)
            pieces = [(root, data) for root, data in found if allowed[root]]
            await self.pace.take(sum(len(data) for _, data in pieces))
        finally:
            self._serving -= 1
        for root, data in pieces:
            self._on_served(request, root, len(data))
        return web.Response(body=batches.joined(pieces), content_type=BINARY)

    async def _send(self, request: web.Request, root: bytes, file: BinaryIO) -> web.StreamResponse:
        """Answer with the asked-for range of a blob, or all of it."""
        size = os.fstat(file.fileno()).st_size
        start, stop = byte_range(request, size)
        response = web.StreamResponse(status=200 if (start, stop) == (0, size) else 206)
        response.content_type = BINARY
        response.content_length = stop - start
        response.headers["Accept-Ranges"] = "bytes"
        response.etag = root.hex()
        if response.status == 206:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        await response.prepare(request)
        pace = _Watched(self.pace, lambda: self._may_have(root, _token(request)))
        try:
            sent = await send_range(request, response, file, start, stop, pace, self._kernel)
        except _NoLongerAllowedError:
            _cut(request)
            return response
        self._on_served(request, root, sent)
        if sent < stop - start:
            _cut(request)
            return response
        await response.write_eof()
        return response

    def _root(self, request: web.Request) -> bytes:
        root = parse_root(request.match_info["name"])
        # Both are looked up in any case: how long "no" takes must not tell why.
        may_have = self._may_have(root, _token(request))
        exists = self._blobs.exists(root)
        if not may_have or not exists:
            raise NotFound("There is no such blob here", where=root.hex(), code="E-NOTFOUND-BLOB")
        return root


class _NoLongerAllowedError(ConnectionError):
    """The reader was removed from the group while it was reading."""


class _Watched(Pace):
    """A pace that ends as soon as the reader may have the blob no more."""

    def __init__(self, pace: Pace, still: Callable[[], bool]) -> None:
        super().__init__(0)
        self._pace = pace
        self._still = still

    async def take(self, size: int) -> None:
        """Return when `size` more bytes may move."""
        self.check()
        await self._pace.take(size)

    def turn(self, size: int) -> int:
        """Return how many of `size` bytes to take at once."""
        return self._pace.turn(size)

    def check(self) -> None:
        """Raise when the reader may have the blob no more."""
        if not self._still():
            raise _NoLongerAllowedError


def _cut(request: web.Request) -> None:
    """End a connection whose answer cannot be finished: its reader would wait for the rest."""
    abort(request.transport)


def _token(request: web.Request) -> bytes:
    return token_of(request.headers.get("Authorization", ""))


def parse_root(name: str) -> bytes:
    """Return the 32 bytes that `name` stands for in hexadecimal.

    Raises
    ------
    BadRequest
        ``E-API-NAME`` when it is anything else.
    """
    if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
        raise BadRequest(
            "A name is 64 hexadecimal digits",
            where=name[:80],
            todo="Copy the whole id.",
            code="E-API-NAME",
        )
    return bytes.fromhex(name)


def byte_range(request: web.Request, size: int) -> tuple[int, int]:
    """Return the first byte asked for and the one after the last.

    Raises
    ------
    BadRequest
        ``E-API-REQUEST``: the range cannot be read.
    HTTPRequestRangeNotSatisfiable
        It lies past the end.
    """
    try:
        asked = request.http_range
    except ValueError as error:
        raise BadRequest("The range cannot be read", where="Range", why=str(error)) from error
    if asked.start is None and asked.stop is None:
        return 0, size
    start = max(0, size + asked.start) if (asked.start or 0) < 0 else (asked.start or 0)
    stop = size if asked.stop is None else min(asked.stop, size)
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, stop
