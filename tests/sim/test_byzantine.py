"""Every attack bites, and the honest nodes keep every rule all the same.

A run of each kind counts its lies and shows what they did: what a node saw, refused or counted. Where a
defence can be taken away, the attack is shown to work without it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from skerry.protocol import membership
from skerry.protocol.effects import Disputed, Misbehaved, SketchReported
from skerry.protocol.events import Received
from skerry.protocol.exchange import IHave, Ranges
from skerry.protocol.history import Because
from skerry.protocol.messages import MESSAGE, Message, News, Records
from skerry.protocol.violations import Violation
from tests.sim.attacks import KINDS, QuotaExhauster, Sybil
from tests.sim.byzantine import Conspiracy
from tests.sim.checkers import CheckFailedError
from tests.sim.plan import Plan
from tests.sim.run import Run
from tests.sim.world import World

NODES = 12


class Witness:
    """A run of one kind, with all that liars said to honest nodes."""

    def __init__(self, kind: str) -> None:
        groups = int(KINDS[kind].in_a_group)
        seconds = 25.0 if groups else 12.0
        self.run = Run(Plan(1, NODES, seconds, byzantine=(kind,), groups=groups))
        self.world = self.run.world
        self.heard: list[Message] = []
        self.delivered: list[object] = []
        self.lowest_score = 0.0
        self.world.network.observers.append(self._watch)

    def _watch(self, node: object, event: object, effects: list[object]) -> None:
        del effects
        if isinstance(event, Received) and event.peer in self.world.byzantine and node in self.world.honest():
            try:
                self.heard.append(MESSAGE.decode(event.frame))
            except Exception:  # a frame that is none is what some of them send  # noqa: BLE001
                return
            peer = node.state.peers().get(event.peer)  # type: ignore[attr-defined]
            if peer is not None:
                self.lowest_score = min(self.lowest_score, peer.score.value(self.world.network.now))

    def play(self) -> Witness:
        self.run.run()
        return self

    def count(self, kind: type[Message]) -> int:
        return sum(isinstance(message, kind) for message in self.heard)

    def told(self, kind: type) -> int:
        """Return how many deliveries of a kind honest nodes got."""
        return sum(isinstance(what, kind) for node in self.world.honest() for _, what in node.deliveries)

    def charged(self, *violations: Violation) -> int:
        charges: list[Misbehaved] = [charge for node in self.world.honest() for charge in node.misbehaved]
        return sum(
            charge.violation in violations for charge in charges if charge.peer in self.world.byzantine
        )

    def noted(self, because: Because, text: str) -> int:
        """Return how many reasons of a kind honest nodes remember."""
        return sum(
            reason.because is because and text in reason.detail
            for node in self.world.honest()
            if node.state is not None
            for subject in list(node.state._context.history._reasons)
            for reason in node.state._context.history.of(subject)
        )


EFFECTS: dict[str, Callable[[Witness], object]] = {
    "equivocating-owner": lambda witness: witness.told(Disputed) >= NODES - 2,
    "withholding-relay": lambda witness: any(
        isinstance(message, News) and not message.cards for message in witness.heard
    ),
    "stale-head-pinner": lambda witness: witness.world.liars,
    "ihave-flooder": lambda witness: witness.lowest_score <= -10 and witness.count(IHave),
    "silent-peer": lambda witness: not witness.heard,
    "endless-reconciler": lambda witness: witness.count(Ranges) and witness.lowest_score < 0,
    "bit-flipper": lambda witness: witness.charged(Violation.MALFORMED),
    "chatterer": lambda witness: witness.count(Records) >= 80,
    "forwarding-member": lambda witness: witness.charged(Violation.UNEXPECTED),
    "old-roster-replayer": lambda witness: any(
        isinstance(message, Records) and not message.charters and message.envelopes
        for message in witness.heard
    ),
    "sybil-swarm": lambda witness: len(witness.world.joins_late) == 1,
    "lying-sketch": lambda witness: witness.told(SketchReported) >= NODES // 2,
    "false-reporter": lambda witness: witness.run.judges.verdicts > 0,
    "quota-exhauster": lambda witness: witness.noted(Because.WITHHELD, "quota"),
    "clock-liar": lambda witness: witness.noted(Because.REFUSED, Violation.ISSUED_AHEAD),
}


def test_every_kind_has_its_effect() -> None:
    assert EFFECTS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_honest_nodes_keep_every_rule_whatever_the_others_do(kind: str) -> None:
    witness = Witness(kind).play()
    assert sum(liar.lies for liar in witness.world.liars) > 0
    assert EFFECTS[kind](witness)


class Without:
    """A run in which something of the world is taken away."""

    def __init__(self, kind: str) -> None:
        self.witness = Witness(kind)

    def fails(self, match: str) -> None:
        with pytest.raises(CheckFailedError, match=match):
            self.witness.play()


def test_without_judges_a_false_sketch_is_shown_everywhere() -> None:
    without = Without("lying-sketch")
    without.witness.world.network.observers.remove(without.witness.run.judges._watch)
    without.fails("false sketch is shown")


def test_without_a_quota_strangers_take_what_they_want() -> None:
    without = Without("quota-exhauster")
    for node in without.witness.world.honest():
        without.witness.world.limit(node, unvouched_cards_max=10**6)
    without.witness.world.cards_max = lambda node: QuotaExhauster.unvouched_cards_max  # type: ignore[method-assign]
    without.fails("cards of 40")


def joined(seed: int) -> tuple[World, set[bytes]]:
    """Return a world in which a swarm met a node at the door, and whom that node is connected with."""
    world = World(seed, 30)
    swarm = world.nodes[-20:]
    world.corrupt(swarm, Sybil)
    Sybil.prepare(world, swarm)
    victim = world.network.node(next(iter(world.joins_late)))
    world.start_all()
    world.network.run(20.0)
    world.publish(world.nodes[2], ["a"])
    world.network.run(50.0)
    return world, set(victim.links)


def test_a_swarm_at_the_door_does_not_get_all_links_of_a_node_that_joins() -> None:
    world, links = joined(1)
    assert len(links & world.byzantine) >= 8, "the swarm is there"
    assert links - world.byzantine
    assert world.agree()


def test_a_swarm_gets_all_links_of_a_node_that_chooses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership.Membership, "_missing", lambda self: 0 if self.links else 1)
    monkeypatch.setattr(membership, "LINKS_CHOSEN_MIN", 0)
    monkeypatch.setattr(membership.Membership, "configure", lambda self, bootstrap: None)
    world, links = joined(1)
    assert links <= world.byzantine


def test_conspirators_know_each_other() -> None:
    world = World(1, 4)
    world.corrupt(world.nodes[2:], KINDS["silent-peer"])
    world.start_all()
    world.network.run(5.0)
    assert {liar.conspiracy for liar in world.liars} == {
        Conspiracy(world, tuple(node.key for node in world.nodes[2:]))
    }
