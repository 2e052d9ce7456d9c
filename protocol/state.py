"""The protocol as a value: one node's whole gossip state, with no clock, no socket and no dice of its own.

Theory of operation. :meth:`State.handle` takes one event and the monotonic time and returns what is to be
done, in order. The parts do the work: :mod:`.membership` (whom to be connected to), :mod:`.index` (heads and
catalogues), :mod:`.repair` (what differs from a peer), :mod:`.pulls` (catalogues that are not whole),
:mod:`.broadcast` (news), :mod:`.publishing` (what this node signs); :mod:`.conversation` joins them. This
module turns events into their calls, starts them, and reads out of them for the rest of the node, between
events.

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
from typing import Any

from .context import Context, StateConfig
from .conversation import PUBLIC, Conversation
from .effects import Disconnect, DropCatalogue, DropRecord, Effect, PublishRefused, PutHead
from .envelope import Verified
from .errors import LocalProtocolError, RemoteProtocolError
from .events import (
    AddressesConfigured,
    AskRange,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    LeaveGroup,
    Publish,
    RangeRead,
    Reach,
    Received,
    Renew,
    SketchVerdict,
    Started,
    TakeRecords,
    TimerFired,
    TimerKind,
    Vouch,
    WallClock,
    Why,
)
from .groups import Groups
from .hello import Identity
from .history import Because
from .index import Held
from .limits import HOUSEKEEPING_SECONDS, NODE_RECORD_RENEWAL_SECONDS
from .node_record import NodeRecord, make_node_record
from .owners import Owners
from .peers import Peer
from .score import Score
from .signing import SignatureScheme
from .snapshot import Snapshot
from .tokens import Tokens
from .why import explain


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
        self._parts = Conversation(self._context)
        self._bootstrap_known = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            WallClock: self._wall_clock,
            TimerFired: self._timer,
            Connected: self._connected,
            ConnectFailed: self._connect_failed,
            Disconnected: self._disconnected,
            Received: self._received,
            Publish: self._publish,
            Renew: self._renew,
            AddressesConfigured: self._configured,
            SketchVerdict: self._sketch_verdict,
            Vouch: self._vouch,
            Why: self._why,
            TakeRecords: self._parts.take_records,
            LeaveGroup: self._leave,
            Reach: self._parts.reaching.reach,
            AskRange: self._parts.reaching.ask_range,
            RangeRead: self._parts.reaching.range_read,
        }

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
        elif not self._owner:
            raise LocalProtocolError("an event before Started", where=type(event).__name__)
        else:
            self._handlers[type(event)](event)
        return self._context.take_effects()

    # Starting.

    def _started(self, event: Started) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is None:
            raise LocalProtocolError("a state starts once", todo="make a new State")
        self._context.set_wall(event.wall)
        self._restore(snapshot)
        self._sign_record()
        self._parts.publishing.start(self._owner)
        self._parts.membership.start()
        self._parts.repair.start()
        self._context.timer(TimerKind.HOUSEKEEPING, HOUSEKEEPING_SECONDS)

    def _restore(self, snapshot: Snapshot) -> None:
        """Take over what the disk holds; what does not verify any more is left out."""
        self._context.loading = True
        self._context.open_cards = snapshot.open_cards
        trust, _ = self._parts.owners.learn(self._own_charters)
        self._owner = self._parts.groups.owner = trust.owner
        self._parts.quota.vouched = frozenset((trust.owner,))
        self._parts.owners.learn_all(chain for chains in snapshot.chains.values() for chain in chains)
        self._parts.groups.restore(snapshot.records.values(), snapshot.groups)
        self._restore_catalogues(snapshot)
        self._restore_records(snapshot)
        self._parts.carrier.restore(snapshot.records.values())
        self._context.loading = False
        for (scope, node_key), stored in snapshot.catalogues.items():
            heads = self._parts.indexes[scope].heads if scope in self._parts.indexes else {}
            held = heads.get(node_key)
            if held is None or (stored.shown and held.shown is None):
                self._context.store(DropCatalogue(scope, node_key))
                if held is not None:
                    other = b"" if held.other is None else held.other.raw
                    self._context.store(PutHead(scope, node_key, held.head.raw, other))
        for scope, digest in snapshot.records:
            if not self._parts.holds_record(scope, digest):
                self._context.store(DropRecord(scope, digest))

    def _restore_catalogues(self, snapshot: Snapshot) -> None:
        """Take over the catalogues, and want those that are not whole once all that is held is counted."""
        unfinished = []
        for (scope, _), stored in snapshot.catalogues.items():
            held = self._parts.indexes[scope].restore(stored) if scope in self._parts.indexes else None
            if held is not None and not held.whole:
                unfinished.append((self._parts.indexes[scope], held, stored))
        self._parts.quota.recount(self._parts.indexes[PUBLIC])
        for index, held, stored in unfinished:
            self._parts.pulls.want(index, held, None, dict(stored.pending))

    def _restore_records(self, snapshot: Snapshot) -> None:
        records = []
        for raw in snapshot.node_records.values():
            try:
                records.append(self._parts.owners.verify_node(raw))
            except RemoteProtocolError:
                continue
        own = [record for record in records if record.value.node_key == self._context.key]
        self._own_record = own[0] if own else None
        self._parts.membership.restore(records, snapshot.anchors)
        self._parts.whereabouts.restore(records)

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
            via=self._parts.reaching.via(),
        )
        self._own_record = self._parts.owners.verify_node(envelope.to_bytes())
        self._parts.membership.own_record(self._own_record)

    # Events of the driver.

    def _configured(self, event: AddressesConfigured) -> None:
        self._bootstrap_known = bool(event.bootstrap)
        self._parts.membership.configure(event.bootstrap)

    def _connected(self, event: Connected) -> None:
        context = self._context
        if event.peer in context.peers:
            raise LocalProtocolError("a second connection of one peer", where=event.peer.hex())
        if context.is_cut_off(event.peer):
            context.add(Disconnect(event.peer, "score"))
            return
        try:
            trust, news = self._parts.owners.learn(event.charters)
            record = self._parts.owners.verify_node(event.record)
        except RemoteProtocolError as error:
            # The handshake verified both, so only time or a rival charter came between.
            context.refuse(event.peer, error.violation, str(error))
            return
        score = Score(context.config.score, context.now)
        peer = Peer(event.peer, trust.owner, event.outbound, context.now, score, record.value.addresses)
        context.peers[event.peer] = peer
        self._parts.membership.connected(event.peer, outbound=event.outbound)
        self._parts.broadcast.connected(event.peer, self._parts.scopes_of(event.peer))
        self._parts.membership.admit(record, event.peer)
        self._parts.membership.offer_fresh(event.peer)
        self._parts.groups.connected(event.peer, event.session)
        self._parts.reaching.connected(event.peer)
        if self._parts.reaching.outdated():
            self._sign_record()
        for scope in self._parts.scopes_of(event.peer):
            self._parts.publishing.connected(event.peer, scope)
            if event.outbound:
                self._parts.repair.send_digest(event.peer, scope)
        if news:
            self._parts.charters_changed([trust.owner], event.peer)

    def _publish(self, event: Publish) -> None:
        index = self._parts.indexes.get(event.scope)
        if index is None:
            raise LocalProtocolError("publishing in an unknown scope", where=event.scope.hex())
        if event.scope != PUBLIC and not self._parts.groups.may_publish(event.scope, self._owner):
            self._context.deliver(PublishRefused(event.token, "not a publisher in the group"))
            return
        anybody = self._bootstrap_known or bool(self._parts.membership.known)
        self._parts.publishing.publish(index, event, anybody=anybody)

    def _sketch_verdict(self, event: SketchVerdict) -> None:
        self._parts.reports.verdict(event, self._owner)

    def _vouch(self, event: Vouch) -> None:
        self._parts.quota.vouched = frozenset((self._owner, *event.owners))
        self._parts.quota.recount(self._parts.indexes[PUBLIC])
        self._parts.want_incomplete()

    def _why(self, event: Why) -> None:
        parts = self._parts
        report = explain(event, self._context, parts.owners, parts.indexes, parts.membership.known)
        self._context.deliver(report)

    def _leave(self, event: LeaveGroup) -> None:
        self._parts.publishing.left(event.group)
        self._parts.groups.leave(event.group)

    def _wall_clock(self, event: WallClock) -> None:
        self._context.set_wall(event.wall)

    def _connect_failed(self, event: ConnectFailed) -> None:
        self._parts.membership.connect_failed(event.target)
        if isinstance(event.target, bytes):
            self._context.note(event.target, Because.UNREACHABLE, "a dial came to nothing")

    def _disconnected(self, event: Disconnected) -> None:
        if self._context.peers.pop(event.peer, None) is not None:
            self._parts.gone(event.peer)

    def _received(self, event: Received) -> None:
        if event.peer in self._context.peers:
            self._parts.receive(event.peer, event.frame)

    def _renew(self, event: Renew) -> None:
        if event.scope in self._parts.indexes:
            self._parts.publishing.renew(self._parts.indexes[event.scope], force=True)

    # Timers.

    def _timer(self, event: TimerFired) -> None:
        timer = event.timer
        match timer.kind:
            case TimerKind.DIAL:
                self._parts.membership.tick()
            case TimerKind.SHUFFLE:
                self._parts.membership.shuffle()
            case TimerKind.REPAIR:
                self._parts.repair.tick(self._parts.indexes)
            case TimerKind.HOUSEKEEPING:
                self._housekeeping()
            case TimerKind.PULL:
                self._parts.broken_promises()
                self._parts.pulls.tick()
            case TimerKind.OWN_HEAD:
                self._parts.publishing.tick()
            case TimerKind.LAZY:
                self._parts.broadcast.flush()
            case TimerKind.GRAFT:
                self._parts.broken_promises()
                self._parts.broadcast.graft_due(timer.key)
            case TimerKind.REPORT:
                self._parts.reports.due(timer.key, self._owner)

    def _housekeeping(self) -> None:
        self._context.timer(TimerKind.HOUSEKEEPING, HOUSEKEEPING_SECONDS)
        self._parts.broken_promises()
        self._parts.broadcast.expire()
        self._parts.want_incomplete()
        self._parts.groups.tick()
        self._parts.tokens.tick()
        self._parts.whereabouts.tick()
        self._parts.quota.recount(self._parts.indexes[PUBLIC])
        self._parts.freshness.tick(self._parts.indexes[PUBLIC])
        for index in self._parts.indexes.values():
            for key in index.expire():
                self._parts.pulls.settled(index, key)
            self._parts.publishing.renew(index)
        if self._parts.owners.crowded:
            self._parts.owners.make_room(self._owners_needed())
        record = self._own_record
        renewal = (
            record is not None and self._context.wall - record.value.issued >= NODE_RECORD_RENEWAL_SECONDS
        )
        if renewal or self._parts.reaching.outdated():
            self._sign_record()

    def _owners_needed(self) -> set[bytes]:
        """Return the owners of whom something is held, so that their charters are."""
        parts = self._parts
        needed = {self._owner, *parts.quota.vouched, *parts.membership.view.owners()}
        needed.update(peer.owner for peer in self._context.peers.values())
        for index in parts.indexes.values():
            needed |= index.owners_held()
        for group in parts.groups.groups.values():
            needed.update(group.rosters.standings, group.members(self._context.wall))
        return needed

    # Reading.

    def identity(self) -> Identity:
        """Return what the handshake needs; known once ``Started`` was handled."""
        trust = self._parts.owners.get(self._owner)
        if trust is None or self._own_record is None:
            raise LocalProtocolError("the state has not started")
        return Identity(self._context.signer, tuple(trust.chains[0]), self._own_record.raw)

    def heads(self, scope: bytes = PUBLIC) -> dict[bytes, Held]:
        """Return what is held by node key; not to be changed."""
        return self._parts.indexes[scope].heads

    def cards(self, scope: bytes = PUBLIC) -> list[bytes]:
        """Return all cards that are shown."""
        return [card for held in self._parts.indexes[scope].heads.values() for card in held.visible.values()]

    def catalogue(self, node_key: bytes, scope: bytes = PUBLIC) -> Held | None:
        """Return what is held for a node key."""
        return self._parts.indexes[scope].heads.get(node_key)

    def peers(self) -> dict[bytes, Peer]:
        """Return the connected peers by node key; not to be changed."""
        return self._context.peers

    def digest(self, scope: bytes = PUBLIC) -> bytes:
        """Return the fingerprint of the scope's heads: equal at nodes that agree."""
        return self._parts.indexes[scope].set.digest()

    def node_records(self) -> dict[bytes, Verified[NodeRecord]]:
        """Return the known node records by node key, without this node's own."""
        known = {key: known.record for key, known in self._parts.membership.known.items()}
        return {**self._parts.whereabouts.records, **known}

    def queues(self) -> dict[str, int]:
        """Return how much waits, by queue, for metrics; every figure is bounded."""
        return {
            "wanted": len(self._parts.pulls),
            **self._parts.broadcast.queues(),
            **self._parts.repair.queues(),
            **self._parts.publishing.queues(),
        }

    def coming(self) -> int:
        """Return how many cards heads promise that are still to be fetched."""
        return self._parts.pulls.coming()

    def groups(self) -> Groups:
        """Return what is known of groups, and who may read what."""
        return self._parts.groups

    def tokens(self) -> Tokens:
        """Return the blob tokens given and held."""
        return self._parts.tokens

    def owners(self) -> Owners:
        """Return what is known of owners."""
        return self._parts.owners
