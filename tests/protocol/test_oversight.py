"""Stolen keys, lying sketches, too many strangers, and an isolated node: what the state does about them."""

from __future__ import annotations

import pytest

from skerry.protocol.card import CARD, card_hash
from skerry.protocol.charter import CHARTER, next_charter
from skerry.protocol.context import StateConfig
from skerry.protocol.effects import (
    CardsChanged,
    Disconnect,
    DropCatalogue,
    DropNodeRecord,
    MayBeCutOff,
    PutRecord,
    SetTimer,
    SketchReported,
    WhyReport,
)
from skerry.protocol.envelope import Envelope, open_envelope
from skerry.protocol.events import (
    Disconnected,
    Publish,
    SketchVerdict,
    Timer,
    TimerFired,
    TimerKind,
    Vouch,
    WallClock,
    Why,
)
from skerry.protocol.head import HEAD
from skerry.protocol.history import Because
from skerry.protocol.limits import (
    HEAD_OLD_SECONDS,
    HEADS_TO_JUDGE_MIN,
    HOUSEKEEPING_SECONDS,
    OWN_HEAD_SECONDS,
    REPORT_SECONDS,
    REPORTS_PER_CARD,
    REPORTS_PER_OWNER_MAX,
)
from skerry.protocol.messages import Cards, CardsRequest, News, Records, TreeRequest
from skerry.protocol.report import REPORT, REPORT_TYPE, make_report, verify_report
from skerry.protocol.violations import Violation
from tests.protocol.scripted import Scripted, delivered, sent, stored, violations
from tests.protocol.world import NOW, Lab, flipped, node_key, outcome, refused
from tests.sim.network import Node

DAY = 24 * 3600


def publish(script: Scripted, peer: Node, *slugs: str, seq: int = 1) -> list[bytes]:
    """Have a scripted peer show cards; return them."""
    cards = [script.world.card(peer, slug) for slug in slugs]
    raw, _ = script.head(peer, cards, seq)
    script.say(peer, Records((script.charters(peer),), ()))
    script.say(peer, News(raw, 0, tuple(cards), ()))
    return cards


def revoked(script: Scripted, peer: Node) -> Records:
    """Return the charters in which a peer's owner takes its node key away."""
    charter = next_charter(
        open_envelope(script.charters(peer)[-1], "charter"),
        script.world.owner_signers(peer),
        issued=int(script.world.network.config.wall),
        node_keys=(),
    )
    return Records(((*script.charters(peer), charter.to_bytes()),), ())


def test_a_revoked_key_loses_its_heads_its_connection_and_its_record_at_once() -> None:
    script = Scripted()
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    publish(script, peer, "a")
    assert len(script.state.cards()) == 1
    effects = script.say(other, revoked(script, peer))
    assert script.state.cards() == []
    assert Disconnect(peer.key, "key-unknown") in effects
    assert DropNodeRecord(peer.key) in stored(effects, DropNodeRecord)
    script.happen(Disconnected(peer.key))
    assert violations(script.connect(peer)) == ["key-unknown"], "the old charters are no way back"


def of_own_owner(script: Scripted) -> tuple[bytes, ...]:
    """Return charters in which the owner of the node under test names a second machine, and takes it away."""
    chain = list(script.charters(script.node))
    wall = int(script.world.network.config.wall)
    own = CHARTER.decode(open_envelope(chain[0], "charter").body).node_keys
    for keys in ((*own, node_key("second", start=wall, end=own[0].not_after)), own):
        charter = next_charter(
            open_envelope(chain[-1], "charter"),
            script.world.owner_signers(script.node),
            issued=wall,
            node_keys=keys,
        )
        chain.append(charter.to_bytes())
    return tuple(chain)


def test_what_ends_another_machines_key_is_passed_on_and_the_own_head_is_signed_anew_at_once() -> None:
    script = Scripted()
    teller, other = script.peers
    script.connect(teller)
    script.connect(other)
    script.wait(OWN_HEAD_SECONDS + 1)
    card = script.world.card(script.node, "ward")
    script.happen(Publish(1, (card,)))
    chain = of_own_owner(script)
    effects = script.say(teller, Records((chain,), ()))
    assert chain in [charters for message in sent(effects, other, Records) for charters in message.charters]
    assert sent(effects, teller, Records) == [], "it told us"
    (news,) = sent(effects, other, News)
    head = HEAD.decode(open_envelope(news.envelope, "head").body)
    assert (head.epoch, head.seq, head.count) == (2, 2, 1)
    assert not stored(effects, DropCatalogue)
    assert script.state.cards() == [card]


def test_a_node_that_may_not_sign_yet_keeps_its_catalogue_and_shows_it_to_nobody() -> None:
    script = Scripted()
    teller, other = script.peers
    script.connect(teller)
    script.wait(OWN_HEAD_SECONDS + 1)
    card = script.world.card(script.node, "ward")
    script.happen(Publish(1, (card,)))
    script.world.network.crash(script.node)
    script.world.network.start(script.node)
    script.connect(teller)
    effects = script.say(teller, Records((of_own_owner(script),), ()))
    assert not stored(effects, DropCatalogue)
    assert not sent(effects, teller, News)
    assert script.state.cards() == [card]
    script.world.network.crash(script.node)
    script.world.network.start(script.node)
    script.connect(other)
    effects = script.wait(OWN_HEAD_SECONDS + HOUSEKEEPING_SECONDS + 1)
    news = sent(effects, other, News)[-1]
    assert HEAD.decode(open_envelope(news.envelope, "head").body).epoch == 2
    assert script.state.cards() == [card]


# Lying sketches.


def report(script: Scripted, accuser: Node, accused: Node, card: bytes) -> Envelope:
    return make_report(
        script.world.signer_of(accuser),
        owner=script.world.owner_of[accuser.key],
        scope=b"",
        accused=accused.key,
        card=card_hash(card),
        issued=int(script.world.network.config.wall),
    )


def test_a_verdict_hides_the_card_and_tells_others_who_must_compute_it_themselves() -> None:
    script = Scripted()
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    honest, liar = publish(script, peer, "honest", "liar")
    effects = script.happen(SketchVerdict(peer.key, CARD.decode(liar).id, honest=False))
    assert delivered(effects, CardsChanged)[-1].removed == (card_hash(liar),)
    assert script.state.cards() == [honest]
    (message,) = sent(effects, other, Records)
    said = open_envelope(message.envelopes[0], REPORT_TYPE)
    assert REPORT.decode(said.body).card == card_hash(liar)
    assert [item.own for item in stored(effects, PutRecord) if isinstance(item, PutRecord)] == [True]
    assert script.happen(SketchVerdict(peer.key, CARD.decode(liar).id, honest=False)) == []


def test_a_report_is_no_verdict_until_the_numbers_are_in() -> None:
    script = Scripted()
    peer, accuser = script.peers
    script.connect(peer)
    script.connect(accuser)
    (card,) = publish(script, peer, "a")
    said = report(script, accuser, peer, card).to_bytes()
    effects = script.say(accuser, Records((script.charters(accuser),), (said,)))
    reporter = script.world.owner_of[accuser.key]
    assert delivered(effects, SketchReported) == [SketchReported(b"", peer.key, card, reporter)]
    assert script.state.cards() == [card]
    assert sent(effects, peer, Records), "it is passed on all the same"
    script.happen(SketchVerdict(peer.key, CARD.decode(card).id, honest=True))
    assert script.state.cards() == [card]
    again = script.say(accuser, Records((script.charters(accuser),), (said,)))
    assert not delivered(again, SketchReported)
    script.happen(SketchVerdict(peer.key, CARD.decode(card).id, honest=False))
    assert script.state.cards() == []


def test_records_are_passed_on_as_far_as_a_peer_bears_them() -> None:
    """Found by the simulator: who passed on what two healed parts had said was cut off for it."""
    script = Scripted(peers=3)
    accuser, tired, other = script.peers
    for peer in script.peers:
        script.connect(peer)
    script.state.peers()[tired.key].passed.left = 0.0
    said = report(script, accuser, other, b"no card").to_bytes()
    effects = script.say(accuser, Records((script.charters(accuser),), (said,)))
    assert sent(effects, other, Records)
    assert not sent(effects, tired, Records)
    script.wait(1.0)
    said = report(script, accuser, other, b"another").to_bytes()
    assert sent(script.say(accuser, Records((script.charters(accuser),), (said,))), tired, Records)


def test_a_report_of_a_card_that_is_not_here_is_kept_and_troubles_nobody() -> None:
    script = Scripted()
    peer, accuser = script.peers
    script.connect(accuser)
    said = report(script, accuser, peer, b"no card").to_bytes()
    effects = script.say(accuser, Records((script.charters(accuser),), (said,)))
    assert stored(effects, PutRecord)
    assert not delivered(effects, SketchReported)


def test_an_accuser_has_a_quota() -> None:
    script = Scripted(peers=1)
    accuser = script.peers[0]
    script.connect(accuser)
    count = REPORTS_PER_OWNER_MAX + 5
    said = [report(script, accuser, accuser, bytes([number])).to_bytes() for number in range(count)]
    script.say(accuser, Records((script.charters(accuser),), tuple(said)))
    kept = script.node.disk.snapshot().records
    assert len(kept) == REPORTS_PER_OWNER_MAX
    assert not violations(script.effects), "too many reports are no violation"


def test_a_report_is_verified_like_any_record() -> None:
    lab = Lab()
    said = make_report(
        lab.node_signer, owner=lab.id, scope=b"", accused=bytes(32), card=bytes(32), issued=NOW
    )
    assert verify_report(said.to_bytes(), lab.trust, NOW).value.accused == bytes(32)
    with refused(Violation.OWNER_WRONG):
        verify_report(said.to_bytes(), Lab("Other").trust, NOW)
    with refused(Violation.LEASE_ENDED):
        verify_report(said.to_bytes(), lab.trust, NOW + 30 * DAY)
    for _, raw in flipped(said.to_bytes(), step=4):
        assert outcome(lambda item: verify_report(item, lab.trust, NOW), raw) is not None


def test_who_holds_reports_enough_hides_the_card_and_adds_none() -> None:
    """Found by the simulator: of one false card every node sent a report, and every node got all of them."""
    script = Scripted(peers=REPORTS_PER_CARD + 1)
    liar, *others = script.peers
    for peer in script.peers:
        script.connect(peer)
    card = script.world.card(liar, "a")
    publish(script, liar, "a")
    for peer in others:
        said = make_report(
            script.world.signer_of(peer),
            owner=script.world.owner_of[peer.key],
            scope=b"",
            accused=liar.key,
            card=card_hash(card),
            issued=int(script.world.network.config.wall),
        )
        script.say(peer, Records((script.charters(peer),), (said.to_bytes(),)))
    effects = script.happen(SketchVerdict(liar.key, CARD.decode(card).id, honest=False))
    assert script.state.cards() == []
    assert not stored(effects, PutRecord)


def test_who_judged_because_of_a_report_adds_its_own_later() -> None:
    """All others judge at the same moment: at once, every node of the network would report."""
    script = Scripted(peers=3)
    liar, accuser, other = script.peers
    for peer in script.peers:
        script.connect(peer)
    (card,) = publish(script, liar, "a")
    said = report(script, accuser, liar, card).to_bytes()
    script.say(accuser, Records((script.charters(accuser),), (said,)))
    effects = script.happen(SketchVerdict(liar.key, CARD.decode(card).id, honest=False))
    assert script.state.cards() == [], "it is hidden at once"
    assert not stored(effects, PutRecord)
    (timer,) = (effect for effect in effects if isinstance(effect, SetTimer))
    assert timer.timer == Timer(TimerKind.REPORT, card_hash(card))
    assert 0 < timer.at - script.world.network.now <= 1.1 * REPORT_SECONDS
    effects = script.happen(TimerFired(timer.timer))
    assert stored(effects, PutRecord)
    assert sent(effects, other, Records)


def test_a_card_that_comes_after_its_report_is_judged() -> None:
    script = Scripted()
    peer, accuser = script.peers
    script.connect(peer)
    script.connect(accuser)
    card = script.world.card(peer, "a")
    said = report(script, accuser, peer, card).to_bytes()
    script.say(accuser, Records((script.charters(accuser),), (said,)))
    before = len(script.effects)
    publish(script, peer, "a")
    reporter = script.world.owner_of[accuser.key]
    told = delivered(script.effects[before:], SketchReported)
    assert told == [SketchReported(b"", peer.key, card, reporter)]


# Strangers.


@pytest.fixture
def small() -> Scripted:
    """A node that keeps three cards of owners that nobody vouches for."""
    script = Scripted(peers=3)
    script.world.limit(script.node, unvouched_cards_max=3)
    script.world.network.crash(script.node)
    script.world.network.start(script.node)
    for peer in script.peers:
        script.connect(peer)
    return script


def test_strangers_share_one_quota_of_bodies_and_heads_are_admitted_all_the_same(small: Scripted) -> None:
    first, second, third = small.peers
    publish(small, first, "a", "b")
    publish(small, second, "c", "d")
    publish(small, third, "e")
    assert len(small.state.cards()) == 3
    assert len(small.state.heads()) == 3, "digests must converge"
    assert not sent(small.effects, second, TreeRequest)
    assert not sent(small.effects, second, CardsRequest)
    (why,) = delivered(small.happen(Why(1, small.world.owner_of[second.key])), WhyReport)
    withheld = [reason.detail for reason in why.reasons if reason.because is Because.WITHHELD]
    assert withheld[0].startswith("quota-strangers: 2 cards")


def test_a_catalogue_under_way_is_given_up_when_a_newer_head_is_beyond_the_quota(small: Scripted) -> None:
    """Found by the simulator: who sent what the older head signs was blamed for not sending the newer."""
    owner = small.peers[0]
    small.say(owner, Records((small.charters(owner),), ()))
    raw, catalogue = small.head(owner, [small.world.card(owner, "a")])
    (asked,) = sent(small.say(owner, News(raw, 0, (), ())), owner, TreeRequest)
    grown, _ = small.head(owner, [small.world.card(owner, slug) for slug in "abcd"], seq=2)
    effects = small.say(owner, News(grown, 0, (), ()))
    answers = [catalogue.answer(asked)]
    while answers:
        answer = answers.pop()
        assert answer is not None
        effects += (more := small.say(owner, answer))
        answers += [catalogue.answer(request) for request in sent(more, owner, TreeRequest)]
        for request in sent(more, owner, CardsRequest):
            effects += small.say(owner, Cards(request.head, (small.world.card(owner, "a"),)))
    assert violations(effects) == []
    assert small.state.cards() == []


def test_who_is_vouched_for_is_fetched(small: Scripted) -> None:
    first, second, _ = small.peers
    publish(small, first, "a", "b")
    publish(small, second, "c", "d")
    small.happen(Vouch((small.world.owner_of[second.key],)))
    before = len(small.effects)
    small.wait(130.0)
    asked = small.effects[before:]
    assert sent(asked, second, TreeRequest) or any(sent(asked, peer, TreeRequest) for peer in small.peers), (
        "it is on the wanted list now"
    )


def test_a_restart_gives_strangers_no_room(small: Scripted) -> None:
    """Found by the simulator: what was read from the disk did not count."""
    first, second, _ = small.peers
    publish(small, first, "a", "b")
    small.node.disk.snapshot()
    small.world.network.crash(small.node)
    small.world.network.start(small.node)
    assert len(small.state.cards()) == 2
    small.connect(second)
    publish(small, second, "c", "d")
    assert len(small.state.cards()) == 2


def test_a_stranger_that_withdraws_makes_room(small: Scripted) -> None:
    first, second, _ = small.peers
    publish(small, first, "a", "b")
    raw, _ = small.head(first, [], 2)
    small.say(first, News(raw, 1, (), tuple(CARD.decode(small.world.card(first, s)).id for s in "ab")))
    publish(small, second, "c", "d", "e")
    assert len(small.state.cards()) == 3


def test_the_quota_is_what_one_node_is_built_for() -> None:
    assert StateConfig().unvouched_cards_max == 1_000_000


# Being cut off.


def test_half_of_all_heads_unrenewed_is_an_alarm_that_ends_with_news() -> None:
    script = Scripted(peers=HEADS_TO_JUDGE_MIN)
    for peer in script.peers:
        script.connect(peer)
        publish(script, peer, "a")
    script.happen(WallClock(script.world.network.config.wall + HEAD_OLD_SECONDS + DAY))
    effects = script.wait(70.0)
    assert delivered(effects, MayBeCutOff) == [MayBeCutOff(True, 4, 4)]
    assert not delivered(script.wait(130.0), MayBeCutOff), "it is said once"
    for peer in script.peers[:3]:
        raw, _ = script.head(peer, [script.world.card(peer, "a")], 2, issued=HEAD_OLD_SECONDS)
        script.say(peer, News(raw, 1, (), ()))
    assert delivered(script.wait(130.0), MayBeCutOff) == [MayBeCutOff(False, 1, 4)]


def test_a_few_quiet_owners_alarm_nobody() -> None:
    script = Scripted(peers=2)
    for peer in script.peers:
        script.connect(peer)
        publish(script, peer, "a")
    script.happen(WallClock(script.world.network.config.wall + HEAD_OLD_SECONDS + DAY))
    assert not delivered(script.wait(130.0), MayBeCutOff)
