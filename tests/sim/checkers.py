"""What must hold in every run: checked while it runs, and after it has come to rest.

Each checker is one sentence of the design, held against the states and disks themselves, not against what
they say. A failure is a :class:`CheckFailedError` with the node and the time; who runs the simulation adds
the seed.
"""

from __future__ import annotations

from skerry.protocol.card import CARD, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.effects import CardsChanged, Deliver, Effect, PutCatalogue, Send, Store
from skerry.protocol.events import Event
from skerry.protocol.limits import (
    ANNOUNCED_MAX,
    CLOCK_TOLERANCE_SECONDS,
    FRAME_BYTES_MAX,
    LINKS_HARD_MAX,
    NODES_KNOWN_MAX,
    PROMISES_MAX,
)
from skerry.protocol.messages import MESSAGE, News
from tests.sim.network import Node
from tests.sim.world import World


class CheckFailedError(AssertionError):
    """A rule of the design did not hold."""


class Checkers:
    """Watches a world; attach it before anything starts.

    Parameters
    ----------
    world
        The world to watch.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.events = 0
        self._numbers: dict[tuple[int, bytes], tuple[int, int]] = {}
        self._shown: dict[tuple[int, bytes], dict[bytes, bytes]] = {}
        self._signed: dict[tuple[bytes, int, int], bytes] = {}
        world.network.observers.append(self._watch)

    def _watch(self, node: Node, event: Event, effects: list[Effect]) -> None:
        self.events += 1
        if node.key in self.world.byzantine:
            return
        del event
        stored: set[bytes] = set()
        for effect in effects:
            match effect:
                case Store(PutCatalogue(own=True, head=head)):
                    stored.add(head)
                case Send(_, frame):
                    self._own_heads_are_stored_first(node, frame, stored)
                case Deliver(CardsChanged() as change):
                    self._index_follows(node, change)
        if self.events % 50 == 0:
            self.bounds(node)

    def _own_heads_are_stored_first(self, node: Node, frame: bytes, stored: set[bytes]) -> None:
        """Own heads are on the disk before anything is sent, and no number is given away twice."""
        self._expect(len(frame) <= FRAME_BYTES_MAX, node, "a frame over its limit")
        message = MESSAGE.decode(frame)
        if not isinstance(message, News) or node.state is None:
            return
        held = node.state.heads().get(node.key)
        if held is None or message.envelope != held.head.raw:
            return
        snapshot = node.disk.durable(node.key)
        self._expect(message.envelope in (*stored, snapshot), node, "an own head sent before it was stored")
        number = (node.key, held.head.value.epoch, held.head.value.seq)
        first = self._signed.setdefault(number, held.head.hash)
        self._expect(first == held.head.hash, node, "an honest node equivocated")

    def _index_follows(self, node: Node, change: CardsChanged) -> None:
        """What was delivered adds up, and every card is its owner's."""
        shown = self._shown.setdefault((node.index * 1000 + node.starts, change.node_key), {})
        for digest in change.removed:
            self._expect(digest in shown, node, "a card was removed that was not shown")
            del shown[digest]
        for raw in change.added:
            self._expect(CARD.decode(raw).owner == change.owner, node, "a card of another owner was shown")
            shown[card_hash(raw)] = raw

    def bounds(self, node: Node) -> None:
        """Every queue and view is bounded, and no (epoch, seq) goes back."""
        if node.state is None:
            return
        state = node.state
        self._expect(len(state.peers()) <= LINKS_HARD_MAX + 1, node, f"{len(state.peers())} links")
        self._expect(len(state.node_records()) <= NODES_KNOWN_MAX + LINKS_HARD_MAX, node, "too many records")
        for peer in state.peers().values():
            self._expect(len(peer.promises) <= PROMISES_MAX, node, "too many promises")
        for name, size in state.queues().items():
            self._expect(size <= max(ANNOUNCED_MAX, 4096), node, f"{name} holds {size}")
        for key, held in state.heads().items():
            number = held.head.value.order
            last = self._numbers.get((node.index * 1000 + node.starts, key), number)
            self._expect(number >= last, node, "a number went back")
            self._numbers[node.index * 1000 + node.starts, key] = number

    def shown_is_verified(self) -> None:
        """Nothing is shown that a live head does not cover, and the index that was fed equals the state's."""
        for node in self.world.running():
            if node.state is None or node.key in self.world.byzantine:
                continue
            for key, held in node.state.heads().items():
                oldest = self.world.network.wall(node) - CLOCK_TOLERANCE_SECONDS - 120
                self._expect(held.head.value.lease >= oldest, node, "a head outlived its lease")
                fed = self._shown.get((node.index * 1000 + node.starts, key), {})
                self._expect(fed == held.visible, node, "the index differs from the state")
                if held.shown is not None and held.partial is None:
                    self._is_the_catalogue(node, held.cards, held.shown.value.root)

    def _is_the_catalogue(self, node: Node, cards: dict[bytes, bytes], root: bytes) -> None:
        """Hold the cards against the signed root by building the catalogue from nothing."""
        entries = []
        for digest, raw in cards.items():
            self._expect(card_hash(raw) == digest, node, "a card under a wrong hash")
            card = CARD.decode(raw)
            entries.append(Entry(card.id, card.island, digest))
        self._expect(Catalogue.build(entries).root == root, node, "cards that the head does not sign")

    def converged(self) -> None:
        """After quiet time all honest nodes hold the same, and every accepted card is there."""
        honest = [node for node in self.world.running() if node.key not in self.world.byzantine]
        digests = {node.state.digest() for node in honest if node.state is not None}
        if len(digests) != 1:
            raise CheckFailedError(f"{len(digests)} digests among {len(honest)} nodes")
        for node in honest:
            if node.state is None:
                continue
            for key, held in node.state.heads().items():
                if key in self.world.byzantine:
                    continue
                self._expect(held.whole, node, f"catalogue of {self._index_of(key)} not whole")
            self._accepted_cards_are_there(node)

    def _accepted_cards_are_there(self, node: Node) -> None:
        for key, accepted in self.world.accepted.items():
            publisher = self.world.network.node(key)
            if node.state is None or key in self.world.byzantine:
                continue
            held = node.state.heads().get(key)
            have = set() if held is None else set(held.cards.values())
            self._expect(have == set(accepted.values()), node, f"cards of {publisher.index} differ")

    def nobody_was_cut_off(self) -> None:
        """No honest node was charged with anything by an honest one."""
        for node in self.world.nodes:
            if node.key in self.world.byzantine:
                continue
            for charge in node.misbehaved:
                if charge.peer not in self.world.byzantine and charge.violation.blames_sender:
                    self._expect(False, node, f"charged {self._index_of(charge.peer)}: {charge.detail}")

    def _index_of(self, key: bytes) -> int:
        return self.world.network.node(key).index

    def _expect(self, holds: bool, node: Node, what: str) -> None:
        if not holds:
            raise CheckFailedError(f"node {node.index} at {self.world.network.now:.3f} s: {what}")
