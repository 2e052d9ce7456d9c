"""Where the nodes that publish are reached, whatever the size of the network.

Theory of operation. The passive view holds a hundred nodes; of ten thousand that leaves an owner's address to
luck. So the record of every node whose public head is held is kept beside the passive view: it travels with
the first news of a node, with a head that is asked for in a repair, and along the tree when it is signed
anew. What comes before its head waits a little, and what is missed all the same is asked for.

Rules of this file:

1. A record whose only teller is its subject goes no further before somebody dialled the address
   (:mod:`.membership` rule 5).
2. Kept here are at most ``PUBLISHERS_KNOWN_MAX`` records, and only while a head of their key is held.
3. Nobody is dialled for gossip from here: publishers would become everybody's links.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from .broadcast import Broadcast
from .context import Context
from .effects import DropNodeRecord, PutNodeRecord
from .envelope import Envelope, Verified
from .exchange import RecordsRequest
from .index import Change, Index
from .limits import (
    CLOCK_TOLERANCE_SECONDS,
    NODES_KNOWN_MAX,
    PUBLISHERS_ASKED_MAX,
    PUBLISHERS_ASKED_TIMES,
    PUBLISHERS_KNOWN_MAX,
    PUBLISHERS_WAITING_MAX,
)
from .membership import Membership
from .node_record import NodeRecord
from .owners import Owners

PUBLIC = b""
KEY_PREFIX_BYTES = 8


class Whereabouts:
    """See the module's docstring.

    Parameters
    ----------
    context, owners, membership, broadcast
        The other parts of the state.
    index
        The public heads.
    """

    def __init__(
        self, context: Context, owners: Owners, membership: Membership, broadcast: Broadcast, index: Index
    ) -> None:
        self._context = context
        self._owners = owners
        self._membership = membership
        self._broadcast = broadcast
        self._index = index
        self.records: dict[bytes, Verified[NodeRecord]] = {}
        """By node key."""
        self._waiting: OrderedDict[bytes, Verified[NodeRecord]] = OrderedDict()
        """Records that came before their heads."""
        self._asked: dict[bytes, int] = {}
        """Node key -> how often its record was asked for."""
        membership.on_verified = self._keep_and_pass_on
        membership.view.needed = self.records.__contains__

    def of(self, key: bytes) -> Verified[NodeRecord] | None:
        """Return the newest record of a node that may be passed on."""
        known = self._membership.known.get(key)
        if known is not None and known.verified:
            kept = self.records.get(key, known.record)
            return max(known.record, kept, key=lambda record: record.value.seq)
        return self.records.get(key)

    def restore(self, records: Iterable[Verified[NodeRecord]]) -> None:
        """Take over what the disk holds."""
        for record in records:
            self._keep(record)

    def take(self, peer: bytes, raw: bytes, envelope: Envelope) -> None:
        """Take a node record from a peer: for the passive view, or because its node publishes."""
        if self._membership.view.holds(envelope.hash):
            return
        key = envelope.signers[0]
        kept = self.records.get(key)
        if kept is not None and kept.hash == envelope.hash:
            return
        record = self._owners.verify_node(raw)
        asked = self._context.peers[peer].owes_nodes()
        if asked or peer == key or key in self._membership.known or not self._view_is_full():
            self._membership.admit(record, peer)
        if peer != key:
            self._keep_and_pass_on(record, peer)

    def introduce(self, index: Index, change: Change, source: bytes | None) -> None:
        """Send the first news of a node after its charters and its record, to those that it is pushed to."""
        value = change.head.value
        if index is not self._index:
            return
        record = self._waiting.pop(value.node_key, None) or self.of(value.node_key)
        if record is not None:
            self._keep(record)
        if value.seq == 1 and source is not None:  # The own peers have both from the handshake.
            self._send(value.owner, b"" if record is None else record.raw, (source, value.node_key))

    def tick(self) -> None:
        """Forget the records whose heads are gone or whose leases ended; ask for those that are missed."""
        oldest = self._context.wall - CLOCK_TOLERANCE_SECONDS
        gone = [
            key
            for key, record in self.records.items()
            if key not in self._index.heads or record.value.lease < oldest
        ]
        for key in gone:
            del self.records[key]
            if key not in self._membership.known:
                self._context.store(DropNodeRecord(key))

        self._asked = {key: times for key, times in self._asked.items() if key in self._index.heads}
        self._ask()

    def _ask(self) -> None:
        """Ask a peer for the records that are missed, each a few times: there may be none."""
        peers = list(self._context.peers)
        lacking = [
            key
            for key in self._index.heads
            if key not in self.records
            and key not in self._membership.known
            and key != self._context.key
            and self._asked.get(key, 0) < PUBLISHERS_ASKED_TIMES
        ][:PUBLISHERS_ASKED_MAX]
        if not peers or not lacking:
            return
        self._asked.update((key, self._asked.get(key, 0) + 1) for key in lacking)
        keys = tuple(key[:KEY_PREFIX_BYTES] for key in lacking)
        self._context.send(self._context.rng.choice(peers), RecordsRequest(PUBLIC, keys))

    def _view_is_full(self) -> bool:
        return len(self._membership.known) >= NODES_KNOWN_MAX

    def _keep_and_pass_on(self, record: Verified[NodeRecord], teller: bytes) -> None:
        if self._keep(record):
            self._send(record.value.owner, record.raw, (teller, record.value.node_key))

    def _keep(self, record: Verified[NodeRecord]) -> bool:
        """Keep a record when its node publishes and it is news; return whether it is."""
        key = record.value.node_key
        if key == self._context.key:
            return False
        if key not in self._index.heads:
            self._waiting[key] = record
            while len(self._waiting) > PUBLISHERS_WAITING_MAX:
                self._waiting.popitem(last=False)
            return False
        old = self.records.get(key)
        if old is None and len(self.records) >= PUBLISHERS_KNOWN_MAX:
            return False
        if old is not None and old.value.seq >= record.value.seq:
            return False
        self.records[key] = record
        self._context.store(PutNodeRecord(key, record.raw))
        return True

    def _send(self, owner: bytes, raw: bytes, besides: tuple[bytes | None, ...]) -> None:
        for message in self._owners.with_charters([(owner, raw)]):
            self._broadcast.pass_on((PUBLIC,), message, besides)
