"""Who is out there: owners' names, nodes' addresses and heads' numbers, as far as this node has stored them.

It follows the operations that reach the disk (and, at the start, those read from it), so what is shown to
people is what would survive a restart. Everything here was verified by the state machine; nothing is
verified again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from skerry.protocol import effects
from skerry.protocol.api import Source
from skerry.protocol.charter import CHARTER
from skerry.protocol.envelope import open_envelope
from skerry.protocol.head import HEAD, Head
from skerry.protocol.node_record import NODE_RECORD, NodeRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

PUBLIC = b""
"""The scope of public records."""


class Directory:
    """Owners, nodes and heads by their keys.

    Parameters
    ----------
    here
        How programs of this machine fetch from this node, where it relays for them.
    """

    def __init__(self, here: Source | None = None) -> None:
        self._here = here
        self.nodes: dict[bytes, NodeRecord] = {}
        self._met: dict[bytes, NodeRecord] = {}
        """Connected nodes, by the record that they showed: whether others reach them is not known yet."""
        self.heads: dict[tuple[bytes, bytes], Head] = {}
        """By (scope, node key)."""
        self._names: dict[bytes, str] = {}
        self.nicknames: dict[bytes, str] = {}
        """What this node's people call owners, in place of what they call themselves."""

    def apply(self, operation: effects.StoreOperation) -> None:
        """Take in what was stored."""
        match operation:
            case effects.PutCharters(owner, chains):
                self._names[owner] = CHARTER.decode(open_envelope(chains[0][-1]).body).name
            case effects.DropCharters(owner):
                self._names.pop(owner, None)
            case effects.PutNodeRecord(node_key, record):
                self.nodes[node_key] = NODE_RECORD.decode(open_envelope(record).body)
            case effects.DropNodeRecord(node_key):
                self.nodes.pop(node_key, None)
            case effects.PutHead(scope, node_key, head) | effects.PutCatalogue(scope, node_key, head):
                self.heads[scope, node_key] = HEAD.decode(open_envelope(head).body)
            case effects.DropCatalogue(scope, node_key):
                self.heads.pop((scope, node_key), None)
            case _:
                pass

    def met(self, node_key: bytes, record: bytes) -> None:
        """Take note of a connected node."""
        self._met[node_key] = NODE_RECORD.decode(open_envelope(record).body)

    def parted(self, node_key: bytes) -> None:
        """Take note that a node is connected no more."""
        self._met.pop(node_key, None)

    def name(self, owner: bytes) -> str:
        """Return what the owner calls itself: a claim, to be shown with the id; empty when not known."""
        return self.nicknames.get(owner) or self._names.get(owner, "")

    def owners(self) -> list[bytes]:
        """Return all owners that are known."""
        return list(self._names)

    def owners_called(self, wanted: str) -> list[bytes]:
        """Return the owners with an id or a name, whatever its case."""
        name = wanted.casefold()
        called = [owner for owner, own in self._names.items() if own.casefold() == name]
        with suppress(ValueError):
            called.append(bytes.fromhex(wanted))
        return called

    def sources(self, node_keys: Iterable[bytes]) -> list[Source]:
        """Return how to reach those of the nodes whose record is known."""
        found = [self.nodes.get(key, self._met.get(key)) for key in sorted(node_keys)]
        known = [record for record in found if record is not None]
        return [source for record in known for source in self._sources(record)]

    def hidden(self, node_key: bytes) -> bool:
        """Return whether a node is known that cannot be dialled."""
        record = self.nodes.get(node_key)
        return record is not None and not record.addresses

    def _sources(self, record: NodeRecord) -> list[Source]:
        """Return a node itself, or who relays for it: this node first, then those that it names."""
        if record.addresses:
            return [_source(record)]
        named = [_source(self.nodes[key]) for key in record.via if key in self.nodes]
        relays = [*([self._here] if self._here is not None else []), *named]
        prefix = f"/relay/{record.node_key.hex()}"
        return [msgspec.structs.replace(relay, prefix=prefix) for relay in relays if relay.addresses]


def _source(record: NodeRecord) -> Source:
    return Source(
        node_key=record.node_key.hex(),
        addresses=list(record.addresses),
        mode=record.mode,
        certificate=record.certificate.hex(),
        host=record.host,
    )
