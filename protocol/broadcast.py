"""News travels along a tree of links; repair is the truth, this is only speed.

Theory of operation, after Plumtree (Leitão, Pereira, Rodrigues, 2007). Each scope has one tree. New links are
*eager*: news is pushed over them. Who gets news that it has already asks the sender to prune: the link
becomes *lazy*, and only names of heads go over it, collected for ``LAZY_SECONDS``. Who hears of a head that
does not come by itself within a round trip grafts: asks for it and makes the link eager again. So the eager
links become a spanning tree, and the lazy ones mend it. Everybody keeps the link that brought the news, so
the tree stays whole, and follows who is early: where a graft was answered before the push came, the late
link goes.

Who loses the link that the last news came by asks the nearest lazy peer to push at once: it is most likely on
the smaller side of what the tree fell into, and would miss the next news for as long as a graft takes.

In a tree nothing is pushed twice, so one duplicate proves a cycle, and any one link of it may go. But where
several heads are under way at a time, each may have another link of the same cycle pruned, and the tree falls
into pieces: then only every ``DUPLICATES_BEFORE_PRUNE``th duplicate from one peer counts. What repair or a
visit brought before the first push came proves nothing: the push came along the tree. Visits are lazy from
the beginning: they end in seconds, and each would bring a copy of all that is published meanwhile.

Rules of this file:

1. Only what was verified down to its cards is pushed on: nothing unverified passes an honest node.
2. News is forwarded once: afterwards it is answered from a bounded store, or by the head alone.
3. Every queue has a bound, and what falls off it is brought by repair.
4. Who passes on what others made sends no peer more than that one lets it: news beyond it is announced.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from .context import Context
from .errors import RemoteProtocolError
from .events import TimerKind
from .exchange import Graft, IHave, Prune
from .head import HEAD_ID_BYTES, head_id
from .limits import (
    ANNOUNCED_HEAD_WORK,
    ANNOUNCED_HEADS_MAX,
    ANNOUNCED_MAX,
    BUSY_SECONDS,
    DUPLICATES_BEFORE_PRUNE,
    GRAFT_SECONDS_MAX,
    GRAFT_SECONDS_MIN,
    LAZY_QUEUE_MAX,
    LAZY_SECONDS,
    PUSH_BYTES_MAX,
    PUSHED_FRAMES_MAX,
    PUSHED_FRAMES_SECONDS,
    REMOVED_IDS_MAX,
)
from .messages import MESSAGE, News, Records
from .violations import Violation

GRAFT = "graft"
"""The kind of promise that an announcement is once it was asked for."""


@dataclass(slots=True)
class Branch:
    """What is known of one link in one tree."""

    eager: bool = True
    duplicates: int = 0
    queue: list[bytes] = field(default_factory=list)
    """Heads to be announced at the next LAZY timer."""


@dataclass(slots=True)
class Announced:
    """A head that is known by name alone."""

    places: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Who announced it and was not asked for it yet, as (scope, peer)."""
    asked: bytes = b""
    """The peer that was asked for it last."""


class Broadcast:
    """The trees of one node."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._branches: dict[tuple[bytes, bytes], Branch] = {}
        """(scope, peer) -> branch."""
        self._pushed: OrderedDict[tuple[bytes, bytes], tuple[float, bytes]] = OrderedDict()
        """(scope, head id) -> (when, frame)."""
        self._announced: OrderedDict[bytes, Announced] = OrderedDict()
        """Head id -> who announced it."""
        self._came: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()
        """(scope, head id) -> the peer that pushed it first; of own news, nothing."""
        self._lazy_timer = False
        self._pushed_at = self._busy_until = -BUSY_SECONDS
        """When news was pushed last, and till when several heads are taken to be under way."""
        self.visits: Collection[bytes] = ()
        """Peers whose links will not last: no tree grows over them."""

    def connected(self, peer: bytes, scopes: Iterable[bytes]) -> None:
        """Begin with an eager link in each tree, or on a visit with a lazy one."""
        for scope in scopes:
            branch = self._branches[scope, peer] = Branch()
            if peer in self.visits:
                self._prune(scope, peer, branch)

    def disconnected(self, peer: bytes) -> None:
        """Forget the link, and ask others for what the peer was asked for: visits end in between."""
        for scope in [of for of, other in self._branches if other == peer]:
            self.left(peer, scope)
        for head in [head for head, known in self._announced.items() if known.asked == peer]:
            self.graft_due(head)

    def left(self, peer: bytes, scope: bytes) -> None:
        """Forget a link in one tree."""
        if self._branches.pop((scope, peer), None) is not None:
            self._regrow(scope, peer)

    def _regrow(self, scope: bytes, lost: bytes) -> None:
        """Have the nearest lazy peer push, when the link that is lost was the one by which news comes."""
        last = next((peer for (of, _), peer in reversed(self._came.items()) if of == scope), None)
        lasting = [item for item in self._branches.items() if item[0][0] == scope and self._lasts(item[0][1])]
        if last != lost and any(branch.eager for _, branch in lasting):
            return
        peers = self._context.peers
        near = [(peers[key].shortest, key, branch) for (_, key), branch in lasting if not branch.eager]
        if near:
            _, nearest, branch = min(near, key=lambda item: item[:2])
            branch.eager = True
            self._context.send(nearest, Graft(scope, b""))

    def _lasts(self, peer: bytes) -> bool:
        known = self._context.peers.get(peer)
        return known is not None and not known.closing and peer not in self.visits

    def pass_on(self, scopes: Collection[bytes], message: Records, besides: Collection[bytes | None]) -> None:
        """Send records to the eager peers of some scopes, once to each, unless it is too much for one.

        Such a peer finds the others by repair.
        """
        frame = MESSAGE.encode(message)
        eager = dict.fromkeys(
            peer for (of, peer), branch in self._branches.items() if of in scopes and branch.eager
        )
        for peer in eager:
            if peer not in besides and self._context.bears(peer, message.work):
                self._context.send_frame(peer, frame)

    def push(
        self,
        scope: bytes,
        head: bytes,
        news: News,
        source: bytes | None,
    ) -> int:
        """Push verified news to the eager peers and announce it to the lazy ones; return how many got it.

        Parameters
        ----------
        scope, head
            The tree, and the hash of the head's envelope.
        news
            What to push; its changes are left out when they are too large.
        source
            The peer that it came from; None for own news.
        """
        head = head_id(head)
        self._note_traffic()
        news = _within_limits(news)
        frame = MESSAGE.encode(news)
        self._remember((scope, head), frame)
        if source is None:
            self._note_came(scope, b"", head)
        self._announced.pop(head, None)
        pushed = 0
        for (of, peer), branch in self._branches.items():
            if of != scope or peer == source:
                continue
            if branch.eager and peer not in self.visits and self._context.bears(peer, news.work):
                self._context.send_frame(peer, frame)
                pushed += 1
            elif len(branch.queue) < LAZY_QUEUE_MAX:
                branch.queue.append(head)
        self._set_lazy_timer()
        return pushed

    def duplicate(self, scope: bytes, peer: bytes, head: bytes) -> None:
        """Take note of news that was known: the link becomes lazy, at once or after a few of them.

        When no push along the tree brought it before, repair or a visit did, and this is the first one.
        """
        first = self._came.get((scope, head_id(head)))
        if first is None or first in self.visits:
            self.fresh(scope, peer, head)
            return
        branch = self._branches.get((scope, peer))
        if branch is None or not branch.eager:
            return
        branch.duplicates += 1
        busy = self._context.now < self._busy_until
        if branch.duplicates >= (DUPLICATES_BEFORE_PRUNE if busy else 1):
            self._prune(scope, peer, branch)

    def _note_traffic(self) -> None:
        now = self._context.now
        if now < self._pushed_at + BUSY_SECONDS:
            self._busy_until = now + BUSY_SECONDS
        self._pushed_at = now

    def _prune(self, scope: bytes, peer: bytes, branch: Branch) -> None:
        branch.eager = False
        branch.duplicates = 0
        self._context.send(peer, Prune(scope))

    def fresh(self, scope: bytes, peer: bytes, head: bytes) -> None:
        """Note that news was pushed first over this link: it belongs to the tree."""
        self._note_came(scope, peer, head_id(head))
        branch = self._branches.get((scope, peer))
        if branch is not None:
            branch.duplicates = 0
            branch.eager = True

    def _note_came(self, scope: bytes, peer: bytes, head: bytes) -> None:
        self._came[scope, head] = peer
        self._came.move_to_end((scope, head))
        while len(self._came) > PUSHED_FRAMES_MAX:
            self._came.popitem(last=False)

    def pruned(self, peer: bytes, message: Prune) -> None:
        """Push no more to a peer that gets its news elsewhere."""
        branch = self._branches.get((message.scope, peer))
        if branch is not None and branch.eager:
            branch.eager = False
            self._regrow(message.scope, peer)

    def heard(self, peer: bytes, scope: bytes, heads: Sequence[bytes]) -> None:
        """Note heads that a peer has: they need not be announced to it."""
        branch = self._branches.get((scope, peer))
        if branch is not None and branch.queue:
            known = set(map(head_id, heads))
            branch.queue = [head for head in branch.queue if head not in known]

    def announced(self, peer: bytes, scope: bytes, heads: Sequence[bytes]) -> None:
        """Wait a little for heads that are not known here, then ask for them.

        Who announces what it does not deliver breaks its promise, and is not listened to any more before its
        score has recovered.
        """
        source, now = self._context.peers[peer], self._context.now
        if source.score.value(now) < 0 or not source.work.spend(ANNOUNCED_HEAD_WORK * len(heads), now):
            return
        for head in map(head_id, heads):
            if head not in self._announced:
                round_trip = source.shortest if source.shortest < inf else 0.0
                seconds = min(max(round_trip, GRAFT_SECONDS_MIN), GRAFT_SECONDS_MAX)
                self._context.timer(TimerKind.GRAFT, seconds * self._context.stretch, head)
            known = self._announced.setdefault(head, Announced())
            if (scope, peer) not in known.places:
                known.places.append((scope, peer))
        while len(self._announced) > ANNOUNCED_MAX:
            self._announced.popitem(last=False)

    def graft_due(self, head: bytes) -> None:
        """Ask the next of those who announced a head that has not come."""
        known = self._announced.get(head)
        while known is not None and known.places:
            scope, peer = known.places.pop(0)
            branch = self._branches.get((scope, peer))
            if branch is not None and self._context.request(peer, (GRAFT, head), Graft(scope, head)):
                known.asked = peer
                branch.eager = True
                branch.duplicates = 0
                self._context.timer(TimerKind.GRAFT, GRAFT_SECONDS_MAX * self._context.stretch, head)
                return
        self._announced.pop(head, None)

    def grafted(self, peer: bytes, message: Graft) -> bool:
        """Push to a peer again, beginning with the head it asks for; False when that is no longer stored.

        Raises
        ------
        RemoteProtocolError
            ``malformed``: the head is named by too few bytes.
        """
        if 0 < len(message.head) < HEAD_ID_BYTES:
            why = f"a head named by {len(message.head)} bytes"
            raise RemoteProtocolError(Violation.MALFORMED, why, where="graft")
        branch = self._branches.get((message.scope, peer))
        if branch is not None:
            branch.eager = True
            branch.duplicates = 0
        if not message.head:
            return True
        stored = self._pushed.get((message.scope, head_id(message.head)))
        if stored is None:
            return False
        self._context.send_frame(peer, stored[1])
        return True

    def flush(self) -> None:
        """Send the announcements that were collected."""
        self._lazy_timer = False
        for (scope, peer), branch in self._branches.items():
            for start in range(0, len(branch.queue), ANNOUNCED_HEADS_MAX):
                heads = tuple(branch.queue[start : start + ANNOUNCED_HEADS_MAX])
                self._context.send(peer, IHave(scope, heads))
            branch.queue.clear()

    def expire(self) -> None:
        """Forget frames that nobody asks for any more."""
        oldest = self._context.now - PUSHED_FRAMES_SECONDS
        while self._pushed and next(iter(self._pushed.values()))[0] < oldest:
            self._pushed.popitem(last=False)

    def queues(self) -> dict[str, int]:
        """Return how much waits, by queue."""
        longest = max((len(branch.queue) for branch in self._branches.values()), default=0)
        return {
            "lazy": longest,
            "announced": len(self._announced),
            "pushed": len(self._pushed),
            "came": len(self._came),
        }

    def _remember(self, place: tuple[bytes, bytes], frame: bytes) -> None:
        self._pushed[place] = (self._context.now, frame)
        while len(self._pushed) > PUSHED_FRAMES_MAX:
            self._pushed.popitem(last=False)

    def _set_lazy_timer(self) -> None:
        if not self._lazy_timer and any(branch.queue for branch in self._branches.values()):
            self._lazy_timer = True
            # Drawn widely, so that of two ends of a lazy link one is early enough to spare the other.
            self._context.timer(TimerKind.LAZY, LAZY_SECONDS * (0.5 + self._context.rng.random()))


def _within_limits(news: News) -> News:
    """Return the news, without its changes when they are too large to be pushed."""
    if len(news.removed) <= REMOVED_IDS_MAX and sum(map(len, news.cards)) <= PUSH_BYTES_MAX:
        return news
    return News(news.envelope, 0, (), ())
