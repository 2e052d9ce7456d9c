"""Which nodes this one knows, and which of them it is connected to.

Theory of operation, after HyParView (Leitão, Pereira, Rodrigues, 2007). The *active view* is the connections:
this node dials until it has ``LINKS_CHOSEN_MIN`` links of its own choice and ``LINKS_TARGET`` in all, and
takes inbound ones up to ``LINKS_MAX``. The *passive view* is signed node records of others, refreshed by
*shuffles*: every so often a peer is offered a few of them, by short ids, and asks for those it does not know.
Up to ``FULL_MEMBERSHIP_MAX`` nodes the passive view is everybody, and a record that is new is offered to all
peers at once. A node without any other link says so when it connects and is taken in even by a full node, in
one of a few places kept for such, and its record is sent on a *walk*: over ``JOIN_HOPS`` links chosen at
random, so that the newcomer is linked with a node anywhere and not only with those that everybody begins at.
A refused dialler may stay ``VISIT_SECONDS``: long enough for a repair and a shuffle, so that separated
components merge even when every view is full. Once in ``REJOIN_SECONDS`` a node calls on one that it is not
linked with, for the same reason, and sooner while its links are young: they may all be liars, who have room
where honest nodes are full. When a call brings news while no link told any, a link makes room for who was
called.

An address is a claim. What a node says of itself is *verified* when somebody dialled it there: this node, or
whoever passed the record on. The end of a walk dials the newcomer, and that is the dial-back.

Rules of this file:

1. Links that this node chose are never given up for inbound ones, and its dials find room whatever comes in:
   who floods us cannot surround us.
2. A record is kept only if it is signed by the key it names and its lease has not ended; a higher seq
   replaces a lower one.
3. Addresses that are not global are dialled only when configured or told by a peer of the same network.
4. Only verified records are offered. What only its subject told is kept for this node's own use, and walks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from .addresses import may_be_dialled
from .charter import ROLE_SERVE
from .context import Context
from .dialling import Dialling, Target
from .effects import PutNodeRecord
from .envelope import Verified
from .events import TimerKind
from .exchange import Full, Neighbour, NodesRequest, Offer
from .limits import (
    ANCHORS_MAX,
    DIAL_PAUSE_SECONDS_MIN,
    DIAL_SECONDS,
    FULL_MEMBERSHIP_MAX,
    GREETING_SECONDS,
    JOIN_HOPS,
    JOIN_IDS,
    JOIN_PASSIVE_HOPS,
    LINKS_CHOSEN_MIN,
    LINKS_HARD_MAX,
    LINKS_MAX,
    LINKS_NEEDY_MAX,
    LINKS_TARGET,
    LOST_TOGETHER_SECONDS,
    NODE_RECORD_WORK,
    NODES_KNOWN_MAX,
    OFFERED_IDS_MAX,
    REFUSED_PAUSE_SECONDS,
    REJOIN_FACTOR,
    REJOIN_SECONDS,
    REJOIN_SECONDS_MIN,
    SHUFFLE_IDS,
    SHUFFLE_SECONDS,
    SHUFFLE_SECONDS_SETTLED,
    VISIT_SECONDS,
)
from .messages import Join
from .node_record import NodeRecord
from .owners import Owners
from .passive import Known, Passive, ignore, never, short_id
from .peers import PromiseKey

NODES: PromiseKey = ("nodes", b"")
"""The promise that a request for node records is."""


class Membership:
    """The active and the passive view of one node."""

    def __init__(self, context: Context, owners: Owners) -> None:
        self._context = context
        self._owners = owners
        self.view: Passive = Passive(context)
        self.visiting: dict[bytes, float] = {}
        """Peers that stay for a repair only -> until when."""
        self._dialling = Dialling(context, self.view)
        self._lost: list[float] = []
        self._calls: set[Target] = set()
        """Dialled for a visit only."""
        self._invited: set[bytes] = set()
        """Dialled or connected at the end of a walk: others suggested them, so they are not of our choice."""
        self._needy: dict[bytes, None] = {}
        """Inbound links that were taken in by a full node because they said that they had no other."""
        self._more_until = 0.0
        """Till when a peer's word counts that it knows more nodes than it named."""
        self._fresh: list[bytes] = []
        """Ids of records to be offered to all peers, see ``offer_fresh``."""
        self._rejoin_at = 0.0
        self._rejoin_seconds = REJOIN_SECONDS_MIN
        """Till the call after the next."""
        self._walk_at = 0.0
        """When a link that nobody may have dialled is sent on a walk again."""
        self._called_at = self._silent_since = 0.0
        """When the last call was made, and the one before."""
        self.is_companion: Callable[[bytes], bool] = never
        """Whether an owner is in a group of ours: such nodes are kept in mind and taken in first."""
        self.on_verified: Callable[[Verified[NodeRecord], bytes], None] = ignore

    def handlers(self) -> dict[type, Callable[[bytes, Any], object]]:
        """Return what deals with each message that concerns membership alone."""
        return {
            Neighbour: self.neighbour,
            Full: self.refused,
            Offer: self.offered,
            NodesRequest: self.requested,
        }

    # Starting.

    def restore(self, records: Iterable[Verified[NodeRecord]], anchors: tuple[bytes, ...]) -> None:
        """Take over what the disk holds; what was dialled before the restart may be dialled again."""
        for record in records:
            if record.value.node_key != self._context.key and len(self.known) < NODES_KNOWN_MAX:
                self.view.know(record, dialable=bool(record.value.addresses), verified=True)
        self._dialling.anchors = anchors

    def own_record(self, record: Verified[NodeRecord]) -> None:
        """Take over this node's own record, and tell the peers that it is new."""
        self.view.own_record(record)
        self._context.store(PutNodeRecord(record.value.node_key, record.raw))
        for key in self._context.peers:
            self._offer(key, [short_id(record)], wants_offer=False)

    @property
    def known(self) -> dict[bytes, Known]:
        """The passive view by node key; not to be changed."""
        return self.view.known

    def configure(self, bootstrap: tuple[str, ...]) -> None:
        """Take over the bootstrap addresses and look whether links are missing."""
        self._dialling.configure(bootstrap)
        self.look_after_links()

    def start(self) -> None:
        """Set the timers."""
        self._call_soon()
        self._context.timer(TimerKind.DIAL, DIAL_SECONDS)
        self._context.timer(TimerKind.SHUFFLE, SHUFFLE_SECONDS * self._context.rng.random())

    # Links.

    @property
    def links(self) -> list[bytes]:
        """The active view, in the order in which the connections came up."""
        return [key for key in self._context.peers if key not in self.visiting]

    def connected(self, key: bytes, *, outbound: bool) -> None:
        """Greet a new peer: say how much this node needs it, and offer what it may not know."""
        called = self._dialled(key)
        if outbound:
            self._context.send(key, Neighbour(alone=len(self.links) == 1))
            if len(self.known) < JOIN_IDS:
                self._offer(key, [], wants_offer=True)
            if called or (key in self._invited and len(self.links) > LINKS_TARGET):
                self.visiting[key] = self._context.now + VISIT_SECONDS
        else:
            self._invited.discard(key)
        if not self._large:
            self._offer(key, self.view.sample(FULL_MEMBERSHIP_MAX), wants_offer=False)
        if len(self._context.peers) > LINKS_HARD_MAX:
            gone = self._least_wanted(key)
            self.visiting.pop(gone, None)
            # It may have had no time to ask, and whoever comes to a crowded node needs others to go to.
            records = [self.view.record(self.view.ids[item]) for item in self.view.sample(SHUFFLE_IDS)]
            self._send_records(gone, records)
            self._context.disconnect(gone, "no room")

    def _least_wanted(self, newest: bytes) -> bytes:
        """Return who makes room: the visitor that came first; nobody whom this node dialled."""
        peers = self._context.peers
        visitors = (key for key in self.visiting if not peers[key].outbound)
        inbound = None if not peers[newest].outbound else self._worst_inbound(newest)
        return next(visitors, inbound or newest)

    def _dialled(self, key: bytes) -> bool:
        """Note that a dial came to its end; return whether it was for a visit while links are plenty."""
        ended = self._dialling.arrived(key)
        called = any(target in self._calls for target in ended)
        self._calls.difference_update(ended)
        return called and len(self.links) > LINKS_TARGET

    def neighbour(self, key: bytes, message: Neighbour) -> None:
        """Take an inbound peer into the active view, or let it visit only."""
        peer = self._context.peers[key]
        first, peer.greeted = not peer.greeted, True
        if not first or peer.outbound:
            return
        if message.alone and key in self.known and not self.known[key].verified:
            self._send_on_walk(key, JOIN_HOPS)
        if len(self.links) - len(self._needy) <= LINKS_MAX:
            return
        if self.is_companion(peer.owner):
            self._refuse(self._worst_inbound(key) or key)
        elif message.alone:
            # Anybody can say so: whoever says it gets the place of one that said it before, no other.
            self._needy[key] = None
            if len(self._needy) > LINKS_NEEDY_MAX:
                self._refuse(next(iter(self._needy)))
        else:
            self._refuse(key)

    # Walks.

    def _send_on_walk(self, key: bytes, hops: int) -> None:
        """Have a peer that nobody may have dialled yet be dialled by somebody else."""
        known = self.known.get(key)
        trust = None if known is None else self._owners.get(known.record.value.owner)
        others = [peer for peer in self.links if peer != key]
        if known is None or trust is None or trust.frozen or not known.record.value.addresses or not others:
            return
        message = Join(tuple(trust.chains[0]), known.record.raw, hops)
        self._context.send(self._context.rng.choice(others), message)

    def walked(self, teller: bytes, message: Join, record: Verified[NodeRecord]) -> None:
        """Pass a newcomer's record on, or at the end of its walk dial the newcomer."""
        key = record.value.node_key
        if key == self._context.key or not record.value.addresses:
            return
        if message.hops == JOIN_PASSIVE_HOPS and len(self.known) < NODES_KNOWN_MAX:
            self.admit(record, teller, verified=False)
        onward = [peer for peer in self.links if peer not in (teller, key)]
        if message.hops and onward:
            walk = Join(message.charters, message.record, message.hops - 1)
            self._context.send(self._context.rng.choice(onward), walk)
            return
        room = self._dialling.room > 0 and len(self._context.peers) < LINKS_HARD_MAX
        if room and self._may_dial(record.value, teller) and self._dialling.is_free(key):
            self._invited.add(key)
            self._dialling.dial_record(key, record.raw)

    def refused(self, key: bytes, message: Full) -> None:
        """Use the visit that a full peer allows, and look elsewhere."""
        del message
        self.visiting[key] = self._context.now + VISIT_SECONDS
        self._dialling.pause(key, REFUSED_PAUSE_SECONDS)
        self._context.timer(TimerKind.DIAL, DIAL_PAUSE_SECONDS_MIN)

    def disconnected(self, key: bytes) -> None:
        """Note a lost link; several at once make this node doubt itself."""
        self._invited.discard(key)
        self._needy.pop(key, None)
        if self.visiting.pop(key, None) is not None:
            self._dialling.pause(key)
            return
        now = self._context.now
        self._lost = [at for at in self._lost if at > now - LOST_TOGETHER_SECONDS] + [now]
        if len(self._lost) >= 3 and len(self._lost) > len(self.links):
            self._context.suspect_self()
        if not self.links or self._context.stretch > 1.0:
            self._call_soon()
        self._dialling.pause(key)
        self._context.timer(TimerKind.DIAL, DIAL_PAUSE_SECONDS_MIN * self._context.rng.random())

    def connect_failed(self, target: bytes | str) -> None:
        """Leave a target alone for a while."""
        if self._dialling.failed(target):
            self._calls.discard(target)
            self._invited.discard(target)
            self.look_after_links()

    def tick(self) -> None:
        """Do what the DIAL timer is for."""
        self._context.timer(TimerKind.DIAL, DIAL_SECONDS)
        self._end_visits()
        self._end_silent()
        self._dialling.tick()
        if self._rejoin_seconds < REJOIN_SECONDS and self._context.now >= self._walk_at:
            self._walk_at = self._context.now + DIAL_SECONDS
            self._have_one_dialled()
        self.look_after_links()

    def look_after_links(self) -> None:
        """Dial while links are missing and there is somebody to dial."""
        call = self._context.now >= self._rejoin_at
        missing = self._missing()
        count = max(0, min(missing + call, self._dialling.room))
        if not count:
            return
        targets = self._dialling.choose(count, few=len(self.links) < LINKS_CHOSEN_MIN, visit=call)
        if call and targets:
            self._next_call()
            if not missing:
                self._calls.update(targets)
        for target in targets:
            self._dialling.dial(target)

    # Calls.

    def _call_soon(self) -> None:
        """Have the next call be early: the links are young, or they keep silent."""
        self._rejoin_at = self._context.now + REJOIN_SECONDS_MIN
        self._rejoin_seconds = min(REJOIN_SECONDS, REJOIN_SECONDS_MIN * REJOIN_FACTOR)

    def _next_call(self) -> None:
        self._silent_since, self._called_at = self._called_at, self._context.now
        seconds = self._rejoin_seconds
        if seconds == REJOIN_SECONDS:
            # Drawn, so that nodes that started together do not call at one time for ever.
            seconds *= 0.5 + self._context.rng.random()
        self._rejoin_at = self._context.now + seconds
        self._rejoin_seconds = min(REJOIN_SECONDS, self._rejoin_seconds * REJOIN_FACTOR)

    def brought_news(self, key: bytes) -> None:
        """Take in whom this node called on and who knew what no link told, while all links kept silent.

        Where anything at all is told by a link, nothing happens: otherwise who invents news would get all
        links, one after another.
        """
        peers = self._context.peers
        silent = all(peers[link].score.useful_at < self._silent_since for link in self.links)
        if key not in self.visiting or not peers[key].outbound or not silent:
            return
        self._call_soon()
        spare = [link for link in self._chosen() if link not in self._dialling.anchors]
        if len(spare) > LINKS_CHOSEN_MIN - ANCHORS_MAX:
            now = self._context.now
            worst = min(spare, key=lambda link: (peers[link].score.value(now), peers[link].since))
            self._context.disconnect(worst, "silent while others had news")
        if key not in self._dialling.pauses:  # Otherwise it said that it is full.
            del self.visiting[key]

    def seek(self, owners: Collection[bytes], count: int) -> None:
        """Dial up to ``count`` known nodes of some owners that are not connected."""
        free = [
            key
            for key, known in self.known.items()
            if known.record.value.owner in owners and known.dialable and self._dialling.is_free(key)
        ]
        room = min(self._dialling.room, LINKS_HARD_MAX - len(self._context.peers), len(free), count)
        for key in self._context.rng.sample(free, max(0, room)):
            self._dialling.dial(key)

    def dial_one_of(self, keys: Collection[bytes]) -> None:
        """Dial the first of some known nodes that may be dialled, is not connected, and is left in peace."""
        for key in keys:
            known = self.known.get(key)
            if known is not None and known.dialable and self._dialling.is_free(key):
                if self._dialling.room > 0:
                    self._dialling.dial(key)
                return

    def offer_nodes(self, key: bytes, owners: Collection[bytes]) -> None:
        """Offer a peer the known records of some owners' nodes."""
        ids = self.view.passable(owners)
        self._offer(key, ids[:OFFERED_IDS_MAX], wants_offer=False)

    def _missing(self) -> int:
        peers, links, invited = self._context.peers, self.links, self._invited
        chosen = sum([peers[key].outbound for key in links if key not in invited])
        missing = max(LINKS_CHOSEN_MIN - chosen, LINKS_TARGET - len(links), 0)
        # Visitors that came by themselves make room for dials.
        taken = len(links) + sum([peers[key].outbound for key in self.visiting])
        return max(0, min(missing, LINKS_HARD_MAX - taken) - len(self._dialling.under_way))

    def _chosen(self) -> list[bytes]:
        """Return the links of this node's own choice."""
        peers = self._context.peers
        return [key for key in self.links if peers[key].outbound and key not in self._invited]

    def _worst_inbound(self, besides: bytes) -> bytes | None:
        peers, now = self._context.peers, self._context.now
        inbound = [
            key
            for key in self.links
            if (not peers[key].outbound or key in self._invited)
            and key != besides
            and not self.is_companion(peers[key].owner)
        ]
        return min(inbound, key=lambda key: (peers[key].score.value(now), -peers[key].since), default=None)

    def _refuse(self, key: bytes) -> None:
        """Let a peer visit only, and name the own links to it: they are likely to have fewer."""
        self._needy.pop(key, None)
        self.visiting[key] = self._context.now + 2 * VISIT_SECONDS
        self._context.send(key, Full())
        self._offer(key, self.view.passable_of(self.links), wants_offer=False)

    def _end_visits(self) -> None:
        for key, until in list(self.visiting.items()):
            if until <= self._context.now:
                del self.visiting[key]
                self._context.disconnect(key, "visit over")

    def _end_silent(self) -> None:
        """Let go of diallers that say nothing: nobody decides about them, and they would fill every place."""
        latest = self._context.now - GREETING_SECONDS
        for key, peer in list(self._context.peers.items()):
            if not peer.outbound and not peer.greeted and not peer.closing and peer.since <= latest:
                self._context.disconnect(key, "no greeting")

    # Records.

    def shuffle(self) -> None:
        """Do what the SHUFFLE timer is for: exchange a few ids with one peer."""
        settled = len(self.known) > FULL_MEMBERSHIP_MAX and not self._missing()
        self._context.timer(TimerKind.SHUFFLE, SHUFFLE_SECONDS_SETTLED if settled else SHUFFLE_SECONDS)
        for key in self.view.ended():
            self._forget(key)
        self._dialling.remember_anchors(self._chosen(), ANCHORS_MAX)
        peers = list(self._context.peers)
        if peers:
            self._offer(self._context.rng.choice(peers), self.view.sample(SHUFFLE_IDS), wants_offer=True)
        self._have_one_dialled()

    def _have_one_dialled(self) -> None:
        """Have a link that nobody may have dialled yet be dialled by another one."""
        doubtful = [key for key in self.links if key in self.known and not self.known[key].verified]
        if doubtful:
            self._send_on_walk(self._context.rng.choice(doubtful), 0)

    def offered(self, key: bytes, message: Offer) -> None:
        """Ask for the offered records that are not known here; what is known, the peer vouches for."""
        if message.more:
            self._more_until = self._context.now + 2 * SHUFFLE_SECONDS_SETTLED
        unknown = []
        for item in message.ids:
            node_key = self.view.ids.get(item)
            if node_key is None:
                unknown.append(item)
            elif node_key not in (key, self._context.key) and not self.known[node_key].verified:
                self._verified(node_key)
        # A full view changes slowly: who offers much does not turn it over.
        room = max(SHUFFLE_IDS, NODES_KNOWN_MAX - len(self.known))
        if unknown:
            self._context.request(key, NODES, NodesRequest(tuple(unknown[:room])))
        # Who names nothing is new here and asks for a beginning; in a small network it was given all already.
        count = SHUFFLE_IDS if message.ids else JOIN_IDS * self._large
        if message.wants_offer and count and self._context.pays(key, max(len(message.ids), count)):
            self._offer(key, self.view.sample(count), wants_offer=False)
        self.offer_fresh(key)

    def requested(self, key: bytes, message: NodesRequest) -> None:
        """Send the records asked for, with the charters that they need.

        Where none of what was offered is known any more it is the own one: silence would break a promise, and
        who broke one is not listened to.
        """
        keys = dict.fromkeys(self.view.ids[item] for item in message.ids if item in self.view.ids)
        found = [self.view.record(node_key) for node_key in keys if self.view.may_pass(node_key)]
        if not found and self.view.own is not None:
            found = [self.view.own]
        if self._context.pays(key, NODE_RECORD_WORK * len(found)):
            self._send_records(key, found)

    def _send_records(self, key: bytes, records: Iterable[Verified[NodeRecord]]) -> None:
        for message in self._owners.with_charters((item.value.owner, item.raw) for item in records):
            self._context.send(key, message)

    def admit(self, record: Verified[NodeRecord], teller: bytes, *, verified: bool = True) -> None:
        """Take a verified record into the passive view.

        Parameters
        ----------
        record
            What verified.
        teller
            The peer that sent it.
        verified
            Whether a teller that is not its subject vouches for the address.
        """
        value = record.value
        key = value.node_key
        if key == self._context.key:
            return
        old = self.known.get(key)
        if teller == key:
            same = old is not None and old.record.value.addresses == value.addresses
            verified = self._context.peers[key].outbound or (same and old is not None and old.verified)
        verified = verified or not value.addresses
        if old is not None and old.record.value.seq >= value.seq:
            if verified and not old.verified and old.record.hash == record.hash:
                self._verified(key)
            return
        dialable = bool(value.addresses) and (
            (old is not None and old.dialable) or self._may_dial(value, teller)
        )
        self.view.know(record, dialable=dialable, verified=False)
        if verified:
            self._verified(key)
        self._make_room()
        if self._missing():
            self._context.timer(TimerKind.DIAL, DIAL_PAUSE_SECONDS_MIN * self._context.rng.random())

    def _verified(self, key: bytes) -> None:
        """Note that somebody dialled a node where its record says: it may be passed on."""
        known = self.known[key]
        known.verified = True
        self._context.store(PutNodeRecord(key, known.record.raw))
        self._fresh.append(short_id(known.record))
        self.on_verified(known.record, key)

    def offer_fresh(self, teller: bytes) -> None:
        """Offer what became known to all peers but its teller.

        That is newcomers that this node dialled at the end of their walk, and anybody while everyone knows
        everyone.
        """
        fresh, self._fresh = self._fresh, []
        if not fresh or (self._large and teller not in self._invited):
            return
        for key in self._context.peers:
            ids = [item for item in fresh if self.view.ids.get(item) not in (None, key)]
            if key != teller and ids:
                self._offer(key, ids[:OFFERED_IDS_MAX], wants_offer=False)

    @property
    def _large(self) -> bool:
        """Whether the network has more nodes than everyone can know."""
        return len(self.known) > FULL_MEMBERSHIP_MAX or self._context.now < self._more_until

    def _may_dial(self, record: NodeRecord, teller: bytes) -> bool:
        """Apply rule 3."""
        told_by = self._context.peers.get(teller)
        near = (*(told_by.addresses if told_by is not None else ()), *self._context.config.addresses)
        return record.mode == "web" or all(may_be_dialled(address, near) for address in record.addresses)

    def _offer(self, key: bytes, ids: list[bytes], *, wants_offer: bool) -> None:
        if ids or wants_offer:
            self._context.send(key, Offer(tuple(ids), wants_offer, more=self._large))

    def _make_room(self) -> None:
        """Forget nodes while there are too many."""
        kept = {*self._context.peers, *self._dialling.anchors}
        while len(self.known) > NODES_KNOWN_MAX:
            gone = self._spare(kept)
            if gone is None:
                return
            self._forget(gone)

    def _spare(self, kept: Collection[bytes]) -> bytes | None:
        """Return a node to be forgotten: one that did not answer first, a companion last."""
        everybody = list(self.known)
        pool = [key for key in self.view.crowding(everybody) if key not in kept] or everybody
        pauses = self._dialling.pauses
        # Most often nobody is left in peace: then the pool is not looked through.
        if any(key in self.known for key in pauses):
            pool = [key for key in pool if key in pauses and key not in kept] or pool
        start = self._context.rng.randrange(len(pool))
        turned = (key for step in range(len(pool)) if (key := pool[start - step]) not in kept)
        companion = None
        for key in turned:
            if not self.is_companion(self.known[key].record.value.owner):
                return key
            companion = companion or key
        return companion

    def recheck(self, owner: bytes) -> None:
        """Forget the records of an owner's keys that its charters no longer let serve."""
        trust = self._owners.get(owner)
        for key, known in list(self.known.items()):
            theirs = known.record.value.owner == owner
            if theirs and trust is not None and not trust.may(key, ROLE_SERVE, self._context.wall):
                self._forget(key)

    def _forget(self, key: bytes) -> None:
        self.view.forget(key)
        self._dialling.pauses.pop(key, None)
