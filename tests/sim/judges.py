"""The part of a node that computes sketches, for simulated worlds: it knows the truth and tells it late.

One node in four computes every sketch that it comes to show, as one does whose people search a lot. All
others compute one only when they are told of a report. What they find enters the state as an event.
"""

from __future__ import annotations

from skerry.protocol.card import CARD, card_hash
from skerry.protocol.effects import CardsChanged, Deliver, Effect, SketchReported
from skerry.protocol.events import Event, SketchVerdict
from tests.sim.network import Node
from tests.sim.world import World

JUDGE_SECONDS = 0.5
"""How long it takes to fetch a specification and compute its sketch."""
SEARCHERS = 4
"""One node in so many computes sketches unasked."""


class Judges:
    """Watches a world and gives every honest node its verdicts."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.verdicts = 0
        world.network.observers.append(self._watch)

    def _watch(self, node: Node, event: Event, effects: list[Effect]) -> None:
        del event
        if node.key in self.world.byzantine:
            return
        for effect in effects:
            match effect:
                case Deliver(SketchReported(_, accused, card)):
                    self._judge(node, accused, card)
                case Deliver(CardsChanged() as change) if self._searches(node):
                    for digest, card in change.added.items():
                        if digest in self.world.false_cards:
                            self._judge(node, change.node_key, card)

    def _searches(self, node: Node) -> bool:
        return bool(self.world.false_cards) and node.index % SEARCHERS == 0

    def _judge(self, node: Node, accused: bytes, card: bytes) -> None:
        self.verdicts += 1
        honest = card_hash(card) not in self.world.false_cards
        verdict = SketchVerdict(accused, CARD.decode(card).id, honest)
        network = self.world.network
        network.at(network.now + JUDGE_SECONDS, lambda: network.event(node, verdict))
