"""An owner's address is found in a network larger than anybody's view of it."""

from __future__ import annotations

from skerry.protocol.effects import DropNodeRecord, PutNodeRecord
from skerry.protocol.exchange import RecordsRequest
from skerry.protocol.limits import NODES_KNOWN_MAX
from skerry.protocol.messages import News, Records
from tests.protocol.scripted import Scripted, sent, stored
from tests.sim.network import Node
from tests.sim.sharing import shared
from tests.sim.world import World


def record_of(node: Node) -> bytes:
    assert node.state is not None
    return node.state.identity().node


def test_everybody_knows_where_every_publisher_is_reached() -> None:
    with shared():
        world = World(3, NODES_KNOWN_MAX + 14, real=False)
        world.start_all(over=8.0, bootstraps=4)
        world.network.run(40.0)
        publishers = world.nodes[5::15]
        for node in publishers:
            world.publish(node, ["first"])
            world.network.run(world.network.now + 1.0)
        assert world.settle(60.0)
        world.network.run(world.network.now + 150.0)
        for node in world.nodes:
            assert node.state is not None
            known = node.state.node_records()
            lacking = [other.index for other in publishers if other is not node and other.key not in known]
            assert not lacking, f"{node.index} does not know {lacking}"
            assert len(node.state._parts.membership.known) <= NODES_KNOWN_MAX


def test_a_record_that_came_before_its_head_is_kept_with_it_and_told_with_it() -> None:
    script = Scripted(peers=3)
    teller, publisher, asker = script.peers
    script.connect(teller)
    raw, _ = script.head(publisher, [script.world.card(publisher, "one")])
    script.say(teller, Records((script.charters(publisher),), (record_of(publisher),)))
    card = script.world.card(publisher, "one")
    effects = script.say(teller, News(raw, 0, (card,), ()))
    assert PutNodeRecord(publisher.key, record_of(publisher)) in stored(effects, PutNodeRecord)
    script.connect(asker)
    effects = script.say(asker, RecordsRequest(b"", (publisher.key,)))
    assert record_of(publisher) in [raw for part in sent(effects, asker, Records) for raw in part.envelopes]


def test_a_record_without_a_head_is_not_kept_beside_the_view() -> None:
    script = Scripted(peers=2)
    teller, other = script.peers
    script.connect(teller)
    script.say(teller, Records((script.charters(other),), (record_of(other),)))
    assert other.key not in script.state._parts.whereabouts.records


def test_what_is_forgotten_here_stays_on_the_disk_while_the_view_knows_it() -> None:
    script = Scripted(peers=2)
    teller, publisher = script.peers
    script.connect(teller)
    card = script.world.card(publisher, "one")
    raw, _ = script.head(publisher, [card])
    script.say(teller, Records((script.charters(publisher),), (record_of(publisher),)))
    script.say(teller, News(raw, 0, (card,), ()))
    whereabouts = script.state._parts.whereabouts
    assert publisher.key in whereabouts.records
    script.state._parts.indexes[b""].heads.clear()
    whereabouts.tick()
    assert publisher.key not in whereabouts.records
    assert not stored(script.wait(0.0), DropNodeRecord)
