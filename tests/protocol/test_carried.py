"""Records of a type that this version does not know are carried all the same."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from skerry.protocol.charter import next_charter
from skerry.protocol.effects import DropRecord, Effect, PutRecord, RecordsTaken
from skerry.protocol.envelope import Envelope, RecordHeader, open_envelope, sign_record
from skerry.protocol.events import TakeRecords, WallClock
from skerry.protocol.exchange import RecordsRequest
from skerry.protocol.limits import CARRIED_PER_OWNER_MAX
from skerry.protocol.messages import Records
from tests.protocol.scripted import Scripted, delivered, sent, stored, violations
from tests.sim.network import Node
from tests.sim.world import World

DAY = 24 * 3600


class Future(RecordHeader, frozen=True):
    """What a later version might sign."""

    rating: int


def future(world: World, node: Node, rating: int = 5, *, issued: int = 0, days: int = 7) -> Envelope:
    wall = int(world.network.config.wall) + issued
    body = Future(world.owner_of[node.key], b"", wall, wall + days * DAY, rating)
    return sign_record("rating", msgspec.msgpack.encode(body), [world.signer_of(node)])


@pytest.fixture
def script() -> Scripted:
    return Scripted()


def say(script: Scripted, peer: Node, *records: Envelope) -> list[Effect]:
    message = Records((script.charters(peer),), tuple(item.to_bytes() for item in records))
    return script.say(peer, message)


def test_a_record_of_a_later_type_is_stored_sent_on_and_found_by_its_hash(script: Scripted) -> None:
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    before = script.state.digest()
    record = future(script.world, peer)
    effects = say(script, peer, record)
    assert stored(effects, PutRecord) == [PutRecord(b"", record.hash, record.to_bytes())]
    (passed_on,) = sent(effects, other, Records)
    assert passed_on == Records((script.charters(peer),), (record.to_bytes(),))
    assert script.state.digest() != before
    answer = script.say(other, RecordsRequest(b"", (record.hash[:8],)))
    assert sent(answer, other, Records)[0].envelopes == (record.to_bytes(),)
    assert not stored(say(script, peer, record), PutRecord), "the second time it is no news"


def test_it_ends_with_its_lease(script: Scripted) -> None:
    peer = script.peers[0]
    script.connect(peer)
    before = script.state.digest()
    say(script, peer, future(script.world, peer))
    script.happen(WallClock(script.world.network.config.wall + 9 * DAY))
    assert stored(script.wait(70.0), DropRecord)
    assert script.state.digest() == before


def test_a_forged_one_costs_its_sender_and_leaves_nothing(script: Scripted) -> None:
    peer = script.peers[0]
    script.connect(peer)
    record = future(script.world, peer)
    forged = Envelope(record.type, record.body[:-1] + b"\x06", record.signatures)
    effects = say(script, peer, forged)
    assert violations(effects) == ["signature-invalid"]
    assert not stored(effects, PutRecord)


def test_it_goes_when_its_owner_takes_the_key_away(script: Scripted) -> None:
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    say(script, peer, future(script.world, peer))
    revoked = next_charter(
        open_envelope(script.charters(peer)[-1], "charter"),
        script.world.owner_signers(peer),
        issued=int(script.world.network.config.wall),
        node_keys=(),
    )
    effects = script.say(other, Records(((*script.charters(peer), revoked.to_bytes()),), ()))
    assert stored(effects, DropRecord)


def test_the_quota_keeps_the_newest_whatever_the_order() -> None:
    digests = set()
    count = CARRIED_PER_OWNER_MAX + 2
    for order in itertools.islice(itertools.permutations(range(count)), 0, 4_000_000, 900_001):
        script = Scripted(peers=1)
        peer = script.peers[0]
        script.connect(peer)
        for number in order:
            assert not violations(say(script, peer, future(script.world, peer, issued=number)))
        digests.add(script.state.digest())
    assert len(digests) == 1


def test_own_people_bring_one_and_it_must_survive_a_power_cut(script: Scripted) -> None:
    script.connect(script.peers[0])
    record = future(script.world, script.node)
    effects = script.happen(TakeRecords(3, (record.to_bytes(), b"\xc1")))
    assert stored(effects, PutRecord) == [PutRecord(b"", record.hash, record.to_bytes(), own=True)]
    (answer,) = delivered(effects, RecordsTaken)
    assert (answer.token, answer.taken, len(answer.refused)) == (3, 1, 1)
    assert len(sent(effects, script.peers[0], Records)) == 1


def test_a_network_spreads_it_and_it_survives_a_restart() -> None:
    world = World(4, 5)
    world.start_all()
    world.network.run(8.0)
    record = future(world, world.nodes[3])
    world.network.event(world.nodes[3], TakeRecords(1, (record.to_bytes(),)))
    assert world.settle(40.0)
    world.network.run(world.network.now + 5.0)
    world.network.crash(world.nodes[3])
    world.start(world.nodes[3])
    assert world.settle(60.0)
    for node in world.nodes:
        assert node.disk.snapshot().records == {(b"", record.hash): record.to_bytes()}
