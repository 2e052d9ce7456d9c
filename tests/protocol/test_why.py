"""Why something is absent: every reason from what really happened to a state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.protocol.card import CARD
from skerry.protocol.charter import next_charter
from skerry.protocol.effects import WhyReport
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import ConnectFailed, Received, SketchVerdict, WallClock, Why
from skerry.protocol.history import Because, History
from skerry.protocol.limits import HEAD_LEASE_SECONDS_MAX, HISTORY_REASONS_MAX, HISTORY_SUBJECTS_MAX
from skerry.protocol.messages import News, Records
from tests.protocol.scripted import Scripted, delivered
from tests.sim.network import Node

DAY = 24 * 3600


def ask(script: Scripted, subject: bytes, owner: bytes = b"") -> list[Because]:
    reports = delivered(script.happen(Why(7, subject, owner)), WhyReport)
    assert [(report.token, report.subject) for report in reports] == [(7, subject)]
    return [reason.because for reason in reports[0].reasons]


def details(script: Scripted, subject: bytes, owner: bytes = b"") -> list[str]:
    (report,) = delivered(script.happen(Why(7, subject, owner)), WhyReport)
    return [reason.detail for reason in report.reasons]


@pytest.fixture
def script() -> Scripted:
    return Scripted()


def owner_of(script: Scripted, peer: Node) -> bytes:
    return script.world.owner_of[peer.key]


def publish(script: Scripted, peer: Node, slugs: list[str], seq: int = 1) -> list[bytes]:
    """Have a scripted peer show cards; return their ids."""
    cards = [script.world.card(peer, slug) for slug in slugs]
    raw, _ = script.head(peer, cards, seq)
    script.say(peer, Records((script.charters(peer),), ()))
    script.say(peer, News(raw, 0, tuple(cards), ()))
    return [CARD.decode(card).id for card in cards]


def test_an_id_of_which_nobody_spoke(script: Scripted) -> None:
    assert ask(script, bytes(32)) == [Because.NEVER_HEARD]


def test_a_peer_that_is_here_and_one_that_cannot_be_reached(script: Scripted) -> None:
    here, gone = script.peers
    script.connect(here)
    script.happen(ConnectFailed(gone.key))
    assert ask(script, here.key) == [Because.PRESENT]
    assert ask(script, gone.key) == [Because.UNREACHABLE]


def test_a_peer_that_was_cut_off_names_its_violation(script: Scripted) -> None:
    peer = script.peers[0]
    script.connect(peer)
    for _ in range(5):
        script.happen(Received(peer.key, b"\xc1"))
    assert ask(script, peer.key) == [Because.DISCONNECTED, Because.DISCONNECTED, Because.REFUSED]
    assert details(script, peer.key)[-1].startswith("malformed: ")


def test_an_owner_whose_head_was_refused(script: Scripted) -> None:
    peer = script.peers[0]
    script.connect(peer)
    forged = bytearray(script.head(peer, [])[0])
    forged[-1] ^= 1
    script.say(peer, Records((script.charters(peer),), (bytes(forged),)))
    assert ask(script, owner_of(script, peer)) == [Because.NO_HEAD, Because.REFUSED]
    assert details(script, owner_of(script, peer))[-1].startswith("signature-invalid: head")
    script.say(peer, News(bytes(forged), 0, (), ()))
    assert Because.REFUSED in ask(script, peer.key)


def test_a_head_whose_lease_ended(script: Scripted) -> None:
    peer = script.peers[0]
    script.connect(peer)
    publish(script, peer, ["a"])
    script.happen(WallClock(script.world.network.config.wall + HEAD_LEASE_SECONDS_MAX + 2 * DAY))
    script.wait(70.0)
    assert Because.LEASE_ENDED in ask(script, owner_of(script, peer))


def test_a_card_that_is_shown_one_that_was_withdrawn_and_one_that_never_was(script: Scripted) -> None:
    peer = script.peers[0]
    script.connect(peer)
    kept, withdrawn = publish(script, peer, ["kept", "withdrawn"])
    raw, _ = script.head(peer, [script.world.card(peer, "kept")], 2)
    script.say(peer, News(raw, 1, (), (withdrawn,)))
    assert ask(script, kept) == [Because.PRESENT]
    assert ask(script, withdrawn) == [Because.WITHDRAWN]
    assert details(script, withdrawn) == ["by seq 2"]
    assert ask(script, bytes(32), owner_of(script, peer)) == [Because.NOT_IN_HEAD]
    assert details(script, bytes(32), owner_of(script, peer)) == [f"key {peer.key.hex()} epoch 1 seq 2"]
    assert ask(script, bytes(32), bytes(31) + b"\1") == [Because.NEVER_HEARD]


def test_a_card_with_a_lying_sketch_and_one_of_a_disputed_head(script: Scripted) -> None:
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    (card,) = publish(script, peer, ["liar"])
    script.happen(SketchVerdict(peer.key, card, honest=False))
    assert ask(script, card) == [Because.WITHHELD]
    (disputed,) = publish(script, other, ["one"])
    rival, _ = script.head(other, [], issued=1)
    script.say(other, Records((), (rival,)))
    assert ask(script, disputed)[0] is Because.DISPUTED


def test_a_catalogue_that_is_still_fetched_and_a_frozen_owner(script: Scripted) -> None:
    peer, other = script.peers
    script.connect(peer)
    script.connect(other)
    raw, _ = script.head(peer, [script.world.card(peer, "a")])
    script.say(peer, Records((script.charters(peer),), (raw,)))
    assert ask(script, owner_of(script, peer)) == [Because.NOT_WHOLE]
    newest = open_envelope(script.charters(peer)[-1], "charter")
    wall = int(script.world.network.config.wall)
    for name in ("one", "another"):
        rival = next_charter(newest, script.world.owner_signers(peer), issued=wall, name=name)
        script.say(other, Records(((*script.charters(peer), rival.to_bytes()),), ()))
    assert ask(script, owner_of(script, peer))[0] is Because.FROZEN


@given(st.lists(st.tuples(st.integers(0, 9000), st.sampled_from(Because), st.text(max_size=300))))
def test_the_log_is_bounded_and_newest_first(notes: list[tuple[int, Because, str]]) -> None:
    history = History()
    for wall, (subject, because, detail) in enumerate(notes):
        history.note(subject.to_bytes(32, "big"), because, detail, wall)
    assert len(history) <= HISTORY_SUBJECTS_MAX
    for subject, because, detail in notes[-1:]:
        reasons = history.of(subject.to_bytes(32, "big"))
        assert len(reasons) <= HISTORY_REASONS_MAX
        assert (reasons[0].because, reasons[0].detail) == (because, detail[:200])
        times = [reason.at or 0 for reason in reasons]
        assert times == sorted(times, reverse=True)


def test_a_flood_of_subjects_pushes_the_oldest_out() -> None:
    history = History()
    for number in range(HISTORY_SUBJECTS_MAX + 10):
        history.note(number.to_bytes(32, "big"), Because.REFUSED, "", number)
    assert len(history) == HISTORY_SUBJECTS_MAX
    assert history.of(bytes(32)) == ()
