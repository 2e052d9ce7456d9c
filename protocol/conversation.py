"""What a message from a peer sets in motion.

Theory of operation. Each message type has one handler: of membership, repair or broadcast where the message
concerns that part alone, and here where one part's result is another part's beginning: a head that is
admitted is pulled, a catalogue that became whole is pushed on, new charters end old heads. The parts do not
know each other.

Rules of this file:

1. A handler may raise RemoteProtocolError: the message is then refused, and what verified before stays.
2. A message of a scope that the sender has no part in is refused as if the scope did not exist.
3. Only what became whole is pushed on, whatever way it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .admission import ADMISSION_TYPE
from .broadcast import GRAFT, Broadcast
from .card import verify_card
from .carried import Carried, Carrier
from .charter import ROLE_SERVE
from .context import Context
from .effects import RecordsTaken
from .envelope import RECORD_HEADER, Envelope, open_envelope
from .errors import RemoteProtocolError
from .events import TakeRecords
from .exchange import (
    Graft,
    IHave,
    Newest,
    NewestRequest,
    Prune,
    Ranges,
    RecordsRequest,
)
from .freshness import Freshness
from .groups import Groups, Hooks
from .head import HEAD, HEAD_TYPE, head_id
from .history import Because
from .index import Change, Held, Index, Outcome, Taken
from .limits import CHAIN_WORK
from .membership import NODES, Membership
from .messages import (
    MESSAGE,
    Cards,
    Digest,
    Missing,
    News,
    Records,
    RosterTips,
    Token,
    Tree,
)
from .messages import Groups as GroupsMessage
from .node_record import NODE_TYPE
from .owners import Owners
from .publishing import Publishing
from .pulls import PULL, Pulls
from .quota import Quota
from .reaching import Reaching
from .records import KNOWN_TYPES
from .repair import RECORDS, Repair
from .report import REPORT_TYPE
from .reports import Reports
from .roster import ROSTER_TYPE
from .serving import Serving
from .tokens import Tokens
from .violations import Violation
from .walks import Walks
from .whereabouts import Whereabouts

ENDED_BY_CHARTERS = (Violation.EPOCH_OLD, Violation.KEY_UNKNOWN, Violation.OWNER_FROZEN)
"""Why a head is refused that was good under earlier charters."""
PUBLIC = b""
"""The scope that every node takes part in."""


class Conversation:
    """The parts of a state, and what a message does to them."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.owners: Owners = Owners(context)
        self.indexes: dict[bytes, Index] = {PUBLIC: Index(context, self.owners, PUBLIC)}
        self.membership: Membership = Membership(context, self.owners)
        self.repair: Repair = Repair(context, self.owners, self.index_for)
        self.freshness: Freshness = Freshness(context)
        self.broadcast: Broadcast = Broadcast(context)
        hooks = Hooks(
            self._scope_opened,
            self._joined,
            self._scope_closed,
            self.repair.send_digest,
            self.membership.seek,
            self._settled,
        )
        self.groups: Groups = Groups(context, self.owners, self.broadcast, self.indexes, hooks)
        self.tokens: Tokens = Tokens(context, self.owners, self._shares_a_group)
        self.membership.is_companion = self.groups.is_member
        self.broadcast.visits = self.membership.visiting
        self.quota: Quota = Quota(context, self.groups.voucher)
        self.pulls: Pulls = Pulls(context, self._became_whole, self._shares, self.quota.allows)
        self.reports: Reports = Reports(context, self.indexes, self._spread)
        self.carrier: Carrier = Carrier(
            context, self.owners, self.broadcast, self._carried_for, self.reports.kept
        )
        self.publishing: Publishing = Publishing(context, self.owners, self._announce)
        self.whereabouts: Whereabouts = Whereabouts(
            context, self.owners, self.membership, self.broadcast, self.indexes[PUBLIC]
        )
        self.repair.record_of, self.repair.brought_news = self.whereabouts.of, self.membership.brought_news
        self.repair.agrees = self.pulls.agrees
        self.walks: Walks = Walks(
            context, self.owners, self.membership, self.owners.verify_node, self.charters_changed
        )
        self.serving: Serving = Serving(context, self.scopes_of, self.indexes, self.repair)
        self.reaching: Reaching = Reaching(context, self.owners, self.membership)
        self._handlers: dict[type, Callable[[bytes, Any], object]] = {
            **self.membership.handlers(),
            Digest: self.repair.digest,
            Ranges: self.repair.ranges,
            RecordsRequest: self.repair.requested,
            Records: self._records,
            NewestRequest: self._newest_requested,
            Newest: self._newest,
            News: self._news,
            IHave: self._announced,
            Graft: self._grafted,
            Prune: self.broadcast.pruned,
            Tree: self.pulls.tree,
            Cards: self.pulls.cards,
            Missing: self._missing,
            GroupsMessage: self.groups.greeted,
            RosterTips: self.groups.tips,
            Token: self.tokens.taken,
            **self.reaching.handlers(),
            **self.walks.handlers(),
            **self.serving.handlers(),
        }

    def receive(self, peer: bytes, frame: bytes) -> None:
        """Deal with one frame of a connected peer; whatever its bytes, nothing is raised."""
        culprit = self.context.peers[peer]
        if culprit.closing:
            return
        culprit.heard = self.context.now
        try:
            message = MESSAGE.decode(frame)
            handler = self._handlers.get(type(message))
            if handler is not None:
                handler(peer, message)
        except RemoteProtocolError as error:
            self.context.misbehaved(peer, error.violation, str(error))
        if culprit.score.cut_off(self.context.now):
            self.context.cut_off(peer)

    def gone(self, peer: bytes) -> None:
        """Forget a peer's connection in every part."""
        self.membership.disconnected(peer)
        self.broadcast.disconnected(peer)
        self.repair.disconnected(peer)
        self.pulls.disconnected(peer)
        self.groups.disconnected(peer)
        self.tokens.disconnected(peer)

    def scopes_of(self, peer: bytes) -> list[bytes]:
        """Return the scopes that may be spoken of with a peer."""
        return [PUBLIC, *self.groups.open_to(peer)]

    def index_for(self, peer: bytes, scope: bytes) -> Index | None:
        """Return the index of a scope, None when the peer has no part in it."""
        return self.indexes.get(scope) if scope in self.scopes_of(peer) else None

    def take_records(self, event: TakeRecords) -> None:
        """Take records that this node's own people brought, and pass them on."""
        changed, failure = self.owners.learn_all(event.charters)
        self.charters_changed(changed)
        refused = [] if failure is None else [str(failure)]
        taken = 0
        for raw in event.envelopes:
            try:
                envelope = open_envelope(raw)
                part = self.groups if envelope.type in (ROSTER_TYPE, ADMISSION_TYPE) else self.carrier
                taken += part.take(None, raw, envelope, own=True)
            except RemoteProtocolError as error:
                refused.append(str(error))
        self.context.deliver(RecordsTaken(event.token, taken, tuple(refused)))

    def holds_record(self, scope: bytes, digest: bytes) -> bool:
        """Return whether a roster, an admission or a record of unknown type is held."""
        group, index = self.groups.groups.get(scope), self.indexes.get(scope)
        if group is not None and digest in group.rosters.known:
            return True
        return index is not None and any(digest in item.records for item in index.kept)

    def _index_of(self, peer: bytes, envelope: Envelope) -> Index | None:
        """Return the index that a head belongs to; None when it was shared with the peer and is no longer.

        Raises
        ------
        RemoteProtocolError
            The peer has no part in it: for a peer, it does not exist.
        """
        scope = _scope_of(envelope)
        index = self.index_for(peer, scope)
        if index is None and not self.groups.may_have_been_shared(peer, scope):
            raise RemoteProtocolError(Violation.UNEXPECTED, "a head of a scope not shared", where="head")
        return index

    def _shares_a_group(self, peer: bytes) -> bool:
        return bool(self.groups.open_to(peer))

    def _shares(self, peer: bytes, scope: bytes) -> bool:
        return self.index_for(peer, scope) is not None

    def _scope_opened(self, peer: bytes, scope: bytes) -> None:
        """Begin to speak of a group with a peer."""
        self.tokens.give(peer)
        members = self.groups.groups[scope].members(self.context.wall)
        self.membership.offer_nodes(peer, members)
        self.broadcast.connected(peer, [scope])
        self.publishing.connected(peer, scope)
        self.repair.send_digest(peer, scope)

    def _joined(self, scope: bytes) -> None:
        self.publishing.joined(scope)

    def _scope_closed(self, peer: bytes, scope: bytes) -> None:
        """Speak of a group with a peer no more."""
        self.broadcast.left(peer, scope)
        self.repair.broken(peer, scope)
        self.pulls.disconnected(peer)

    def _settled(self, index: Index, keys: Iterable[bytes]) -> None:
        for key in keys:
            self.pulls.settled(index, key)

    def _carried_for(self, peer: bytes | None, scope: bytes, kind: str) -> Carried[Any] | None:
        index = self.indexes.get(scope) if peer is None else self.index_for(peer, scope)
        if index is None:
            return None
        return index.reports if kind == REPORT_TYPE else index.carried

    def _spread(self, record: Envelope) -> bool:
        return self.carrier.take(None, record.to_bytes(), record, own=True)

    def _end_revoked(self, owner: bytes) -> None:
        """Let go of peers and node records whose keys their owner took away."""
        trust = self.owners.get(owner)
        for key, peer in list(self.context.peers.items()):
            refusal = None if trust is None else trust.refusal(key, ROLE_SERVE, self.context.wall)
            if peer.owner == owner and refusal is not None:
                self.context.disconnect(key, refusal.value)
        self.membership.recheck(owner)

    def broken_promises(self) -> None:
        """Count what peers did not answer in time, and ask others."""
        for key, peer in list(self.context.peers.items()):
            for promise in peer.overdue(self.context.now):
                peer.score.broke_promise(self.context.now)
                if promise[0] == PULL:
                    self.pulls.broken(key, promise)
                elif promise[0] == RECORDS:
                    self.repair.broken(key, promise[1])

    def charters_changed(self, owners: Sequence[bytes], teller: bytes | None = None) -> None:
        """Hold all that is held of an owner against its new charters, and pass these on.

        A stolen key must end at once everywhere, not with the next round of repair.
        """
        for owner in owners:
            trust = self.owners.get(owner)
            if trust is not None and trust.charter.version == 1 and not trust.frozen:
                continue  # A first charter: there was no earlier one that anything could be held under.
            concerned = [scope for scope, index in self.indexes.items() if owner in index.set]
            for index in self.indexes.values():
                self._settled(index, index.recheck(owner))
            # Also to the one whose key they end: so it hears why.
            self.carrier.pass_on(concerned, [(owner, b"")], teller)
            self._end_revoked(owner)
            for index in self.indexes.values():
                self.publishing.renew(index)  # at once if these charters ended the own head
        self.groups.update()

    def _records(self, peer: bytes, message: Records) -> None:
        """Learn charters first, since the envelopes need them; one bad envelope does not spoil the others."""
        asked = any(kind in (RECORDS, GRAFT, NODES[0]) for kind, _ in self.context.peers[peer].promises)
        if not asked and not self.context.pays(peer, message.work):
            return
        changed, failure = self.owners.learn_all(message.charters)
        self.charters_changed(changed, peer)
        news = bool(changed)
        for raw in message.envelopes:
            try:
                news = self._take_envelope(peer, raw) or news
            except RemoteProtocolError as error:
                self.context.misbehaved(peer, error.violation, str(error))
                self._note_refused(raw, error)
                self._answer_by_charters(peer, raw, error)
        self.membership.offer_fresh(peer)
        self.context.answered(peer, NODES)
        last = not message.charters and not message.envelopes
        self.repair.received(peer, news=news, last=last)
        if failure is not None:
            raise failure

    def _take_envelope(self, peer: bytes, raw: bytes) -> bool:
        """Take a head or a node record; return whether it was news."""
        envelope = open_envelope(raw)
        kind = envelope.type
        if kind == NODE_TYPE:
            self.whereabouts.take(peer, raw, envelope)
            return False
        if kind in (ROSTER_TYPE, ADMISSION_TYPE):
            return self.groups.take(peer, raw, envelope)
        if kind not in KNOWN_TYPES or kind == REPORT_TYPE:
            return self.carrier.take(peer, raw, envelope)
        if kind != HEAD_TYPE:
            return False
        index = self._index_of(peer, envelope)
        if index is None:
            return False
        outcome, key = index.admit(raw, envelope)
        if outcome in (Outcome.NEW, Outcome.DISPUTED):
            self._pass_proof_on(index, key, peer, outcome)
            self._head_came(index, key, peer)
            return True
        self._known_head_came(index, key, peer, outcome)
        return False

    def _note_refused(self, raw: bytes, error: RemoteProtocolError) -> None:
        """Remember a refused record for the owner and the key that it names, if it can be read at all."""
        try:
            envelope = open_envelope(raw)
            subjects = (RECORD_HEADER.decode(envelope.body).owner, *envelope.signers[:1])
        except RemoteProtocolError:
            return
        for subject in subjects:
            self.context.note(subject, Because.REFUSED, f"{error.violation}: {envelope.type}, {error.why}")

    def _answer_by_charters(self, peer: bytes, raw: bytes, error: RemoteProtocolError) -> None:
        """Tell a peer of the charters that ended the head which it sent: it may not know them."""
        if error.violation in ENDED_BY_CHARTERS and self.context.pays(peer, CHAIN_WORK):
            owner = RECORD_HEADER.decode(open_envelope(raw).body).owner
            for message in self.owners.with_charters([(owner, b"")]):
                self.context.send(peer, message)

    def _newest_requested(self, peer: bytes, message: NewestRequest) -> None:
        index = self.index_for(peer, message.scope)
        if index is not None:
            self.publishing.requested(peer, index)

    def _newest(self, peer: bytes, message: Newest) -> None:
        index = self.index_for(peer, message.scope)
        if index is None:
            return
        if message.envelope:
            self._take_envelope(peer, message.envelope)
        self.publishing.answered(message.scope)

    def _news(self, peer: bytes, message: News) -> None:
        envelope = open_envelope(message.envelope)
        asked = (GRAFT, head_id(envelope.hash)) in self.context.peers[peer].promises
        if not asked and not self.context.pays(peer, message.work):
            return
        index = self._index_of(peer, envelope)
        if index is None:
            return
        try:
            outcome, key = index.admit(message.envelope, envelope)
        except RemoteProtocolError as error:
            self._note_refused(message.envelope, error)
            raise
        if key in index.heads:
            self.context.answered(peer, (GRAFT, head_id(index.heads[key].head.hash)))
        new = outcome in (Outcome.NEW, Outcome.DISPUTED)
        if outcome is Outcome.SAME:
            self.broadcast.heard(peer, index.scope, (envelope.hash,))
            self.broadcast.duplicate(index.scope, peer, envelope.hash)
        elif new:
            self.context.peers[peer].score.was_useful(self.context.now)
            self.broadcast.fresh(index.scope, peer, envelope.hash)
        self._pass_proof_on(index, key, peer, outcome)
        if (new or outcome is Outcome.SAME) and self._changes_complete(index, key, message, peer):
            return
        if new:
            self._head_came(index, key, peer)
        else:
            self._known_head_came(index, key, peer, outcome)

    def _changes_complete(self, index: Index, key: bytes, message: News, peer: bytes) -> bool:
        """Return whether the changes that came with news made the newest catalogue whole.

        The head is held by now, so bad changes cost their sender, and the catalogue is pulled instead.
        """
        held = index.heads[key]
        if held.whole or held.head.raw != message.envelope or not _follows(message, held):
            return False
        if not self.quota.allows(index, held):
            return False
        try:
            cards = [Taken.of(verify_card(raw, owner=held.head.value.owner)) for raw in message.cards]
            change = index.complete(held, cards, message.removed)
        except RemoteProtocolError as error:
            self.context.misbehaved(peer, error.violation, str(error))
            return False
        if change is not None:
            self._became_whole(index, change, peer)
        return change is not None

    def _missing(self, peer: bytes, message: Missing) -> None:
        if self.context.answered(peer, (GRAFT, head_id(message.head))):
            self.context.peers[peer].score.broke_promise(self.context.now)
        self.pulls.missing(peer, message)

    def want_incomplete(self) -> None:
        """See that every head without its whole catalogue is on the wanted list."""
        for index in self.indexes.values():
            for held in index.heads.values():
                if not held.whole:
                    self.pulls.want(index, held, None)

    def _announced(self, peer: bytes, message: IHave) -> None:
        index = self.index_for(peer, message.scope)
        if index is not None:
            self.broadcast.heard(peer, message.scope, message.heads)
            held = {head: index.holder(head) for head in message.heads}
            self.broadcast.announced(peer, message.scope, [head for head, by in held.items() if by is None])
            for by in held.values():
                if by is not None and not by.whole:
                    self.pulls.told(index, by.head.value.node_key, peer)

    def _grafted(self, peer: bytes, message: Graft) -> None:
        index = self.index_for(peer, message.scope)
        if index is None or self.broadcast.grafted(peer, message):
            return
        held = index.holder(message.head)
        if held is not None:
            self.repair.send_records(peer, index, [held.head.value.node_key])
        self.context.send(peer, Missing(message.head))

    def _pass_proof_on(self, index: Index, key: bytes, peer: bytes, outcome: Outcome) -> None:
        """Send both heads of an equivocation on at once: repair takes minutes to reach all."""
        if outcome is Outcome.DISPUTED:
            self.carrier.pass_on((index.scope,), index.envelopes(key), peer)

    def _head_came(self, index: Index, key: bytes, peer: bytes) -> None:
        """Get the catalogue of a head that is newly held."""
        held = index.heads[key]
        if key == self.context.key and (held.other is not None or self.publishing.has_signed):
            self.publishing.found_elsewhere(index)
        change = None if held.whole else index.complete_unchanged(held)
        if change is not None:
            self._became_whole(index, change, peer)
        elif not held.whole:
            self.pulls.want(index, held, peer)

    def _known_head_came(self, index: Index, key: bytes, peer: bytes, outcome: Outcome) -> None:
        """Deal with a head that is not news."""
        if outcome is Outcome.OLDER:
            self.repair.send_records(peer, index, [key])
        elif outcome is Outcome.NO_CHARTERS:
            self.repair.request(peer, index.scope, key)
        elif outcome is Outcome.SAME and not index.heads[key].whole:
            self.pulls.told(index, key, peer)

    def _became_whole(self, index: Index, change: Change, source: bytes | None) -> None:
        """Pass on what is verified down to its cards, however it came."""
        key = change.head.value.node_key
        self.pulls.settled(index, key)
        self.reports.arrived(index, change.cards)
        self._push(index, change, source)
        if key == self.context.key:
            self.publishing.go_on()

    def _announce(self, index: Index, change: Change) -> int:
        """Push what this node signed."""
        return self._push(index, change, None)

    def _push(self, index: Index, change: Change, source: bytes | None) -> int:
        self.whereabouts.introduce(index, change, source)
        news = News(change.head.raw, change.since, change.cards, change.removed)
        return self.broadcast.push(index.scope, change.head.hash, news, source)


def _scope_of(envelope: Envelope) -> bytes:
    """Return the scope that a head names, before anything of it is verified."""
    if envelope.type != HEAD_TYPE:
        raise RemoteProtocolError(Violation.WRONG_TYPE, envelope.type, where="news")
    return HEAD.decode(envelope.body).scope


def _follows(news: News, held: Held) -> bool:
    """Return whether the changes in news begin where this node stands."""
    if held.shown is None:
        return news.since == 0
    return held.shown.value.seq == news.since and held.shown.value.epoch == held.head.value.epoch
