"""The states that real nodes run, fifty of them, driven to one digest."""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import pytest

from tests.sim.checkers import Checkers
from tests.sim.disk import Disk
from tests.sim.network import NetworkConfig
from tests.sim.world import World
from tests.tree import ROOT


@pytest.mark.parametrize("seed", [1])
def test_fifty_nodes_reach_one_digest(seed: int) -> None:
    world = World(seed, 50, NetworkConfig(loss=0.02))
    checkers = Checkers(world)
    world.start_all()
    world.network.run(8.0)
    for node in world.nodes[::5]:
        world.publish(node, ["first", "second", "third"], islands=2)
    for node in world.nodes[::7]:
        world.network.at(
            9.0,
            lambda node=node: [
                world.network.cut(node, world.network.node(peer)) for peer in sorted(node.links)
            ],
        )
    assert world.settle(120.0), f"seed {seed}"
    checkers.converged()
    checkers.shown_is_verified()
    checkers.nobody_was_cut_off()
    state = world.nodes[-1].state
    assert state is not None
    assert len(state.cards()) == 30
    # An address is passed on once somebody dialled it, and what is missed comes with the next shuffles.
    world.network.run(world.network.now + 120.0)
    assert len(state.node_records()) == 49, "up to fifty nodes everyone knows everyone"


def test_the_same_seed_gives_the_same_trace_whatever_the_hash_seed() -> None:
    program = (
        "from tests.sim.plan import Plan; from tests.sim.run import Run; "
        "print(Run(Plan.draw(5, nodes=12, seconds=20.0)).run().hex())"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(traces) == 1


def test_fake_signatures_give_the_same_trace_as_real_ones() -> None:
    traces = set()
    for real in (True, False):
        world = World(3, 50, real=real, lookalike=True)
        world.start_all()
        world.network.run(6.0)
        world.publish(world.nodes[4], ["a"])
        assert world.settle(30.0)
        traces.add(world.network.shape_hash.digest())
    assert len(traces) == 1


@pytest.mark.parametrize("old_copy", [False, True], ids=["empty disk", "old copy"])
def test_a_restored_node_takes_back_what_its_peers_know_and_goes_on_above_it(old_copy: bool) -> None:
    world = World(9, 12)
    checkers = Checkers(world)
    world.start_all()
    world.network.run(6.0)
    node = world.nodes[5]
    world.publish(node, ["a"])
    assert world.settle(30.0)
    copied = copy.deepcopy(node.disk) if old_copy else Disk()
    world.publish(node, ["b", "c"])
    assert world.settle(30.0)
    world.network.crash(node)
    node.disk = copied
    world.start(node)
    world.publish(node, ["d"])
    assert world.settle(60.0)
    world.network.run(world.network.now + 5.0)
    checkers.converged()
    state = world.nodes[0].state
    assert state is not None
    held = state.heads()[node.key]
    assert (held.head.value.seq, len(held.cards), held.other) == (3, 4, None)
