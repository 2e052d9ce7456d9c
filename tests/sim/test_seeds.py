"""Networks of two hundred nodes, each with its own mix of faults and liars: no checker fails.

``make sim`` plays a thousand. Here each has only as much virtual time as its faults need. The seeds from ten
on stand in a file of their own, so that two processes share them.
"""

from __future__ import annotations

import pytest

from tests.sim.plan import Plan
from tests.sim.regressions import REGRESSIONS
from tests.sim.run import Run, fails, shrink

SEEDS = range(10)
NODES = 200
SECONDS = 8.0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_mix_of_faults_heals(seed: int) -> None:
    Run(Plan.draw(seed, NODES, SECONDS)).run()


@pytest.mark.parametrize("what", REGRESSIONS)
def test_what_failed_once_holds(what: str) -> None:
    Run(REGRESSIONS[what]).run()


def test_plans_differ_and_try_everything() -> None:
    plans = [Plan.draw(seed, NODES, SECONDS) for seed in range(200)]
    assert len({(plan.faults, plan.byzantine, plan.groups, plan.parted) for plan in plans}) > 150
    assert all(len(plan.byzantine) <= 3 for plan in plans)


def test_a_failing_plan_shrinks_to_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of any size fails here that loses frames: all else is cut away."""
    monkeypatch.setattr("tests.sim.run.fails", lambda plan: plan.loss > 0 and plan.nodes >= 10)
    small = shrink(Plan(0, 160, 40.0, ("crash", "partition"), 0.05, groups=2))
    assert small == Plan(0, nodes=10, seconds=10.0, loss=0.05)


def test_a_plan_that_holds_does_not_fail() -> None:
    assert not fails(Plan(1, nodes=6, seconds=8.0))
