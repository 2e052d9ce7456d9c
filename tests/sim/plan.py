"""What one seed does: swarm testing.

Each seed takes its own subset of faults and of liars with its own numbers, so that a thousand seeds try a
thousand different mixes and none is drowned by the others (Groce et al., 2012). A plan is all that a run
depends on: printing it is enough to replay it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.sim.attacks import KINDS
from tests.sim.faults import FAULTS

NODES_MIN = 6
"""Fewer nodes would leave no honest ones beside those of the plan."""
SECONDS_MIN = 8.0


@dataclass(frozen=True)
class Plan:
    """What one seed does."""

    seed: int
    nodes: int
    seconds: float
    """Virtual seconds with faults; then all must come to rest."""
    faults: tuple[str, ...] = ()
    loss: float = 0.0
    clock_skew: float = 0.0
    """By how many seconds a clock may be wrong: two of them by twice as much, a day at most."""
    byzantine: tuple[str, ...] = ()
    """Kinds of nodes that do not follow the protocol; one in eight nodes of each kind."""
    bandwidth: float = 0.0
    """Bytes a second that a node can send; 0 means no limit."""
    hidden: float = 0.0
    """Part of the nodes that nobody can dial."""
    groups: int = 0
    parted: bool = False
    """Whether the network first comes to rest in two parts, and only then heals."""

    @property
    def in_time(self) -> bool:
        """Whether all clocks and all claims about the time agree."""
        return not self.clock_skew and "clock-liar" not in self.byzantine

    @classmethod
    def draw(cls, seed: int, nodes: int, seconds: float) -> Plan:
        """Return the plan of a seed."""
        rng = random.Random(f"plan {seed}")
        byzantine = tuple(name for name in KINDS if rng.random() < 0.1)
        byzantine = tuple(rng.sample(byzantine, min(3, len(byzantine))))
        groups = rng.choice((0, 0, 1, 2))
        return cls(
            seed,
            nodes,
            seconds,
            faults=tuple(name for name in FAULTS if rng.random() < 0.5),
            loss=rng.choice((0.0, 0.01, 0.05)),
            clock_skew=rng.choice((0.0, 60.0, 12 * 3600.0)),
            byzantine=byzantine,
            bandwidth=rng.choice((0.0, 0.0, 1_000_000.0, 200_000.0)),
            hidden=rng.choice((0.0, 0.1, 0.3)),
            groups=max(groups, int(any(KINDS[name].in_a_group for name in byzantine))),
            parted=rng.random() < 0.25,
        )

    def smaller(self) -> Iterator[Plan]:
        """Yield plans that do less, the boldest cuts first."""
        if self.nodes >= 2 * NODES_MIN:
            yield replace(self, nodes=self.nodes // 2)
        if self.seconds >= 2 * SECONDS_MIN:
            yield replace(self, seconds=self.seconds / 2)
        for index in range(len(self.faults)):
            yield replace(self, faults=self.faults[:index] + self.faults[index + 1 :])
        for index in range(len(self.byzantine)):
            yield replace(self, byzantine=self.byzantine[:index] + self.byzantine[index + 1 :])
        if self.groups and not any(KINDS[name].in_a_group for name in self.byzantine):
            yield replace(self, groups=self.groups - 1)
        plain = replace(self, parted=False), replace(self, hidden=0.0), replace(self, bandwidth=0.0)
        for plan in (*plain, replace(self, loss=0.0), replace(self, clock_skew=0.0)):
            if plan != self:
                yield plan
