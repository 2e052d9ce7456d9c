"""The wires do what they say: no faster than they are, and cut in one direction alone."""

from __future__ import annotations

import pytest

from skerry.protocol.effects import Effect
from skerry.protocol.events import Disconnected, Event, Received
from tests.sim.network import (
    RETRANSMISSION_SECONDS,
    SILENCE_SECONDS,
    NetworkConfig,
    Node,
)
from tests.sim.world import World


class Log:
    """What some event did to which node, and when."""

    def __init__(self, world: World, kind: type[Event]) -> None:
        self.entries: list[tuple[float, Node, Event]] = []
        self._world, self._kind = world, kind
        world.network.observers.append(self._watch)

    def _watch(self, node: Node, event: Event, effects: list[Effect]) -> None:
        del effects
        if isinstance(event, self._kind):
            self.entries.append((self._world.network.now, node, event))

    def at(self, node: Node, since: float) -> list[float]:
        return [when for when, of, _ in self.entries if of is node and when >= since]


def pair(config: NetworkConfig | None = None) -> World:
    world = World(1, 2, config or NetworkConfig())
    world.start_all()
    world.network.run(10.0)
    assert world.nodes[0].links
    return world


def test_a_frame_takes_the_longer_the_less_bandwidth_there_is() -> None:
    took = []
    for bandwidth in (0.0, 1000.0):
        world = pair(NetworkConfig(bandwidth=bandwidth))
        log, first = Log(world, Received), world.network.now
        world.publish(world.nodes[0], [f"m{number}" for number in range(8)])
        world.network.run(first + 60.0)
        took.append(log.at(world.nodes[1], first)[0] - first)
        assert world.agree()
    assert took[0] < 0.2
    assert took[1] > 8, "eight cards of a kilobyte and more"


def test_a_direction_that_is_cut_holds_frames_up_and_the_other_goes_on() -> None:
    world = pair()
    one, other = world.nodes
    log, cut = Log(world, Received), world.network.now
    world.network.mute([one], [other])
    world.publish(one, ["held-up"])
    world.publish(other, ["through"])
    world.network.run(cut + 5.0)
    assert not log.at(other, cut)
    assert log.at(one, cut)
    assert one.state is not None
    assert len(one.state.cards()) == 2
    world.network.unmute()
    world.network.run(cut + 5.0 + RETRANSMISSION_SECONDS)
    assert log.at(other, cut)
    assert world.agree()


def test_silence_ends_a_connection_that_is_cut_in_one_direction() -> None:
    world = pair()
    one, other = world.nodes
    ends, cut = Log(world, Disconnected), world.network.now
    world.network.mute([one], [other])
    world.network.run(cut + 3 * SILENCE_SECONDS)
    assert ends.at(one, cut)[0] == pytest.approx(cut + SILENCE_SECONDS, abs=0.2)
    assert not one.links
    world.network.unmute()
    world.network.run(world.network.now + 60.0)
    assert one.links
