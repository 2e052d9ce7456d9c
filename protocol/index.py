"""The heads of one scope that this node holds, and the catalogues under them.

Theory of operation. A head is *admitted* when it verifies against its owner's charters and is newer than the
one held for its node key. Admitting depends on rules that every node computes alike, so the sets of heads,
and with them the digests, converge whatever happens to the cards. A head whose catalogue is whole is *shown*.
Between the two the last whole catalogue stays shown.

Rules of this file:

1. What is held for a key only grows in (epoch, seq), until its lease has ended.
2. Of two heads with one (epoch, seq) the one with the smaller hash is held, the other beside it as the proof.
   That a key is disputed is part of what the digest covers, so the proof spreads like any head.
3. A catalogue changes as a whole, and only into one whose root the held head signs.
4. Charters are part of the set as well, under their owner's id: a revocation spreads by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from skerry.errors import SkerryError

from .card import Card, place_of
from .carried import Carried
from .catalogue import Catalogue, Entry
from .context import Context
from .effects import CardsChanged, Disputed, DropCatalogue, PutCatalogue, PutHead
from .envelope import Envelope, RecordHeader, Verified, open_envelope
from .errors import RemoteProtocolError
from .hashing import tagged_hash
from .head import HEAD, HEAD_TYPE, Head, Relation, head_id, relate, verify_head
from .history import Because
from .limits import CARRIED_PER_OWNER_MAX, CLOCK_TOLERANCE_SECONDS, HEADS_MAX, REPORTS_PER_OWNER_MAX
from .owners import Owners
from .reconcile import Entry as SetEntry
from .reconcile import HeadSet
from .records import verify_record
from .report import Report, verify_report
from .snapshot import StoredCatalogue
from .trust import OwnerTrust
from .violations import Violation


class Outcome(Enum):
    """What became of a head that was offered."""

    NEW = "new"
    """It is held now."""
    SAME = "same"
    """It was held already."""
    OLDER = "older"
    """A newer one is held."""
    DISPUTED = "disputed"
    """It and the one held are two of one number, and that was not known."""
    NO_CHARTERS = "no-charters"
    """The charters it needs are not known: ask for them."""
    NO_ROOM = "no-room"


@dataclass(slots=True)
class Held:
    """What is held for one node key."""

    head: Verified[Head]
    cards: MutableMapping[bytes, bytes]
    """Card hash -> card, exactly those of ``catalogue``."""
    other: Verified[Head] | None = None
    """The second head of an equivocation."""
    shown: Verified[Head] | None = None
    """The head whose catalogue is whole."""
    partial: dict[bytes, bytes] | None = None
    """What is shown instead of ``cards`` while a pull takes long: the verified part of the new catalogue."""
    hidden: set[bytes] = field(default_factory=set)
    """Hashes of cards that are not shown, since their sketch does not follow from their specification."""
    _catalogue: Catalogue | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The trees over the cards, made when they are first needed: most catalogues rest for days."""
        if self._catalogue is None:
            self._catalogue = Catalogue.build(_entries(self.cards)) if self.shown else Catalogue()
        return self._catalogue

    def matches(self, head: Head) -> bool:
        """Return whether the cards held are those that a head signs."""
        if self._catalogue is None and self.shown is not None:
            shown = self.shown.value
            return (shown.count, shown.root) == (head.count, head.root)
        return self.catalogue.matches(head)

    @property
    def count(self) -> int:
        """The number of cards held."""
        if self._catalogue is None and self.shown is not None:
            return self.shown.value.count
        return self.catalogue.count

    @property
    def rests(self) -> bool:
        """Return whether the trees were not needed yet."""
        return self._catalogue is None

    @property
    def whole(self) -> bool:
        """Return whether the newest head's catalogue is whole."""
        return self.shown is self.head or (self.shown is not None and self.shown.hash == self.head.hash)

    @property
    def visible(self) -> Mapping[bytes, bytes]:
        """Return the cards that are shown now."""
        cards = self.cards if self.partial is None else self.partial
        if not self.hidden:
            return cards
        return {digest: card for digest, card in cards.items() if digest not in self.hidden}


class Taken(NamedTuple):
    """A verified card: where it stands, and its bytes."""

    entry: Entry
    raw: bytes

    @classmethod
    def of(cls, card: Verified[Card]) -> Taken:
        """Take a card that was verified."""
        return cls(Entry(card.value.id, card.value.island, card.hash), card.raw)


@dataclass(frozen=True, slots=True)
class Change:
    """A catalogue that became whole: what news says about it."""

    head: Verified[Head]
    since: int
    cards: tuple[bytes, ...]
    removed: tuple[bytes, ...]
    """Card ids."""


class Index:
    """The heads and catalogues of one scope.

    Parameters
    ----------
    context, owners
        Shared with the other parts of the state.
    scope
        Empty for public, else the group's id.
    may_publish
        Whether an owner may show cards here; all may when None.
    """

    def __init__(
        self,
        context: Context,
        owners: Owners,
        scope: bytes,
        may_publish: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._context = context
        self._may_publish = may_publish
        self._owners = owners
        self.scope = scope
        self.heads: dict[bytes, Held] = {}
        self.set: HeadSet = HeadSet()
        self.carried: Carried[RecordHeader] = Carried(
            context, scope, self.set, verify_record, CARRIED_PER_OWNER_MAX
        )
        """Records of unknown type."""
        self.reports: Carried[Report] = Carried(
            context, scope, self.set, verify_report, REPORTS_PER_OWNER_MAX
        )
        """Of lying sketches."""
        self.kept: list[Carried[Any]] = [self.carried, self.reports]
        """All records that are part of the set beside heads and charters."""
        self._by_id: dict[bytes, bytes] = {}
        """Id of a held or shown head -> node key."""

    # Looking up.

    def takes(self, owner: bytes) -> bool:
        """Return whether an owner may show cards here."""
        return self._may_publish is None or self._may_publish(owner)

    def holder(self, head: bytes) -> Held | None:
        """Return what is held for the key that signed a head, given the head's hash or its first bytes."""
        key = self._by_id.get(head_id(head))
        held = None if key is None else self.heads[key]
        if held is None:
            return None
        known = (item for item in (held.head, held.other, held.shown) if item is not None)
        return held if any(item.hash.startswith(head) for item in known) else None

    def envelopes(self, key: bytes) -> list[tuple[bytes, bytes]]:
        """Return (owner, envelope) of what proves the state of a node key; of an owner, no envelope."""
        held = self.heads.get(key)
        if held is None:
            kept = (item.records[key] for item in self.kept if key in item.records)
            return [(record.value.owner, record.raw) for record in kept] or [(key, b"")]
        proof = [held.head] if held.other is None else [held.head, held.other]
        return [(item.value.owner, item.raw) for item in proof]

    def owners_held(self) -> set[bytes]:
        """Return the owners of whom a head or another record is held."""
        owners = {held.head.value.owner for held in self.heads.values()}
        owners.update(record.value.owner for kept in self.kept for record in kept.records.values())
        return owners

    # Heads.

    def admit(self, raw: bytes, envelope: Envelope) -> tuple[Outcome, bytes]:
        """Judge a head and hold it when it is new; return the outcome and its node key.

        Raises
        ------
        RemoteProtocolError
            It does not verify, or must not follow the one held.
        """
        digest = envelope.hash
        known = self.holder(digest)
        if known is not None:
            key = known.head.value.node_key
            return (Outcome.SAME if self._holds(key, digest) else Outcome.OLDER), key
        value = HEAD.decode(envelope.body)
        if value.scope != self.scope:
            raise RemoteProtocolError(Violation.UNEXPECTED, "a head of another scope", where="head")
        trust = self._owners.get(value.owner)
        if trust is None or value.epoch > trust.charter.epoch:
            return Outcome.NO_CHARTERS, value.node_key
        if not self.takes(value.owner) and value.node_key != self._context.key:
            raise RemoteProtocolError(Violation.NOT_MEMBER, "by the newest roster", where="head")
        return self._hold(self._verified(raw, value.node_key, trust)), value.node_key

    def _verified(self, raw: bytes, key: bytes, trust: OwnerTrust) -> Verified[Head]:
        """Verify a head. The own one of an epoch that the owner has left is kept, to be signed anew."""
        return verify_head(raw, trust, self._context.wall, past_epochs=key == self._context.key)

    def _holds(self, key: bytes, digest: bytes) -> bool:
        held = self.heads[key]
        return digest == held.head.hash or (held.other is not None and digest == held.other.hash)

    def _hold(self, head: Verified[Head]) -> Outcome:
        key = head.value.node_key
        held = self.heads.get(key)
        if held is None:
            if len(self.heads) >= HEADS_MAX:
                return Outcome.NO_ROOM
            held = self.heads[key] = Held(head, self._context.open_cards(self.scope, key))
            self._put(key, held)
            return Outcome.NEW
        relation = relate(held.head, head)
        if relation is Relation.EQUIVOCATION:
            return self._dispute(key, held, head)
        if relation is Relation.NEWER:
            self._replace(held, head, None)
            self._put(key, held)
            return Outcome.NEW
        return Outcome.SAME if relation is Relation.SAME else Outcome.OLDER

    def _dispute(self, key: bytes, held: Held, head: Verified[Head]) -> Outcome:
        """Hold the two smallest of the heads with one number."""
        known = [held.head] if held.other is None else [held.head, held.other]
        smallest = sorted([*known, head], key=lambda item: item.hash)[:2]
        if head not in smallest:
            return Outcome.SAME
        self._replace(held, smallest[0], smallest[1])
        self._put(key, held)
        if len(known) == 1:
            self._context.deliver(Disputed(self.scope, key, (smallest[0].raw, smallest[1].raw)))
            self._changed(held, {}, ())
        return Outcome.DISPUTED

    def _replace(self, held: Held, head: Verified[Head], other: Verified[Head] | None) -> None:
        for old in (held.head, held.other):
            if old is not None and (held.shown is None or old.hash != held.shown.hash):
                self._by_id.pop(head_id(old.hash), None)
        held.head, held.other = head, other

    def _put(self, key: bytes, held: Held) -> None:
        """Enter what is held into the set and onto the disk."""
        self._enter(key, held)
        other = b"" if held.other is None else held.other.raw
        self._context.store(PutHead(self.scope, key, held.head.raw, other))

    def _enter(self, key: bytes, held: Held) -> None:
        value = held.head.value
        for head in (held.head, held.other):
            if head is not None:
                self._by_id[head_id(head.hash)] = key
        statement = held.head.hash
        if held.other is not None:
            statement = tagged_hash("skerry/disputed/1", statement)
        if not self.takes(value.owner) or self.left_behind(value):
            self.set.remove(key)
            self.settle_charters(value.owner)
            return
        self.set.put(key, SetEntry(value.epoch, value.seq, statement))
        if value.owner not in self.set:
            self.settle_charters(value.owner)

    def left_behind(self, head: Head) -> bool:
        """Return whether a head is of an epoch that its owner has left; only the own one is ever held."""
        trust = self._owners.get(head.owner)
        return trust is not None and head.epoch < trust.charter.epoch

    def enter_own(self) -> None:
        """Have this node's own head in the set as long as its owner may show cards here, and only then.

        Its catalogue is kept meanwhile: it may be the only copy.
        """
        held = self.heads.get(self._context.key)
        if held is not None and self.takes(held.head.value.owner) != (self._context.key in self.set):
            self._enter(self._context.key, held)

    def settle_charters(self, owner: bytes) -> None:
        """Have an owner's charters in the set as long as a head of it is, and only then."""
        trust = self._owners.get(owner)
        if trust is None or not any(item.key in self.set for item in trust.charter.node_keys):
            self.set.remove(owner)
            return
        newest = sorted(chain[-1] for chain in trust.chains)
        statement = tagged_hash("skerry/charters/1", *(open_envelope(raw).hash for raw in newest))
        version = max(map(len, trust.chains))
        self.set.put(owner, SetEntry(trust.charter.epoch, version, statement))

    # Catalogues.

    def complete_unchanged(self, held: Held) -> Change | None:
        """Show the newest head when the catalogue held is the one it signs already: a renewal."""
        return self._show(held, [], []) if held.matches(held.head.value) else None

    def complete(self, held: Held, cards: Sequence[Taken], removed: Sequence[bytes]) -> Change | None:
        """Change the catalogue and show it when it becomes the one that the newest head signs.

        Parameters
        ----------
        held
            What is held for the node key.
        cards
            New cards and new versions.
        removed
            Ids to remove.

        Returns
        -------
        Change or None
            None when the result is not what the head signs; nothing was changed then.

        Raises
        ------
        RemoteProtocolError
            The cards cannot be a catalogue at all.
        """
        undo = held.catalogue.update([card.entry for card in cards], removed)
        if not held.catalogue.matches(held.head.value):
            held.catalogue.update(*undo)
            return None
        return self._show(held, cards, [entry.hash for entry in undo[0]], removed)

    def publish(
        self,
        sign: Callable[[bytes, int], Verified[Head]],
        cards: Sequence[Taken],
        removed: Sequence[bytes],
    ) -> Change:
        """Change this node's own catalogue and show it under a new head.

        ``sign`` makes the head of root and count.

        Raises
        ------
        LocalProtocolError, RemoteProtocolError
            Whatever ``sign`` or the catalogue raises; nothing was changed then.
        """
        key = self._context.key
        held = self.heads.get(key)
        catalogue = Catalogue() if held is None else held.catalogue
        undo = catalogue.update([card.entry for card in cards], removed)
        try:
            head = sign(catalogue.root, catalogue.count)
        except SkerryError:
            catalogue.update(*undo)
            raise
        if held is None:
            cards_held = self._context.open_cards(self.scope, key)
            held = self.heads[key] = Held(head, cards_held, _catalogue=catalogue)
        self._replace(held, head, None)
        self._enter(key, held)
        return self._show(held, cards, [entry.hash for entry in undo[0]], removed)

    def _show(
        self,
        held: Held,
        cards: Sequence[Taken],
        gone: Sequence[bytes],
        removed: Sequence[bytes] = (),
    ) -> Change:
        before, partial = held.shown, held.partial
        added = {card.entry.hash: card.raw for card in cards}
        for digest in gone:
            if digest not in added:
                held.cards.pop(digest, None)
        held.cards.update(added)
        if before is not None and before.hash not in (held.head.hash, held.other.hash if held.other else b""):
            self._by_id.pop(head_id(before.hash), None)
        held.shown = held.head
        held.partial = None
        own = held.head.value.node_key == self._context.key
        lost = tuple(digest for digest in gone if digest not in added)
        for card_id in removed:
            self._context.note(card_id, Because.WITHDRAWN, f"by seq {held.head.value.seq}")
        self._context.store(
            PutCatalogue(self.scope, held.head.value.node_key, held.head.raw, added, lost, own)
        )
        if partial is None:
            self._changed(held, added, lost)
        else:
            self._changed(held, *_difference(partial, held.cards))
        since = before.value.seq if before is not None else 0
        return Change(held.head, since, tuple(added.values()), tuple(removed))

    def show_partial(self, held: Held, verified: dict[bytes, bytes]) -> None:
        """Show the verified part of the newest head's catalogue in place of the last whole one."""
        before = held.cards if held.partial is None else held.partial
        held.partial = verified
        added, removed = _difference(before, verified)
        if added or removed:
            self._changed(held, added, removed)

    def show_more(self, held: Held, verified: Mapping[bytes, bytes]) -> None:
        """Show more of the newest head's catalogue beside the part that is shown already."""
        if held.partial is None:
            held.partial = {}
        added = {digest: card for digest, card in verified.items() if digest not in held.partial}
        held.partial.update(verified)
        if added:
            self._changed(held, added, ())

    def _changed(self, held: Held, added: Mapping[bytes, bytes], removed: tuple[bytes, ...]) -> None:
        value = held.head.value
        self._context.deliver(
            CardsChanged(
                scope=self.scope,
                node_key=value.node_key,
                owner=value.owner,
                head=held.head.hash,
                added=added,
                removed=removed,
                complete=held.partial is None,
                disputed=held.other is not None,
            )
        )

    def hide(self, held: Held, card_id: bytes) -> None:
        """Show a card no more: its numbers were found to be false."""
        entry = held.catalogue.find(card_id)
        if entry is not None and entry.hash not in held.hidden:
            held.hidden.add(entry.hash)
            self._changed(held, {}, (entry.hash,))

    # Ending.

    def drop(self, key: bytes) -> None:
        """Forget a node key and what is held for it."""
        held = self.heads.pop(key)
        for head in (held.head, held.other, held.shown):
            if head is not None:
                self._by_id.pop(head_id(head.hash), None)
        self.set.remove(key)
        self.settle_charters(held.head.value.owner)
        self._context.store(DropCatalogue(self.scope, key))
        shown = held.cards if held.partial is None else held.partial
        removed = tuple(digest for digest in shown if digest not in held.hidden)
        held.partial = {}
        self._changed(held, {}, removed)

    def expire(self) -> list[bytes]:
        """Drop the heads whose lease has ended for everybody; return their keys."""
        for kept in self.kept:
            kept.expire()
        oldest = self._context.wall - CLOCK_TOLERANCE_SECONDS
        ended = [key for key, held in self.heads.items() if held.head.value.lease < oldest]
        for key in ended:
            value = self.heads[key].head.value
            for subject in (key, value.owner):
                self._context.note(subject, Because.LEASE_ENDED, f"seq {value.seq}, at {value.lease}")
            self.drop(key)
        return ended

    def recheck(self, owner: bytes) -> list[bytes]:
        """Drop the heads that an owner's new charters no longer cover; return their keys."""
        trust = self._owners.get(owner)
        dropped: list[bytes] = []
        if trust is None:
            return dropped
        for kept in self.kept:
            kept.recheck(trust)
        for key, held in list(self.heads.items()):
            if held.head.value.owner != owner:
                continue
            try:
                self._verified(held.head.raw, key, trust)
                if self.left_behind(held.head.value):
                    self.set.remove(key)
            except RemoteProtocolError as error:
                self._context.note(key, Because.REFUSED, f"{error.violation}: by newer charters")
                self.drop(key)
                dropped.append(key)
        self.settle_charters(owner)
        return dropped

    # Starting.

    def restore(self, stored: StoredCatalogue) -> Held | None:
        """Take over what the disk holds for one node key; what does not verify is left to be pulled again."""
        held: Held | None = None
        for raw in dict.fromkeys((stored.shown, stored.head, stored.other)):
            if not raw:
                continue
            try:
                _, key = self.admit(raw, open_envelope(raw, HEAD_TYPE))
            except RemoteProtocolError:
                continue
            held = self.heads.get(key)
            if held is not None and raw == stored.shown == held.head.raw:
                held.cards, held.shown = stored.cards, held.head
                self._changed(held, {}, ())
        return held


def _entries(cards: Mapping[bytes, bytes]) -> Iterator[Entry]:
    for digest, raw in cards.items():
        yield Entry(*place_of(raw), digest)


def _difference(
    before: Mapping[bytes, bytes], after: Mapping[bytes, bytes]
) -> tuple[dict[bytes, bytes], tuple[bytes, ...]]:
    """Return the cards that ``after`` has more, and the hashes that it has no longer."""
    now = dict(after.items())  # read once, where the disk has to be asked
    added = {digest: card for digest, card in now.items() if digest not in before}
    return added, tuple(digest for digest in before if digest not in now)
