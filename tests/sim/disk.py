"""A disk that loses what was not synced.

Operations are kept in order. A node's own heads are synced with everything before them; of the rest a
crash keeps a prefix of random length, as a write-ahead log does.
"""

from __future__ import annotations

import random
from dataclasses import replace

from skerry.protocol.effects import PutCatalogue, PutRecord, StoreOperation
from skerry.protocol.snapshot import Snapshot

UNSYNCED_MAX = 64
"""Operations after which the operating system has written by itself."""


class Disk:
    """What one node stored.

    Parameters
    ----------
    synced
        What is on it already.
    """

    def __init__(self, synced: Snapshot | None = None) -> None:
        self._synced = Snapshot() if synced is None else synced
        self._unsynced: list[StoreOperation] = []

    def apply(self, operation: StoreOperation) -> None:
        """Write; durable at once only for what the node or its people signed themselves."""
        self._unsynced.append(operation)
        own = isinstance(operation, (PutCatalogue, PutRecord)) and operation.own
        if own or len(self._unsynced) > UNSYNCED_MAX:
            self._sync(len(self._unsynced))

    def crash(self, rng: random.Random) -> None:
        """Lose a random suffix of what was not synced."""
        self._sync(rng.randint(0, len(self._unsynced)))
        self._unsynced.clear()

    def durable(self, node_key: bytes, scope: bytes = b"") -> bytes:
        """Return the head of a node's own catalogue that would survive a crash now."""
        held = self._synced.catalogues.get((scope, node_key))
        return b"" if held is None else held.head

    def scopes(self) -> set[bytes]:
        """Return the scopes of all that stands on it."""
        self._sync(len(self._unsynced))
        places = [*self._synced.catalogues, *self._synced.records]
        return {scope for scope, _ in places} | set(self._synced.groups)

    def snapshot(self) -> Snapshot:
        """Return what a node that starts now would read."""
        self._sync(len(self._unsynced))
        held = self._synced
        return Snapshot(
            chains=dict(held.chains),
            catalogues={
                place: replace(stored, cards=dict(stored.cards), pending=dict(stored.pending))
                for place, stored in held.catalogues.items()
            },
            node_records=dict(held.node_records),
            anchors=held.anchors,
            records=dict(held.records),
            groups=dict(held.groups),
        )

    def _sync(self, count: int) -> None:
        for operation in self._unsynced[:count]:
            self._synced.apply(operation)
        del self._unsynced[:count]
