"""The wanted list: heads whose catalogues are not whole, and whom to ask for the rest.

Rules of this file:

1. Who told of a head is asked first, then any other peer, one at a time for a catalogue, and ever more
   rarely: there are heads without a catalogue, and who gets one tells of it. Large catalogues are begun one
   at a time with each peer, which may have to make its trees first: those who told of them all share them.
2. A peer that answers wrongly is not asked again for that head; what verified from it stays.
3. Verified cards go to the disk in portions as they come, so that a restart need not fetch them again.
4. Of a catalogue of which nothing is shown yet the verified part is shown as it comes; of any other after
   ``PARTIAL_AFTER_SECONDS``. Either is said to be a part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .context import Context
from .effects import PutPendingCards
from .errors import RemoteProtocolError
from .events import TimerKind
from .index import Change, Held, Index, Taken
from .limits import (
    LARGE_CATALOGUE_CARDS,
    PARTIAL_AFTER_SECONDS,
    PENDING_CARDS_PORTION,
    PULL_PAUSE_SECONDS_MAX,
    PULL_REQUESTS_MAX,
    PULL_SECONDS,
    PULL_SOURCES_MAX,
    PULLS_MAX,
)
from .messages import Cards, Missing, Tree
from .peers import PromiseKey
from .pull import TOP, Pull, RequestKey
from .violations import Violation

PULL = "pull"
"""The kind of promise that a pull's requests are."""


@dataclass(slots=True)
class Wanted:
    """One head on the wanted list."""

    index: Index
    held: Held
    pull: Pull
    since: float
    """When the catalogue began to be incomplete, monotonic seconds."""
    sources: list[bytes] = field(default_factory=list)
    """Peers to ask, the present one first."""
    failed: set[bytes] = field(default_factory=set)
    """Peers that did not have it or answered wrongly."""
    unsaved: dict[bytes, bytes] = field(default_factory=dict)
    """Cards that came and are not on their way to the disk yet."""
    replaced: bool = False
    """Whether the verified part stands in place of the last whole catalogue."""
    pause: float = PULL_SECONDS
    ask_again_at: float = 0.0


class Pulls:
    """See the module's docstring.

    Parameters
    ----------
    finished
        Called when a catalogue became whole, with the peer that gave the last part.
    shares
        Whether a peer may be spoken with about a scope.
    allows
        Whether the catalogue of a head may be fetched.
    """

    def __init__(
        self,
        context: Context,
        finished: Callable[[Index, Change, bytes | None], None],
        shares: Callable[[bytes, bytes], bool],
        allows: Callable[[Index, Held], bool],
    ) -> None:
        self._allows = allows
        self._context = context
        self._shares = shares
        self._finished = finished
        self._wanted: dict[tuple[bytes, bytes], Wanted] = {}
        self._timer = False

    def __len__(self) -> int:
        return len(self._wanted)

    def coming(self) -> int:
        """Return how many cards the wanted catalogues still lack."""
        pulls = [wanted.pull for wanted in self._wanted.values()]
        return sum(max(0, pull.head.value.count - pull.here) for pull in pulls)

    def want(
        self, index: Index, held: Held, source: bytes | None, stash: dict[bytes, bytes] | None = None
    ) -> None:
        """Put the newest head of a node key on the list, in place of an older one of the same key."""
        if not self._allows(index, held):
            # What an older head signs must not be held against this one.
            self.settled(index, held.head.value.node_key)
            return
        place = (index.scope, held.head.value.node_key)
        old = self._wanted.pop(place, None)
        if old is not None and old.pull.head.hash == held.head.hash:
            self._wanted[place] = old
            self._add_source(old, source)
            return
        if old is not None:
            self._save(old)
            stash = old.pull.stash
        pull = Pull(held.head, held.catalogue, held.cards, stash or {})
        since = old.since if old is not None else self._context.now
        wanted = self._wanted[place] = Wanted(index, held, pull, since)
        self._add_source(wanted, source)
        self._set_timer()
        self._drive(wanted)

    def settled(self, index: Index, node_key: bytes) -> None:
        """Take a node key off the list: its catalogue is whole or it is gone."""
        self._wanted.pop((index.scope, node_key), None)

    def told(self, index: Index, node_key: bytes, peer: bytes) -> None:
        """Note that a peer told of the wanted head too."""
        wanted = self._wanted.get((index.scope, node_key))
        if wanted is not None:
            self._add_source(wanted, peer)
            self._drive(wanted)

    def agrees(self, peer: bytes, scope: bytes) -> None:
        """Note that a peer holds the wanted heads of a scope too, unless it said already that this is all."""
        for wanted in list(self._wanted.values()):
            if wanted.index.scope == scope and peer not in wanted.failed:
                self._add_source(wanted, peer)
                self._drive(wanted)

    def disconnected(self, peer: bytes) -> None:
        """Ask others for what was asked of a peer that is gone."""
        for wanted in list(self._wanted.values()):
            if peer in wanted.sources:
                self._abandon(wanted, peer)
                wanted.failed.discard(peer)

    def broken(self, peer: bytes, key: PromiseKey) -> None:
        """Deal with a request that was not answered in time."""
        for wanted in list(self._wanted.values()):
            if key[1].startswith(wanted.pull.head.hash) and peer in wanted.sources:
                self._abandon(wanted, peer)
                wanted.failed.discard(peer)

    def tree(self, peer: bytes, answer: Tree) -> None:
        """Take part of a tree."""
        wanted = self._of(answer.head)
        if wanted is None:
            return
        try:
            settled = wanted.pull.tree(answer)
        except RemoteProtocolError as error:
            self._refuse(wanted, peer, error)
            return
        self._progress(wanted, peer, settled)

    def cards(self, peer: bytes, answer: Cards) -> None:
        """Take cards."""
        wanted = self._of(answer.head)
        if wanted is None:
            return
        try:
            settled, new = wanted.pull.take_cards(answer)
        except RemoteProtocolError as error:
            self._refuse(wanted, peer, error)
            return
        wanted.unsaved.update(new)
        if len(wanted.unsaved) >= PENDING_CARDS_PORTION and not wanted.pull.done:
            self._save(wanted)
            self._show_part(wanted)
        self._progress(wanted, peer, settled)

    def missing(self, peer: bytes, message: Missing) -> None:
        """Ask somebody else: this peer does not have the catalogue."""
        wanted = self._of(message.head)
        if wanted is None:
            return
        for key in [key for key, of in wanted.pull.in_flight.items() if of == peer]:
            self._context.answered(peer, _promise(wanted, key))
        self._abandon(wanted, peer)
        self._drive(wanted)

    def tick(self) -> None:
        """Do what the PULL timer is for."""
        self._timer = False
        for place, wanted in list(self._wanted.items())[:PULLS_MAX]:
            self._wanted[place] = self._wanted.pop(place)  # The next tick begins with others.
            self._save(wanted)
            self._show_part(wanted)
            self._drive(wanted, few=True)
        self._set_timer()

    def _save(self, wanted: Wanted) -> None:
        """Have what came on the disk."""
        if wanted.unsaved:
            key = wanted.held.head.value.node_key
            self._context.store(PutPendingCards(wanted.index.scope, key, wanted.unsaved))
            wanted.unsaved = {}

    def _show_part(self, wanted: Wanted) -> None:
        """Show what is verified, where nothing is shown yet or what is shown became old."""
        held, pull = wanted.held, wanted.pull
        late = self._context.now - wanted.since >= PARTIAL_AFTER_SECONDS * self._context.stretch
        if held.whole or not (late or held.shown is None):
            return
        if late and not wanted.replaced:
            wanted.replaced = True
            wanted.index.show_partial(held, pull.verified())
        else:
            wanted.index.show_more(held, pull.take_fresh())

    def _of(self, head: bytes) -> Wanted | None:
        return next((item for item in self._wanted.values() if item.pull.head.hash == head), None)

    def _progress(self, wanted: Wanted, peer: bytes, settled: RequestKey | None) -> None:
        if settled is not None:
            wanted.pull.lost(settled)
            if settled == TOP and _is_large(wanted):
                self._begin_others()
            if self._context.answered(peer, _promise(wanted, settled)):
                self._context.peers[peer].score.was_useful(self._context.now)
            wanted.pause = PULL_SECONDS
        if wanted.pull.done:
            self._finish(wanted, peer)
        else:
            self._drive(wanted)

    def _finish(self, wanted: Wanted, peer: bytes) -> None:
        """Change the catalogue; when that does not give the root, its owner signed what cannot be."""
        pull, held = wanted.pull, wanted.held
        self.settled(wanted.index, held.head.value.node_key)
        new = [Taken(entry, pull.raw(entry.hash)) for entry in pull.entries.values()]
        removed = pull.removed and pull.removed - {card.entry.id for card in new}
        try:
            change = wanted.index.complete(held, new, sorted(removed))
        except RemoteProtocolError as error:
            self._context.misbehaved(peer, error.violation, str(error))
            return
        if change is None:
            self._context.misbehaved(peer, Violation.TREE_INVALID, "a whole catalogue with another root")
            return
        self._finished(wanted.index, change, peer)

    def _refuse(self, wanted: Wanted, peer: bytes, error: RemoteProtocolError) -> None:
        self._context.misbehaved(peer, error.violation, str(error))
        self._abandon(wanted, peer)
        self._drive(wanted)

    def _abandon(self, wanted: Wanted, peer: bytes) -> None:
        for key in [key for key, of in wanted.pull.in_flight.items() if of == peer]:
            wanted.pull.lost(key)
            if peer in self._context.peers:
                self._context.peers[peer].promises.pop(_promise(wanted, key), None)
        wanted.sources = [source for source in wanted.sources if source != peer]
        wanted.failed.add(peer)

    def _add_source(self, wanted: Wanted, peer: bytes | None) -> None:
        if peer is not None and peer not in wanted.sources and len(wanted.sources) < PULL_SOURCES_MAX:
            wanted.failed.discard(peer)
            wanted.sources.append(peer)

    def _find_source(self, wanted: Wanted) -> None:
        """Choose another peer when nobody is left to ask, after a pause that doubles once all were tried."""
        wanted.sources = [source for source in wanted.sources if source in self._context.peers]
        if wanted.sources or self._context.now < wanted.ask_again_at:
            return
        wanted.ask_again_at = self._context.now + wanted.pause
        scope = wanted.index.scope
        others = [
            peer for peer in self._context.peers if peer not in wanted.failed and self._shares(peer, scope)
        ]
        if others:
            wanted.sources.append(self._context.rng.choice(others))
            return
        wanted.failed.clear()
        wanted.pause = min(2 * wanted.pause, PULL_PAUSE_SECONDS_MAX)

    def _drive(self, wanted: Wanted, *, few: bool = False) -> None:
        """Send requests to the present source, up to the bound."""
        self._find_source(wanted)
        if not wanted.sources or not self._may_begin(wanted):
            return
        peer = wanted.sources[0]
        for key, request in wanted.pull.requests(few=few):
            if len(wanted.pull.in_flight) >= PULL_REQUESTS_MAX:
                return
            if not self._context.request(peer, _promise(wanted, key), request):
                return
            wanted.pull.asked(key, request, peer)

    def _may_begin(self, wanted: Wanted) -> bool:
        """Return whether one that told of a large catalogue has time for it; it is the present one then."""
        if wanted.pull.begun or not _is_large(wanted):
            return True
        others = [other for other in self._wanted.values() if other is not wanted and _is_large(other)]
        asked = {other.pull.in_flight.get(TOP) for other in others}
        free = [source for source in wanted.sources if source not in asked]
        if free:
            wanted.sources.remove(free[0])
            wanted.sources.insert(0, free[0])
        return bool(free)

    def _begin_others(self) -> None:
        """See to the large catalogues that waited for a peer to have time."""
        for other in list(self._wanted.values()):
            if not other.pull.begun and _is_large(other):
                self._drive(other)

    def _set_timer(self) -> None:
        if self._wanted and not self._timer:
            self._timer = True
            self._context.timer(TimerKind.PULL, PULL_SECONDS)


def _is_large(wanted: Wanted) -> bool:
    return wanted.pull.head.value.count >= LARGE_CATALOGUE_CARDS


def _promise(wanted: Wanted, key: RequestKey) -> PromiseKey:
    name = key if isinstance(key, bytes) else key[0] + bytes([key[1]]) + key[2].to_bytes(4, "big")
    return PULL, wanted.pull.head.hash + name
