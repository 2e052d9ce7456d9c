"""The owners this node has heard of, each with the verdict on its charters.

Rules of this file:

1. A chain is verified before it is joined with what is known; what verified is never replaced by less.
2. Room is bounded: an owner of whom nothing is held makes way first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from .context import Context
from .effects import DropCharters, PutCharters
from .envelope import Verified, open_envelope
from .errors import RemoteProtocolError
from .limits import (
    FRAME_BYTES_MAX,
    ITEM_BYTES_OVERHEAD,
    MESSAGE_BYTES_OVERHEAD,
    OWNERS_CHANGED_MAX,
    OWNERS_SPARE_MAX,
)
from .messages import Records
from .node_record import NODE_RECORD, NODE_TYPE, NodeRecord, verify_node_record
from .trust import OwnerTrust, resolve, verify_chain
from .violations import Violation


class Owners:
    """Owner id -> trust."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._trust: dict[bytes, OwnerTrust] = {}
        self._seen: dict[tuple[bytes, ...], bytes] = {}
        """Chains that were verified already -> owner, so that each is verified once."""

    def get(self, owner: bytes) -> OwnerTrust | None:
        """Return the verdict on an owner; None when it was never heard of."""
        return self._trust.get(owner)

    def learn(self, chain: Sequence[bytes]) -> tuple[OwnerTrust, bool]:
        """Verify a chain, join it with what is known, and say whether that changed anything.

        Raises
        ------
        RemoteProtocolError
            The chain is not valid; what was known stays.
        """
        key = tuple(chain)
        if key in self._seen and self._seen[key] in self._trust:
            return self._trust[self._seen[key]], False
        config = self._context.config
        news = verify_chain(chain, self._context.wall, scheme=config.scheme, work_bits=config.work_bits)
        known = self._trust.get(news.owner)
        joined = news if known is None else resolve(known, news)
        changed = known is None or joined.chains != known.chains
        self._trust[news.owner] = joined
        # The bytes that are kept anyway, not those that came: they are equal, and most charters come often.
        self._seen[tuple(link.verified.raw for link in news.links)] = news.owner
        if changed:
            self._context.store(PutCharters(news.owner, tuple(tuple(item) for item in joined.chains)))
        return joined, changed

    def learn_all(self, chains: Iterable[Sequence[bytes]]) -> tuple[list[bytes], RemoteProtocolError | None]:
        """Learn several chains; return the owners about whom something changed, and the first error."""
        changed: list[bytes] = []
        failure: RemoteProtocolError | None = None
        for chain in chains:
            try:
                trust, news = self.learn(chain)
            except RemoteProtocolError as error:
                failure = failure or error
            else:
                changed.extend([trust.owner] if news else [])
        return changed, failure

    def verify_node(self, raw: bytes) -> Verified[NodeRecord]:
        """Verify a node record against the charters known; raise ``key-unknown`` when there are none."""
        owner = NODE_RECORD.decode(open_envelope(raw, NODE_TYPE).body).owner
        trust = self.get(owner)
        if trust is None:
            raise RemoteProtocolError(
                Violation.KEY_UNKNOWN, "the owner's charters are not known", where="node"
            )
        return verify_node_record(raw, trust, self._context.wall)

    @property
    def crowded(self) -> bool:
        """Return whether there may be something to forget."""
        return len(self._trust) > OWNERS_SPARE_MAX or self._outgrown

    @property
    def _outgrown(self) -> bool:
        """Whether most chains that were verified are older ones of their owners."""
        return len(self._seen) > 2 * len(self._trust)

    def make_room(self, needed: Collection[bytes]) -> None:
        """Forget owners of whom nothing is held, oldest first, while there are too many of them.

        Those that never changed their charters go first: their charters are the same when they come again.
        """
        spare = [owner for owner in self._trust if owner not in needed]
        changed = [owner for owner in spare if self._trust[owner].frozen or len(self._trust[owner].links) > 1]
        plain = [owner for owner in spare if owner not in set(changed)]
        forgotten = plain[: max(len(plain) - OWNERS_SPARE_MAX, 0)]
        forgotten += changed[: max(len(changed) - OWNERS_CHANGED_MAX, 0)]
        for owner in forgotten:
            del self._trust[owner]
            self._context.store(DropCharters(owner))
        if forgotten or self._outgrown:
            self._seen = {
                tuple(chain): owner for owner, trust in self._trust.items() for chain in trust.chains
            }

    def with_charters(self, items: Iterable[tuple[bytes, bytes]]) -> Iterator[Records]:
        """Pack (owner, envelope) pairs and the charters that they need into messages that fit a frame each.

        An empty envelope stands for none: then the charters of its owner go alone.
        """
        room = FRAME_BYTES_MAX - MESSAGE_BYTES_OVERHEAD
        chains: list[list[bytes]] = []
        envelopes: list[bytes] = []
        owners: set[bytes] = set()
        size = 0
        for owner, envelope in items:
            trust = self._trust.get(owner)
            if trust is None:
                continue
            needed = [] if owner in owners else trust.chains
            added = _size([envelope] if envelope else []) + sum(map(_size, needed))
            if size + added > room and (chains or envelopes):
                yield Records(tuple(map(tuple, chains)), tuple(envelopes))
                chains, envelopes, owners, needed = [], [], set(), trust.chains
                size, added = 0, _size([envelope]) + sum(map(_size, trust.chains))
            chains.extend(needed)
            envelopes.extend([envelope] if envelope else [])
            owners.add(owner)
            size += added
        if chains or envelopes:
            yield Records(tuple(map(tuple, chains)), tuple(envelopes))


def _size(items: Sequence[bytes]) -> int:
    return ITEM_BYTES_OVERHEAD + sum(len(item) + ITEM_BYTES_OVERHEAD for item in items)
