"""Who searches next: few at a time, callers in turn, and nobody who could not be answered in time.

Theory of operation. A search that computes holds one of a few *places*. One that finds none waits in its
caller's line, and when a place becomes free the callers take turns, so that a search waits for as many others
of each caller as stand before it in its own line, however long the other lines are. From how long places were
held lately follows how long it will wait; where that is longer than it may, it is told so at once, and when
to come again, in place of being let down later.

Rules of this file:

1. On the event loop only.
2. Who waits is granted a place or refused, and a place that was granted to one who left goes to the next.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from skerry.node.api.problems import Busy
from skerry.node.limits import SEARCH_HELD_SECONDS_GUESS, SEARCH_HELD_SHARE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Turns:
    """Places, and the lines before them.

    Parameters
    ----------
    places
        How many searches compute at one time.
    waiting_max
        How many wait, of all callers together.
    clock
        Monotonic seconds.
    """

    def __init__(self, places: int, waiting_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = self._free = places
        self._waiting_max = waiting_max
        self._clock = clock
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """By caller, in the order of their turns; none is empty."""
        self._held_seconds = SEARCH_HELD_SECONDS_GUESS

    @asynccontextmanager
    async def place(self, caller: str, seconds: float) -> AsyncIterator[None]:
        """Wait for a place for `seconds` at the most, and hold it.

        Raises
        ------
        Busy
            ``E-UNAVAILABLE-BUSY``: it is not to be had in that time.
        """
        if self._free and not self._lines:
            self._free -= 1
        else:
            await self._wait(caller, seconds)
        began = self._clock()
        try:
            yield
        finally:
            self._held_seconds += SEARCH_HELD_SHARE * (self._clock() - began - self._held_seconds)
            self._give_back()

    async def _wait(self, caller: str, seconds: float) -> None:
        expected = self._held_seconds * (self._before(caller) + 1) / self._places
        if expected > seconds or self._waiting() >= self._waiting_max:
            raise self._busy(expected)
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give_back()
            else:
                self._leave(caller, turn)
            if isinstance(error, TimeoutError):
                raise self._busy(expected) from error
            raise

    def _before(self, caller: str) -> int:
        """Return how many searches come before the next one of a caller."""
        own = len(self._lines.get(caller, ()))
        return own + sum(min(len(line), own + 1) for name, line in self._lines.items() if name != caller)

    def _waiting(self) -> int:
        return sum(map(len, self._lines.values()))

    def _leave(self, caller: str, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(caller, deque())
        if turn in line:
            line.remove(turn)
            if not line:
                del self._lines[caller]

    def _give_back(self) -> None:
        self._free += 1
        while self._free and self._lines:
            caller, line = self._lines.popitem(last=False)
            turn = line.popleft()
            if line:
                self._lines[caller] = line
            if turn.cancelled():
                continue
            self._free -= 1
            turn.set_result(None)

    def _busy(self, expected: float) -> Busy:
        return Busy(
            "The node has too many searches to do",
            why=f"{self._waiting()} are waiting, which takes about {expected:.1f} s",
            todo="Wait as long as Retry-After says, or allow more time.",
            code="E-UNAVAILABLE-BUSY",
            again_seconds=max(1, math.ceil(expected)),
        )
