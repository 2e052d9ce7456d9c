"""Sending a range of a file as the body of an answer, as fast as the machine allows.

Theory of operation. Over plain HTTP, that is behind a proxy that ends TLS, the kernel moves the bytes from
the file to the socket (``sendfile``): they never pass through Python. uvloop has no ``sendfile`` of its own,
so it is called here on a duplicate of the socket, which the loop can watch, while the transport itself is
idle. Over TLS each piece is read, encrypted by the loop's TLS and sent.

Rules of this file:

1. The event loop does not wait for a disk: what is not in the page cache is read by a thread, or asked for
   ahead.
2. A reader that stops reading is given up; one that is slower than the limit allows waits by itself.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, BinaryIO, Final

from skerry.node.limits import (
    BLOB_CHUNK_BYTES,
    BLOB_WRITE_SECONDS_MAX,
    PACE_BURST_SECONDS,
    SEND_TURN_BYTES,
)
from skerry.node.network.tap import TappedLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

NOWAIT: Final = getattr(os, "RWF_NOWAIT", 0)
"""Makes a read fail instead of waiting for a disk; Linux only."""


class Pace:
    """A limit on bytes a second, shared by all transfers of one direction.

    Parameters
    ----------
    bytes_per_second
        0 for no limit.
    clock
        Seconds; monotonic.
    """

    def __init__(self, bytes_per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._free_at = clock()

    async def take(self, size: int) -> None:
        """Return when `size` more bytes may move."""
        if self._rate:
            await asyncio.sleep(self.delay(size))

    def delay(self, size: int) -> float:
        """Book `size` bytes, and return the seconds to wait before they move."""
        if not self._rate:
            return 0.0
        now = self._clock()
        self._free_at = max(self._free_at, now - PACE_BURST_SECONDS) + size / self._rate
        return max(0.0, self._free_at - now)


UNLIMITED: Final = Pace(0)
"""No limit; shared, since it remembers nothing."""


async def send_range(
    request: web.Request, response: web.StreamResponse, file: BinaryIO, start: int, stop: int, pace: Pace
) -> int:
    """Send bytes `start` to `stop` of `file` after the headers of `response`, which is prepared.

    Returns
    -------
    int
        How many bytes were sent: fewer when the file was cut short under us; the connection then ends early
        and the reader knows.

    Raises
    ------
    ConnectionError
        The reader went away.
    TimeoutError
        It stopped reading.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the reader went away")
    tapped = isinstance(asyncio.get_running_loop(), TappedLoop)
    if transport.get_extra_info("sslcontext") is None and not tapped and hasattr(os, "sendfile"):
        return await _send_by_kernel(transport, file, start, stop, pace)
    return await _send_by_hand(response, file, start, stop, pace)


async def _send_by_kernel(
    transport: asyncio.Transport, file: BinaryIO, start: int, stop: int, pace: Pace
) -> int:
    """Have the kernel copy from the file to the socket."""
    await _flushed(transport)
    first = start
    source = file.fileno()
    target = os.dup(transport.get_extra_info("socket").fileno())
    try:
        while start < stop:
            size = min(SEND_TURN_BYTES, stop - start)
            await pace.take(size)
            os.posix_fadvise(source, start + size, SEND_TURN_BYTES, os.POSIX_FADV_WILLNEED)
            end = start + size
            while start < end:
                try:
                    sent = os.sendfile(target, source, start, end - start)
                except BlockingIOError:
                    await _writable(target)
                    continue
                if not sent:
                    return start - first
                start += sent
            await asyncio.sleep(0)
    finally:
        os.close(target)
    return start - first


async def _send_by_hand(
    response: web.StreamResponse, file: BinaryIO, start: int, stop: int, pace: Pace
) -> int:
    """Read and write piece by piece."""
    first = start
    while start < stop:
        size = min(BLOB_CHUNK_BYTES, stop - start)
        await pace.take(size)
        chunk = await _read(file, start, size)
        if not chunk:
            break
        async with asyncio.timeout(BLOB_WRITE_SECONDS_MAX):
            await response.write(chunk)
        start += len(chunk)
    return start - first


async def _read(file: BinaryIO, start: int, size: int) -> bytes | bytearray:
    """Return what is in the page cache at once; leave to a thread what the disk must be asked for."""
    if NOWAIT:
        buffer = bytearray(size)
        try:
            if os.preadv(file.fileno(), [buffer], start, NOWAIT) == size:
                return buffer
        except OSError:
            pass  # not in the cache, or a file system that cannot say
    return await asyncio.to_thread(os.pread, file.fileno(), size, start)


async def _flushed(transport: asyncio.Transport) -> None:
    """Return when the transport has given all it holds to the kernel."""
    async with asyncio.timeout(BLOB_WRITE_SECONDS_MAX):
        pause = 0.0
        while transport.get_write_buffer_size():
            if transport.is_closing():
                raise ConnectionResetError("the reader went away")
            await asyncio.sleep(pause)
            pause = 0.001


async def _writable(descriptor: int) -> None:
    """Return when the socket takes more."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, _resolve, ready)
    try:
        async with asyncio.timeout(BLOB_WRITE_SECONDS_MAX):
            await ready
    finally:
        loop.remove_writer(descriptor)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
