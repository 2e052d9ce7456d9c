"""The connected peers, and what is known of each connection.

A *promise* is an answer that a peer owes: a request is sent with a deadline, and its answer, or the lack of
it, enters the peer's score and the measured round trip. Nothing here outlives the connection: what a peer
holds is never persisted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from .allowance import Allowance
from .limits import (
    PASSED_WORK_PER_SECOND,
    PASSED_WORK_SAVED_MAX,
    PROMISES_MAX,
    REQUEST_SECONDS_MAX,
    REQUEST_SECONDS_MIN,
    WORK_PER_SECOND,
    WORK_SAVED_MAX,
)
from .score import Score

PromiseKey = tuple[str, bytes]
"""What an answer is recognised by: the kind of request, and bytes that name it."""


def _work() -> Allowance:
    return Allowance(WORK_PER_SECOND, WORK_SAVED_MAX)


def _passed() -> Allowance:
    return Allowance(PASSED_WORK_PER_SECOND, PASSED_WORK_SAVED_MAX)


@dataclass(slots=True)
class Peer:
    """One connected peer.

    Parameters
    ----------
    key, owner
        Its node key, and its owner's id.
    outbound
        Whether this node dialled.
    since
        When the connection came up, monotonic seconds.
    score
        What it is worth.
    """

    key: bytes
    owner: bytes
    outbound: bool
    since: float
    score: Score
    addresses: tuple[str, ...] = ()
    round_trip: float | None = None
    """Smoothed, in seconds; None before the first answer."""
    shortest: float = inf
    """The shortest round trip (seconds): others hold what the peer had to do first, or its own waiting."""
    heard: float = 0.0
    """When the last frame came, monotonic seconds."""
    promises: dict[PromiseKey, tuple[float, float]] = field(default_factory=dict)
    """Request -> (sent, deadline)."""
    _due: float = inf
    """No deadline is earlier: this is looked at with every timer of an announced head."""
    greeted: bool = False
    """Whether it has said how much it needs the link: that counts once."""
    closing: bool = False
    """Whether this node is closing the connection."""
    work: Allowance = field(default_factory=_work)
    """What the peer may still ask for."""
    passed: Allowance = field(default_factory=_passed)
    """What may still be passed on to the peer unasked."""

    def may_ask(self) -> bool:
        """Return whether another request may be under way at this peer."""
        return len(self.promises) < PROMISES_MAX

    def owes_nodes(self) -> bool:
        """Return whether it was asked for node records and has not answered."""
        return any(kind == "nodes" for kind, _ in self.promises)

    def promise(self, key: PromiseKey, now: float, stretch: float) -> None:
        """Note a request that is being sent."""
        expected = 4 * self.round_trip if self.round_trip is not None else REQUEST_SECONDS_MAX
        seconds = min(max(expected, REQUEST_SECONDS_MIN), REQUEST_SECONDS_MAX)
        deadline = now + seconds * stretch
        self.promises[key] = (now, deadline)
        self._due = min(self._due, deadline)

    def kept(self, key: PromiseKey, now: float) -> bool:
        """Take back a request that was answered; False when nothing was asked."""
        asked = self.promises.pop(key, None)
        if asked is None:
            return False
        sample = now - asked[0]
        self.shortest = min(self.shortest, sample)
        self.round_trip = sample if self.round_trip is None else 0.875 * self.round_trip + 0.125 * sample
        return True

    def overdue(self, now: float) -> list[PromiseKey]:
        """Take out and return the requests whose deadline passed."""
        if now < self._due:
            return []
        late = [key for key, (_, deadline) in self.promises.items() if deadline <= now]
        for key in late:
            del self.promises[key]
        self._due = min((deadline for _, deadline in self.promises.values()), default=inf)
        return late
