"""Broadcast: pushed once verified, along a tree that forms by itself, mends, and keeps its queues short."""

from __future__ import annotations

from skerry.protocol.effects import Effect, Send, SetTimer
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import Disconnected, Event, TimerKind
from skerry.protocol.exchange import Full, Graft, IHave, Prune
from skerry.protocol.head import head_id
from skerry.protocol.limits import (
    BUSY_SECONDS,
    DIAL_SECONDS,
    DUPLICATES_BEFORE_PRUNE,
    LINKS_MAX,
    PUSH_BYTES_MAX,
    REJOIN_SECONDS,
    VISIT_SECONDS,
)
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


def test_news_is_announced_to_a_peer_that_got_too_much_of_it() -> None:
    script = ready()
    source, tired, other = script.peers
    script.state.peers()[tired.key].passed.left = 0.0
    message, head = news(script, source, 2)
    effects = script.say(source, message)
    assert sent(effects, other, News) == [message]
    assert sent(effects, tired, News) == []
    assert [said.heads for said in sent(script.wait(1.0), tired, IHave)] == [(head_id(head),)]
    assert sent(script.say(tired, Graft(b"", head_id(head))), tired, News) == [message]


def test_news_that_was_asked_for_costs_nothing() -> None:
    script = ready()
    source = script.peers[0]
    message, head = news(script, source, 2)
    script.say(source, IHave(b"", (head_id(head),)))
    assert sent(script.wait(1.0), source, Graft)
    script.state.peers()[source.key].work.left = 0.0
    script.say(source, message)
    assert len(script.state.cards()) == 2
    assert script.state.peers()[source.key].score.abuse == 0.0


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


def test_a_duplicate_prunes_its_link_at_once_when_nothing_else_is_under_way() -> None:
    script = ready()
    source, copier, _ = script.peers
    message, _ = news(script, source, 1)
    script.say(source, message)
    assert sent(script.say(copier, message), copier, Prune)
    script.wait(2 * BUSY_SECONDS)
    message, _ = news(script, source, 1, seq=2)
    script.say(copier, message)
    assert not sent(script.say(source, message), copier, Prune)
    assert sent(script.say(source, message), source, Prune) == [], "it is lazy already"


def test_a_link_is_pruned_after_several_duplicates_while_several_heads_are_under_way() -> None:
    script = ready()
    source, copier, other = script.peers
    script.say(other, news(script, other, 1)[0])
    for seq in range(1, DUPLICATES_BEFORE_PRUNE + 1):
        message, _ = news(script, source, 1, seq)
        script.say(source, message)
        effects = script.say(copier, message)
        assert bool(sent(effects, copier, Prune)) == (seq == DUPLICATES_BEFORE_PRUNE)
    message, head = news(script, source, 1, seq=99)
    effects = script.say(source, message) + script.wait(0.5)
    assert not sent(effects, copier, News)
    assert sent(effects, copier, IHave) == [IHave(b"", (head[:8],))]


def test_who_has_no_eager_link_left_asks_a_peer_to_push_from_now_on() -> None:
    script = ready()
    first, second, third = script.peers
    for peer in (second, third):
        assert not sent(script.say(peer, Prune(b"")), first, Graft)
    effects = script.happen(Disconnected(first.key))
    grafts = [peer for peer in (second, third) if sent(effects, peer, Graft) == [Graft(b"", b"")]]
    assert len(grafts) == 1
    message, _ = news(script, first, 1)
    other = second if grafts == [third] else third
    assert sent(script.say(other, message), grafts[0], News) == [message]


def test_a_graft_without_a_head_is_answered_by_pushes_alone() -> None:
    script = ready()
    source, grafting, _ = script.peers
    script.say(grafting, Prune(b""))
    assert not [effect for effect in script.say(grafting, Graft(b"", b"")) if isinstance(effect, Send)]
    message, _ = news(script, source, 1)
    assert sent(script.say(source, message), grafting, News) == [message]


def test_a_graft_names_a_head_by_eight_bytes_at_least() -> None:
    script = ready()
    assert violations(script.say(script.peers[0], Graft(b"", bytes(7)))) == ["malformed"]


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


def grafted() -> tuple[Scripted, News]:
    """Return a state that has asked its second peer for news, which its first should push, and the news."""
    script = ready()
    _, asked, source = script.peers
    script.say(asked, Prune(b""))
    message, head = news(script, source, 1)
    script.say(asked, IHave(b"", (head,)))
    assert sent(script.wait(0.5), asked, Graft)
    return script, message


def test_who_is_asked_and_comes_first_takes_the_place_of_the_late_one() -> None:
    script, message = grafted()
    late, asked, _ = script.peers
    assert not sent(script.say(asked, message), asked, Prune)
    assert sent(script.say(late, message), late, Prune)


def test_an_answer_that_comes_after_the_push_is_a_duplicate() -> None:
    script, message = grafted()
    late, asked, _ = script.peers
    script.say(late, message)
    assert sent(script.say(asked, message), asked, Prune)


def test_a_push_of_what_repair_brought_is_no_duplicate() -> None:
    script = ready()
    source, copier, teller = script.peers
    message, _ = news(script, source, 1)
    script.say(teller, Records((), (message.envelope,)))
    assert not sent(script.say(source, message), source, Prune), "the first push of it"
    assert sent(script.say(copier, message), copier, Prune)


def test_a_push_of_what_a_visit_brought_is_no_duplicate() -> None:
    script = ready(LINKS_MAX + 2)
    visitor, source, copier = script.peers[-1], *script.peers[:2]
    message, head = news(script, source, 1)
    script.say(visitor, IHave(b"", (head,)))
    assert sent(script.wait(0.5), visitor, Graft)
    script.say(visitor, message)
    assert not sent(script.say(source, message), source, Prune), "the first push along the tree"
    assert sent(script.say(copier, message), copier, Prune)


def test_who_loses_the_link_that_news_came_by_asks_another_to_push() -> None:
    script = ready()
    source, lazy, eager = script.peers
    script.say(lazy, Prune(b""))
    script.say(source, news(script, source, 1)[0])
    effects = script.happen(Disconnected(source.key))
    assert sent(effects, lazy, Graft) == [Graft(b"", b"")]
    assert not sent(effects, eager, Graft)


def test_who_prunes_again_and_again_has_one_graft_sent() -> None:
    script = ready(5)
    source, *lazy = script.peers
    for peer in lazy:
        script.say(peer, Prune(b""))
    script.say(source, news(script, source, 1)[0])
    effects = [effect for _ in range(4) for effect in script.say(source, Prune(b""))]
    assert sum(len(sent(effects, peer, Graft)) for peer in lazy) == 1


def test_when_the_peer_that_was_asked_goes_the_next_is_asked_at_once() -> None:
    script = ready()
    leaving, staying, source = script.peers
    _, head = news(script, source, 1)
    for peer in (leaving, staying):
        script.say(peer, Prune(b""))
        script.say(peer, IHave(b"", (head,)))
    assert sent(script.wait(0.5), leaving, Graft) == [Graft(b"", head[:8])]
    assert Graft(b"", head[:8]) in sent(script.happen(Disconnected(leaving.key)), staying, Graft)


def test_who_loses_another_link_has_the_tree_still() -> None:
    script = ready()
    source, lazy, other = script.peers
    script.say(lazy, Prune(b""))
    script.say(source, news(script, source, 1)[0])
    assert not sent(script.happen(Disconnected(other.key)), lazy, Graft)


def test_no_tree_grows_over_a_visit() -> None:
    script = ready(LINKS_MAX + 2)
    visitor, source = script.peers[-1], script.peers[0]
    assert sent(script.effects, visitor, Full)
    message, head = news(script, source, 1)
    effects = script.say(source, message) + script.wait(0.5)
    assert not sent(effects, visitor, News)
    assert sent(effects, visitor, IHave) == [IHave(b"", (head[:8],))]
    assert sent(script.say(visitor, Graft(b"", head)), visitor, News) == [message]


def test_who_calls_for_a_visit_says_that_the_link_is_lazy() -> None:
    world = World(4, 12, real=False)
    network = world.network
    visits: list[bool] = []

    def watch(node: Node, event: Event, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send) and effect.frame == MESSAGE.encode(Prune(b"")):
                over = network.now + VISIT_SECONDS + 1.2 * DIAL_SECONDS
                network.at(over, lambda peer=effect.peer: visits.append(peer not in node.links))

    network.observers.append(watch)
    world.start_all()
    network.run(3 * REJOIN_SECONDS)
    # Nothing was published that could prune a link for another reason.
    assert len(visits) > len(world.nodes)
    assert all(visits)


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
    assert len(copies) / (len(world.nodes) - 1) - 1 < 0.2


def test_timers_for_announcements_are_of_the_grafting_kind() -> None:
    script = ready()
    effects = script.say(script.peers[0], IHave(b"", (bytes(32),)))
    assert [e.timer.kind for e in effects if isinstance(e, SetTimer)] == [TimerKind.GRAFT]
