"""Repair: two nodes find out which heads differ, and each asks for what it lacks.

Theory of operation. A *digest* of each scope goes to every peer that this node dialled, and every
``REPAIR_SECONDS`` to one peer at random. Equal digests end it. Who receives another digest starts a
reconciliation (:mod:`.reconcile`), which names the keys that the other side holds newer; their records are
asked for in portions. When a portion brought news and nothing is left to ask, a new digest is sent: so the
sets converge in rounds, each bounded.

Rules of this file:

1. A message of a reconciliation answers one: a digest invites one opening, and each frame of a leg the frames
   of the next. What nobody invited is abuse, and goes unread.
2. An older head is answered with the newer one, whoever sent it and why.
3. A peer pays for the work it asks for, what the answer took included; who asks for more than
   ``WORK_PER_SECOND`` is not answered.
4. What a peer holds is forgotten with the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .context import Context
from .envelope import Verified
from .errors import RemoteProtocolError
from .events import TimerKind
from .exchange import Ranges, RecordsRequest
from .index import Index
from .limits import (
    FRAME_BYTES_MAX,
    MESSAGE_BYTES_OVERHEAD,
    RECONCILE_ANSWER_BYTES_MAX,
    RECONCILE_ANSWER_FRAMES,
    RECONCILE_INVITED_MAX,
    RECONCILE_QUEUE_MAX,
    RECONCILE_RANGES_MAX,
    RECORD_KEYS_MAX,
    REPAIR_SECONDS,
)
from .messages import Digest, Records
from .node_record import NodeRecord
from .owners import Owners
from .reconcile import DIGITS, Range
from .violations import Violation

RECORDS = "records"
"""The kind of promise that a request for records is."""


@dataclass(slots=True)
class Round:
    """A reconciliation with one peer in one scope, as far as this side must remember."""

    wanted: list[bytes] = field(default_factory=list)
    """Key prefixes still to be asked for."""
    news: bool = False
    """Whether something new came."""


Invited = dict[int, int]
"""Leg -> frames of it that are welcome."""


def _no_record(key: bytes) -> None:
    del key


def _nothing(peer: bytes, scope: bytes) -> None:
    del peer, scope


class Repair:
    """See the module's docstring."""

    def __init__(
        self, context: Context, owners: Owners, index_of: Callable[[bytes, bytes], Index | None]
    ) -> None:
        self._context = context
        self._owners = owners
        self._index_of = index_of
        self.record_of: Callable[[bytes], Verified[NodeRecord] | None] = _no_record
        """Where a node that publishes is reached: who asks for its head learns that too."""
        self.brought_news: Callable[[bytes], None] = _no_record
        """Told of a peer that knew more."""
        self.agrees: Callable[[bytes, bytes], None] = _nothing
        """Told of a peer that holds the same heads of a scope."""
        self._rounds: dict[tuple[bytes, bytes], Round] = {}
        """(scope, peer) -> round."""
        self._invited: dict[tuple[bytes, bytes], Invited] = {}
        """(scope, peer) -> what it may send."""

    def start(self) -> None:
        """Set the timer."""
        self._context.timer(TimerKind.REPAIR, REPAIR_SECONDS * self._context.rng.random())

    def tick(self, scopes: Iterable[bytes]) -> None:
        """Do what the REPAIR timer is for."""
        self._context.timer(TimerKind.REPAIR, REPAIR_SECONDS)
        peers = list(self._context.peers)
        if peers:
            peer = self._context.rng.choice(peers)
            for scope in scopes:
                self.send_digest(peer, scope)

    def send_digest(self, peer: bytes, scope: bytes) -> None:
        """Tell a peer what is held in a scope, in a few bytes."""
        index = self._index_of(peer, scope)
        if index is not None:
            self._context.send(peer, Digest(scope, len(index.set), index.set.digest()))
            self._invite(peer, scope, 1, 1)

    def disconnected(self, peer: bytes) -> None:
        """Forget the peer."""
        for place in [place for place in self._rounds if place[1] == peer]:
            del self._rounds[place]
        for place in [place for place in self._invited if place[1] == peer]:
            del self._invited[place]

    def broken(self, peer: bytes, scope: bytes) -> None:
        """Give a round up whose answer did not come; the next digest begins another."""
        self._rounds.pop((scope, peer), None)

    def digest(self, peer: bytes, message: Digest) -> None:
        """Compare, and start a reconciliation when the sets differ."""
        index = self._index_of(peer, message.scope)
        if index is None:
            return
        if message.fingerprint == index.set.digest():
            self.agrees(peer, message.scope)
            return
        self._send_ranges(peer, message.scope, 1, index.set.opening())

    def ranges(self, peer: bytes, message: Ranges) -> None:
        """Answer one leg of a reconciliation, and ask for what it showed to be newer there."""
        if any(len(item.parts) not in (0, len(DIGITS)) for item in message.ranges):
            raise RemoteProtocolError(Violation.MALFORMED, "parts of a range", where="ranges")
        index = self._index_of(peer, message.scope)
        if (
            index is None
            or not self._was_invited(peer, message)
            or not self._context.pays(peer, _work(message.ranges))
        ):
            return
        differences = index.set.respond(message.ranges, message.leg)
        self._context.peers[peer].work.owe(_work(differences.answer))
        self._send_ranges(peer, message.scope, message.leg + 1, differences.answer)
        self._want(peer, message.scope, differences.wanted)
        if message.leg == 1 and not differences.answer and not differences.wanted:
            self.agrees(peer, message.scope)

    def request(self, peer: bytes, scope: bytes, key: bytes) -> None:
        """Ask a peer for the newest head of one node key, with the charters that it needs."""
        self._want(peer, scope, (key,))

    def requested(self, peer: bytes, message: RecordsRequest) -> None:
        """Send the heads and charters asked for."""
        index = self._index_of(peer, message.scope)
        if index is None or not self._context.pays(peer, len(message.keys)):
            return
        keys = [key for prefix in message.keys for key in index.set.named(prefix)]
        records = [] if index.scope else [self.record_of(key) for key in keys]
        self.send_records(peer, index, keys, [record for record in records if record is not None])
        # An answer that ends with no records tells the asker that this was all.
        self._context.send(peer, Records((), ()))

    def send_records(
        self, peer: bytes, index: Index, keys: Iterable[bytes], records: Iterable[Verified[NodeRecord]] = ()
    ) -> None:
        """Send what is held for some keys, and node records after it."""
        items = [item for key in keys for item in index.envelopes(key)]
        items += [(record.value.owner, record.raw) for record in records]
        for message in self._owners.with_charters(items):
            self._context.send(peer, message)

    def received(self, peer: bytes, *, news: bool, last: bool) -> None:
        """Go on after a portion of records: ask for the next, or compare again when there was news."""
        for (scope, of), state in list(self._rounds.items()):
            if of != peer:
                continue
            state.news = state.news or news
            if not last or not self._context.answered(peer, (RECORDS, scope)):
                continue
            if state.wanted:
                self._ask(peer, scope, state)
            else:
                del self._rounds[scope, peer]
                if state.news:
                    self._context.peers[peer].score.was_useful(self._context.now)
                    self.brought_news(peer)
                    self.send_digest(peer, scope)

    def queues(self) -> dict[str, int]:
        """Return how much waits, by queue."""
        return {"records": max((len(state.wanted) for state in self._rounds.values()), default=0)}

    def _invite(self, peer: bytes, scope: bytes, leg: int, frames: int) -> None:
        invited = self._invited.setdefault((scope, peer), {})
        invited[leg] = min(invited.get(leg, 0) + frames, RECONCILE_INVITED_MAX)

    def _was_invited(self, peer: bytes, message: Ranges) -> bool:
        invited = self._invited.get((message.scope, peer), {})
        if not invited.get(message.leg):
            self._context.peers[peer].score.was_abusive(self._context.now)
            return False
        invited[message.leg] -= 1
        return True

    def _want(self, peer: bytes, scope: bytes, keys: Iterable[bytes]) -> None:
        new = tuple(keys)
        if not new:
            return
        state = self._rounds.setdefault((scope, peer), Round())
        known = set(state.wanted)
        state.wanted.extend(key for key in new if key not in known)
        del state.wanted[RECONCILE_QUEUE_MAX:]
        self._ask(peer, scope, state)

    def _ask(self, peer: bytes, scope: bytes, state: Round) -> None:
        keys = tuple(state.wanted[:RECORD_KEYS_MAX])
        if keys and self._context.request(peer, (RECORDS, scope), RecordsRequest(scope, keys)):
            del state.wanted[: len(keys)]

    def _send_ranges(self, peer: bytes, scope: bytes, leg: int, ranges: Iterable[Range]) -> None:
        """Send ranges in as many frames as they need, up to the bound."""
        part: list[Range] = []
        size = total = 0
        for item in ranges:
            need = range_bytes_max(item)
            if part and (
                size + need > FRAME_BYTES_MAX - MESSAGE_BYTES_OVERHEAD or len(part) == RECONCILE_RANGES_MAX
            ):
                self._send_leg(peer, scope, leg, part)
                part, size = [], 0
            total += need
            if total > RECONCILE_ANSWER_BYTES_MAX:
                break
            part.append(item)
            size += need
        if part:
            self._send_leg(peer, scope, leg, part)

    def _send_leg(self, peer: bytes, scope: bytes, leg: int, ranges: list[Range]) -> None:
        self._context.send(peer, Ranges(scope, leg, tuple(ranges)))
        self._invite(peer, scope, leg + 1, RECONCILE_ANSWER_FRAMES)


def _work(ranges: Iterable[Range]) -> int:
    """Return the units of work that ranges take, to read or to make: a fingerprint or an entry each."""
    return sum(len(DIGITS) if item.parts else 1 + len(item.entries) for item in ranges)


def range_bytes_max(item: Range) -> int:
    """Return an upper bound of a range's encoded length."""
    return 16 + len(item.prefix) + sum(len(part) + 2 for part in item.parts) + 36 * len(item.entries)
