"""The driver: feeds the protocol's state machine and carries out what it wants.

Theory of operation. One task takes events from one queue, gives each to ``State.handle``, and carries the
effects out before it takes the next event; so the state machine lives in one task and needs no lock. What
can wait is handed on: a frame to the queue of its connection, a dial to a task of its own.

Rules of this file:

1. Effects are carried out in order, and what is to be stored is on the disk before a later effect begins.
   Stores that follow each other are one transaction. Only pending cards, of which nobody is told, are written
   behind what follows, up to a bound; no other store overtakes them.
2. No decision is taken here: the driver does not look into frames and records.
3. While the disk is full nothing happens but waiting for room: peers are slowed down by back pressure, the
   API still answers, and nothing is acknowledged.
4. Frames wait for their place in the queue, and so does the peer behind them; timers, dials and requests
   are few by themselves and never wait.
5. However many events wait, everything else on the event loop has its turn after a few milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

import structlog

from skerry.errors import ConfigError, Refused, StorageError, Unavailable
from skerry.protocol import effects, events
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.violations import Violation

from .limits import (
    FRAMES_UNHANDLED_MAX,
    HANDLING_SECONDS_MAX,
    PUBLISH_SECONDS_MAX,
    STORE_BATCH_MAX,
    STORE_BEHIND_MAX,
    STORE_RETRY_SECONDS,
    TIMERS_MAX,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from skerry.protocol.state import State

    from .network.transport import Transport
    from .storage.store import Store

log: Final = structlog.get_logger()

Operations = tuple[effects.StoreOperation, ...]
Answer = effects.Published | effects.PublishRefused | effects.WhyReport | effects.RecordsTaken
"""Deliveries that answer an event, by its token."""
CLOCK_SECONDS: Final = 60.0
"""How often the state machine is told the wall-clock time."""


class Driver:
    """Runs one :class:`~skerry.protocol.state.State`.

    Parameters
    ----------
    state
        The state machine; from now on nobody else calls it.
    store
        Where its Store effects go.
    on_deliver
        Told of what the state machine delivers to the rest of the node.
    on_stored
        Told of every operation once it is on the disk.
    on_event
        Told of every event before the state machine is.
    """

    def __init__(
        self,
        state: State,
        store: Store,
        on_deliver: Callable[[effects.Delivery], None],
        on_stored: Callable[[effects.StoreOperation], None],
        on_event: Callable[[events.Event], None] = lambda _: None,
    ) -> None:
        self._state = state
        self._store = store
        self._on_deliver = on_deliver
        self._on_stored = on_stored
        self._on_event = on_event
        self._transport: Transport | None = None
        self._events: asyncio.Queue[events.Event] = asyncio.Queue()
        self._frames = asyncio.Semaphore(FRAMES_UNHANDLED_MAX)
        self._timers: dict[events.Timer, asyncio.TimerHandle] = {}
        self._behind: deque[tuple[Operations, asyncio.Future[None]]] = deque()
        """Pending cards that are being written, the oldest first."""
        self._expecting: dict[int, asyncio.Future[Answer]] = {}
        self._tokens = count(1)

    async def start(self, transport: Transport) -> None:
        """Bring the state machine to where the disk stands; what it sends goes through `transport`.

        Raises
        ------
        ConfigError
            ``E-CONFIG-REVOKED``: by the charters that it learned last, its key has no role.
        """
        self._transport = transport
        try:
            await self._handle(events.Started(time.time()))
        except RemoteProtocolError as error:
            if error.violation not in (Violation.KEY_UNKNOWN, Violation.OWNER_FROZEN):
                raise
            raise ConfigError(
                "This node's key no longer acts for its owner",
                where="charters",
                why=str(error),
                todo="The owner took it away, or must settle two charters with the recovery key. To go on, "
                "make a node in an empty folder: `skerry owner adopt`",
                code="E-CONFIG-REVOKED",
            ) from error

    async def run(self) -> None:
        """Handle events until cancelled."""
        clock = asyncio.create_task(self._tell_time())
        until = 0.0
        try:
            while True:
                if time.monotonic() > until:
                    await asyncio.sleep(0)  # A queue that holds something gives nobody else a turn.
                    until = time.monotonic() + HANDLING_SECONDS_MAX
                event = await self._events.get()
                await self._handle(event)
                if isinstance(event, events.Received):
                    self._frames.release()
        finally:
            clock.cancel()
            for timer in self._timers.values():
                timer.cancel()

    def post(self, event: events.Event) -> None:
        """Queue an event that is no frame."""
        self._events.put_nowait(event)

    async def receive(self, peer: bytes, frame: bytes) -> None:
        """Queue a frame; waits while too many are waiting, which in turn makes the peer wait."""
        await self._frames.acquire()
        self._events.put_nowait(events.Received(peer, frame))

    async def publish(
        self, cards: tuple[bytes, ...] = (), removed: tuple[bytes, ...] = (), scope: bytes = b""
    ) -> effects.Published:
        """Change this node's catalogue in a scope; returns when the new head is durable.

        Raises
        ------
        Refused
            ``E-REFUSED-PUBLISH`` when the state machine refuses the change.
        Unavailable
            ``E-UNAVAILABLE-PUBLISH`` when no answer came in time; the change may still come about.
        """
        answer = await self.ask(lambda token: events.Publish(token, cards, removed, scope))
        if isinstance(answer, effects.PublishRefused):
            raise Refused("The catalogue was not changed", why=answer.why, code="E-REFUSED-PUBLISH")
        assert isinstance(answer, effects.Published)
        return answer

    async def ask(self, question: Callable[[int], events.Event]) -> Answer:
        """Post the event that `question` makes for a token, and return what is delivered for that.

        Raises
        ------
        Unavailable
            ``E-UNAVAILABLE-PUBLISH`` when no answer came in time; what was asked for may still come about.
        """
        token = next(self._tokens)
        async with self._expected(token) as answered:
            self.post(question(token))
            try:
                return await asyncio.wait_for(answered, PUBLISH_SECONDS_MAX)
            except TimeoutError as error:
                raise Unavailable(
                    "The node did not answer its own state in time",
                    why=f"it took over {PUBLISH_SECONDS_MAX:g} s",
                    todo="Look at `skerry list` before publishing again: a change may still come about.",
                    code="E-UNAVAILABLE-PUBLISH",
                ) from error

    async def take_records(
        self, envelopes: tuple[bytes, ...], charters: tuple[tuple[bytes, ...], ...] = ()
    ) -> effects.RecordsTaken:
        """Have the state machine take records of this node's own people; returns when they are durable."""
        answer = await self.ask(lambda token: events.TakeRecords(token, envelopes, charters))
        assert isinstance(answer, effects.RecordsTaken)
        return answer

    @asynccontextmanager
    async def _expected(self, token: int) -> AsyncIterator[asyncio.Future[Answer]]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._expecting[token] = future
        try:
            yield future
        finally:
            del self._expecting[token]

    async def _tell_time(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            self.post(events.WallClock(time.time()))

    async def _handle(self, event: events.Event) -> None:
        self._on_event(event)
        wanted = self._state.handle(event, time.monotonic())
        stored: list[effects.StoreOperation] = []
        for effect in wanted:
            if isinstance(effect, effects.Store):
                stored.append(effect.operation)
                if len(stored) < STORE_BATCH_MAX:
                    continue
            await self._write(stored)
            if not isinstance(effect, effects.Store):
                self._carry_out(effect)
        await self._write(stored)

    async def _write(self, stored: list[effects.StoreOperation]) -> None:
        if not stored:
            return
        operations = tuple(stored)
        stored.clear()
        if all(isinstance(operation, effects.PutPendingCards) for operation in operations):
            self._behind.append((operations, self._store.begin(operations)))
            await self._catch_up(STORE_BEHIND_MAX)
            return
        await self._catch_up(0)
        await self._stored(operations)
        self._tell_stored(operations)

    async def _catch_up(self, left: int) -> None:
        """Wait until at most so many portions of pending cards are still to be written."""
        while len(self._behind) > left:
            operations, written = self._behind.popleft()
            try:
                await written
            except StorageError:
                await self._stored(operations)  # what cannot be helped is raised from there
            self._tell_stored(operations)

    def _tell_stored(self, operations: Operations) -> None:
        for operation in operations:
            self._on_stored(operation)

    async def _stored(self, operations: Operations) -> None:
        """Have operations on the disk; while that is full, wait and try again: nothing later may happen."""
        while True:
            try:
                await self._store.write(operations)
            except StorageError as error:
                if error.code != "E-STORAGE-FULL":
                    raise
                log.error(  # noqa: TRY400 - no bug, and no traceback
                    "the disk is full, so the node stands still", where=error.where, why=error.why
                )
                await asyncio.sleep(STORE_RETRY_SECONDS)
            else:
                return

    def _carry_out(self, effect: effects.Effect) -> None:
        assert self._transport is not None
        match effect:
            case effects.Send(peer, frame):
                self._transport.send(peer, frame)
            case effects.Connect(target, record):
                self._transport.connect(target, record)
            case effects.Disconnect(peer, reason):
                self._transport.disconnect(peer, reason)
            case effects.SetTimer(timer, at):
                self._set_timer(timer, at)
            case effects.Deliver(what):
                self._deliver(what)
            case effects.Misbehaved(peer, violation, detail):
                log.warning("peer misbehaved", peer=peer.hex(), violation=violation.value, detail=detail)
            case effects.Store():
                raise AssertionError("stores are carried out in batches")

    def _set_timer(self, timer: events.Timer, at: float) -> None:
        if timer in self._timers:
            self._timers.pop(timer).cancel()
        assert len(self._timers) < TIMERS_MAX, "the state machine bounds its timers"
        delay = max(0.0, at - time.monotonic())
        self._timers[timer] = asyncio.get_running_loop().call_later(delay, self._fire, timer)

    def _fire(self, timer: events.Timer) -> None:
        del self._timers[timer]
        self.post(events.TimerFired(timer))

    def _deliver(self, what: effects.Delivery) -> None:
        self._on_deliver(what)
        if isinstance(what, Answer):
            future = self._expecting.get(what.token)
            if future is not None and not future.done():  # otherwise whoever asked has stopped waiting
                future.set_result(what)
