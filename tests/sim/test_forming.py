"""A network that woke from drawn disks gives the figures of one that formed by joining."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from bench._gossip_forming import joined, publishers, woken
from bench._gossip_network import Measured, connected_to, measured
from tests.sim.sharing import shared
from tests.sim.world import World

SIZE = 120
"""More than everybody can know."""
ROUNDS = 3


def figures(form: Callable[[int, int], World]) -> tuple[World, float, Measured]:
    """Return a settled network, its links a node, and what publications cost in it."""
    with shared():
        world = form(3, SIZE)
        links = statistics.mean(len(node.links) for node in world.nodes)
        chosen = publishers(world)[::3]
        for number in range(ROUNDS):
            last = measured(world, chosen, f"round{number}")
    return world, links, last


def test_woken_and_joined_networks_give_like_figures() -> None:
    (one, links, by_joining), (other, links_woken, by_waking) = figures(joined), figures(woken)
    for world in (one, other):
        assert len(connected_to(world, world.nodes[0])) == SIZE
        assert world.agree()
    # Who joined early was linked to by those that came later, and keeps those links.
    assert links_woken == pytest.approx(links, rel=0.25)
    assert by_waking.bytes_each == pytest.approx(by_joining.bytes_each, rel=0.05)
    assert by_waking.copies == pytest.approx(by_joining.copies, abs=0.04)
    # A small network is shorter or longer for it, from seed to seed.
    assert max(by_waking.seconds) == pytest.approx(max(by_joining.seconds), rel=0.35)
    assert 0.7 * by_joining.hops < by_waking.hops < 1.4 * by_joining.hops
