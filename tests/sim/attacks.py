"""Byzantine nodes whose attack takes more than a changed message: an appointment, keys, or a wrong clock.

Each arranges in ``prepare`` what it needs of the world; see :mod:`.byzantine` for the rest.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from skerry.protocol.card import CARD, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.charter import ROLE_PUBLISH, NodeKey, new_charter, owner_id
from skerry.protocol.effects import Effect
from skerry.protocol.envelope import open_envelope
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.events import Event, Publish, Received
from skerry.protocol.exchange import Neighbour, Newest, NodesRequest, Offer
from skerry.protocol.head import HEAD, HEAD_TYPE, make_head
from skerry.protocol.messages import (
    MESSAGE,
    Cards,
    CardsRequest,
    Groups,
    Message,
    News,
    Records,
    TreeRequest,
)
from skerry.protocol.node_record import NODE_TYPE
from skerry.protocol.report import make_report
from skerry.protocol.signing import SignatureScheme, Signer
from skerry.protocol.state import State
from tests.sim.byzantine import TALKERS, Byzantine, Conspiracy

if TYPE_CHECKING:
    from tests.sim.network import Node
    from tests.sim.world import World

HOUR = 3600
DAY = 24 * HOUR
SHIFTS_SECONDS = (30 * HOUR, -20 * DAY, 10 * HOUR, 40 * DAY, -6 * HOUR, 0)
"""By how much who lies about time is wrong, one head after another."""


class Sybil(Byzantine):
    """One of a swarm that meets a joining node at the door, to be all that it ever knows."""

    machines_max = 16
    joins_at = 5.0
    """When the victim starts."""
    knocks_until = 60.0

    @classmethod
    def prepare(cls, world: World, nodes: Sequence[Node]) -> None:
        """Choose a victim, and have all of the swarm dial it as soon as it is there, again and again."""
        victim = world.honest()[-1]
        world.joins_late[victim.key] = cls.joins_at

        def knock(node: Node) -> None:
            if node.up and victim.up and victim.key not in node.links:
                world.network.dial(node, victim.key)
            if world.network.now < cls.knocks_until:
                world.network.at(world.network.now + 2.0, lambda: knock(node))

        for node in nodes:
            world.network.at(cls.joins_at, lambda node=node: knock(node))

    def messages(self, peer: bytes, message: Message) -> list[Message]:
        """Ask for room, speak of the swarm alone, and hand on no head."""
        del peer
        match message:
            case Neighbour():
                return [Neighbour(alone=True)]
            case Offer(ids):
                known = {**self.inner.node_records()}
                swarm = {known[key].hash[:8] for key in self.conspiracy.keys if key in known}
                swarm.add(open_envelope(self.inner.identity().node).hash[:8])
                ours = tuple(item for item in ids if item in swarm)
                return [Offer(ours, wants_offer=False)] if ours else []
            case Records(charters, envelopes):
                ours = tuple(raw for raw in envelopes if self._of_the_swarm(raw))
                return [Records(charters, ours)] if ours else []
            case Newest(scope):
                return [Newest(scope, b"")]
            case NodesRequest() | Groups():
                return [message]
        return []

    def _of_the_swarm(self, raw: bytes) -> bool:
        envelope = open_envelope(raw)
        return envelope.type == NODE_TYPE and envelope.signers[0] in self.conspiracy.keys


class LyingSketch(Byzantine):
    """Publishes cards whose sketch does not follow from their specification."""

    stirs = True
    machines_max = 6

    @classmethod
    def prepare(cls, world: World, nodes: Sequence[Node]) -> None:
        """Publish such cards, and tell the world, whose judges compute the truth."""
        for node in nodes:
            cards = tuple(world.card(node, f"lie-{number}") for number in range(2))
            world.false_cards.update(dict.fromkeys(map(card_hash, cards)))
            world.network.at(
                world.rng.uniform(4.0, 8.0),
                lambda node=node, cards=cards: world.network.event(node, Publish(0, cards)),
            )

    def more(self, event: Event) -> list[Effect]:
        """Count the publication as the lie."""
        self.lies += isinstance(event, Publish)
        return []


class FalseReporter(Byzantine):
    """Reports the sketches of honest owners as false."""

    machines_max = 2
    _next = 6.0

    def more(self, event: Event) -> list[Effect]:
        """Report any card that it knows, twice a second, to whoever spoke, until quiet is to be tested."""
        quiet = self.conspiracy.world.quiet
        if quiet or not isinstance(event, Received) or self.now < self._next:
            return []
        self._next = self.now + 0.5
        heads = [
            held for key, held in self.inner.heads().items() if held.cards and key != self.signer.public_key
        ]
        if not heads:
            return []
        held = self.rng.choice(heads)
        world = self.conspiracy.world
        me = world.network.node(self.signer.public_key)
        report = make_report(
            self.signer,
            owner=world.owner_of[me.key],
            scope=b"",
            accused=held.head.value.node_key,
            card=self.rng.choice(list(held.cards)),
            issued=int(world.network.wall(me)),
        )
        return [self.say(event.peer, Records((self.inner.identity().charters,), (report.to_bytes(),)))]


class QuotaExhauster(Byzantine):
    """Makes one owner after another, each with a catalogue, to use up what nodes can hold."""

    machines_max = 2
    owners_max = 12
    cards_each = 10
    unvouched_cards_max = 40
    """The quota that honest nodes have where this happens."""
    _next = 4.0

    @classmethod
    def prepare(cls, world: World, nodes: Sequence[Node]) -> None:
        """Have honest nodes of modest size, whose people vouch for each other."""
        del nodes
        world.vouching = True
        for node in world.honest():
            world.limit(node, unvouched_cards_max=cls.unvouched_cards_max)

    def __init__(
        self, state: State, signer: SignatureScheme, conspiracy: Conspiracy, rng: random.Random
    ) -> None:
        super().__init__(state, signer, conspiracy, rng)
        self._made: list[Records] = []
        self._catalogues: dict[bytes, tuple[Catalogue, dict[bytes, bytes]]] = {}

    def more(self, event: Event) -> list[Effect]:
        """Tell of one owner more, and serve the catalogues of those told of."""
        if not isinstance(event, Received):
            return []
        served = self._serve(event)
        if self.conspiracy.world.quiet or self.now < self._next:
            return served
        self._next = self.now + 0.2
        if len(self._made) < self.owners_max:
            self._made.append(self._another_owner())
        return [*served, self.say(event.peer, self.rng.choice(self._made))]

    def _serve(self, event: Received) -> list[Effect]:
        try:
            request = MESSAGE.decode(event.frame)
        except RemoteProtocolError:
            return []
        if not isinstance(request, TreeRequest | CardsRequest) or request.head not in self._catalogues:
            return []
        catalogue, cards = self._catalogues[request.head]
        if isinstance(request, CardsRequest):
            known = tuple(cards[item] for item in request.hashes if item in cards)
            return [self.say(event.peer, Cards(request.head, known))]
        answer = catalogue.answer(request)
        return [] if answer is None else [self.say(event.peer, answer)]

    def _another_owner(self) -> Records:
        world = self.conspiracy.world
        me = world.network.node(self.signer.public_key)
        wall = int(world.network.wall(me))
        owner, recovery, key = (self._key() for _ in range(3))
        charter = new_charter(
            name="Another",
            owner_signers=[owner],
            recovery_key=recovery.public_key,
            node_keys=[NodeKey(key.public_key, (ROLE_PUBLISH,), wall - DAY, wall + 300 * DAY)],
            issued=wall,
            work_bits=0,
        )
        name = owner_id(charter.body)
        cards = [
            msgspec.structs.replace(CARD.decode(world.card(me, f"m{number}")), owner=name)
            for number in range(self.cards_each)
        ]
        raws = {card_hash(card.to_bytes()): card.to_bytes() for card in cards}
        catalogue = Catalogue.build(
            Entry(card.id, card.island, digest) for card, digest in zip(cards, raws, strict=True)
        )
        head = make_head(
            key, owner=name, epoch=1, seq=1, root=catalogue.root, count=catalogue.count, issued=wall
        )
        self._catalogues[head.hash] = catalogue, raws
        world.byzantine.add(key.public_key)
        return Records(((charter.to_bytes(),),), (head.to_bytes(),))

    def _key(self) -> SignatureScheme:
        seed = self.rng.randbytes(32)
        return Signer.from_bytes(seed) if isinstance(self.signer, Signer) else type(self.signer)(seed)


class ClockLiar(Byzantine):
    """Signs heads of any time: far ahead, long past, and back and forth."""

    publishes = True
    stirs = True
    machines_max = 8

    def __init__(
        self, state: State, signer: SignatureScheme, conspiracy: Conspiracy, rng: random.Random
    ) -> None:
        super().__init__(state, signer, conspiracy, rng)
        self._told: dict[bytes, bytes] = {}

    @classmethod
    def prepare(cls, world: World, nodes: Sequence[Node]) -> None:
        """Tell the world about whose heads honest clocks that differ cannot agree."""
        super().prepare(world, nodes)
        if any(node.clock_offset for node in world.nodes):
            world.unsteady.update(dict.fromkeys(node.key for node in nodes))

    def messages(self, peer: bytes, message: Message) -> list[Message]:
        """Give every own head another time before it goes out, the same for all peers."""
        del peer
        if isinstance(message, News):
            lie = self._lie(message.envelope)
            return [message if lie == message.envelope else News(lie, 0, (), ())]
        if isinstance(message, Records):
            return [Records(message.charters, tuple(map(self._lie, message.envelopes)))]
        return [message]

    def _lie(self, raw: bytes) -> bytes:
        envelope = open_envelope(raw)
        if envelope.type != HEAD_TYPE or envelope.signers[0] != self.signer.public_key:
            return raw
        if raw not in self._told:
            head = HEAD.decode(envelope.body)
            issued = head.issued + SHIFTS_SECONDS[len(self._told) % len(SHIFTS_SECONDS)]
            self._told[raw] = make_head(
                self.signer,
                owner=head.owner,
                epoch=head.epoch,
                seq=head.seq,
                root=head.root,
                count=head.count,
                issued=issued,
                scope=head.scope,
                lease=issued + self.rng.choice((2 * DAY, 21 * DAY)),
            ).to_bytes()
        return self._told[raw]


KINDS: dict[str, type[Byzantine]] = {
    **TALKERS,
    "sybil-swarm": Sybil,
    "lying-sketch": LyingSketch,
    "false-reporter": FalseReporter,
    "quota-exhauster": QuotaExhauster,
    "clock-liar": ClockLiar,
}
"""Every kind by the name that a plan shows."""
