"""Membership: enough links of our own choice, never surrounded, and never a probe of somebody's inside."""

from __future__ import annotations

import pytest

from skerry.protocol.addresses import is_global, network_of
from skerry.protocol.effects import Connect, Disconnect, PutAnchors
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import AddressesConfigured, Connected, ConnectFailed, Disconnected, TimerKind
from skerry.protocol.exchange import Full, NodesRequest, Offer, Ranges
from skerry.protocol.limits import (
    DIAL_SECONDS,
    DIALS_MAX,
    FULL_MEMBERSHIP_MAX,
    GREETING_SECONDS,
    LINKS_CHOSEN_MIN,
    LINKS_HARD_MAX,
    LINKS_MAX,
    LINKS_NEEDY_MAX,
    NODES_KNOWN_MAX,
    REJOIN_SECONDS_MIN,
    STRETCH_FACTOR,
)
from skerry.protocol.messages import News, Records
from skerry.protocol.node_record import make_node_record
from skerry.protocol.reconcile import Listed, Range
from tests.protocol.scripted import Scripted, sent, stored, violations
from tests.sim.network import Node
from tests.sim.world import World


def record_of(script: Scripted, peer: Node, addresses: tuple[str, ...], seq: int = 2**40) -> Records:
    """Return a peer's record with addresses of the test's choice."""
    envelope = make_node_record(
        script.world.signer_of(peer),
        owner=script.world.owner_of[peer.key],
        seq=seq,
        issued=int(script.world.network.config.wall),
        addresses=addresses,
        certificate=bytes(32),
    )
    return Records((script.charters(peer),), (envelope.to_bytes(),))


def dials(effects: list[object]) -> list[bytes | str]:
    return [effect.target for effect in effects if isinstance(effect, Connect)]


def test_bootstrap_addresses_are_dialled_and_pauses_grow() -> None:
    script = Scripted(peers=0)
    addresses = tuple(f"11.9.9.{n}:4000#00" for n in range(10))
    assert len(dials(script.happen(AddressesConfigured(addresses)))) == DIALS_MAX  # type: ignore[arg-type]
    times = []
    for _ in range(6):
        script.happen(ConnectFailed(addresses[0]))
        start = script.world.network.now
        while addresses[0] not in dials(script.wait(0.25)):  # type: ignore[arg-type]
            for address in addresses[1:]:
                script.happen(ConnectFailed(address))
            if script.world.network.now - start > 200:
                break
        times.append(script.world.network.now - start)
    assert times[-1] > times[0]


def test_never_more_dials_at_once_than_the_limit() -> None:
    script = Scripted(peers=20)
    script.connect(script.peers[0])
    for peer in script.peers:
        assert peer.state is not None
        script.say(script.peers[0], Records((script.charters(peer),), (peer.state.identity().node,)))
    assert 0 < len(dials(script.wait(3.0))) <= DIALS_MAX  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "dialled"), [("8.8.4.4:1", True), ("192.168.7.7:1", False), ("[::1]:1", False)]
)
def test_private_addresses_told_by_a_stranger_are_not_dialled(address: str, dialled: bool) -> None:
    script = Scripted(peers=2)
    teller, told = script.peers
    script.connect(teller)
    script.say(teller, record_of(script, told, (address,)))
    assert told.key in script.state.node_records()
    assert (told.key in dials(script.wait(15.0))) is dialled  # type: ignore[arg-type]


def test_a_peer_of_the_same_network_may_tell_private_addresses() -> None:
    script = Scripted(peers=2)
    teller, told = script.peers
    assert teller.state is not None
    private = record_of(script, teller, ("192.168.7.1:1",)).envelopes[0]
    script.happen(Connected(teller.key, script.charters(teller), private, outbound=False))
    script.say(teller, record_of(script, told, ("192.168.7.7:1",)))
    assert told.key in dials(script.wait(15.0))  # type: ignore[arg-type]


def test_networks_and_names_are_told_apart() -> None:
    assert network_of("11.1.2.3:1") == network_of("11.1.9.9:2") != network_of("11.2.2.3:1")
    assert network_of("127.0.0.1:1") == network_of("localhost:9") == network_of("[::1]:1")
    assert network_of("a.example.org:1") == network_of("b.example.org:1")
    assert is_global("a.example.org:1")
    assert not is_global("printer.local:1")
    assert not is_global("printer:1")


def test_inbound_links_never_push_out_chosen_ones() -> None:
    script = Scripted(peers=LINKS_HARD_MAX + 6)
    chosen = script.peers[:LINKS_CHOSEN_MIN]
    for peer in chosen:
        script.connect(peer, outbound=True)
    for peer in script.peers[LINKS_CHOSEN_MIN:]:
        if peer.key not in script.state.peers():
            for effect in script.connect(peer, alone=True):
                if isinstance(effect, Disconnect):
                    script.happen(Disconnected(effect.peer))
    assert {peer.key for peer in chosen} <= set(script.state.peers())
    assert len(script.state.peers()) <= LINKS_HARD_MAX


def test_a_full_node_takes_in_a_lonely_one_and_lets_others_visit() -> None:
    script = Scripted(peers=LINKS_MAX + 2)
    for peer in script.peers[:LINKS_MAX]:
        script.connect(peer)
    visitor, lonely = script.peers[LINKS_MAX:]
    assert sent(script.connect(visitor), visitor, Full)
    assert not sent(script.connect(lonely, alone=True), lonely, Full)
    ended = {effect.peer for effect in script.wait(60.0) if isinstance(effect, Disconnect)}
    assert visitor.key in ended
    assert lonely.key not in ended


def test_who_dials_and_says_nothing_is_let_go() -> None:
    script = Scripted(peers=3)
    silent, greeting, dialled = script.peers
    script.connect(silent, alone=None)
    script.connect(greeting)
    script.connect(dialled, outbound=True)
    effects = script.wait(GREETING_SECONDS + 2 * DIAL_SECONDS)
    assert [effect.peer for effect in effects if isinstance(effect, Disconnect)] == [silent.key]


def test_offered_records_are_asked_for_once_known_they_are_not() -> None:
    script = Scripted(peers=2)
    first, second = script.peers
    script.connect(first)
    effects = script.say(first, Offer((bytes(8), second_id(second)), wants_offer=False))
    assert sent(effects, first, NodesRequest)[0].ids == (bytes(8), second_id(second))
    assert second.state is not None
    script.say(first, Records((script.charters(second),), (second.state.identity().node,)))
    effects = script.say(first, Offer((second_id(second),), wants_offer=True))
    assert not sent(effects, first, NodesRequest)
    assert sent(effects, first, Offer)


def test_who_is_asked_for_records_that_it_forgot_answers_all_the_same() -> None:
    """What was offered may be forgotten before it is asked for: that must not look like a broken promise."""
    script = Scripted(peers=1)
    (peer,) = script.peers
    script.connect(peer)
    (answer,) = sent(script.say(peer, NodesRequest((bytes(8),))), peer, Records)
    assert answer.envelopes == (script.state.identity().node,)


def second_id(peer: Node) -> bytes:
    assert peer.state is not None
    return open_envelope(peer.state.identity().node).hash[:8]


def test_a_record_by_another_key_is_refused() -> None:
    script = Scripted(peers=2)
    first, second = script.peers
    script.connect(first)
    raw = bytearray(record_of(script, second, ("8.8.8.8:1",)).envelopes[0])
    raw[-1] ^= 1
    effects = script.say(first, Records((script.charters(second),), (bytes(raw),)))
    assert violations(effects) == ["signature-invalid"]
    assert second.key not in script.state.node_records()


def test_several_peers_lost_at_once_make_a_node_doubt_itself_first() -> None:
    script = Scripted(peers=5)
    for peer in script.peers:
        script.connect(peer, outbound=True)
    script.wait(20.0)
    for peer in script.peers[:4]:
        script.happen(Disconnected(peer.key))
    assert script.state._context.stretch == STRETCH_FACTOR


def test_the_longest_chosen_links_are_remembered() -> None:
    script = Scripted(peers=3)
    for peer in script.peers:
        script.connect(peer, outbound=True)
    anchors = stored(script.fire(TimerKind.SHUFFLE), PutAnchors)
    assert [anchor.node_keys for anchor in anchors] == [tuple(peer.key for peer in script.peers[:2])]  # type: ignore[attr-defined]


def test_a_network_above_the_full_membership_stays_connected_with_bounded_views() -> None:
    world = World(4, FULL_MEMBERSHIP_MAX + 30, real=False)
    world.start_all(over=10.0)
    world.network.run(60.0)
    links = {node.key: set(node.links) for node in world.nodes}
    reached, frontier = set(), [world.nodes[0].key]
    while frontier:
        key = frontier.pop()
        if key not in reached:
            reached.add(key)
            frontier.extend(links[key])
    assert len(reached) == len(world.nodes)
    for node in world.nodes:
        assert node.state is not None
        assert len(node.state.node_records()) <= NODES_KNOWN_MAX
        assert LINKS_CHOSEN_MIN <= len(node.links) <= LINKS_HARD_MAX


def test_a_node_that_restarts_does_not_dial_whom_nobody_can_dial() -> None:
    """Found by the simulator: a record without addresses, read from the disk, counted as one to dial."""
    world = World(1, 3)
    world.hide(world.nodes[2])
    world.start_all()
    world.network.run(10.0)
    assert world.nodes[2].key in world.nodes[0].links
    world.nodes[0].disk.snapshot()
    world.network.crash(world.nodes[0])
    world.start(world.nodes[0])
    world.network.run(40.0)
    assert world.nodes[2].key in world.nodes[0].links
    assert world.agree()


def test_who_says_that_it_is_alone_pushes_out_only_who_said_so_before() -> None:
    script = Scripted(peers=LINKS_MAX + LINKS_NEEDY_MAX + 4)
    usual = script.peers[:LINKS_MAX]
    for peer in usual:
        script.connect(peer)
    refused = []
    for peer in script.peers[LINKS_MAX:]:
        effects = script.connect(peer, alone=True)
        refused += [other for other in script.peers if sent(effects, other, Full)]
    assert refused == script.peers[LINKS_MAX : LINKS_MAX + 4]


def test_a_dial_finds_room_however_many_come_to_visit() -> None:
    script = Scripted(peers=LINKS_HARD_MAX + 4)
    for peer in script.peers[: LINKS_HARD_MAX - 1]:
        script.connect(peer)
    late = script.peers[-2:]
    script.say(script.peers[0], record_of(script, late[0], ("11.200.1.1:1",)))
    assert dials(script.wait(3.0)), "links of its own choice are missing"  # type: ignore[arg-type]
    gone = []
    for peer in late:
        gone += [
            effect.peer for effect in script.connect(peer, outbound=True) if isinstance(effect, Disconnect)
        ]
    assert gone
    assert not {peer.key for peer in late} & set(gone)


def visited(*, told: bool) -> tuple[Scripted, list[Node], Node, list[object]]:
    """Return what a node does when a visit brings a head; links told of another one before, or nothing."""
    script = Scripted(peers=9)
    links, visited, other = script.peers[:6], script.peers[6], script.peers[7]
    for peer in links:
        script.connect(peer, outbound=True)
    script.say(links[0], record_of(script, visited, ("11.200.1.1:1",)))
    while visited.key not in dials(script.wait(1.0)):  # type: ignore[arg-type]
        assert script.world.network.now < 2 * REJOIN_SECONDS_MIN
    if told:
        raw, _ = script.head(other, [])
        script.say(links[3], Records((script.charters(other),), ()))
        script.say(links[3], News(raw, 0, (), ()))
    script.connect(visited, outbound=True)
    raw, _ = script.head(visited, [])
    script.say(
        visited, Ranges(b"", 1, (Range("", (), (Listed(visited.key[:8], 1, 1, bytes(4)),), whole=True),))
    )
    script.say(visited, Records((script.charters(visited),), (raw,)))
    return script, links, visited, script.say(visited, Records((), ()))


def test_a_silent_link_makes_room_for_whom_a_visit_found_to_know_more() -> None:
    script, links, guest, effects = visited(told=False)
    gone = [effect.peer for effect in effects if isinstance(effect, Disconnect)]
    assert len(gone) == 1
    assert gone[0] in {peer.key for peer in links}
    assert guest.key in script.state._parts.membership.links


def test_a_visit_changes_nothing_where_links_tell_news() -> None:
    script, _, guest, effects = visited(told=True)
    assert not [effect for effect in effects if isinstance(effect, Disconnect)]
    assert guest.key not in script.state._parts.membership.links
