"""What a node finds on its disk when it starts: the fold of the Store operations before.

The store in ``node/`` reads its tables into this; the simulator folds operations with :meth:`Snapshot.apply`,
which is also the definition of what each operation means. Everything in it is verified again when a state
starts: a disk is no more trusted than a peer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .card import card_hash
from .effects import (
    DropCatalogue,
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


@dataclass(slots=True)
class StoredCatalogue:
    """One (scope, node key)."""

    head: bytes = b""
    """The newest head's envelope."""
    other: bytes = b""
    """The second envelope of an equivocation."""
    shown: bytes = b""
    """The envelope whose catalogue is whole; empty before the first."""
    cards: dict[bytes, bytes] = field(default_factory=dict)
    """Card hash -> card: exactly the catalogue under ``shown``."""
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

    def apply(self, operation: StoreOperation) -> None:
        """Carry out one operation."""
        match operation:
            case PutCharters(owner, chains):
                self.chains[owner] = chains
            case PutHead(scope, node_key, head, other):
                held = self.catalogues.setdefault((scope, node_key), StoredCatalogue())
                held.head, held.other = head, other
            case PutCatalogue():
                self._put_catalogue(operation)
            case PutPendingCards(scope, node_key, cards):
                held = self.catalogues.setdefault((scope, node_key), StoredCatalogue())
                held.pending.update((card_hash(card), card) for card in cards)
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
        held.cards.update((card_hash(card), card) for card in operation.added)
        held.head = held.shown = operation.head
        held.pending.clear()
