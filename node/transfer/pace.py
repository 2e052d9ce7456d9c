"""A limit on bytes a second, shared by all transfers of one direction."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from skerry.node.limits import PACE_BURST_SECONDS, PACE_TURN_BYTES_MIN, PACE_TURN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable


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

    def turn(self, size: int) -> int:
        """Return how many of `size` bytes to take at once, so that no pause looks like a dead line."""
        if not self._rate:
            return size
        return min(size, max(PACE_TURN_BYTES_MIN, int(self._rate * PACE_TURN_SECONDS)))

    def check(self) -> None:
        """Raise when what is under way has to end now; called about once a second while it moves."""

    def delay(self, size: int) -> float:
        """Book `size` bytes, and return the seconds to wait before they move."""
        if not self._rate:
            return 0.0
        now = self._clock()
        self._free_at = max(self._free_at, now - PACE_BURST_SECONDS) + size / self._rate
        return max(0.0, self._free_at - now)


UNLIMITED: Final = Pace(0)
"""No limit; shared, since it remembers nothing."""
