"""Repair: two nodes that differ in anything end up equal, and equal ones say next to nothing."""

from __future__ import annotations

from skerry.protocol.charter import next_charter
from skerry.protocol.effects import Connect, Disconnect
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import Disconnected, TimerKind, WallClock
from skerry.protocol.exchange import Ranges, RecordsRequest
from skerry.protocol.hashing import fingerprint
from skerry.protocol.limits import (
    CLOCK_TOLERANCE_SECONDS,
    CUT_OFF_SECONDS,
    FRAME_BYTES_MAX,
    RECORD_KEYS_MAX,
    WORK_SAVED_MAX,
)
from skerry.protocol.messages import MESSAGE, Digest, News, Records
from skerry.protocol.reconcile import Range
from tests.protocol.scripted import Scripted, sent, violations
from tests.sim.checkers import Checkers
from tests.sim.world import World


def test_who_dialled_sends_its_digest_in_under_a_hundred_bytes() -> None:
    script = Scripted()
    effects = script.connect(script.peers[0], outbound=True)
    digests = sent(effects, script.peers[0], Digest)
    assert digests == [Digest(b"", 0, fingerprint([]))]
    assert len(MESSAGE.encode(digests[0])) <= 100
    assert not sent(script.connect(script.peers[1]), script.peers[1], Digest)


def test_an_equal_digest_ends_it_and_another_begins_a_reconciliation() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    assert not sent(script.say(peer, Digest(b"", 0, fingerprint([]))), peer, Ranges)
    assert sent(script.say(peer, Digest(b"", 1, bytes(32))), peer, Ranges)


def test_digests_are_sent_every_so_often() -> None:
    script = Scripted()
    script.connect(script.peers[0])
    assert sent(script.fire(TimerKind.REPAIR), script.peers[0], Digest)
    assert len(sent(script.wait(100.0), script.peers[0], Digest)) >= 2


def test_a_malformed_range_is_a_violation() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    bad = Ranges(b"", 1, (Range("", (bytes(16),) * 3, (), whole=False),))
    assert violations(script.say(peer, bad)) == ["malformed"]


def test_a_peer_that_asks_for_too_much_work_is_not_answered() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    request = RecordsRequest(b"", tuple(n.to_bytes(8, "big") for n in range(RECORD_KEYS_MAX)))
    answers = [
        bool(sent(script.say(peer, request), peer, Records))
        for _ in range(int(WORK_SAVED_MAX / RECORD_KEYS_MAX) + 5)
    ]
    assert answers[0]
    assert not answers[-1]
    assert not violations(script.effects)


def test_a_garbage_reconciliation_ends_and_costs_bounded_bytes() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer, outbound=True)
    for leg in range(1, 33):
        garbage = tuple(Range(f"{n:02x}", (bytes([n]) * 16,) * 16, (), whole=False) for n in range(200))
        effects = script.say(peer, Ranges(b"", leg, garbage))
        frames = [len(MESSAGE.encode(message)) for message in sent(effects, peer, Ranges)]
        assert sum(frames) <= 5 * FRAME_BYTES_MAX


def test_a_reconciliation_that_nobody_invited_ends_in_being_cut_off() -> None:
    """A digest invites one opening: who begins again and again is let go, and is not taken in again soon."""
    script = Scripted()
    peer, other = script.peers
    script.connect(peer, outbound=True)
    opening = Ranges(b"", 1, (Range("", (b"",) * 16, (), whole=False),))
    assert not violations(script.say(peer, opening))
    said = 0
    while peer.key in script.state.peers() and said < 50:
        said += 1
        effects = script.say(peer, opening)
        assert not sent(effects, peer, Ranges)
        if [effect for effect in effects if isinstance(effect, Disconnect)]:
            script.happen(Disconnected(peer.key))
    assert said < 20
    assert [effect.peer for effect in script.connect(peer) if isinstance(effect, Disconnect)] == [peer.key]
    assert peer.key not in script.state.peers()
    script.connect(other)
    assert other.key in script.state.peers()
    script.wait(CUT_OFF_SECONDS + 1.0)
    script.connect(peer)
    assert peer.key in script.state.peers()


def test_an_answer_of_a_reconciliation_is_paid_for() -> None:
    """A hundred ranges may take a hundred times as much to answer as to ask."""
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer, outbound=True)
    before = script.state.peers()[peer.key].work.left
    garbage = tuple(Range(f"{n:02x}", (bytes([n]) * 16,) * 16, (), whole=False) for n in range(16))
    (answer,) = sent(script.say(peer, Ranges(b"", 1, garbage)), peer, Ranges)
    assert before - script.state.peers()[peer.key].work.left >= 16 * 16 + len(answer.ranges)


def test_two_nodes_with_different_halves_become_equal() -> None:
    world = World(7, 30)
    checkers = Checkers(world)
    nodes = list(world.nodes)
    world.network.partition([nodes[:15], nodes[15:]])
    for node in nodes:
        bootstrap = 2 if node.index < 15 else 17
        world.start(node, bootstrap)
    world.network.run(5.0)
    for node in nodes:
        if node.state is not None and (node.index < 15 or node.index > 16):
            world.publish(node, ["a", "b"])
    world.network.run(40.0)
    halves = {node.state.digest() for node in nodes if node.state is not None}
    assert len(halves) > 1
    world.network.partition([])
    assert world.settle(400.0)
    checkers.converged()
    checkers.nobody_was_cut_off()


def test_a_node_that_was_away_catches_up_with_all_heads() -> None:
    world = World(8, 25, real=False)
    world.start_all(over=3.0)
    world.network.run(10.0)
    away = world.nodes[20]
    world.network.crash(away)
    for node in world.running():
        world.publish(node, ["a", "b"])
    world.network.run(20.0)
    world.start(away)
    assert world.settle(60.0)
    assert away.state is not None
    assert len(away.state.heads()) == 24


def test_what_repair_brings_is_pushed_on() -> None:
    script = Scripted(peers=3)
    for peer in script.peers:
        script.connect(peer)
    raw, _ = script.head(script.peers[0], [])
    effects = script.say(script.peers[1], Records((script.charters(script.peers[0]),), (raw,)))
    assert sent(effects, script.peers[2], News)
    assert not [effect for effect in effects if isinstance(effect, Connect)]


def test_an_owners_charters_leave_the_set_with_its_last_head() -> None:
    """Found by the simulator: who had held a head that ended never agreed again with who had not."""
    script = Scripted()
    peer, owner = script.peers
    script.connect(peer)
    wall = int(script.world.network.config.wall)
    raw, _ = script.head(owner, [], lease=wall + 60)
    script.say(peer, Records((script.charters(owner),), (raw,)))
    assert script.state.digest() != fingerprint([])
    script.happen(WallClock(wall + CLOCK_TOLERANCE_SECONDS + 3600))
    script.fire(TimerKind.HOUSEKEEPING)
    assert owner.key not in script.state.heads()
    assert script.state.digest() == fingerprint([])


def test_who_sends_a_head_that_later_charters_ended_is_told_of_these() -> None:
    script = Scripted()
    peer, owner = script.peers
    script.connect(peer)
    raw, _ = script.head(owner, [])
    revoked = next_charter(
        open_envelope(script.charters(owner)[-1]),
        script.world.owner_signers(owner),
        node_keys=(),
        issued=int(script.world.network.config.wall),
    )
    chain = (*script.charters(owner), revoked.to_bytes())
    script.say(peer, Records((chain,), ()))
    effects = script.say(peer, Records((script.charters(owner),), (raw,)))
    assert chain in [charters for message in sent(effects, peer, Records) for charters in message.charters]
    assert script.state.digest() == fingerprint([])
