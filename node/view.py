"""What the node shows of itself and of others, in the types of the local API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import skerry
from skerry.errors import NotFound
from skerry.protocol.api import CardView, Hit, PeerView, Status

from .directory import PUBLIC

if TYPE_CHECKING:
    from skerry.protocol.state import State

    from .alarms import Alarms
    from .directory import Directory
    from .keys import Keyring
    from .network.transport import Connection, Transport
    from .search.index import CardIndex, Entry


class NodeView:
    """Answers from what the node knows.

    Parameters
    ----------
    keyring
        Who the node is.
    state
        Read between its events.
    index, directory, transport, alarms
        What the node knows.
    bootstrap
        What others configure to reach it.
    """

    def __init__(
        self,
        keyring: Keyring,
        state: State,
        index: CardIndex,
        directory: Directory,
        transport: Transport,
        alarms: Alarms,
        bootstrap: str,
    ) -> None:
        self._keyring = keyring
        self._state = state
        self._index = index
        self._directory = directory
        self._transport = transport
        self._alarms = alarms
        self._bootstrap = bootstrap
        self._started = time.time()

    def status(self) -> Status:
        """Return the node at a glance."""
        own = self._directory.heads.get((PUBLIC, self._keyring.signer.public_key))
        cards, owners = self._index.count()
        return Status(
            name=self._directory.name(self._keyring.owner),
            owner=self._keyring.owner.hex(),
            node_key=self._keyring.signer.public_key.hex(),
            version=skerry.__version__,
            bootstrap=self._bootstrap,
            started=self._started,
            learnwares=self._index.count_held_by(self._own_places()),
            cards=cards,
            owners=owners,
            peers_connected=len(self._transport.connections),
            peers_known=len(self._others()),
            seq=own.seq if own is not None else 0,
            lease_ends=own.lease if own is not None else 0,
            digest=self._state.digest(PUBLIC).hex(),
            troubles=[f"{target}: {why}" for target, why in self._transport.troubles.items()],
            alarms=self._alarms.lines(),
        )

    def peers(self) -> list[PeerView]:
        """Return all nodes that are connected or known, by node key."""
        return [self._peer(key) for key in sorted(self._others())]

    def learnwares(self) -> list[CardView]:
        """Return the node's own live learnwares, by slug."""
        return [self.card(entry) for entry in self._own()]

    def hit(self, card_id: bytes) -> Hit:
        """Return a learnware by id.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-CARD``.
        """
        entry = self._index.newest(card_id)
        if entry is None:
            raise NotFound("No live learnware has this id", where=card_id.hex(), code="E-NOTFOUND-CARD")
        return Hit(self.card(entry), self._directory.sources(key for _, key in entry.places))

    def card(self, entry: Entry) -> CardView:
        """Return a card as it is shown."""
        card = entry.card
        return CardView(
            id=card.id.hex(),
            hash=entry.hash.hex(),
            owner=card.owner.hex(),
            owner_name=self._directory.name(card.owner),
            slug=card.slug,
            version=card.version,
            name=card.name,
            summary=card.summary,
            data=card.data,
            task=card.task,
            library=card.library,
            scenarios=list(card.scenarios),
            license=card.license,
            tags=list(card.tags),
            language=card.language,
            classes=card.classes,
            island=card.island.hex(),
            dimension=card.dimension,
            lane=card.lane,
            specification=card.specification.root.hex(),
            specification_bytes=card.specification.size,
            package=card.package.root.hex(),
            package_bytes=card.package.size,
            published=card.published,
            disputed=self._index.is_disputed(entry),
            public=any(scope == PUBLIC for scope, _ in entry.places),
            groups=sorted({scope.hex() for scope, _ in entry.places if scope != PUBLIC}),
        )

    def _own(self) -> list[Entry]:
        own = {entry.hash: entry for place in self._own_places() for entry in self._index.held_by(place)}
        return sorted(own.values(), key=lambda entry: entry.card.slug)

    def _own_places(self) -> list[tuple[bytes, bytes]]:
        key = self._keyring.signer.public_key
        return sorted((scope, node) for scope, node in self._directory.heads if node == key)

    def _others(self) -> set[bytes]:
        known = self._directory.nodes.keys() | self._transport.connections.keys()
        return known - {self._keyring.signer.public_key}

    def _peer(self, key: bytes) -> PeerView:
        connection = self._transport.connections.get(key)
        record = self._directory.nodes[key] if connection is None else connection.peer.node.value
        name = (
            self._directory.name(record.owner) if connection is None else connection.peer.trust.charter.name
        )
        head = self._directory.heads.get((PUBLIC, key))
        peer = self._state.peers().get(key)
        return PeerView(
            node_key=key.hex(),
            owner=record.owner.hex(),
            owner_name=name,
            addresses=list(record.addresses),
            connected=connection is not None,
            direction=_direction(connection),
            cards=head.count if head is not None else 0,
            seen=connection.heard if connection is not None else 0.0,
            round_trip_seconds=peer.round_trip if peer is not None else None,
        )


def _direction(connection: Connection | None) -> str:
    if connection is None:
        return ""
    return "out" if connection.outbound else "in"
