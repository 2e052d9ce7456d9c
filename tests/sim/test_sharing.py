"""Sharing verdicts between simulated nodes changes nothing that they do."""

from __future__ import annotations

from contextlib import nullcontext

from tests.sim.sharing import shared
from tests.sim.world import World


def trace(*, sharing: bool) -> str:
    with shared() if sharing else nullcontext():
        world = World(5, 30, real=False)
        world.start_all(over=5.0)
        world.network.run(15.0)
        world.publish(world.nodes[3], ["one", "two"])
        world.network.run(20.0)
        world.network.crash(world.nodes[4])
        world.publish(world.nodes[3], ["three"])
        world.start(world.nodes[4])
        world.network.run(60.0)
        assert world.agree()
        return world.network.trace_hash.hexdigest()


def test_the_trace_is_the_same_with_and_without_sharing() -> None:
    assert trace(sharing=True) == trace(sharing=False)
