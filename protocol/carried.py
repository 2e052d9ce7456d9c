"""Records that stand for themselves: those of unknown type, reports and admissions.

Theory of operation. A record that verified is an entry of its scope's set under its own hash, so that repair
spreads it like a head; what is new is sent on at once to the peers that news is pushed to. It ends with its
lease, or when its owner's charters no longer cover its key. A record of unknown type is never read.

Rules of this file:

1. Of one owner so many records are kept: those issued last, then by hash. That follows from the set alone,
   so all nodes keep the same ones whatever the order in which they came.
2. Who sends a record that does not make it into the quota is not blamed: it may have known fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .broadcast import Broadcast
from .context import Context
from .effects import DropRecord, PutRecord
from .envelope import RECORD_HEADER, Envelope, RecordHeader, Verified, open_envelope
from .errors import RemoteProtocolError
from .hashing import tagged_hash
from .history import Because
from .limits import CARRIED_MAX, CLOCK_TOLERANCE_SECONDS
from .owners import Owners
from .reconcile import Entry, HeadSet
from .records import KNOWN_TYPES
from .report import REPORT_TYPE
from .trust import OwnerTrust
from .violations import Violation

R = TypeVar("R", bound=RecordHeader)


@dataclass(slots=True)
class Carried(Generic[R]):
    """The records of one kind in one scope.

    Parameters
    ----------
    context
        Shared with the other parts of the state.
    scope
        Empty for public, else the group's id.
    entries
        The scope's set, which the records become part of.
    verify
        Verifies an envelope against its owner's charters at a wall-clock time.
    per_owner_max
        How many records one owner may have here.
    """

    context: Context
    scope: bytes
    entries: HeadSet
    verify: Callable[[bytes, OwnerTrust, int], Verified[R]]
    per_owner_max: int
    records: dict[bytes, Verified[R]] = field(default_factory=dict)
    """By hash."""
    _of_owner: dict[bytes, list[bytes]] = field(default_factory=dict)

    def keep(self, record: Verified[R], *, own: bool = False) -> bool:
        """Keep a verified record when it is new and within its owner's quota; return whether it is kept."""
        if record.hash in self.records or len(self.records) >= CARRIED_MAX:
            return False
        owner = record.value.owner
        self.records[record.hash] = record
        self._of_owner.setdefault(owner, []).append(record.hash)
        ranked = sorted(self._of_owner[owner], key=self._rank, reverse=True)
        for digest in ranked[self.per_owner_max :]:
            self._forget(digest, stored=digest != record.hash)
            if digest == record.hash:
                self.context.note(owner, Because.REFUSED, "quota: too many records of one kind")
                return False
        self.entries.put(record.hash, Entry(0, 1, tagged_hash("skerry/carried/1", record.hash)))
        self.context.store(PutRecord(self.scope, record.hash, record.raw, own))
        return True

    def expire(self) -> None:
        """Drop the records whose lease has ended for everybody."""
        oldest = self.context.wall - CLOCK_TOLERANCE_SECONDS
        for digest in [digest for digest, item in self.records.items() if item.value.lease < oldest]:
            self._forget(digest, stored=True)

    def recheck(self, trust: OwnerTrust) -> None:
        """Drop what an owner's new charters no longer cover."""
        for digest in list(self._of_owner.get(trust.owner, ())):
            try:
                self.verify(self.records[digest].raw, trust, self.context.wall)
            except RemoteProtocolError as error:
                self.context.note(trust.owner, Because.REFUSED, f"{error.violation}: by newer charters")
                self._forget(digest, stored=True)

    def drop(self, digest: bytes) -> None:
        """Drop a record."""
        self._forget(digest, stored=True)

    def _rank(self, digest: bytes) -> tuple[int, bytes]:
        return self.records[digest].value.issued, digest

    def _forget(self, digest: bytes, *, stored: bool) -> None:
        owner = self.records.pop(digest).value.owner
        self._of_owner[owner].remove(digest)
        if not self._of_owner[owner]:
            del self._of_owner[owner]
        if stored:
            self.entries.remove(digest)
            self.context.store(DropRecord(self.scope, digest))


class Carrier:
    """Takes such records from peers, from people and from the disk.

    Parameters
    ----------
    carried_for
        Returns where records of a type are kept in a scope that a peer (this node itself when None) has part
        in, else None.
    kept
        Called with a record that was news.
    """

    def __init__(
        self,
        context: Context,
        owners: Owners,
        broadcast: Broadcast,
        carried_for: Callable[[bytes | None, bytes, str], Carried[Any] | None],
        kept: Callable[[Verified[RecordHeader]], None],
    ) -> None:
        self._context = context
        self._owners = owners
        self._broadcast = broadcast
        self._carried_for = carried_for
        self._kept = kept

    def take(self, peer: bytes | None, raw: bytes, envelope: Envelope, *, own: bool = False) -> bool:
        """Keep a record and send it on; return whether it was news.

        Raises
        ------
        RemoteProtocolError
            It does not verify, or its scope is not shared with the peer.
        """
        header = RECORD_HEADER.decode(envelope.body)
        carried = self._carried_for(peer, header.scope, envelope.type)
        if carried is None:
            raise RemoteProtocolError(Violation.UNEXPECTED, "a scope not shared", where=envelope.type)
        if envelope.hash in carried.records:
            return False
        trust = self._owners.get(header.owner)
        if trust is None:
            raise RemoteProtocolError(Violation.KEY_UNKNOWN, "no charters came with it", where=envelope.type)
        record = carried.verify(raw, trust, self._context.wall)
        if not carried.keep(record, own=own):
            return False
        self.pass_on((header.scope,), [(header.owner, raw)], besides=peer)
        self._kept(record)
        return True

    def restore(self, records: Iterable[bytes]) -> None:
        """Take over reports and records of unknown type from the disk, as far as they still verify."""
        for raw in records:
            try:
                envelope = open_envelope(raw)
                if envelope.type not in KNOWN_TYPES or envelope.type == REPORT_TYPE:
                    self.take(None, raw, envelope)
            except RemoteProtocolError:
                continue

    def pass_on(
        self, scopes: Collection[bytes], items: Iterable[tuple[bytes, bytes]], besides: bytes | None
    ) -> None:
        """Send envelopes of owners, with the charters they need, to the eager peers of some scopes."""
        for message in self._owners.with_charters(items):
            self._broadcast.pass_on(scopes, message, (besides,))
