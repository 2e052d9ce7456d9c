"""Sending a range of a file as the body of an answer, as fast as the machine allows.

Theory of operation. Over plain HTTP, that is behind a proxy that ends TLS, the kernel moves the bytes from
the file to the socket: they never pass through Python (see :mod:`.kernel`). Over TLS each piece is read,
encrypted by the loop's TLS and sent.

Rules of this file:

1. The event loop does not wait for a disk: what is not in the page cache is read by a thread.
2. A reader that stops reading is given up; one that is slower than the limit allows waits by itself.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, BinaryIO, Final

from skerry.node.limits import BLOB_CHUNK_BYTES, BLOB_WRITE_SECONDS_MAX
from skerry.node.network.tap import TappedLoop

from .kernel import AVAILABLE

if TYPE_CHECKING:
    from aiohttp import web

    from .kernel import KernelSender
    from .pace import Pace

NOWAIT: Final = getattr(os, "RWF_NOWAIT", 0)
"""Makes a read fail instead of waiting for a disk; Linux only."""


async def send_range(
    request: web.Request,
    response: web.StreamResponse,
    file: BinaryIO,
    start: int,
    stop: int,
    pace: Pace,
    kernel: KernelSender,
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
    if transport.get_extra_info("sslcontext") is None and not tapped and AVAILABLE:
        return await kernel.send(transport, file, start, stop, pace)
    return await _send_by_hand(response, file, start, stop, pace)


async def _send_by_hand(
    response: web.StreamResponse, file: BinaryIO, start: int, stop: int, pace: Pace
) -> int:
    """Read and write piece by piece."""
    first = start
    while start < stop:
        size = pace.turn(min(BLOB_CHUNK_BYTES, stop - start))
        await pace.take(size)
        chunk = await _read(file, start, size)
        if not chunk:
            break
        async with asyncio.timeout(BLOB_WRITE_SECONDS_MAX):
            await response.write(chunk)
        # A socket that takes all at once never makes us wait, and one fast reader would hold up everybody.
        await asyncio.sleep(0)
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
