"""The passive view: the node records that this node keeps, each by its key and by its short id.

Rules of this file:

1. It decides nothing: who is kept, dialled and offered is for :mod:`.membership`.
2. What it forgets goes from the disk too; what is put there is for :mod:`.membership`, since a claim that
   nobody verified is not worth a write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from .addresses import network_of
from .context import Context
from .effects import DropNodeRecord
from .envelope import Verified
from .limits import CLOCK_TOLERANCE_SECONDS, NODES_PER_NETWORK
from .node_record import NodeRecord

OFFER_ID_BYTES = 8
"""Bytes of a record's hash that name it in an offer: a collision costs one needless or one missed request."""


def short_id(record: Verified[NodeRecord]) -> bytes:
    """Return by what an offer names a record."""
    return record.hash[:OFFER_ID_BYTES]


@dataclass(slots=True)
class Known:
    """A node of the passive view (the connected ones are in it too)."""

    record: Verified[NodeRecord]
    dialable: bool
    """Whether this node may dial it."""
    verified: bool
    """Whether somebody dialled it there, or it names no address."""
    network: str
    """Of its first address; empty when it names none."""


def never(key: bytes) -> bool:
    """Stand for a question that nobody answers."""
    del key
    return False


def ignore(record: Verified[NodeRecord], key: bytes) -> None:
    """Stand for somebody who wants to be told."""
    del record, key


class Passive:
    """See the module's docstring."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.known: dict[bytes, Known] = {}
        self.own: Verified[NodeRecord] | None = None
        self.ids: dict[bytes, bytes] = {}
        """Short id of a known record -> node key; this node's own record's among them."""
        self.needed: Callable[[bytes], bool] = never
        """Whether the record of a node is kept elsewhere, and so stays on the disk."""
        self._networks: Counter[str] = Counter()
        """Known nodes by network."""

    def own_record(self, record: Verified[NodeRecord]) -> None:
        """Take over this node's own record."""
        if self.own is not None:
            self.ids.pop(short_id(self.own), None)
        self.own = record
        self.ids[short_id(record)] = record.value.node_key

    def know(self, record: Verified[NodeRecord], *, dialable: bool, verified: bool) -> None:
        """Keep a record in place of an older one of the same key."""
        key = record.value.node_key
        if key in self.known:
            self.ids.pop(short_id(self.known[key].record), None)
            self._networks[self.known[key].network] -= 1
        addresses = record.value.addresses
        network = network_of(addresses[0]) if addresses else ""
        self.known[key] = Known(record, dialable, verified, network)
        self._networks[network] += 1
        self.ids[short_id(record)] = key

    def forget(self, key: bytes) -> None:
        """Keep a record no longer."""
        gone = self.known.pop(key)
        self.ids.pop(short_id(gone.record), None)
        self._networks[gone.network] -= 1
        if not self._networks[gone.network]:
            del self._networks[gone.network]
        if not self.needed(key):
            self._context.store(DropNodeRecord(key))

    def record(self, key: bytes) -> Verified[NodeRecord]:
        """Return the record of a node key in ``ids``."""
        return self.own if self.own is not None and key == self._context.key else self.known[key].record

    def holds(self, digest: bytes) -> bool:
        """Return whether a record is known, given its envelope's hash."""
        return digest[:OFFER_ID_BYTES] in self.ids

    def owners(self) -> set[bytes]:
        """Return the owners of the nodes known."""
        return {known.record.value.owner for known in self.known.values()}

    def may_pass(self, key: bytes) -> bool:
        """Return whether a record may be offered to others."""
        return key == self._context.key or self.known[key].verified

    def passable(self, owners: Collection[bytes] | None = None) -> list[bytes]:
        """Return the ids of all records that may be offered; of some owners only, when they are given."""
        ids = [item for item, key in self.ids.items() if self.may_pass(key)]
        if owners is None:
            return ids
        return [item for item in ids if self.record(self.ids[item]).value.owner in owners]

    def passable_of(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return the ids of the records of some nodes, as far as they may be offered."""
        return [short_id(self.known[key].record) for key in keys if key in self.known and self.may_pass(key)]

    def sample(self, count: int) -> list[bytes]:
        """Return a random sample of them."""
        ids = self.passable()
        return ids if len(ids) <= count else self._context.rng.sample(ids, count)

    def crowding(self, keys: list[bytes]) -> list[bytes]:
        """Return those of one network, when more than ``NODES_PER_NETWORK`` of its nodes are known."""
        if max(self._networks.values(), default=0) <= NODES_PER_NETWORK:
            return []
        counts = Counter(known.network for known in self.known.values() if known.network)
        network, count = max(counts.items(), key=lambda item: item[1], default=("", 0))
        if count <= NODES_PER_NETWORK:
            return []
        return [key for key in keys if self.known[key].network == network]

    def ended(self) -> list[bytes]:
        """Return the keys whose records' leases have ended for everybody."""
        oldest = self._context.wall - CLOCK_TOLERANCE_SECONDS
        return [key for key, known in self.known.items() if known.record.value.lease < oldest]
