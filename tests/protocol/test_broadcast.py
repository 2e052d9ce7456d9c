"""Broadcast: pushed once verified, along a tree that forms by itself, mends, and keeps its queues short."""

from __future__ import annotations

from skerry.protocol.effects import Send, SetTimer
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import TimerKind
from skerry.protocol.exchange import Graft, IHave, Prune
from skerry.protocol.limits import DUPLICATES_BEFORE_PRUNE, PUSH_BYTES_MAX
from skerry.protocol.messages import MESSAGE, News, Records
from tests.protocol.scripted import Scripted, sent, violations
from tests.sim.network import Node
from tests.sim.world import World


def ready(count: int = 3) -> Scripted:
    """Return a state that is connected to all its peers and knows their charters."""
    script = Scripted(peers=count)
    for peer in script.peers:
        script.connect(peer)
    return script


def news(script: Scripted, peer: Node, count: int, seq: int = 1) -> tuple[News, bytes]:
    """Return news of a peer's first cards, and the hash of its head."""
    cards = [script.world.card(peer, f"m{n}") for n in range(count)]
    raw, _ = script.head(peer, cards, seq=seq)
    return News(raw, 0, tuple(cards), ()), open_envelope(raw).hash


def test_verified_news_goes_to_everybody_but_its_sender() -> None:
    script = ready()
    message, _ = news(script, script.peers[0], 2)
    effects = script.say(script.peers[0], message)
    assert [sent(effects, peer, News) for peer in script.peers] == [[], [message], [message]]


def test_news_that_does_not_verify_goes_nowhere() -> None:
    script = ready()
    message, _ = news(script, script.peers[0], 2)
    forged = News(message.envelope[:-1] + bytes([message.envelope[-1] ^ 1]), 0, message.cards, ())
    effects = script.say(script.peers[0], forged)
    assert violations(effects) == ["signature-invalid"]
    assert not any(sent(effects, peer, News) for peer in script.peers)


def test_cards_that_the_head_does_not_sign_are_not_passed_on() -> None:
    script = ready()
    message, _ = news(script, script.peers[0], 2)
    swapped = News(message.envelope, 0, (message.cards[0], script.world.card(script.peers[0], "other")), ())
    effects = script.say(script.peers[0], swapped)
    assert not any(sent(effects, peer, News) for peer in script.peers[1:])
    assert script.state.cards() == []


def test_a_link_is_pruned_after_several_duplicates_only() -> None:
    script = ready()
    source, copier, _ = script.peers
    for seq in range(1, DUPLICATES_BEFORE_PRUNE + 1):
        message, _ = news(script, source, 1, seq)
        script.say(source, message)
        effects = script.say(copier, message)
        assert bool(sent(effects, copier, Prune)) == (seq == DUPLICATES_BEFORE_PRUNE)
    message, head = news(script, source, 1, seq=99)
    effects = script.say(source, message) + script.wait(0.5)
    assert not sent(effects, copier, News)
    assert sent(effects, copier, IHave) == [IHave(b"", (head[:8],))]


def test_a_head_that_was_announced_and_does_not_come_is_asked_for() -> None:
    script = ready()
    announcer, source, _ = script.peers
    message, head = news(script, source, 1)
    script.say(announcer, Prune(b""))
    effects = script.say(announcer, IHave(b"", (head,)))
    assert any(isinstance(effect, SetTimer) and effect.timer.key == head[:8] for effect in effects)
    assert sent(script.wait(3.0), announcer, Graft) == [Graft(b"", head[:8])]
    script.say(announcer, message)
    later, _ = news(script, source, 1, seq=2)
    assert sent(script.say(source, later), announcer, News), "the link is eager again"


def test_a_head_that_came_meanwhile_is_not_asked_for() -> None:
    script = ready()
    announcer, source, _ = script.peers
    message, head = news(script, source, 1)
    script.say(announcer, IHave(b"", (head,)))
    script.say(source, message)
    assert not sent(script.wait(5.0), announcer, Graft)


def test_a_graft_is_answered_with_the_news_or_later_with_the_head() -> None:
    script = ready()
    source, asker, _ = script.peers
    message, head = news(script, source, 1)
    script.say(source, message)
    assert sent(script.say(asker, Graft(b"", head)), asker, News) == [message]
    script.wait(200.0)
    assert sent(script.say(asker, Graft(b"", head)), asker, Records)


def test_large_publications_push_the_head_alone() -> None:
    script = ready()
    source, other, _ = script.peers
    count = PUSH_BYTES_MAX // len(script.world.card(source, "m1")) + 2
    cards = [script.world.card(source, f"m{n}") for n in range(count)]
    raw, _ = script.head(source, cards)
    effects = script.say(source, News(raw, 0, tuple(cards), ()))
    assert sent(effects, other, News) == [News(raw, 0, (), ())]


def test_news_settles_into_a_tree() -> None:
    world = World(5, 40, real=False)
    world.start_all(over=5.0)
    world.network.run(30.0)
    copies: list[int] = []
    world.network.observers.append(
        lambda node, event, effects: copies.extend(
            1 for e in effects if isinstance(e, Send) and isinstance(MESSAGE.decode(e.frame), News)
        )
    )
    for number in range(12):
        copies.clear()
        world.publish(world.nodes[number % 4], [f"m{number}"])
        world.network.run(world.network.now + 5.0)
        assert world.agree()
    assert len(copies) / (len(world.nodes) - 1) - 1 < 0.25


def test_timers_for_announcements_are_of_the_grafting_kind() -> None:
    script = ready()
    effects = script.say(script.peers[0], IHave(b"", (bytes(32),)))
    assert [e.timer.kind for e in effects if isinstance(e, SetTimer)] == [TimerKind.GRAFT]
