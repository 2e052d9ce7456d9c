"""One state under test, and peers whose every frame the test writes itself.

The peers have real identities from a :class:`~tests.sim.world.World`, so that what they sign verifies;
what they say is for the test to choose.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from skerry.protocol.card import verify_card
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.effects import Deliver, Effect, Misbehaved, Send, Store, StoreOperation
from skerry.protocol.events import Connected, Event, Received, Started, Timer, TimerFired, TimerKind
from skerry.protocol.exchange import Neighbour
from skerry.protocol.head import make_head
from skerry.protocol.messages import MESSAGE, Message
from skerry.protocol.state import State
from tests.sim.network import Node
from tests.sim.world import World

T = TypeVar("T")


class Scripted:
    """See the module's docstring.

    Parameters
    ----------
    peers
        How many scripted peers there are.
    """

    def __init__(self, peers: int = 2, seed: int = 1) -> None:
        self.world = World(seed, peers + 1, real=True)
        self.node = self.world.nodes[0]
        self.world.network.start(self.node)
        self.effects: list[Effect] = []
        self.world.network.observers.append(lambda node, event, effects: self.effects.extend(effects))
        self.peers = self.world.nodes[1:]
        for peer in self.peers:
            # Their own states only make their identities: whoever dials them waits in vain.
            peer.reachable = False
            peer.state = peer.boot(peer.disk, 1)
            self.world.network.event(peer, _started(self.world, peer))
        self.effects.clear()

    @property
    def state(self) -> State:
        """The state under test."""
        assert self.node.state is not None
        return self.node.state

    def happen(self, event: Event) -> list[Effect]:
        """Give the state an event; return what it wants, after carrying out what it stores."""
        before = len(self.effects)
        self.world.network.event(self.node, event)
        return self.effects[before:]

    def connect(self, peer: Node, *, outbound: bool = False, alone: bool | None = False) -> list[Effect]:
        """Bring a connection to a scripted peer up; who dialled says whether it is alone, or nothing."""
        assert peer.state is not None
        identity = peer.state.identity()
        effects = self.happen(Connected(peer.key, identity.charters, identity.node, outbound))
        if not outbound and alone is not None:
            effects += self.say(peer, Neighbour(alone=alone))
        return effects

    def say(self, peer: Node, message: Message) -> list[Effect]:
        """Have a peer send a message."""
        return self.happen(Received(peer.key, MESSAGE.encode(message)))

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass, timers and all."""
        before = len(self.effects)
        self.world.network.run(self.world.network.now + seconds)
        return self.effects[before:]

    def fire(self, kind: TimerKind, key: bytes = b"") -> list[Effect]:
        """Fire a timer early."""
        return self.happen(TimerFired(Timer(kind, key)))

    def head(
        self,
        peer: Node,
        cards: Iterable[bytes],
        seq: int = 1,
        *,
        issued: int = 0,
        epoch: int = 1,
        lease: int | None = None,
    ) -> tuple[bytes, Catalogue]:
        """Return a head signed by a peer over some cards, and its catalogue."""
        catalogue = Catalogue.build(entries_of(cards))
        wall = int(self.world.network.config.wall)
        envelope = make_head(
            self.world.signer_of(peer),
            owner=self.world.owner_of[peer.key],
            epoch=epoch,
            seq=seq,
            root=catalogue.root,
            count=catalogue.count,
            issued=wall + issued,
            lease=lease,
        )
        return envelope.to_bytes(), catalogue

    def charters(self, peer: Node) -> tuple[bytes, ...]:
        """Return a peer's charter chain."""
        assert peer.state is not None
        return peer.state.identity().charters


def _started(world: World, node: Node) -> Event:
    return Started(world.network.wall(node))


def entries_of(cards: Iterable[bytes]) -> list[Entry]:
    """Return the catalogue entries of cards."""
    verified = [verify_card(raw) for raw in cards]
    return [Entry(card.value.id, card.value.island, card.hash) for card in verified]


def sent(effects: Iterable[Effect], peer: Node, kind: type[T]) -> list[T]:
    """Return the messages of a type among the effects that go to a peer."""
    frames = [effect.frame for effect in effects if isinstance(effect, Send) and effect.peer == peer.key]
    messages = [MESSAGE.decode(frame) for frame in frames]
    return [message for message in messages if isinstance(message, kind)]


def stored(
    effects: Iterable[Effect], kind: type[StoreOperation] | tuple[type[StoreOperation], ...]
) -> list[StoreOperation]:
    """Return the store operations of a type."""
    return [e.operation for e in effects if isinstance(e, Store) and isinstance(e.operation, kind)]


def delivered(effects: Iterable[Effect], kind: type[T]) -> list[T]:
    """Return the deliveries of a type."""
    return [e.what for e in effects if isinstance(e, Deliver) and isinstance(e.what, kind)]


def violations(effects: Iterable[Effect]) -> list[str]:
    """Return the names of the violations charged."""
    return [effect.violation.value for effect in effects if isinstance(effect, Misbehaved)]
