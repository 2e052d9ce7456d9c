"""Whom a node dials: nobody who met it at the door decides that for it."""

from __future__ import annotations

from collections.abc import Iterable

from skerry.protocol.addresses import network_of
from skerry.protocol.effects import Connect, Effect
from skerry.protocol.events import AddressesConfigured, ConnectFailed, Disconnected, TimerKind
from skerry.protocol.limits import NODES_KNOWN_MAX, NODES_PER_NETWORK, REJOIN_SECONDS, REJOIN_SECONDS_MIN
from tests.protocol.scripted import Scripted
from tests.protocol.test_membership import record_of

BOOTSTRAP = "11.250.9.9:4000#00"


def dialled(effects: Iterable[Effect]) -> list[bytes | str]:
    return [effect.target for effect in effects if isinstance(effect, Connect)]


def test_of_several_dials_at_once_no_two_go_to_one_network() -> None:
    script = Scripted(peers=8)
    teller, *told = script.peers
    script.connect(teller)
    addresses = {}
    for number, peer in enumerate(told):
        addresses[peer.key] = f"11.{77 if number < 5 else 80 + number}.1.{number}:1"
        script.say(teller, record_of(script, peer, (addresses[peer.key],)))
    targets = dialled(script.wait(3.0))
    networks = [network_of(addresses[target]) for target in targets if isinstance(target, bytes)]
    assert len(networks) == len(set(networks)) == 3


def test_a_configured_address_is_tried_again_though_strangers_filled_the_view() -> None:
    script = Scripted(peers=20)
    script.happen(AddressesConfigured((BOOTSTRAP,)))
    script.happen(ConnectFailed(BOOTSTRAP))
    swarm = script.peers[:6]
    for peer in swarm:
        script.connect(peer)
    for peer in script.peers[6:]:
        script.say(swarm[0], record_of(script, peer, (f"11.{100 + peer.index}.1.1:1",)))
    assert BOOTSTRAP in dialled(script.wait(15.0))


def test_one_network_does_not_fill_the_view() -> None:
    script = Scripted(peers=NODES_KNOWN_MAX + 30)
    others, swarm = script.peers[:20], script.peers[20:]
    script.connect(others[0])
    for peer in others[1:]:
        script.say(others[0], record_of(script, peer, (f"11.{peer.index}.1.1:1",)))
    for number, peer in enumerate(swarm):
        script.say(others[0], record_of(script, peer, (f"11.222.1.{number}:1",)))
    known = script.state.node_records()
    assert len(known) <= NODES_KNOWN_MAX
    assert len(known) > NODES_PER_NETWORK + 20
    assert all(peer.key in known for peer in others[1:])


def test_calls_are_early_after_a_start_and_after_a_loss() -> None:
    """The first after some twenty seconds, then ever later; when all links were lost at once, anew."""
    script = Scripted(peers=30)
    links, rest = script.peers[:6], script.peers[6:]
    for peer in links:
        script.connect(peer, outbound=True)
    for peer in rest:
        script.say(links[0], record_of(script, peer, (f"11.{peer.index + 50}.1.1:1",)))
    start = script.world.network.now

    def next_call() -> float:
        while not dialled(script.wait(1.0)):
            assert script.world.network.now < start + 10 * REJOIN_SECONDS
        return script.world.network.now

    first = next_call()
    second = next_call()
    assert first - start <= 2 * REJOIN_SECONDS_MIN
    assert second - first > REJOIN_SECONDS_MIN
    membership = script.state._parts.membership
    for peer in links[:4]:
        script.happen(Disconnected(peer.key))
    assert membership._rejoin_at == script.world.network.now + REJOIN_SECONDS_MIN


def test_those_that_started_together_call_at_different_times_later() -> None:
    """A thousand nodes whose power came back would all call at one time, every five minutes."""
    membership = Scripted(peers=1).state._parts.membership
    while membership._rejoin_seconds < REJOIN_SECONDS:
        membership._next_call()
    waits = []
    for _ in range(50):
        membership._next_call()
        waits.append(membership._rejoin_at - membership._context.now)
    assert 0.5 * REJOIN_SECONDS <= min(waits) < 0.6 * REJOIN_SECONDS
    assert 1.4 * REJOIN_SECONDS < max(waits) <= 1.5 * REJOIN_SECONDS


def test_nothing_is_dialled_where_all_are_known_and_linked() -> None:
    script = Scripted(peers=4)
    for peer in script.peers:
        script.connect(peer, outbound=True)
    script.wait(REJOIN_SECONDS)
    assert not dialled(script.fire(TimerKind.DIAL))
