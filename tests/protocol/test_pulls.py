"""The wanted list: heads without a catalogue cost little and hold up nothing."""

from __future__ import annotations

import pytest

from skerry.protocol.effects import Effect
from skerry.protocol.exchange import IHave
from skerry.protocol.head import head_id
from skerry.protocol.limits import PULLS_MAX
from skerry.protocol.messages import Digest, Missing, News, Records, TreeRequest
from skerry.protocol.tree import TOP_LEVEL
from tests.protocol.scripted import Scripted, sent
from tests.sim.network import Node


def test_peers_that_do_not_have_a_catalogue_are_asked_ever_more_rarely() -> None:
    script = Scripted(peers=9)
    owner, *others = script.peers
    for peer in script.peers:
        script.connect(peer, outbound=True)
    raw, _ = script.head(owner, [script.world.card(owner, "a")])
    asked = asks(script, script.say(owner, News(raw, 0, (), ())))
    counts = []
    for _ in range(4):
        before = len(asked)
        for _ in range(120):
            asked += asks(script, script.wait(0.5))
        counts.append(len(asked) - before)
    assert {peer for peer, _ in asked} == {owner.index, *(peer.index for peer in others)}
    assert counts[0] <= 32
    assert counts[3] <= 3


def asks(script: Scripted, effects: list[Effect]) -> list[tuple[int, bytes]]:
    """Answer every request by ``missing``; return who was asked for what."""
    found = []
    while effects:
        more: list[Effect] = []
        for peer in script.peers:
            for request in sent(effects, peer, TreeRequest):
                found.append((peer.index, request.head))
                more += script.say(peer, Missing(request.head))
        effects = more
    return found


def test_heads_without_catalogues_do_not_keep_others_waiting() -> None:
    """More of them than are looked after at once, and one head more, which a peer has that comes later."""
    script = Scripted(peers=PULLS_MAX + 8)
    liar, friend, owner, *owners = script.peers
    script.connect(liar, outbound=True)
    for number, peer in enumerate([*owners, owner]):
        script.say(liar, Records((script.charters(peer),), ()))
        raw, _ = script.head(peer, [script.world.card(peer, f"a-{number}")])
        asks(script, script.say(liar, News(raw, 0, (), ())))
    last = head_hash(script, owner)
    script.connect(friend, outbound=True)
    asked = []
    for _ in range(80):
        asked += asks(script, script.wait(0.5))
    assert (friend.index, last) in asked


def head_hash(script: Scripted, node: Node) -> bytes:
    return script.state.heads()[node.key].head.hash


def test_who_announces_a_wanted_head_is_asked_for_its_catalogue() -> None:
    script = Scripted(peers=3)
    teller, other, owner = script.peers
    for peer in (teller, other):
        script.connect(peer, outbound=True)
    script.say(teller, Records((script.charters(owner),), ()))
    raw, _ = script.head(owner, [script.world.card(owner, "a")])
    asks(script, script.say(teller, News(raw, 0, (), ())))
    asks(script, script.wait(30.0))
    digest = head_hash(script, owner)
    assert (other.index, digest) in asks(script, script.say(other, IHave(b"", (head_id(digest),))))


def test_large_catalogues_are_begun_one_at_a_time_with_each_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who told first is not asked for all of them while the others that told have nothing to do."""
    monkeypatch.setattr("skerry.protocol.pulls.LARGE_CATALOGUE_CARDS", 2)
    script = Scripted(peers=5)
    first, second, *owners = script.peers
    for peer in (first, second):
        script.connect(peer, outbound=True)
    heads = []
    catalogues = {}
    for owner in owners:
        script.say(first, Records((script.charters(owner),), ()))
        raw, catalogue = script.head(owner, [script.world.card(owner, slug) for slug in "abc"])
        heads.append(raw)
        catalogues[owner.key] = catalogue
    effects = script.say(first, Records((), tuple(heads)))
    assert [request.level for request in sent(effects, first, TreeRequest)] == [TOP_LEVEL]
    effects = script.say(second, Records((), tuple(heads)))
    (asked,) = sent(effects, second, TreeRequest)
    assert asked.level == TOP_LEVEL
    assert not sent(effects, first, TreeRequest)
    begun = next(
        catalogues[key] for key, held in script.state.heads().items() if held.head.hash == asked.head
    )
    answer = begun.answer(asked)
    assert answer is not None
    again = sent(script.say(second, answer), second, TreeRequest)
    assert {request.head for request in again if request.level == TOP_LEVEL} == {head_hash(script, owners[2])}


def test_who_is_found_to_hold_the_same_heads_is_asked_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that never told of a head, since this node knew it by then, has its catalogue all the same."""
    monkeypatch.setattr("skerry.protocol.pulls.LARGE_CATALOGUE_CARDS", 2)
    script = Scripted(peers=4)
    teller, other, *owners = script.peers
    for peer in (teller, other):
        script.connect(peer, outbound=True)
    script.say(teller, Records(tuple(script.charters(owner) for owner in owners), ()))
    heads = [script.head(owner, [script.world.card(owner, slug) for slug in "ab"])[0] for owner in owners]
    effects = script.say(teller, Records((), tuple(heads)))
    index = script.state._parts.indexes[b""]
    effects += script.say(other, Digest(b"", len(index.set), index.set.digest()))
    asked = [[request.head for request in sent(effects, peer, TreeRequest)] for peer in (teller, other)]
    assert [len(heads) for heads in asked] == [1, 1]
    assert asked[0] != asked[1]
