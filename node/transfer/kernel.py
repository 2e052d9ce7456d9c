"""The kernel copies from the file to the socket, in a thread while the reader keeps up.

Theory of operation. ``sendfile`` moves bytes from the page cache to a socket without Python seeing them. What
costs then is being woken: a socket takes a megabyte or so, and an event loop that is told each time when it
takes more spends as long on that as the kernel on the bytes. So a large turn is one blocking ``sendfile`` in
a thread, which waits for the reader inside the kernel, without the interpreter's lock. The threads are few. A
reader that is slower than its socket for a moment ends its turn and goes on by the event loop, where waiting
costs nothing, for one small turn; then it is tried again. So does everybody for whom no thread is free:
nobody waits for a thread.

The transport keeps the socket. It is idle meanwhile: its buffer was emptied before, and it does not read.
That matters, since blocking is a property of the socket and not of the descriptor: whatever the event loop
did with it now would make the loop wait. The thread works on descriptors of its own and closes them, so
whoever ends early closes nothing under it.

Rules of this file:

1. A thread is never held by a reader that stalls: the socket's own timeout ends its turn.
2. Whoever is cancelled, or may have the blob no more, has the connection shut down: that ends the thread's
   wait at once. Such a connection is not used again.
3. The socket is back as it was before the transport reads or writes again.
4. The event loop waits for no disk: what it sends itself is asked for ahead.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from skerry.node.limits import (
    BLOB_WRITE_SECONDS_MAX,
    SEND_CHECK_SECONDS,
    SEND_STALL_SECONDS,
    SEND_THREAD_BYTES_MIN,
    SEND_THREAD_TURN_BYTES,
    SEND_THREADS_MAX,
    SEND_TURN_BYTES,
)

if TYPE_CHECKING:
    from .pace import Pace

AVAILABLE: Final = hasattr(os, "sendfile") and hasattr(os, "posix_fadvise")
"""Whether this system has what is used here."""
_STALL: Final = struct.pack("@ll", int(SEND_STALL_SECONDS), int(SEND_STALL_SECONDS % 1 * 1_000_000))


class KernelSender:
    """Sends ranges of files over sockets without TLS, for all readers of a node together."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(SEND_THREADS_MAX)
        self._threads = ThreadPoolExecutor(SEND_THREADS_MAX, thread_name_prefix="sending")

    def close(self) -> None:
        """Let the threads end; nothing is sent by them after this."""
        self._threads.shutdown(wait=False)

    async def send(
        self, transport: asyncio.Transport, file: BinaryIO, start: int, stop: int, pace: Pace
    ) -> int:
        """Send bytes `start` to `stop` of `file`, after what the transport holds.

        Returns
        -------
        int
            How many bytes were sent: fewer when the file was cut short under us.

        Raises
        ------
        ConnectionError
            The reader went away, or `pace` says that this has to end.
        TimeoutError
            It stopped reading.
        """
        await _flushed(transport)
        source, first, booked = file.fileno(), start, start
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as target:
            while start < stop:
                pace.check()
                if start == booked:
                    booked += pace.turn(min(SEND_THREAD_TURN_BYTES, stop - start))
                    await pace.take(booked - start)
                _still_open(transport)
                start += await self._by_thread(transport, target, source, start, booked - start, pace)
                size = min(SEND_TURN_BYTES, booked - start)
                if size:
                    sent = await _by_loop(target.fileno(), source, start, size)
                    start += sent
                    if sent < size:
                        break
                await asyncio.sleep(0)
        return start - first

    async def _by_thread(
        self,
        transport: asyncio.Transport,
        target: socket.socket,
        source: int,
        start: int,
        size: int,
        pace: Pace,
    ) -> int:
        """Return how much of a turn a thread has sent: nothing when none is free, or the reader stalled."""
        if size < SEND_THREAD_BYTES_MIN or not self._free.acquire(blocking=False):
            return 0
        reading = transport.is_reading()
        transport.pause_reading()
        target.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _STALL)
        descriptors = os.dup(target.fileno()), os.dup(source)
        sending = asyncio.wrap_future(self._threads.submit(self._send, *descriptors, start, size))
        sending.add_done_callback(_seen)
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=SEND_CHECK_SECONDS)
                pace.check()
        finally:
            if not sending.done():
                with suppress(OSError):
                    target.shutdown(socket.SHUT_RDWR)
            elif reading and not transport.is_closing():
                transport.resume_reading()
        return sending.result()

    def _send(self, target: int, source: int, start: int, size: int) -> int:
        """Send as much as the reader takes without a stall; runs in a thread, and closes what it is given."""
        os.set_blocking(target, True)
        try:
            return os.sendfile(target, source, start, size)
        except BlockingIOError:
            return 0
        finally:
            os.set_blocking(target, False)
            os.close(target)
            os.close(source)
            self._free.release()


async def _by_loop(target: int, source: int, start: int, size: int) -> int:
    """Send a turn whenever the socket takes something; return less when the file ends before."""
    os.posix_fadvise(source, start + size, SEND_TURN_BYTES, os.POSIX_FADV_WILLNEED)
    first, stop = start, start + size
    while start < stop:
        try:
            sent = os.sendfile(target, source, start, stop - start)
        except BlockingIOError:
            await _writable(target)
            continue
        if not sent:
            break
        start += sent
    return start - first


async def _flushed(transport: asyncio.Transport) -> None:
    """Return when the transport has given all it holds to the kernel."""
    async with asyncio.timeout(BLOB_WRITE_SECONDS_MAX):
        pause = 0.0
        while transport.get_write_buffer_size():
            _still_open(transport)
            await asyncio.sleep(pause)
            pause = 0.001


def _still_open(transport: asyncio.Transport) -> None:
    if transport.is_closing():
        raise ConnectionResetError("the reader went away")


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


def _seen(sending: asyncio.Future[int]) -> None:
    """Take note of the error of a thread for which nobody waits any more."""
    if not sending.cancelled():
        sending.exception()
