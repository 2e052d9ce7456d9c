"""A node that cannot be dialled: whom it names, who may have it dial, and ranges over what it opened."""

from __future__ import annotations

import dataclasses

from skerry.protocol.effects import Connect, RangeAsked, RangeCame, Send
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import AskRange, Disconnected, RangeRead, Reach
from skerry.protocol.limits import DIAL_REQUEST_WORK, VIA_SECONDS, WORK_SAVED_MAX
from skerry.protocol.messages import Records
from skerry.protocol.node_record import NODE_RECORD, NodeRecord, make_node_record
from skerry.protocol.passing import Dial, DialRequest, RangePart, RangeRequest
from tests.protocol.scripted import Scripted, delivered, sent
from tests.sim.network import Node

ROOT = b"r" * 32


def hidden(script: Scripted) -> None:
    """Make the node under test one that cannot be dialled."""
    context = script.state._context
    context.config = dataclasses.replace(context.config, addresses=())
    script.state._sign_record()
    context.take_effects()


def own_record(script: Scripted) -> NodeRecord:
    return NODE_RECORD.decode(open_envelope(script.state.identity().node).body)


def told_of(script: Scripted, teller: Node, peer: Node, *via: Node, addresses: tuple[str, ...] = ()) -> None:
    """Have the teller send a peer's record."""
    envelope = make_node_record(
        script.world.signer_of(peer),
        owner=script.world.owner_of[peer.key],
        seq=2**40,
        issued=int(script.world.network.config.wall),
        addresses=addresses,
        certificate=bytes(32),
        via=[node.key for node in via],
    )
    script.say(teller, Records((script.charters(peer),), (envelope.to_bytes(),)))


def test_it_names_peers_that_it_dialled_and_says_so_at_once() -> None:
    script = Scripted(peers=5)
    hidden(script)
    assert own_record(script).via == ()
    script.connect(script.peers[0])
    assert own_record(script).via == ()  # an inbound peer may not be one that others can dial
    script.connect(script.peers[1], outbound=True)
    assert own_record(script).via == (script.peers[1].key,)
    for peer in script.peers[2:]:
        script.connect(peer, outbound=True)
    assert own_record(script).via == (script.peers[1].key,)
    script.wait(VIA_SECONDS + 120)
    connected = [key for key in script.state.peers() if script.state.peers()[key].outbound]
    assert own_record(script).via == tuple(connected[:3])


def test_a_node_that_can_be_dialled_names_nobody() -> None:
    script = Scripted(peers=1)
    script.connect(script.peers[0], outbound=True)
    assert own_record(script).addresses
    assert own_record(script).via == ()


def test_who_wants_a_hidden_node_asks_the_peer_that_it_names() -> None:
    script = Scripted(peers=3)
    via, other, wanted = script.peers
    script.connect(other)
    told_of(script, other, wanted, via)
    effects = script.happen(Reach(wanted.key))
    assert not sent(effects, other, DialRequest)
    effects = script.connect(via, outbound=True)
    assert sent(effects, via, DialRequest) == [DialRequest(wanted.key)]
    assert sent(script.happen(Reach(wanted.key)), via, DialRequest) == [DialRequest(wanted.key)]
    script.connect(wanted)
    assert not sent(script.happen(Reach(wanted.key)), via, DialRequest)
    assert script.happen(Reach(b"?" * 32)) == []


def test_a_dial_request_is_passed_on_to_who_names_this_node_with_the_askers_record() -> None:
    script = Scripted(peers=3)
    asker, wanted, other = script.peers
    for peer in script.peers:
        script.connect(peer)
    assert script.say(asker, DialRequest(wanted.key)) == []  # it does not name this node
    told_of(script, wanted, wanted, script.node)
    effects = script.say(asker, DialRequest(wanted.key))
    (records,) = sent(effects, wanted, Records)
    assert NODE_RECORD.decode(open_envelope(records.envelopes[0]).body).node_key == asker.key
    assert sent(effects, wanted, Dial) == [Dial(asker.key)]
    assert not [effect for effect in effects if isinstance(effect, Send) and effect.peer == other.key]
    asked = sum(
        bool(sent(script.say(asker, DialRequest(wanted.key)), wanted, Dial))
        for _ in range(int(2 * WORK_SAVED_MAX / DIAL_REQUEST_WORK))
    )
    assert asked <= WORK_SAVED_MAX / DIAL_REQUEST_WORK


def test_it_dials_who_asks_through_a_peer_that_it_names_and_nobody_else() -> None:
    script = Scripted(peers=3)
    via, stranger, asker = script.peers
    hidden(script)
    script.connect(via, outbound=True)
    script.connect(stranger)
    script.say(via, Records((script.charters(asker),), (asker_record(script, asker),)))

    def dialled(teller: Node) -> list[object]:
        return [
            effect.target for effect in script.say(teller, Dial(asker.key)) if isinstance(effect, Connect)
        ]

    script.state._parts.membership._dialling.under_way.clear()
    assert dialled(stranger) == []
    assert dialled(via) == [asker.key]
    assert dialled(via) == []  # it is being dialled


def asker_record(script: Scripted, asker: Node) -> bytes:
    assert asker.state is not None
    del script
    return asker.state.identity().node


def test_ranges_are_read_and_answered_on_the_same_connection() -> None:
    script = Scripted(peers=2)
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    (asked,) = delivered(script.say(peer, RangeRequest(7, ROOT, False, 100, 50)), RangeAsked)
    assert asked == RangeAsked(peer.key, 7, ROOT, False, 100, 50)
    effects = script.happen(RangeRead(peer.key, 7, b"x" * 50))
    assert sent(effects, peer, RangePart) == [RangePart(7, b"x" * 50)]

    effects = script.happen(AskRange(peer.key, 9, ROOT, True, 0, 32))
    assert sent(effects, peer, RangeRequest) == [RangeRequest(9, ROOT, True, 0, 32)]
    assert not delivered(script.say(other, RangePart(9, b"y")), RangeCame)  # it was not asked
    assert delivered(script.say(peer, RangePart(9, b"y")), RangeCame) == [RangeCame(peer.key, 9, b"y")]
    assert not delivered(script.say(peer, RangePart(9, b"y")), RangeCame)  # answered once
    script.happen(Disconnected(peer.key))
    came = delivered(script.happen(AskRange(peer.key, 10, ROOT, False, 0, 1)), RangeCame)
    assert came == [RangeCame(peer.key, 10, b"")]
