"""What a node finds on its disk when it starts: the fold of the Store operations before.

The store in ``node/`` reads its tables into this; the simulator folds operations with :meth:`Snapshot.apply`,
which is also the definition of what each operation means. Envelopes are verified again when a state starts,
since charters and clocks change what counts. Cards are not: they were verified before they were stored, and
whoever can write the disk can also write the keys (ADR 45).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .effects import (
    DropCatalogue,
    DropCharters,
    DropGroup,
    DropNodeRecord,
    DropRecord,
    PutAnchors,
    PutCatalogue,
    PutCharters,
    PutGroup,
    PutHead,
    PutNodeRecord,
    PutPendingCards,
    PutRecord,
    StoreOperation,
)


@runtime_checkable
class Reads(Protocol):
    """What a mapping of cards has that reads the disk: many at once cost it less than one by one."""

    def many(self, hashes: Sequence[bytes]) -> list[bytes]:
        """Return those of some cards that are here, in the order of their hashes."""
        ...


def cards_in(cards: Mapping[bytes, bytes], hashes: Sequence[bytes]) -> list[bytes]:
    """Return those of some cards that a mapping holds, in the order of their hashes."""
    if isinstance(cards, Reads):
        return cards.many(hashes)
    return [cards[digest] for digest in hashes if digest in cards]


@dataclass(slots=True)
class StoredCatalogue:
    """One (scope, node key)."""

    head: bytes = b""
    """The newest head's envelope."""
    other: bytes = b""
    """The second envelope of an equivocation."""
    shown: bytes = b""
    """The envelope whose catalogue is whole; empty before the first."""
    cards: MutableMapping[bytes, bytes] = field(default_factory=dict)
    """Card hash -> card: exactly the catalogue under ``shown``. It may read the disk."""
    pending: dict[bytes, bytes] = field(default_factory=dict)
    """Verified cards of the catalogue under ``head``."""


@dataclass(slots=True)
class Snapshot:
    """Everything that survived."""

    chains: dict[bytes, tuple[tuple[bytes, ...], ...]] = field(default_factory=dict)
    """Owner -> one charter chain, or both rivals."""
    catalogues: dict[tuple[bytes, bytes], StoredCatalogue] = field(default_factory=dict)
    """(scope, node key) -> what is held of it."""
    node_records: dict[bytes, bytes] = field(default_factory=dict)
    anchors: tuple[bytes, ...] = ()
    records: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    """(scope, hash) -> envelope of a roster, an admission or a record of a later type."""

    groups: dict[bytes, int] = field(default_factory=dict)
    """Group -> wall clock of the last word that its rosters are the newest."""
    open_cards: Callable[[bytes, bytes], MutableMapping[bytes, bytes]] = field(
        default=lambda _scope, _node_key: {}, compare=False, repr=False
    )
    """Returns where the cards of a (scope, node key) are kept of which nothing is stored yet.

    A mapping that reads the disk lets a node hold a million cards in little memory. What the state changes in
    it are Store effects too, which by their rule are on the disk before the next event.
    """

    def apply(self, operation: StoreOperation) -> None:
        """Carry out one operation."""
        match operation:
            case PutCharters(owner, chains):
                self.chains[owner] = chains
            case DropCharters(owner):
                self.chains.pop(owner, None)
            case PutHead(scope, node_key, head, other):
                held = self.catalogues.setdefault((scope, node_key), StoredCatalogue())
                held.head, held.other = head, other
            case PutCatalogue():
                self._put_catalogue(operation)
            case PutPendingCards(scope, node_key, cards):
                held = self.catalogues.setdefault((scope, node_key), StoredCatalogue())
                held.pending.update(cards)
            case DropCatalogue(scope, node_key):
                self.catalogues.pop((scope, node_key), None)
            case PutNodeRecord(node_key, record):
                self.node_records[node_key] = record
            case DropNodeRecord(node_key):
                self.node_records.pop(node_key, None)
            case PutAnchors(node_keys):
                self.anchors = node_keys
            case PutRecord() | DropRecord() | PutGroup() | DropGroup():
                self._apply_to_records(operation)

    def _apply_to_records(self, operation: PutRecord | DropRecord | PutGroup | DropGroup) -> None:
        match operation:
            case PutRecord(scope, digest, envelope):
                self.records[scope, digest] = envelope
            case DropRecord(scope, digest):
                self.records.pop((scope, digest), None)
            case PutGroup(group, refreshed):
                self.groups[group] = refreshed
            case DropGroup(group):
                self.groups.pop(group, None)
                self.records = {place: raw for place, raw in self.records.items() if place[0] != group}

    def _put_catalogue(self, operation: PutCatalogue) -> None:
        held = self.catalogues.setdefault((operation.scope, operation.node_key), StoredCatalogue())
        for digest in operation.removed:
            held.cards.pop(digest, None)
        held.cards.update(operation.added)
        held.head = held.shown = operation.head
        held.pending.clear()
