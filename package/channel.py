"""The caller's end of a worker's pipes: messages there and back, within a deadline.

One thread, non-blocking descriptors and one selector: what the worker says on its answer pipe is
collected up to a bound, what it says on standard error is kept as a short tail, and a call is written
while the answer is already read, so that neither side can block the other. Whatever the worker
does, :meth:`Channel.exchange` ends by the deadline, in a message or in :class:`ChannelError`.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from typing import IO, Final

from . import limits
from .frames import FrameError, Message, MessageReader

_READ_BYTES: Final = 256 * limits.KIB


class ChannelError(Exception):
    """The worker did not answer as it must; the text says how."""


class Channel:
    """The three pipes of a worker process.

    Parameters
    ----------
    process
        Started with pipes for all three standard streams, unbuffered.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._calls, self._answers, self._errors = (
            _descriptor(stream) for stream in (process.stdin, process.stdout, process.stderr)
        )
        self._stderr = b""

    @property
    def stderr(self) -> str:
        """The last of what the worker wrote to standard error; text from a stranger."""
        return self._stderr.decode("utf-8", "replace")

    def exchange(
        self, call: Sequence[bytes | memoryview], *, answer_bytes_max: int, deadline: float
    ) -> Message:
        """Write `call` and return the answer.

        Parameters
        ----------
        call
            Buffers to write; none to wait for the worker's first message.
        answer_bytes_max
            The longest array that the answer may hold.
        deadline
            On the clock of ``time.monotonic``.

        Raises
        ------
        ChannelError
            No whole, valid answer came in time.
        """
        reader = MessageReader(answer_bytes_max)
        pending = deque(memoryview(buffer) for buffer in call if len(buffer))
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            selector.register(self._errors, selectors.EVENT_READ)
            if pending:
                selector.register(self._calls, selectors.EVENT_WRITE)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ChannelError("it did not answer in time")
                for key, _ in selector.select(left):
                    if key.fd == self._calls:
                        self._write(pending)
                        if not pending:
                            selector.unregister(self._calls)
                    elif key.fd == self._answers:
                        message = self._read(reader)
                        if message is not None:
                            return message
                    elif not self._read_errors():
                        selector.unregister(self._errors)

    def _write(self, pending: deque[memoryview]) -> None:
        try:
            written = os.write(self._calls, pending[0])
        except BlockingIOError:
            return
        except BrokenPipeError as error:
            self._read_errors()
            raise ChannelError("it ended") from error
        pending[0] = pending[0][written:]
        if not pending[0]:
            pending.popleft()

    def _read(self, reader: MessageReader) -> Message | None:
        data = os.read(self._answers, _READ_BYTES)
        if not data:
            self._read_errors()
            raise ChannelError("it ended without an answer")
        try:
            return reader.feed(data)
        except FrameError as error:
            raise ChannelError(f"it answered nonsense: {error}") from error

    def _read_errors(self) -> bool:
        try:
            data = os.read(self._errors, _READ_BYTES)
        except BlockingIOError:
            return True
        self._stderr = (self._stderr + data)[-limits.STDERR_BYTES_MAX :]
        return bool(data)


def _descriptor(stream: IO[bytes] | None) -> int:
    assert stream is not None
    descriptor = stream.fileno()
    os.set_blocking(descriptor, False)
    return descriptor
