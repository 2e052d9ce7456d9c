"""One plan played: a world, its faults, its liars, and all checkers from the first event to the last."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from skerry.errors import SkerryError
from tests.sim.attacks import KINDS
from tests.sim.checkers import Checkers, CheckFailedError
from tests.sim.faults import FAULTS, GROUP_WORK, WORK
from tests.sim.judges import Judges
from tests.sim.network import NetworkConfig, Node
from tests.sim.plan import Plan
from tests.sim.sharing import shared
from tests.sim.societies import MEMBERS_MAX, Society
from tests.sim.world import World

QUIET_SECONDS = 240.0
"""After the last fault all must agree within this: several repair rounds with every peer."""
REST_SECONDS = 5.0
"""What agrees must still agree after this."""
START_SECONDS = 3.0
"""All nodes are switched on within this."""
GROUPS_AT_SECONDS = 4.0
PUT_OUT_AT_SECONDS = 7.0
"""When members that replay old rosters are put out."""
ACTIONS_PER_SECOND_MIN = 0.5
NODES_PER_ACTION = 100
"""Every second one of so many nodes does something, or something is done to it."""
LYING_PART = 8
"""One node in so many is of each kind of the plan."""


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
        config = NetworkConfig(loss=plan.loss, bandwidth=plan.bandwidth)
        self.world = World(plan.seed, plan.nodes, config)
        self.checkers = Checkers(self.world)
        self.judges = Judges(self.world)
        for node in self.world.nodes:
            node.clock_offset = self.rng.uniform(-plan.clock_skew, plan.clock_skew)
        for node in self.world.nodes[2:]:
            if self.rng.random() < plan.hidden:
                self.world.hide(node)
        self._traitors: list[Node] = []
        self._corrupt()
        self.societies = [self._society(number) for number in range(plan.groups)]

    def run(self) -> bytes:
        """Play the plan and return the trace hash."""
        try:
            with nullcontext() if self.world.real else shared(timed=self.plan.in_time), collector_off():
                self._play()
        except (SkerryError, ArithmeticError, LookupError, TypeError, ValueError, AssertionError) as error:
            raise CheckFailedError(f"{type(error).__name__}: {error}; replay with {self.plan}") from error
        return self.world.network.trace_hash.digest()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after a while, unless all faults have ended by then."""
        at = self.world.network.now + seconds
        if at < self.plan.seconds:
            self.world.network.at(at, action)

    def _corrupt(self) -> None:
        each = max(1, self.plan.nodes // LYING_PART)
        parts = {}
        for number, name in enumerate(self.plan.byzantine):
            part = self.world.nodes[::-1][number * each : (number + 1) * each]
            nodes = parts[name] = part[: KINDS[name].machines_max]
            self.world.corrupt(nodes, KINDS[name])
            if KINDS[name].in_a_group:
                self._traitors += nodes[:2]
        for name, nodes in parts.items():
            KINDS[name].prepare(self.world, nodes)

    def _society(self, number: int) -> Society:
        """Return a group; each shares half of its members with the next."""
        honest = [node for node in self.world.honest() if node.key not in self.world.joins_late]
        size = min(MEMBERS_MAX, len(honest))
        start = number * (size // 2)
        members = [honest[(start + place) % len(honest)] for place in range(size)]
        return Society(self.world, self.rng, number, members, self._traitors if number == 0 else ())

    def _play(self) -> None:
        world, network = self.world, self.world.network
        world.start_all(over=START_SECONDS)
        for society in self.societies:
            network.at(GROUPS_AT_SECONDS, society.begin)
        if "old-roster-replayer" in self.plan.byzantine:
            network.at(PUT_OUT_AT_SECONDS, lambda: self.societies[0].put_out(self._traitors))
        self._schedule()
        network.run(self.plan.seconds)
        world.quiet = True
        if self.plan.parted:
            middle = len(world.nodes) // 2
            self._heal()
            network.partition([world.nodes[:middle], world.nodes[middle:]])
            self._parts_come_to_rest()
        self._heal()
        self._come_to_rest()

    def _schedule(self) -> None:
        names = [*self.plan.faults, "publish", "publish", "publish", "withdraw"]
        names += list(GROUP_WORK) if self.societies else []
        actions = {**FAULTS, **WORK, **GROUP_WORK}
        at = GROUPS_AT_SECONDS + 1.0
        while at < self.plan.seconds:
            action = actions[self.rng.choice(names)]
            self.world.network.at(at, lambda action=action: action(self))
            at += self.rng.expovariate(max(ACTIONS_PER_SECOND_MIN, self.plan.nodes / NODES_PER_ACTION))

    def _heal(self) -> None:
        network = self.world.network
        network.partition([])
        network.unmute()
        for node in self.world.nodes:
            node.reachable = not node.hidden
            if not node.up:
                self.world.start(node)
        for society in self.societies:
            society.conclude()

    def _parts_come_to_rest(self) -> None:
        """Whatever the parts are: who is connected agrees."""
        end = self.world.network.now + QUIET_SECONDS
        while self.world.network.now < end and not all(map(self.world.agree, self.world.components())):
            self.world.network.run(self.world.network.now + 0.5)
        for component in self.world.components():
            self.checkers.agree(component)
        self.checkers.shown_is_verified()

    def _at_rest(self) -> bool:
        if not self.world.agree() or not self.world.is_idle():
            return False
        return all(
            society.club.agree(society.members())
            and all(society.shown(node) == society.expected() for node in society.members())
            for society in self.societies
        )

    def _come_to_rest(self) -> None:
        network, checkers = self.world.network, self.checkers
        end = network.now + QUIET_SECONDS
        checkers.met.clear()
        self._wait_for_rest(end)
        network.run(network.now + REST_SECONDS)
        if any(KINDS[name].stirs for name in self.plan.byzantine):
            # A second head, or a report, may come in any quiet moment; all agree about that too.
            self._wait_for_rest(end)
        checkers.at_rest(self.societies)

    def _wait_for_rest(self, end: float) -> None:
        network = self.world.network
        while network.now < end and not (self.checkers.all_have_met() and self._at_rest()):
            network.run(network.now + 0.5)


@contextmanager
def collector_off() -> Iterator[None]:
    """Leave cycles where they are for one run: looking for them again and again costs a fifth of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


def fails(plan: Plan) -> bool:
    """Return whether a plan fails."""
    try:
        Run(plan).run()
    except CheckFailedError:
        return True
    return False


def shrink(plan: Plan) -> Plan:
    """Return a plan that fails too and of which no smaller one does."""
    for smaller in plan.smaller():
        if fails(smaller):
            return shrink(smaller)
    return plan
