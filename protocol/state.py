"""The protocol as a value: one node's whole gossip state, with no clock, no socket and no dice of its own.

Theory of operation. :meth:`State.handle` takes one event and the monotonic time and returns what is to be
done, in order. The parts do the work: :mod:`.membership` (whom to be connected to), :mod:`.index` (heads and
catalogues), :mod:`.repair` (what differs from a peer), :mod:`.pulls` (catalogues that are not whole),
:mod:`.broadcast` (news), :mod:`.publishing` (what this node signs). This module only says which part deals
with what, and what follows in one part from what happened in another. The rest of the node reads through the
plain methods at the end, between events.

Rules of this file:

1. Given the seed of ``rng``, equal events at equal times give equal effects. Nothing iterates over a set of
   bytes.
2. ``handle`` never raises on anything that a peer sent: a violation becomes ``Misbehaved`` and costs the
   peer.
3. Nothing of a peer is used, stored or passed on before it verified.
4. Public data goes to every peer; any other scope only to peers that proved to be members of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .broadcast import Broadcast
from .card import verify_card
from .context import Context, StateConfig
from .effects import DropCatalogue, Effect
from .envelope import RECORD_HEADER, Verified, open_envelope
from .errors import LocalProtocolError, RemoteProtocolError
from .events import (
    AddressesConfigured,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    Publish,
    Received,
    Renew,
    SketchVerdict,
    Started,
    TimerFired,
    TimerKind,
    WallClock,
)
from .exchange import (
    Full,
    Graft,
    IHave,
    Neighbour,
    Newest,
    NewestRequest,
    NodesRequest,
    Offer,
    Prune,
    Ranges,
    RecordsRequest,
)
from .head import HEAD_TYPE
from .index import Change, Held, Index, Outcome
from .limits import HOUSEKEEPING_SECONDS, NODE_RECORD_RENEWAL_SECONDS
from .membership import Membership
from .messages import (
    MESSAGE,
    Cards,
    CardsRequest,
    Digest,
    Missing,
    News,
    Records,
    Tree,
    TreeRequest,
    chunk,
)
from .node_record import NODE_RECORD, NODE_TYPE, NodeRecord, make_node_record, verify_node_record
from .owners import Owners
from .peers import Peer
from .publishing import Publishing
from .pulls import PULL, Pulls
from .reconcile import DIGITS
from .repair import RECORDS, Repair
from .score import Score
from .signing import SignatureScheme
from .snapshot import Snapshot
from .violations import Violation

PUBLIC = b""
"""The scope that every node takes part in."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the handshake needs of this node."""

    charters: tuple[bytes, ...]
    """The charter chain of its owner."""
    record: bytes
    """Its signed node record."""


class State:
    """See the module's docstring.

    Parameters
    ----------
    config
        What the node is told about itself.
    signer
        The node key.
    rng
        Where every draw comes from.
    charters
        The charter chain of the node's own owner.
    snapshot
        What the disk holds; the state may keep its parts.

    Raises
    ------
    LocalProtocolError, RemoteProtocolError
        From ``handle(Started)``: the own charters do not verify, or do not name this node's key.
    """

    def __init__(
        self,
        config: StateConfig,
        signer: SignatureScheme,
        rng: random.Random,
        charters: Sequence[bytes],
        snapshot: Snapshot,
    ) -> None:
        self._context = Context(config, signer, rng)
        self._own_charters = tuple(charters)
        self._snapshot: Snapshot | None = snapshot
        self._own_record: Verified[NodeRecord] | None = None
        self._owner = b""
        self._owners = Owners(self._context)
        self._indexes = {PUBLIC: Index(self._context, self._owners, PUBLIC)}
        self._membership = Membership(self._context, self._owners)
        self._repair = Repair(self._context, self._owners, self._index_for)
        self._pulls = Pulls(self._context, self._became_whole)
        self._broadcast = Broadcast(self._context)
        self._publishing: Publishing | None = None
        self._bootstrap_known = False

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Deal with one event.

        Parameters
        ----------
        event
            What happened.
        now
            Monotonic seconds; never less than in the call before.

        Returns
        -------
        list of Effect
            What to do, in this order; see :mod:`.effects` for the rule on Store and Send.

        Raises
        ------
        LocalProtocolError
            The driver broke a rule, such as an event before ``Started``.
        """
        self._context.now = now
        if isinstance(event, Started):
            self._started(event)
        elif self._publishing is None:
            raise LocalProtocolError("an event before Started", where=type(event).__name__)
        else:
            _HANDLERS[type(event)](self, event)
        return self._context.take_effects()

    # Starting.

    def _started(self, event: Started) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is None:
            raise LocalProtocolError("a state starts once", todo="make a new State")
        self._context.set_wall(event.wall)
        self._restore(snapshot)
        self._sign_record()
        self._publishing = Publishing(self._context, self._owners, self._owner, self._announce)
        self._publishing.start()
        self._membership.start()
        self._repair.start()
        self._context.timer(TimerKind.HOUSEKEEPING, HOUSEKEEPING_SECONDS)

    def _restore(self, snapshot: Snapshot) -> None:
        """Take over what the disk holds; what does not verify any more is left out."""
        self._context.loading = True
        trust, _ = self._owners.learn(self._own_charters)
        self._owner = trust.owner
        self._owners.learn_all(chain for chains in snapshot.chains.values() for chain in chains)
        for (scope, _), stored in snapshot.catalogues.items():
            held = self._indexes[scope].restore(stored) if scope in self._indexes else None
            if held is not None and not held.whole:
                self._pulls.want(self._indexes[scope], held, None, dict(stored.pending))
        self._restore_records(snapshot)
        self._context.loading = False
        for scope, node_key in snapshot.catalogues:
            if scope not in self._indexes or node_key not in self._indexes[scope].heads:
                self._context.store(DropCatalogue(scope, node_key))

    def _restore_records(self, snapshot: Snapshot) -> None:
        records = []
        for raw in snapshot.node_records.values():
            try:
                records.append(self._verify_record(raw))
            except RemoteProtocolError:
                continue
        own = [record for record in records if record.value.node_key == self._context.key]
        self._own_record = own[0] if own else None
        self._membership.restore(records, snapshot.anchors)

    def _sign_record(self) -> None:
        """Sign this node's own record, with a seq above the one before."""
        config, wall = self._context.config, self._context.wall
        before = 0 if self._own_record is None else self._own_record.value.seq
        envelope = make_node_record(
            self._context.signer,
            owner=self._owner,
            seq=max(before + 1, wall),
            issued=wall,
            addresses=config.addresses,
            certificate=config.certificate,
            host=config.host,
        )
        self._own_record = self._verify_record(envelope.to_bytes())
        self._membership.own_record(self._own_record)

    def _verify_record(self, raw: bytes) -> Verified[NodeRecord]:
        """Verify a node record against the charters known; raise ``key-unknown`` when there are none."""
        owner = NODE_RECORD.decode(open_envelope(raw, NODE_TYPE).body).owner
        trust = self._owners.get(owner)
        if trust is None:
            raise RemoteProtocolError(
                Violation.KEY_UNKNOWN, "the owner's charters are not known", where="node"
            )
        return verify_node_record(raw, trust, self._context.wall)

    # Events of the driver.

    def _wall_clock(self, event: WallClock) -> None:
        self._context.set_wall(event.wall)

    def _configured(self, event: AddressesConfigured) -> None:
        self._bootstrap_known = bool(event.bootstrap)
        self._membership.configure(event.bootstrap)

    def _connected(self, event: Connected) -> None:
        context = self._context
        if event.peer in context.peers:
            raise LocalProtocolError("a second connection of one peer", where=event.peer.hex())
        try:
            trust, news = self._owners.learn(event.charters)
            record = self._verify_record(event.record)
        except RemoteProtocolError as error:
            # The handshake verified both, so only time or a rival charter came between.
            context.refuse(event.peer, error.violation, str(error))
            return
        score = Score(context.config.score, context.now)
        peer = Peer(event.peer, trust.owner, event.outbound, context.now, score, record.value.addresses)
        context.peers[event.peer] = peer
        self._broadcast.connected(event.peer, self._scopes_of(event.peer))
        self._membership.connected(event.peer, outbound=event.outbound)
        self._membership.admit(record, event.peer)
        for scope in self._scopes_of(event.peer):
            self._own().connected(event.peer, scope)
            if event.outbound:
                self._repair.send_digest(event.peer, scope)
        if news:
            self._charters_changed([trust.owner])

    def _connect_failed(self, event: ConnectFailed) -> None:
        self._membership.connect_failed(event.target)

    def _disconnected(self, event: Disconnected) -> None:
        if self._context.peers.pop(event.peer, None) is not None:
            self._gone(event.peer)

    def _gone(self, peer: bytes) -> None:
        self._membership.disconnected(peer)
        self._broadcast.disconnected(peer)
        self._repair.disconnected(peer)
        self._pulls.disconnected(peer)

    def _publish(self, event: Publish) -> None:
        index = self._indexes.get(event.scope)
        if index is None:
            raise LocalProtocolError("publishing in an unknown scope", where=event.scope.hex())
        anybody = self._bootstrap_known or bool(self._membership.known)
        self._own().publish(index, event, anybody=anybody)

    def _renew(self, event: Renew) -> None:
        index = self._indexes.get(event.scope)
        if index is not None:
            self._own().renew(index, force=True)

    def _sketch_verdict(self, event: SketchVerdict) -> None:
        for index in self._indexes.values():
            held = index.heads.get(event.node_key)
            if held is not None and not event.honest:
                index.hide(held, event.card_id)

    def _own(self) -> Publishing:
        if self._publishing is None:
            raise LocalProtocolError("an event before Started")
        return self._publishing

    # Timers.

    def _timer(self, event: TimerFired) -> None:
        timer = event.timer
        match timer.kind:
            case TimerKind.DIAL:
                self._membership.tick()
            case TimerKind.SHUFFLE:
                self._membership.shuffle()
            case TimerKind.REPAIR:
                self._repair.tick(self._indexes)
            case TimerKind.HOUSEKEEPING:
                self._housekeeping()
            case TimerKind.PULL:
                self._broken_promises()
                self._pulls.tick()
            case TimerKind.OWN_HEAD:
                self._own().tick()
            case TimerKind.LAZY:
                self._broadcast.flush()
            case TimerKind.GRAFT:
                self._broadcast.graft_due(timer.key)

    def _housekeeping(self) -> None:
        self._context.timer(TimerKind.HOUSEKEEPING, HOUSEKEEPING_SECONDS)
        self._broken_promises()
        self._broadcast.expire()
        for index in self._indexes.values():
            for key in index.expire():
                self._pulls.settled(index, key)
            self._own().renew(index)
        held = {owner for index in self._indexes.values() for owner in index.owners_held()}
        self._owners.make_room({self._owner, *held, *self._membership.owners_known()})
        record = self._own_record
        if record is not None and self._context.wall - record.value.issued >= NODE_RECORD_RENEWAL_SECONDS:
            self._sign_record()

    def _broken_promises(self) -> None:
        for key, peer in list(self._context.peers.items()):
            for promise in peer.overdue(self._context.now):
                peer.score.broke_promise(self._context.now)
                if promise[0] == PULL:
                    self._pulls.broken(key, promise)
                elif promise[0] == RECORDS:
                    self._repair.broken(key, promise[1])

    # Frames.

    def _received(self, event: Received) -> None:
        peer = self._context.peers.get(event.peer)
        if peer is None:
            return
        peer.heard = self._context.now
        try:
            message = MESSAGE.decode(event.frame)
            handler = _MESSAGE_HANDLERS.get(type(message))
            if handler is not None:
                handler(self, event.peer, message)
        except RemoteProtocolError as error:
            self._context.misbehaved(event.peer, error.violation, str(error))
        if event.peer in self._context.peers and peer.score.cut_off(self._context.now):
            self._context.disconnect(event.peer, "score")
            self._gone(event.peer)

    def _scopes_of(self, peer: bytes) -> list[bytes]:
        """Return the scopes that may be spoken of with a peer."""
        del peer
        return [PUBLIC]

    def _index_for(self, peer: bytes, scope: bytes) -> Index | None:
        """Return the index of a scope, None when the peer has no part in it."""
        return self._indexes.get(scope) if scope in self._scopes_of(peer) else None

    def _on_neighbour(self, peer: bytes, message: Neighbour) -> None:
        self._membership.neighbour(peer, message)

    def _on_full(self, peer: bytes, message: Full) -> None:
        del message
        self._membership.refused(peer)

    def _on_offer(self, peer: bytes, message: Offer) -> None:
        self._membership.offered(peer, message)

    def _on_nodes_request(self, peer: bytes, message: NodesRequest) -> None:
        self._membership.requested(peer, message)

    def _on_digest(self, peer: bytes, message: Digest) -> None:
        self._repair.digest(peer, message)

    def _on_ranges(self, peer: bytes, message: Ranges) -> None:
        if any(len(item.parts) not in (0, len(DIGITS)) for item in message.ranges):
            raise RemoteProtocolError(Violation.MALFORMED, "parts of a range", where="ranges")
        self._repair.ranges(peer, message)

    def _on_records_request(self, peer: bytes, message: RecordsRequest) -> None:
        self._repair.requested(peer, message)

    def _on_records(self, peer: bytes, message: Records) -> None:
        """Learn charters first, since the envelopes need them; one bad envelope does not spoil the others."""
        changed, failure = self._owners.learn_all(message.charters)
        self._charters_changed(changed)
        news = bool(changed)
        for raw in message.envelopes:
            try:
                news = self._take_envelope(peer, raw) or news
            except RemoteProtocolError as error:
                self._context.misbehaved(peer, error.violation, str(error))
        self._context.answered(peer, ("nodes", b""))
        last = not message.charters and not message.envelopes
        self._repair.received(peer, news=news, last=last)
        if failure is not None:
            raise failure

    def _take_envelope(self, peer: bytes, raw: bytes) -> bool:
        """Take a head or a node record; return whether it was news."""
        kind = open_envelope(raw).type
        if kind == NODE_TYPE:
            self._membership.admit(self._verify_record(raw), peer)
            return False
        if kind != HEAD_TYPE:
            return False
        index = self._index_for(peer, _scope_of(raw))
        if index is None:
            raise RemoteProtocolError(Violation.UNEXPECTED, "a head of a scope not shared", where="records")
        outcome, key = index.admit(raw)
        if outcome in (Outcome.NEW, Outcome.DISPUTED):
            self._head_came(index, key, peer)
            return True
        self._known_head_came(index, key, peer, outcome)
        return False

    def _on_newest_request(self, peer: bytes, message: NewestRequest) -> None:
        index = self._index_for(peer, message.scope)
        if index is not None:
            self._own().requested(peer, index)

    def _on_newest(self, peer: bytes, message: Newest) -> None:
        index = self._index_for(peer, message.scope)
        if index is None:
            return
        if message.envelope:
            self._take_envelope(peer, message.envelope)
        self._own().answered()

    def _on_news(self, peer: bytes, message: News) -> None:
        index = self._index_for(peer, _scope_of(message.envelope))
        if index is None:
            raise RemoteProtocolError(Violation.UNEXPECTED, "news of a scope not shared", where="news")
        outcome, key = index.admit(message.envelope)
        if outcome is Outcome.SAME:
            self._broadcast.duplicate(index.scope, peer)
        if outcome not in (Outcome.NEW, Outcome.DISPUTED):
            self._known_head_came(index, key, peer, outcome)
            return
        self._context.peers[peer].score.was_useful(self._context.now)
        self._broadcast.fresh(index.scope, peer)
        held = index.heads[key]
        if outcome is Outcome.NEW and (message.cards or message.removed) and _follows(message, held):
            cards = [verify_card(raw, owner=held.head.value.owner) for raw in message.cards]
            change = index.complete(held, cards, message.removed)
            if change is not None:
                self._became_whole(index, change, peer)
                return
        self._head_came(index, key, peer)

    def _on_ihave(self, peer: bytes, message: IHave) -> None:
        index = self._index_for(peer, message.scope)
        if index is not None:
            heads = [head for head in message.heads if index.holder(head) is None]
            self._broadcast.announced(peer, message.scope, heads)

    def _on_graft(self, peer: bytes, message: Graft) -> None:
        index = self._index_for(peer, message.scope)
        if index is None or self._broadcast.grafted(peer, message):
            return
        held = index.holder(message.head)
        if held is not None:
            self._repair.send_records(peer, index, [held.head.value.node_key])

    def _on_prune(self, peer: bytes, message: Prune) -> None:
        self._broadcast.pruned(peer, message)

    def _on_tree_request(self, peer: bytes, message: TreeRequest) -> None:
        held = self._shown(peer, message.head)
        answer = None if held is None else held.catalogue.answer(message)
        self._context.send(peer, Missing(message.head) if answer is None else answer)

    def _on_cards_request(self, peer: bytes, message: CardsRequest) -> None:
        held = self._shown(peer, message.head)
        cards = [] if held is None else [held.cards[item] for item in message.hashes if item in held.cards]
        if not cards or not self._context.peers[peer].spend(len(cards), self._context.now):
            self._context.send(peer, Missing(message.head))
            return
        for part in chunk(cards):
            self._context.send(peer, Cards(message.head, tuple(part)))

    def _shown(self, peer: bytes, head: bytes) -> Held | None:
        """Return what is held under a whole catalogue's head; a newer head is sent when there is one."""
        for scope in self._scopes_of(peer):
            index = self._indexes[scope]
            held = index.holder(head)
            if held is not None and held.shown is not None and held.shown.hash == head:
                return held
            if held is not None and held.head.hash != head:
                self._repair.send_records(peer, index, [held.head.value.node_key])
        return None

    def _on_tree(self, peer: bytes, message: Tree) -> None:
        self._pulls.tree(peer, message)

    def _on_cards(self, peer: bytes, message: Cards) -> None:
        self._pulls.cards(peer, message)

    def _on_missing(self, peer: bytes, message: Missing) -> None:
        self._pulls.missing(peer, message)

    # What follows from what.

    def _head_came(self, index: Index, key: bytes, peer: bytes) -> None:
        """Get the catalogue of a head that is newly held."""
        held = index.heads[key]
        if key == self._context.key and held.other is not None:
            self._own().found_elsewhere(index)
        change = None if held.whole else index.complete_unchanged(held)
        if change is not None:
            self._became_whole(index, change, peer)
        elif not held.whole:
            self._pulls.want(index, held, peer)

    def _known_head_came(self, index: Index, key: bytes, peer: bytes, outcome: Outcome) -> None:
        """Deal with a head that is not news."""
        if outcome is Outcome.OLDER:
            self._repair.send_records(peer, index, [key])
        elif outcome is Outcome.NO_CHARTERS:
            self._repair.request(peer, index.scope, key)
        elif outcome is Outcome.SAME and not index.heads[key].whole:
            self._pulls.told(index, key, peer)

    def _became_whole(self, index: Index, change: Change, source: bytes | None) -> None:
        """Pass on what is verified down to its cards, however it came."""
        key = change.head.value.node_key
        self._pulls.settled(index, key)
        self._push(index, change, source)
        if key == self._context.key:
            self._own().go_on()

    def _announce(self, index: Index, change: Change) -> int:
        """Push what this node signed."""
        return self._push(index, change, None)

    def _push(self, index: Index, change: Change, source: bytes | None) -> int:
        news = News(change.head.raw, change.since, change.cards, change.removed)
        return self._broadcast.push(index.scope, change.head.hash, news, source)

    def _charters_changed(self, owners: Sequence[bytes]) -> None:
        """Hold all that is held of an owner against its new charters."""
        for owner in owners:
            for index in self._indexes.values():
                for key in index.recheck(owner):
                    self._pulls.settled(index, key)

    # Reading.

    def identity(self) -> Identity:
        """Return what the handshake needs; known once ``Started`` was handled."""
        trust = self._owners.get(self._owner)
        if trust is None or self._own_record is None:
            raise LocalProtocolError("the state has not started")
        return Identity(tuple(trust.chains[0]), self._own_record.raw)

    def heads(self, scope: bytes = PUBLIC) -> dict[bytes, Held]:
        """Return what is held by node key; not to be changed."""
        return self._indexes[scope].heads

    def cards(self, scope: bytes = PUBLIC) -> list[bytes]:
        """Return all cards that are shown."""
        return [card for held in self._indexes[scope].heads.values() for card in held.visible.values()]

    def catalogue(self, node_key: bytes, scope: bytes = PUBLIC) -> Held | None:
        """Return what is held for a node key."""
        return self._indexes[scope].heads.get(node_key)

    def peers(self) -> dict[bytes, Peer]:
        """Return the connected peers by node key; not to be changed."""
        return self._context.peers

    def digest(self, scope: bytes = PUBLIC) -> bytes:
        """Return the fingerprint of the scope's heads: equal at nodes that agree."""
        return self._indexes[scope].set.digest()

    def node_records(self) -> dict[bytes, Verified[NodeRecord]]:
        """Return the known node records by node key, without this node's own."""
        return {key: known.record for key, known in self._membership.known.items()}

    def owners(self) -> Owners:
        """Return what is known of owners."""
        return self._owners


def _scope_of(raw: bytes) -> bytes:
    """Return the scope that an envelope names, before anything of it is verified."""
    return RECORD_HEADER.decode(open_envelope(raw).body).scope


def _follows(news: News, held: Held) -> bool:
    """Return whether the changes in news begin where this node stands."""
    if held.shown is None:
        return news.since == 0
    return held.shown.value.seq == news.since and held.shown.value.epoch == held.head.value.epoch


_HANDLERS: dict[type, Callable[[State, Any], None]] = {
    WallClock: State._wall_clock,
    TimerFired: State._timer,
    Connected: State._connected,
    ConnectFailed: State._connect_failed,
    Disconnected: State._disconnected,
    Received: State._received,
    Publish: State._publish,
    Renew: State._renew,
    AddressesConfigured: State._configured,
    SketchVerdict: State._sketch_verdict,
}

_MESSAGE_HANDLERS: dict[type, Callable[[State, bytes, Any], None]] = {
    Neighbour: State._on_neighbour,
    Full: State._on_full,
    Offer: State._on_offer,
    NodesRequest: State._on_nodes_request,
    Digest: State._on_digest,
    Ranges: State._on_ranges,
    RecordsRequest: State._on_records_request,
    Records: State._on_records,
    NewestRequest: State._on_newest_request,
    Newest: State._on_newest,
    News: State._on_news,
    IHave: State._on_ihave,
    Graft: State._on_graft,
    Prune: State._on_prune,
    TreeRequest: State._on_tree_request,
    Tree: State._on_tree,
    CardsRequest: State._on_cards_request,
    Cards: State._on_cards,
    Missing: State._on_missing,
}
