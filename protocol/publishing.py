"""The node's own catalogues: what it signs, and when it may.

Theory of operation. A node that starts may have been restored from an old copy of its disk. Were it to sign
at once, it would give a number away twice, and that is equivocation. So it asks every peer that it meets for
its own newest head, and signs nothing before one has answered and the catalogue under that head is here
again; when nobody answers for ``OWN_HEAD_SECONDS``, or the catalogue cannot be had for
``OWN_CATALOGUE_SECONDS``, it goes on with what it has, above the highest number that it knows. A node that
knows no other node at all has nobody to ask.

Rules of this file:

1. Every signed head takes a number above all known ones, a renewal included.
2. A signed head is on the disk before it is sent.
3. Issue time and lease end never go down.
4. When charters leave an epoch, the own heads are signed anew at once: for everybody else they have ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from .card import Card, verify_card
from .context import Context
from .effects import OwnKeyElsewhere, Published, PublishRefused, RenewalFailed
from .envelope import Verified
from .errors import LocalProtocolError, RemoteProtocolError
from .events import Publish, TimerKind
from .exchange import Newest, NewestRequest
from .head import Head, make_head, renewal_due, verify_head
from .index import Change, Index, Taken
from .limits import HEAD_LEASE_SECONDS_MAX, OWN_CATALOGUE_SECONDS, OWN_HEAD_SECONDS, PUBLISH_QUEUE_MAX
from .owners import Owners


class Publishing:
    """See the module's docstring.

    Parameters
    ----------
    announce
        Called with a signed and stored change; returns how many peers it was pushed to.
    """

    def __init__(
        self,
        context: Context,
        owners: Owners,
        announce: Callable[[Index, Change], int],
    ) -> None:
        self._context = context
        self._owners = owners
        self._owner = b""
        self._announce = announce
        self._waiting: deque[tuple[Index, Publish]] = deque()
        self._asked_since: float | None = None
        self._joined_at: dict[bytes, float] = {}
        """Group -> when this node began to take part, monotonic seconds."""
        self._answered: set[bytes] = set()
        """Scopes in which a peer told this node's own newest head, or there is nobody to ask."""
        self.has_signed: bool = False
        """Whether this node signed a head since it started."""

    def publish(self, index: Index, event: Publish, *, anybody: bool) -> None:
        """Publish now, or as soon as this node may sign; ``anybody`` says whether it knows another node."""
        if len(self._waiting) >= PUBLISH_QUEUE_MAX:
            self._context.deliver(PublishRefused(event.token, "too many publications wait for peers"))
            return
        self._waiting.append((index, event))
        if not anybody:
            self._answered.add(index.scope)
        self.go_on()

    def start(self, owner: bytes) -> None:
        """Begin to wait for what peers know of this node; ``owner`` is its owner's id."""
        self._owner = owner
        self._asked_since = self._context.now
        self._context.timer(TimerKind.OWN_HEAD, OWN_HEAD_SECONDS)

    def joined(self, scope: bytes) -> None:
        """Ask anew in a group that this node joins: it may have been in it before, and forgotten."""
        self._answered.discard(scope)
        self._joined_at[scope] = self._context.now
        self._context.timer(TimerKind.OWN_HEAD, OWN_HEAD_SECONDS)

    def left(self, scope: bytes) -> None:
        """Refuse what waits to be published in a group that this node leaves."""
        waiting, self._waiting = self._waiting, deque()
        for index, event in waiting:
            if index.scope == scope:
                self._context.deliver(PublishRefused(event.token, "this node left the group"))
            else:
                self._waiting.append((index, event))

    def connected(self, peer: bytes, scope: bytes) -> None:
        """Ask a peer for this node's own newest head, until one has answered."""
        if scope not in self._answered:
            self._context.send(peer, NewestRequest(scope))

    def requested(self, peer: bytes, index: Index) -> None:
        """Tell a peer the newest head of its own key."""
        held = index.heads.get(peer)
        self._context.send(peer, Newest(index.scope, b"" if held is None else held.head.raw))

    def answered(self, scope: bytes) -> None:
        """Note that a peer told what it knows; the head that it sent was admitted before."""
        self._answered.add(scope)
        self.go_on()

    def tick(self) -> None:
        """Do what the OWN_HEAD timer is for."""
        if self._asked_since is None:
            return
        self.go_on()
        if self._waiting:
            self._context.timer(TimerKind.OWN_HEAD, 1.0)

    def go_on(self) -> None:
        """Sign what waits, if this node may sign."""
        while self._waiting and self._may_sign(self._waiting[0][0]):
            self._sign_publication(*self._waiting.popleft())

    def renew(self, index: Index, *, force: bool = False) -> None:
        """Sign the own head anew when it is due, or of an epoch that the owner has left."""
        held = index.heads.get(self._context.key)
        if held is None:
            return
        due = force or renewal_due(held.head.value, self._context.wall) or index.left_behind(held.head.value)
        if not due or not index.takes(self._owner) or not self._may_sign(index):
            return
        try:
            change = self._sign(index, [], [])
        except (RemoteProtocolError, LocalProtocolError) as error:
            self._context.deliver(RenewalFailed(index.scope, str(error)))
            return
        self._announce(index, change)

    def found_elsewhere(self, index: Index) -> None:
        """Say that a head of the own key came that this node did not sign: somebody else does."""
        held = index.heads[self._context.key]
        self._context.deliver(OwnKeyElsewhere(index.scope, held.head.value.epoch, held.head.value.seq))

    def queues(self) -> dict[str, int]:
        """Return how much waits, by queue."""
        return {"publications": len(self._waiting)}

    def _may_sign(self, index: Index) -> bool:
        waited = self._context.now - self._joined_at.get(index.scope, self._asked_since or 0.0)
        if index.scope not in self._answered and waited < OWN_HEAD_SECONDS:
            return False
        held = index.heads.get(self._context.key)
        return held is None or held.whole or waited >= OWN_CATALOGUE_SECONDS

    def _sign_publication(self, index: Index, event: Publish) -> None:
        if not index.takes(self._owner):
            # It was asked to publish while it might.
            self._context.deliver(PublishRefused(event.token, "not a publisher in the group"))
            return
        try:
            cards = [verify_card(raw, owner=self._owner) for raw in event.cards]
            change = self._sign(index, cards, event.removed)
        except (RemoteProtocolError, LocalProtocolError) as error:
            self._context.deliver(PublishRefused(event.token, str(error)))
            return
        pushed = self._announce(index, change)
        self._context.deliver(Published(event.token, change.head.raw, change.head.value.seq, pushed))

    def _sign(self, index: Index, cards: Sequence[Verified[Card]], removed: Sequence[bytes]) -> Change:
        """Sign a head over the own catalogue with a change made to it.

        Raises
        ------
        LocalProtocolError, RemoteProtocolError
            Others would refuse it, or this key may not publish; nothing was changed.
        """
        trust = self._owners.get(self._owner)
        if trust is None:
            raise LocalProtocolError(
                "this node's own charters are not known", todo="repair the node's folder"
            )
        held = index.heads.get(self._context.key)
        before = None if held is None else held.head.value
        wall = self._context.wall
        issued = wall if before is None else max(wall, before.issued)
        entry = trust.charter.node_key(self._context.key)
        lease = issued + HEAD_LEASE_SECONDS_MAX
        lease = lease if entry is None else max(min(lease, entry.not_after), issued + 1)

        def sign(root: bytes, count: int) -> Verified[Head]:
            envelope = make_head(
                self._context.signer,
                owner=self._owner,
                epoch=trust.charter.epoch,
                seq=1 if before is None else before.seq + 1,
                root=root,
                count=count,
                issued=issued,
                scope=index.scope,
                lease=lease if before is None else max(lease, before.lease),
            )
            return verify_head(envelope.to_bytes(), trust, wall)

        change = index.publish(sign, [Taken.of(card) for card in cards], removed)
        self.has_signed = True
        return change
