"""What people do and what goes wrong, drawn by a run from its seed: one function each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skerry.protocol.events import Renew, WallClock

if TYPE_CHECKING:
    from tests.sim.run import Run


LARGE_NODES = 100
"""In larger networks people publish few cards at once: every node verifies each."""


def publish(run: Run) -> None:
    """Somebody publishes a few cards."""
    node = run.rng.choice(run.world.running())
    slugs = [
        f"m{run.rng.randrange(40)}"
        for _ in range(run.rng.choice((1, 2, 3) if run.plan.nodes > LARGE_NODES else (1, 3, 30)))
    ]
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
    run.later(run.rng.uniform(0.5, 20.0), lambda: None if node.up else run.world.start(node))


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
    run.later(run.rng.uniform(1.0, 20.0), lambda: run.world.network.partition([]))


def one_way_cut(run: Run) -> None:
    """Nothing that some nodes send arrives at some others for a while, though they hear those."""
    nodes = run.rng.sample(run.world.nodes, max(2, run.plan.nodes // 5))
    middle = run.rng.randrange(1, len(nodes))
    run.world.network.mute(nodes[:middle], nodes[middle:])
    run.later(run.rng.uniform(1.0, 30.0), run.world.network.unmute)


def clock_jump(run: Run) -> None:
    """Somebody sets a clock right, or wrong."""
    node = run.rng.choice(run.world.running())
    before = node.clock_offset
    node.clock_offset = run.rng.uniform(-run.plan.clock_skew, run.plan.clock_skew)
    node.clock_set_back = max(0.0, node.clock_set_back + before - node.clock_offset)
    run.world.network.event(node, WallClock(run.world.network.wall(node)))


def behind_nat(run: Run) -> None:
    """A node can dial and cannot be dialled any more."""
    run.rng.choice(run.world.nodes[2:]).reachable = False


def renewals(run: Run) -> None:
    """Several nodes renew at once."""
    for node in run.rng.sample(run.world.running(), min(5, len(run.world.running()))):
        run.world.network.event(node, Renew())


def group_publish(run: Run) -> None:
    """Somebody shows cards to a group."""
    run.rng.choice(run.societies).publish()


def group_change(run: Run) -> None:
    """An admin puts somebody out or brings somebody back."""
    run.rng.choice(run.societies).change()


def group_fork(run: Run) -> None:
    """Two admins make rosters that do not know of each other."""
    run.rng.choice(run.societies).disagree()


def group_return(run: Run) -> None:
    """A member leaves a group and comes back."""
    run.rng.choice(run.societies).leave_and_return()


Action = Callable[["Run"], None]
WORK: dict[str, Action] = {"publish": publish, "withdraw": withdraw}
"""What people do in every run."""
GROUP_WORK: dict[str, Action] = {
    "group-publish": group_publish,
    "group-change": group_change,
    "group-fork": group_fork,
    "group-return": group_return,
}
"""What they do where there are groups."""
FAULTS: dict[str, Action] = {
    "crash": crash,
    "lost-connections": lost_connections,
    "partition": partition,
    "one-way-cut": one_way_cut,
    "clock-jump": clock_jump,
    "behind-nat": behind_nat,
    "renewals": renewals,
}
"""Every fault by the name that a plan shows."""
