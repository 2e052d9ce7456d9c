"""The state as a whole: total on what peers send, careful with what it stores, signs and shows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.protocol.catalogue import Catalogue
from skerry.protocol.charter import next_charter
from skerry.protocol.effects import (
    CardsChanged,
    Disputed,
    DropCatalogue,
    OwnKeyElsewhere,
    Published,
    PublishRefused,
    PutCatalogue,
    PutHead,
    PutPendingCards,
    Send,
    Store,
)
from skerry.protocol.envelope import open_envelope
from skerry.protocol.errors import LocalProtocolError
from skerry.protocol.events import Publish, Received, Renew, WallClock
from skerry.protocol.exchange import Full, Neighbour, Newest, NewestRequest, RecordsRequest
from skerry.protocol.hashing import tagged_hash
from skerry.protocol.limits import (
    ENVELOPE_WORK,
    HEAD_LEASE_SECONDS_MAX,
    HEAD_RENEWAL_SECONDS,
    LINKS_MAX,
    PARTIAL_AFTER_SECONDS,
    PULL_SECONDS,
    WORK_SAVED_MAX,
)
from skerry.protocol.messages import (
    MESSAGE,
    Cards,
    CardsRequest,
    Missing,
    News,
    Records,
    Tree,
    TreeRequest,
)
from tests.protocol.scripted import Scripted, delivered, sent, stored, violations
from tests.sim.network import Node
from tests.sim.world import World

DAY = 24 * 3600


def cards_of(script: Scripted, peer: Node, count: int, version: int = 1, islands: int = 1) -> list[bytes]:
    return [script.world.card(peer, f"m{n}", version, n % islands) for n in range(count)]


def records(script: Scripted, peer: Node, *envelopes: bytes) -> Records:
    return Records((script.charters(peer),), envelopes)


# Total on what peers send.


@given(frame=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_survived(frame: bytes) -> None:
    script = Scripted(peers=1)
    script.connect(script.peers[0])
    effects = script.happen(Received(script.peers[0].key, frame))
    assert not stored(effects, (PutHead, PutCatalogue))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_one_flipped_byte_of_a_message_is_survived_and_nothing_of_it_kept(data: st.DataObject) -> None:
    script = Scripted(peers=1)
    peer = script.peers[0]
    script.connect(peer)
    cards = cards_of(script, peer, 2)
    raw, _ = script.head(peer, cards)
    message = data.draw(
        st.sampled_from([records(script, peer, raw), News(raw, 0, tuple(cards), ()), Missing(bytes(32))])
    )
    frame = bytearray(MESSAGE.encode(message))
    position = data.draw(st.integers(0, len(frame) - 1))
    frame[position] ^= 1 << data.draw(st.integers(0, 7))
    script.happen(Received(peer.key, bytes(frame)))
    held = script.state.heads().get(peer.key)
    if held is not None:
        assert open_envelope(held.head.raw).body == open_envelope(raw).body
        assert set(held.cards.values()) <= set(cards)


def test_an_event_before_started_is_our_own_bug() -> None:
    world = World(1, 1)
    state = world.nodes[0].boot(world.nodes[0].disk, 1)
    with pytest.raises(LocalProtocolError):
        state.handle(WallClock(0.0), 0.0)


def test_a_peer_that_sends_garbage_again_and_again_is_cut_off() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    for _ in range(5):
        script.happen(Received(peer.key, b"\xc1"))
    script.wait(1.0)
    assert len(sent(script.effects, peer, object)) < 10
    assert script.state.peers()[peer.key].closing


# Heads.


def test_a_head_with_a_flipped_byte_is_refused_by_name() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    raw, _ = script.head(peer, [])
    forged = bytearray(raw)
    forged[-1] ^= 1
    effects = script.say(peer, records(script, peer, bytes(forged)))
    assert violations(effects) == ["signature-invalid"]
    assert peer.key not in script.state.heads()


def test_an_older_head_is_answered_with_the_newer_one() -> None:
    script = Scripted()
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    old, _ = script.head(peer, [], seq=1)
    new, _ = script.head(peer, [], seq=2)
    script.say(peer, records(script, peer, new))
    effects = script.say(other, records(script, peer, old))
    assert [message.envelopes for message in sent(effects, other, Records)] == [(new,)]
    assert script.state.heads()[peer.key].head.value.seq == 2


def test_two_heads_of_one_number_are_a_proof_that_is_kept_and_passed_on() -> None:
    script = Scripted()
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    first, _ = script.head(peer, [], seq=1)
    second, _ = script.head(peer, [], seq=1, issued=1)
    script.say(peer, records(script, peer, first))
    effects = script.say(other, records(script, peer, second))
    smaller, larger = sorted((first, second), key=lambda raw: open_envelope(raw).hash)
    held = script.state.heads()[peer.key]
    assert (held.head.raw, held.other and held.other.raw) == (smaller, larger)
    assert [what.proof for what in delivered(effects, Disputed)] == [(smaller, larger)]
    assert delivered(effects, CardsChanged)[-1].disputed
    (proof,) = sent(effects, peer, Records)
    assert set(proof.envelopes) == {first, second}, "others must not wait for repair"
    answer = script.say(other, RecordsRequest(b"", (peer.key,)))
    assert set(sent(answer, other, Records)[0].envelopes) == {first, second}


def test_the_order_in_which_rivals_come_does_not_matter() -> None:
    digests = set()
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        script = Scripted(peers=1)
        peer = script.peers[0]
        script.connect(peer)
        rivals = [script.head(peer, [], seq=1, issued=n)[0] for n in range(3)]
        for position in order:
            script.say(peer, records(script, peer, rivals[position]))
        digests.add(script.state.digest())
    assert len(digests) == 1


def test_a_head_whose_lease_ended_is_dropped_with_its_cards() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    cards = cards_of(script, peer, 2)
    raw, _ = script.head(peer, cards)
    script.say(peer, records(script, peer))
    script.say(peer, News(raw, 0, tuple(cards), ()))
    assert len(script.state.cards()) == 2
    script.happen(WallClock(script.world.network.config.wall + HEAD_LEASE_SECONDS_MAX + 2 * DAY))
    effects = script.wait(70.0)
    assert stored(effects, DropCatalogue)
    assert script.state.cards() == []
    assert len(delivered(effects, CardsChanged)[-1].removed) == 2


def test_a_key_that_its_owner_took_away_loses_its_heads_everywhere() -> None:
    script = Scripted()
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    raw, _ = script.head(peer, [])
    script.say(peer, records(script, peer, raw))
    newest = open_envelope(script.charters(peer)[-1], "charter")
    revoked = next_charter(
        newest,
        script.world.owner_signers(peer),
        issued=int(script.world.network.config.wall),
        node_keys=(),
    )
    before = script.state.digest()
    script.say(other, Records(((*script.charters(peer), revoked.to_bytes()),), ()))
    assert peer.key not in script.state.heads()
    assert script.state.digest() != before
    effects = script.say(other, records(script, peer, raw))
    assert peer.key not in script.state.heads()
    assert "key-unknown" in violations(effects) or "epoch-old" in violations(effects)


# Catalogues.


def serve(
    script: Scripted, peer: Node, catalogue: Catalogue, cards: list[bytes], effects: list[object]
) -> None:
    """Have a scripted peer answer what it is asked, truthfully, until nothing is asked any more."""
    by_hash = {tagged_hash("skerry/card/1", card): card for card in cards}
    while True:
        asked = [*sent(effects, peer, TreeRequest), *sent(effects, peer, CardsRequest)]  # type: ignore[arg-type]
        if not asked:
            return
        effects = []
        for request in asked:
            if isinstance(request, TreeRequest):
                answer = catalogue.answer(request)
                assert answer is not None
                effects += script.say(peer, answer)
            else:
                effects += script.say(peer, Cards(request.head, tuple(by_hash[h] for h in request.hashes)))


def test_a_catalogue_is_pulled_from_who_told_of_it() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    cards = cards_of(script, peer, 100, islands=3)
    raw, catalogue = script.head(peer, cards)
    effects = script.say(peer, records(script, peer, raw))
    serve(script, peer, catalogue, cards, effects)  # type: ignore[arg-type]
    assert sorted(script.state.cards()) == sorted(cards)
    assert script.state.heads()[peer.key].whole


def test_only_what_changed_is_pulled_again() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    cards = cards_of(script, peer, 100, islands=3)
    raw, catalogue = script.head(peer, cards)
    serve(script, peer, catalogue, cards, script.say(peer, records(script, peer, raw)))  # type: ignore[arg-type]
    changed = [
        script.world.card(peer, "m7", 2, 1),
        *(card for n, card in enumerate(cards) if n not in (7, 8)),
    ]
    raw, catalogue = script.head(peer, changed, seq=2)
    start = len(script.effects)
    serve(script, peer, catalogue, changed, script.say(peer, records(script, peer, raw)))  # type: ignore[arg-type]
    asked = sent(script.effects[start:], peer, CardsRequest)
    assert sum(len(request.hashes) for request in asked) == 1
    assert sorted(script.state.cards()) == sorted(changed)


def test_a_bad_bucket_is_refused_alone_and_the_rest_of_the_pull_kept_and_shown() -> None:
    script = Scripted()
    liar, honest = script.peers
    script.connect(liar)
    cards = cards_of(script, liar, 60)
    raw, catalogue = script.head(liar, cards)
    effects = script.say(liar, records(script, liar, raw))
    top = catalogue.answer(sent(effects, liar, TreeRequest)[0])
    assert top is not None
    effects = script.say(liar, top)
    request = sent(effects, liar, TreeRequest)[0]
    root = catalogue.answer(request)
    assert root is not None
    asked = [item for item in sent(script.say(liar, root), liar, TreeRequest) if item.level == 0]
    good, bad = (catalogue.answer(item) for item in asked[:2])
    assert good is not None
    assert bad is not None
    assert not sent(script.say(liar, good), liar, CardsRequest), "more may be missing"
    effects = script.wait(1.2 * PULL_SECONDS)
    hashes = sent(effects, liar, CardsRequest)[0].hashes
    by_hash = {tagged_hash("skerry/card/1", card): card for card in cards}
    script.say(liar, Cards(good.head, tuple(by_hash[h] for h in hashes)))
    kept = script.wait(2 * PULL_SECONDS)
    part = delivered(kept, CardsChanged)
    assert [(change.complete, len(change.added)) for change in part] == [(False, len(hashes))]
    assert sorted(script.state.cards()) == sorted(by_hash[digest] for digest in hashes)
    assert script.state.coming() == len(cards) - len(hashes)
    assert len(stored(kept, PutPendingCards)) == 1
    forged = Tree(bad.head, bad.island, bad.level, bad.index, bad.k, (), (bytes(32), *bad.leaves[1:]))
    assert "hash-wrong" in violations(script.say(liar, forged))
    script.connect(honest)
    effects = script.say(honest, records(script, liar, raw)) + script.wait(2.0)
    start = len(script.effects)
    serve(script, honest, catalogue, cards, effects)  # type: ignore[arg-type]
    again = {h for item in sent(script.effects[start:], honest, CardsRequest) for h in item.hashes}
    assert not again & set(hashes)
    assert script.state.coming() == 0
    assert sorted(script.state.cards()) == sorted(cards)


def test_the_last_whole_catalogue_stays_until_the_verified_part_takes_its_place() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    cards = cards_of(script, peer, 60)
    raw, catalogue = script.head(peer, cards)
    serve(script, peer, catalogue, cards, script.say(peer, records(script, peer, raw)))  # type: ignore[arg-type]
    others = [script.world.card(peer, f"n{n}") for n in range(60)]
    raw, _ = script.head(peer, [*cards[:30], *others], seq=2)
    script.say(peer, records(script, peer, raw))
    script.wait(PARTIAL_AFTER_SECONDS / 2)
    assert sorted(script.state.cards()) == sorted(cards)
    effects = script.wait(PARTIAL_AFTER_SECONDS)
    changes = delivered(effects, CardsChanged)
    assert changes
    assert not changes[0].complete
    assert len(script.state.cards()) < 60


def test_a_request_for_a_head_that_is_not_held_is_answered_with_missing() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.connect(peer)
    effects = script.say(peer, TreeRequest(bytes(32), b"", 255, 0))
    assert sent(effects, peer, Missing) == [Missing(bytes(32))]


# Publishing.


def publish(script: Scripted, *slugs: str) -> Publish:
    return Publish(7, tuple(script.world.card(script.node, slug) for slug in slugs))


def test_a_node_that_knows_nobody_publishes_at_once_and_stores_before_it_sends() -> None:
    script = Scripted()
    effects = script.happen(publish(script, "a"))
    assert [what.seq for what in delivered(effects, Published)] == [1]
    script.connect(script.peers[0])
    effects = script.happen(publish(script, "b"))
    kinds = [type(effect) for effect in effects if isinstance(effect, (Store, Send))]
    assert kinds[0] is Store
    own = stored(effects, PutCatalogue)[0]
    assert isinstance(own, PutCatalogue)
    assert own.own
    assert sent(effects, script.peers[0], News)[0].since == 1


def test_a_node_waits_for_what_its_peers_know_before_it_signs() -> None:
    script = Scripted()
    peer = script.peers[0]
    effects = script.connect(peer)
    assert sent(effects, peer, NewestRequest)
    assert not delivered(script.happen(publish(script, "a")), Published)
    mine, catalogue = script.head(script.node, [script.world.card(script.node, "old")], seq=41)
    effects = script.say(peer, Newest(b"", mine))
    assert not delivered(effects, Published), "its own newest catalogue comes first"
    serve(script, peer, catalogue, [script.world.card(script.node, "old")], effects)  # type: ignore[arg-type]
    published = delivered(script.effects, Published)
    assert [what.seq for what in published] == [42]
    assert len(script.state.cards()) == 2


def test_a_node_whose_key_is_used_elsewhere_says_so_and_goes_above() -> None:
    script = Scripted()
    script.happen(publish(script, "a"))
    script.connect(script.peers[0])
    rival, _ = script.head(script.node, [], seq=1, issued=5)
    effects = script.say(script.peers[0], Records((), (rival,)))
    assert delivered(effects, OwnKeyElsewhere)


def test_a_card_of_another_owner_is_not_published() -> None:
    script = Scripted()
    foreign = script.world.card(script.peers[0], "a")
    effects = script.happen(Publish(3, (foreign,)))
    assert [what.token for what in delivered(effects, PublishRefused)] == [3]
    assert not stored(effects, PutCatalogue)


def test_a_head_is_renewed_after_a_week_under_a_new_number() -> None:
    script = Scripted()
    script.happen(publish(script, "a"))
    first = script.state.heads()[script.node.key].head.value
    script.happen(WallClock(script.world.network.config.wall + HEAD_RENEWAL_SECONDS + 1))
    script.wait(70.0)
    second = script.state.heads()[script.node.key].head.value
    assert (second.seq, second.root) == (first.seq + 1, first.root)
    assert second.lease > first.lease
    script.happen(Renew())
    assert script.state.heads()[script.node.key].head.value.seq == first.seq + 2


def test_a_restart_without_a_network_shows_everything_again() -> None:
    script = Scripted()
    peer = script.peers[0]
    script.happen(publish(script, "a"))
    script.connect(peer)
    cards = cards_of(script, peer, 3)
    raw, _ = script.head(peer, cards)
    script.say(peer, records(script, peer))
    script.say(peer, News(raw, 0, tuple(cards), ()))
    before, digest = sorted(script.state.cards()), script.state.digest()
    script.world.network.start(script.node)
    assert sorted(script.state.cards()) == before
    assert script.state.digest() == digest
    assert len(before) == 4


# Bounds.


def test_a_peer_that_floods_with_valid_news_is_not_listened_to_for_ever() -> None:
    script = Scripted(peers=1)
    peer = script.peers[0]
    script.connect(peer)
    frame = MESSAGE.encode(News(script.head(peer, [])[0], 0, (), ()))
    for _ in range(int(WORK_SAVED_MAX / ENVELOPE_WORK) + 20):
        script.happen(Received(peer.key, frame))
    assert script.state.peers()[peer.key].closing
    assert not violations(script.effects), "too much is abuse, and no violation"


def test_who_says_again_and_again_that_it_is_alone_evicts_nobody_more() -> None:
    script = Scripted(peers=LINKS_MAX + 2)
    for peer in script.peers[: LINKS_MAX + 1]:
        script.connect(peer)
    lonely = script.peers[-1]
    script.connect(lonely, alone=None)
    sent_full = [
        peer
        for _ in range(5)
        for peer in script.peers
        for _ in sent(script.say(lonely, Neighbour(alone=True)), peer, Full)
    ]
    assert len(sent_full) <= 1


def test_nodes_that_hear_heads_of_a_clock_liar_in_different_orders_agree() -> None:
    digests = set()
    for order in ((0, 1), (1, 0)):
        script = Scripted(peers=1)
        (peer,) = script.peers
        script.connect(peer)
        heads = [script.head(peer, [], 1, issued=7200)[0], script.head(peer, [], 2)[0]]
        for number in order:
            script.say(peer, Records((script.charters(peer),), (heads[number],)))
        digests.add(script.state.digest())
    assert len(digests) == 1
