"""Faults that a run draws from its seed, and the run itself.

Swarm testing: each seed takes its own subset of faults with its own numbers, so that a thousand seeds try a
thousand different mixes and none is drowned by the others (Groce et al., 2012).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from skerry.protocol.events import Renew
from tests.sim.byzantine import KINDS
from tests.sim.checkers import Checkers, CheckFailedError
from tests.sim.network import NetworkConfig
from tests.sim.world import World

QUIET_SECONDS = 240.0
"""After the last fault all must agree within this: several repair rounds with every peer."""


@dataclass(frozen=True)
class Plan:
    """What one seed does."""

    seed: int
    nodes: int
    seconds: float
    faults: tuple[str, ...]
    loss: float
    clock_skew: float
    byzantine: tuple[str, ...] = ()
    """Kinds of nodes that do not follow the protocol; one in eight nodes of each kind."""

    @classmethod
    def draw(cls, seed: int, nodes: int, seconds: float) -> Plan:
        """Return the plan of a seed."""
        rng = random.Random(f"plan {seed}")
        faults = tuple(name for name in FAULTS if rng.random() < 0.5)
        loss = rng.choice((0.0, 0.01, 0.05))
        skew = rng.choice((0.0, 60.0, 12 * 3600.0))
        byzantine = tuple(name for name in KINDS if rng.random() < 0.15)
        return cls(seed, nodes, seconds, faults, loss, skew, byzantine[:3])


class Run:
    """One seed: a world, its checkers and its faults.

    Raises
    ------
    CheckFailedError
        From :meth:`run`, with the plan in it.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(f"faults {plan.seed}")
        self.world = World(plan.seed, plan.nodes, NetworkConfig(loss=plan.loss))
        self.checkers = Checkers(self.world)
        for node in self.world.nodes:
            node.clock_offset = self.rng.uniform(-plan.clock_skew, plan.clock_skew)
        each = max(1, plan.nodes // 8)
        for number, kind in enumerate(plan.byzantine):
            for node in self.world.nodes[::-1][number * each : (number + 1) * each]:
                self.world.corrupt(node, KINDS[kind])

    def run(self) -> bytes:
        """Play the plan and return the trace hash."""
        try:
            self._play()
        except Exception as error:
            raise CheckFailedError(f"{error}; replay with {self.plan}") from error
        return self.world.network.trace_hash.digest()

    def _play(self) -> None:
        world, network = self.world, self.world.network
        world.start_all(over=5.0)
        names = [*self.plan.faults, "publish", "publish", "publish", "withdraw"]
        at = 6.0
        while at < self.plan.seconds:
            action = FAULTS.get(name := self.rng.choice(names)) or WORK[name]
            network.at(at, lambda action=action: action(self))
            at += self.rng.expovariate(0.5)
        network.run(self.plan.seconds)
        network.partition([])
        for node in world.nodes:
            node.reachable = True
            if not node.up:
                world.start(node)
        self._come_to_rest()

    def _come_to_rest(self) -> None:
        if not self.world.settle(QUIET_SECONDS):
            self.checkers.converged()
        self.world.network.run(self.world.network.now + 15.0)
        self.checkers.converged()
        self.checkers.shown_is_verified()
        self.checkers.nobody_was_cut_off()


def publish(run: Run) -> None:
    """Somebody publishes a few cards."""
    node = run.rng.choice(run.world.running())
    slugs = [f"m{run.rng.randrange(40)}" for _ in range(run.rng.choice((1, 3, 30)))]
    run.world.publish(node, slugs, version=run.rng.randrange(1, 1000), islands=3)


def withdraw(run: Run) -> None:
    """Somebody withdraws what it has."""
    node = run.rng.choice(run.world.running())
    ids = sorted(run.world.accepted.get(node.key, {}))
    if ids:
        run.world.withdraw(node, tuple(run.rng.sample(ids, min(3, len(ids)))))


def crash(run: Run) -> None:
    """A node loses power and what it had not synced, and comes back."""
    running = run.world.running()
    if len(running) <= run.plan.nodes // 2:
        return
    node = run.rng.choice(running)
    run.world.network.crash(node)
    run.world.network.at(
        run.world.network.now + run.rng.uniform(0.5, 20.0), lambda: None if node.up else run.world.start(node)
    )


def lost_connections(run: Run) -> None:
    """Connections break, with what is in flight on them."""
    for node in run.rng.sample(run.world.nodes, max(1, run.plan.nodes // 10)):
        for peer in sorted(node.links):
            run.world.network.cut(node, run.world.network.node(peer))


def partition(run: Run) -> None:
    """The network falls apart for a while."""
    nodes = list(run.world.nodes)
    run.rng.shuffle(nodes)
    middle = run.rng.randrange(1, len(nodes))
    run.world.network.partition([nodes[:middle], nodes[middle:]])
    run.world.network.at(
        run.world.network.now + run.rng.uniform(1.0, 20.0), lambda: run.world.network.partition([])
    )


def behind_nat(run: Run) -> None:
    """A node can dial and cannot be dialled any more."""
    run.rng.choice(run.world.nodes[2:]).reachable = False


def renewals(run: Run) -> None:
    """Several nodes renew at once."""
    for node in run.rng.sample(run.world.running(), min(5, len(run.world.running()))):
        run.world.network.event(node, Renew())


Action = Callable[[Run], None]
WORK: dict[str, Action] = {"publish": publish, "withdraw": withdraw}
FAULTS: dict[str, Action] = {
    "crash": crash,
    "lost-connections": lost_connections,
    "partition": partition,
    "behind-nat": behind_nat,
    "renewals": renewals,
}
"""Every fault by the name that a plan shows."""


def shrink(plan: Plan) -> Plan:
    """Return a smaller plan that fails too: fewer nodes, less time, fewer faults."""
    candidates = [replace(plan, nodes=plan.nodes // 2)] if plan.nodes >= 6 else []
    candidates += [replace(plan, seconds=plan.seconds / 2)] if plan.seconds >= 20 else []
    fewer = [plan.faults[:index] + plan.faults[index + 1 :] for index in range(len(plan.faults))]
    candidates += [replace(plan, faults=faults) for faults in fewer]
    candidates += [replace(plan, byzantine=plan.byzantine[1:])] if plan.byzantine else []
    for candidate in candidates:
        try:
            Run(candidate).run()
        except CheckFailedError:
            return shrink(candidate)
    return plan
