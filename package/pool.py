"""Warm workers: one a package, kept between calls, because starting one costs a thousand calls.

Theory of operation. The pool hands out workers by the package's name (its digest). A worker in use is
not shared: a call that finds it busy waits for it. Workers that were idle too long are stopped by the
next call of any kind, or by :meth:`WorkerPool.stop_idle`, which a daemon calls from its own timer; past the
pool's size, the one idle the longest makes room. A worker that failed is stopped and forgotten.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from skerry.errors import SandboxError

from . import limits
from .worker import Worker

_MODEL_FAULTS: Final = frozenset({"E-SANDBOX-MODEL", "E-SANDBOX-METHOD"})
"""Errors after which a worker is as good as before: its model was asked what it cannot answer."""


@dataclass
class _Slot:
    """One package's place in the pool; its lock is held by whoever uses the worker."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    worker: Worker | None = None
    used: float = 0.0

    def stop(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None


class WorkerPool:
    """Workers by package digest.

    Parameters
    ----------
    size
        The most workers that are kept while idle.
    idle_seconds
        How long a worker is kept without a call.
    clock
        Seconds that never go back; a test's own clock.
    """

    def __init__(
        self,
        *,
        size: int = limits.WORKERS_MAX,
        idle_seconds: float = limits.IDLE_SECONDS_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[bytes, _Slot] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def worker(self, digest: bytes, start: Callable[[], Worker]) -> Iterator[Worker]:
        """Lend the package's worker; `start` makes it when there is none.

        Raises
        ------
        SandboxError, PackageError
            From `start`, or from what is done with the worker.
        """
        self.stop_idle()
        with self._lock:
            slot = self._slots.setdefault(digest, _Slot())
        with slot.lock:
            if slot.worker is None or not slot.worker.alive:
                slot.stop()
                slot.worker = start()
            try:
                yield slot.worker
            except SandboxError as error:
                if error.code not in _MODEL_FAULTS:
                    slot.stop()
                raise
            finally:
                slot.used = self._clock()
        self._make_room()

    def stop_idle(self) -> None:
        """Stop the workers that were idle too long."""
        before = self._clock() - self._idle_seconds
        for slot in list(self._slots.values()):
            if slot.worker is not None and slot.used < before:
                self._stop(slot)

    def close(self) -> None:
        """Stop every worker, waiting for calls that run."""
        for slot in list(self._slots.values()):
            with slot.lock:
                slot.stop()
        self._slots.clear()

    def __len__(self) -> int:
        """Return how many workers are running."""
        return sum(slot.worker is not None for slot in self._slots.values())

    def _make_room(self) -> None:
        kept = [slot for slot in list(self._slots.values()) if slot.worker is not None]
        for slot in sorted(kept, key=lambda each: each.used)[: max(0, len(kept) - self._size)]:
            self._stop(slot)

    def _stop(self, slot: _Slot) -> None:
        """Stop an idle worker; one in use is left alone."""
        if slot.lock.acquire(blocking=False):
            try:
                slot.stop()
            finally:
                slot.lock.release()
