"""What goes on at the node, told to whoever listens: the source of the API's server-sent events.

Theory of operation. Parts of the node tell; every listener has a bounded queue of its own. The newest events
are kept, so that a listener that was cut off can take up where it was.

Rules of this file:

1. Telling never waits and never fails: a listener that does not keep up is ended, and connects again.
2. Events are for people who watch; nothing may depend on hearing one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skerry.errors import Unavailable
from skerry.protocol.api import Event

from .limits import EVENT_LISTENERS_MAX, EVENTS_KEPT, EVENTS_QUEUED_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

Listener = asyncio.Queue[Event | None]
"""``None`` ends it."""


class Progress:
    """The events of one node."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._listeners: set[Listener] = set()
        self._last = 0

    def tell(self, kind: str, subject: str, step: str, done: int = 0, total: int = 0) -> None:
        """Tell all listeners; the parameters are those of :class:`~skerry.protocol.api.Event`."""
        self._last += 1
        event = Event(self._last, time.time(), kind, subject, step, done, total)
        self._kept.append(event)
        for listener in list(self._listeners):
            if listener.full():
                self._end(listener)
            else:
                listener.put_nowait(event)

    @contextmanager
    def listening(self, after: int | None = None) -> Iterator[Listener]:
        """Give a queue of events: those kept after number `after`, if that is given, and all to come.

        Raises
        ------
        Unavailable
            ``E-UNAVAILABLE-FULL``: there are too many listeners.
        """
        if len(self._listeners) >= EVENT_LISTENERS_MAX:
            raise Unavailable("Too many programs listen to events already", code="E-UNAVAILABLE-FULL")
        listener: Listener = asyncio.Queue(EVENTS_QUEUED_MAX)
        for event in self._kept if after is not None else ():
            # A number beyond the last one is of an earlier start of the node, whose events are gone.
            if event.id > (after or 0) or (after or 0) > self._last:
                listener.put_nowait(event)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End all listeners."""
        for listener in list(self._listeners):
            self._end(listener)

    def _end(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        while listener.full():
            listener.get_nowait()
        listener.put_nowait(None)
