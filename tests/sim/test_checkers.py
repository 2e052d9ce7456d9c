"""Every checker can fail: each rule is broken in a world by hand, and the checker says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from skerry.protocol.card import card_hash
from skerry.protocol.effects import Disconnect, Misbehaved, Send
from skerry.protocol.envelope import SEAL, Verified
from skerry.protocol.events import TimerFired
from skerry.protocol.head import make_head
from skerry.protocol.limits import LINKS_HARD_MAX, PROMISES_MAX, PUBLISH_QUEUE_MAX
from skerry.protocol.messages import MESSAGE, News
from skerry.protocol.reconcile import Entry
from skerry.protocol.state import State
from skerry.protocol.violations import Violation
from tests.sim.checkers import Checkers, CheckFailedError
from tests.sim.network import Node
from tests.sim.societies import Society
from tests.sim.world import World


class Scene:
    """Six nodes at rest, of which the first five are in a group."""

    def __init__(self) -> None:
        self.world = World(1, 6)
        self.checkers = Checkers(self.world)
        self.society = Society(self.world, self.world.rng, 0, self.world.nodes[:5], ())
        self.world.start_all()
        self.run(6.0)
        self.society.begin()
        self.run(8.0)
        self.world.publish(self.node, ["a", "b"])
        self.society.publish()
        self.run(20.0)
        self.checkers.at_rest([self.society])

    @property
    def node(self) -> Node:
        return self.world.nodes[0]

    @property
    def other(self) -> Node:
        return self.world.nodes[1]

    def run(self, seconds: float) -> None:
        self.world.network.run(self.world.network.now + seconds)

    def state(self, node: Node) -> State:
        assert node.state is not None
        return node.state

    def watched(self, node: Node, effect: object) -> None:
        """Have the checkers see an effect that the state did not want."""
        self.checkers._watch(node, TimerFired(next(iter(node.timers))), [effect])  # type: ignore[list-item]


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.world.network.observers.clear()


def a_card_is_lost(scene: Scene) -> None:
    held = scene.state(scene.other).heads()[scene.node.key]
    held.cards.pop(next(iter(held.cards)))
    scene.checkers.converged()


def a_withdrawn_card_is_shown(scene: Scene) -> None:
    scene.world.accepted[scene.node.key].popitem()
    scene.checkers.converged()


def a_head_differs(scene: Scene) -> None:
    scene.state(scene.other)._parts.indexes[b""].drop(scene.node.key)
    scene.checkers.agree(scene.world.nodes)


def a_catalogue_is_not_whole(scene: Scene) -> None:
    scene.state(scene.other).heads()[scene.node.key].shown = None
    scene.checkers.agree(scene.world.nodes)


def a_card_is_shown_that_no_head_signs(scene: Scene) -> None:
    held = scene.state(scene.other).heads()[scene.node.key]
    raw = scene.world.card(scene.node, "unsigned")
    held.cards[card_hash(raw)] = raw
    scene.checkers._shown[scene.other.index * 1000 + 1, b"", scene.node.key][card_hash(raw)] = raw
    scene.checkers.shown_is_verified()


def the_index_differs(scene: Scene) -> None:
    scene.checkers._shown[scene.other.index * 1000 + 1, b"", scene.node.key].popitem()
    scene.checkers.shown_is_verified()


def a_lease_has_ended(scene: Scene) -> None:
    scene.other.clock_offset += 40 * 24 * 3600
    scene.checkers.shown_is_verified()


def a_head_is_of_the_future(scene: Scene) -> None:
    scene.other.clock_offset -= 40 * 24 * 3600
    scene.checkers.shown_is_verified()


def the_links_fall_apart(scene: Scene) -> None:
    for link in list(scene.node.links.values()):
        scene.node.links.pop(link.other(scene.node).key)
        link.other(scene.node).links.pop(scene.node.key)
    scene.checkers.views_are_connected()


def a_lie_is_shown(scene: Scene) -> None:
    scene.world.false_cards[card_hash(scene.world.card(scene.node, "a"))] = None
    scene.checkers.lies_are_hidden()


def an_honest_card_is_hidden(scene: Scene) -> None:
    held = scene.state(scene.other).heads()[scene.node.key]
    held.hidden.add(next(iter(held.cards)))
    scene.checkers.converged()


def a_quota_is_passed(scene: Scene) -> None:
    scene.world.vouching = True
    scene.world.byzantine.add(scene.node.key)
    scene.world.limit(scene.world.nodes[-1], unvouched_cards_max=1)  # to whom no group vouches
    scene.checkers.quotas_hold()


def a_stranger_stores_a_record_of_a_group(scene: Scene) -> None:
    scene.world.nodes[-1].disk = scene.node.disk
    scene.checkers.strangers_hold_nothing_of_groups()


def a_member_lacks_a_card_of_a_group(scene: Scene) -> None:
    next(filter(None, scene.society.club.accepted.values())).popitem()
    scene.checkers.groups_agree([scene.society])


def members_disagree(scene: Scene) -> None:
    state = scene.state(scene.other)
    state._parts.indexes[scene.society.club.id].set.put(bytes(32), Entry(1, 1, bytes(32)))
    scene.checkers.groups_agree([scene.society])


def a_stranger_is_told_of_a_group(scene: Scene) -> None:
    frame = MESSAGE.encode(News(scene.society.club.id, 0, (), ()))
    scene.watched(scene.node, Send(scene.world.nodes[-1].key, frame.replace(b"\xa4news", b"\xa4newz")))


def a_stranger_is_sent_a_card_of_a_group(scene: Scene) -> None:
    scene.watched(scene.node, Send(scene.world.nodes[-1].key, b"model g0-1"))


def an_honest_node_is_charged(scene: Scene) -> None:
    scene.node.misbehaved.append(Misbehaved(scene.other.key, Violation.MALFORMED, "by hand"))
    scene.checkers.nobody_was_cut_off()


def an_honest_node_is_cut_off(scene: Scene) -> None:
    scene.watched(scene.node, Disconnect(scene.other.key, "score"))


def a_frame_is_too_large(scene: Scene) -> None:
    scene.watched(scene.node, Send(scene.other.key, bytes(70_000)))


def a_head_is_sent_before_it_is_stored(scene: Scene) -> None:
    scene.watched(scene.node, Send(scene.other.key, news(scene, seq=9)))


def a_number_is_given_twice(scene: Scene) -> None:
    frame = news(scene, seq=1)
    scene.checkers._stored.add((scene.node.key, MESSAGE.decode(frame).envelope))  # type: ignore[union-attr]
    scene.watched(scene.node, Send(scene.other.key, frame))


def a_disk_forgets_own_heads(scene: Scene) -> None:
    scene.node.disk.apply = scene.node.disk._unsynced.append  # type: ignore[method-assign]
    scene.world.publish(scene.node, ["c"])


def a_number_goes_back(scene: Scene) -> None:
    scene.checkers.bounds(scene.other)
    held = scene.state(scene.other).heads()[scene.node.key]
    older = msgspec.structs.replace(held.head.value, seq=0)
    held.head = Verified(older, held.head.raw, held.head.hash, SEAL)
    scene.checkers.bounds(scene.other)


def there_are_too_many_links(scene: Scene) -> None:
    peers = scene.state(scene.node).peers()
    one = next(iter(peers.values()))
    peers.update({bytes([number]) * 32: one for number in range(LINKS_HARD_MAX + 2)})
    scene.checkers.bounds(scene.node)


def there_are_too_many_promises(scene: Scene) -> None:
    peer = next(iter(scene.state(scene.node).peers().values()))
    peer.promises.update({("pull", bytes([number])): (0.0, 0.0) for number in range(PROMISES_MAX + 1)})
    scene.checkers.bounds(scene.node)


def a_queue_is_too_long(scene: Scene) -> None:
    waiting = scene.state(scene.node)._parts.publishing._waiting
    waiting.extend([None] * (PUBLISH_QUEUE_MAX + 1))  # type: ignore[list-item]
    scene.checkers.bounds(scene.node)


def news(scene: Scene, seq: int) -> bytes:
    """Return news of another head of the first node."""
    head = make_head(
        scene.world.signer_of(scene.node),
        owner=scene.world.owner_of[scene.node.key],
        epoch=1,
        seq=seq,
        root=bytes(32),
        count=1,
        issued=int(scene.world.network.config.wall),
    )
    return MESSAGE.encode(News(head.to_bytes(), 0, (), ()))


BREACHES: dict[Callable[[Scene], None], str] = {
    a_card_is_lost: "differ",
    a_withdrawn_card_is_shown: "differ",
    a_head_differs: "2 digests",
    a_catalogue_is_not_whole: "not whole",
    a_card_is_shown_that_no_head_signs: "that the head does not sign",
    the_index_differs: "the index differs",
    a_lease_has_ended: "outlived its lease",
    a_head_is_of_the_future: "of the future",
    the_links_fall_apart: "the links fall apart",
    a_lie_is_shown: "false sketch is shown",
    an_honest_card_is_hidden: "differ",
    a_quota_is_passed: "2 cards of 1",
    a_stranger_stores_a_record_of_a_group: "a stranger holds",
    a_member_lacks_a_card_of_a_group: "cards of group 0 differ",
    members_disagree: "group 0 disagrees",
    a_stranger_is_told_of_a_group: "told a stranger",
    a_stranger_is_sent_a_card_of_a_group: "sent a stranger",
    an_honest_node_is_charged: "charged 1",
    an_honest_node_is_cut_off: "cut off 1",
    a_frame_is_too_large: "over its limit",
    a_head_is_sent_before_it_is_stored: "before it was stored",
    a_number_is_given_twice: "equivocated",
    a_disk_forgets_own_heads: "may be lost",
    a_number_goes_back: "went back",
    there_are_too_many_links: "links",
    there_are_too_many_promises: "promises",
    a_queue_is_too_long: "publications holds",
}


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.__name__)
def test_a_breach_is_seen(scene: Scene, breach: Callable[[Scene], None]) -> None:
    with pytest.raises(CheckFailedError, match=BREACHES[breach]):
        breach(scene)


def test_what_was_taken_by_a_clock_that_was_ahead_is_no_breach(scene: Scene) -> None:
    scene.other.clock_set_back = 40 * 24 * 3600
    a_head_is_of_the_future(scene)
