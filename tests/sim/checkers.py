"""What must hold in every run: checked while it runs, and after it has come to rest.

Each checker is one sentence of the design, held against the states and disks themselves, not against what
they say. A failure is a :class:`CheckFailedError` with the node and the time; who runs the simulation adds
the seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from skerry.protocol.card import CARD, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.effects import CardsChanged, Deliver, Disconnect, Effect, PutCatalogue, Send, Store
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import Event, Started
from skerry.protocol.head import HEAD
from skerry.protocol.limits import (
    ANNOUNCED_MAX,
    CLOCK_TOLERANCE_SECONDS,
    FRAME_BYTES_MAX,
    HEADS_MAX,
    HOUSEKEEPING_SECONDS,
    LAZY_QUEUE_MAX,
    LINKS_CHOSEN_MIN,
    LINKS_HARD_MAX,
    NODES_KNOWN_MAX,
    PROMISES_MAX,
    PUBLISH_QUEUE_MAX,
    PUSHED_FRAMES_MAX,
    RECONCILE_QUEUE_MAX,
)
from skerry.protocol.messages import MESSAGE, News
from skerry.protocol.state import State
from tests.sim.network import Node
from tests.sim.societies import Society
from tests.sim.world import World

QUEUES = {
    "wanted": HEADS_MAX,
    "lazy": LAZY_QUEUE_MAX,
    "announced": ANNOUNCED_MAX,
    "pushed": PUSHED_FRAMES_MAX,
    "came": PUSHED_FRAMES_MAX,
    "records": RECONCILE_QUEUE_MAX,
    "publications": PUBLISH_QUEUE_MAX,
}
"""Every queue that a state tells of, with its bound."""
SURROUNDED_PART = 0.1
"""Most nodes surrounded by liars at a time, for each liar: with one liar in five about one node in 600 is."""
GROUP_CARD = b"model g"
"""What every card of a drawn group contains, and no public one."""


class CheckFailedError(AssertionError):
    """A rule of the design did not hold."""


class Checkers:
    """Watches a world; attach it before anything starts.

    Parameters
    ----------
    world
        The world to watch.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.events = 0
        self._numbers: dict[tuple[int, bytes], tuple[int, int]] = {}
        self._shown: dict[tuple[int, bytes, bytes], dict[bytes, bytes]] = {}
        self._signed: dict[tuple[bytes, bytes, int, int], bytes] = {}
        self.met: dict[bytes, None] = {}
        """Honest nodes that were seen connected with most of the others, since this was emptied."""
        self._stored: set[tuple[bytes, bytes]] = set()
        """(node key, own head) of what was on a disk at any time."""
        world.network.observers.append(self._watch)

    def _watch(self, node: Node, event: Event, effects: list[Effect]) -> None:
        self.events += 1
        if node.key in self.world.byzantine:
            return
        if isinstance(event, Started):
            self._shown.update(
                ((node.index * 1000 + node.starts, *place), dict(held.cards))
                for place, held in node.disk.snapshot().catalogues.items()
            )
        latest: dict[bytes, bytes] = {}
        for effect in effects:
            match effect:
                case Store(PutCatalogue(own=True, scope=scope, head=head)):
                    self._stored.add((node.key, head))
                    latest[scope] = head
                case Send(peer, frame):
                    self._own_heads_are_stored_first(node, frame)
                    self._groups_stay_inside(node, peer, frame)
                case Deliver(CardsChanged() as change):
                    self._index_follows(node, change)
                case Disconnect(peer, "score") if peer not in self.world.byzantine:
                    self._expect(False, node, f"cut off {self._index_of(peer)}, which is honest")
        for scope, head in latest.items():
            self._expect(node.disk.durable(node.key, scope) == head, node, "an own head may be lost")
        if self.events % 50 == 0:
            self.bounds(node)

    def _own_heads_are_stored_first(self, node: Node, frame: bytes) -> None:
        """Own heads are on the disk before anything is sent, and no number is given away twice."""
        self._expect(len(frame) <= FRAME_BYTES_MAX, node, "a frame over its limit")
        message = MESSAGE.decode(frame) if b"\xa4news" in frame[:16] else None
        if not isinstance(message, News):
            return
        envelope = open_envelope(message.envelope)
        if envelope.signers[0] != node.key:
            return
        head = HEAD.decode(envelope.body)
        stored = (node.key, message.envelope) in self._stored
        self._expect(stored, node, "an own head sent before it was stored")
        first = self._signed.setdefault((node.key, head.scope, *head.order), envelope.hash)
        self._expect(first == envelope.hash, node, "an honest node equivocated")

    def _groups_stay_inside(self, node: Node, peer: bytes, frame: bytes) -> None:
        """Who was never in a group is sent nothing of it: neither its id nor its cards."""
        if not self.world.clubs:
            return
        shared = [club for club in self.world.clubs if peer in club.ever]
        for club in self.world.clubs:
            self._expect(club in shared or club.id not in frame, node, "told a stranger of a group")
        self._expect(bool(shared) or GROUP_CARD not in frame, node, "sent a stranger a group's card")

    def _index_follows(self, node: Node, change: CardsChanged) -> None:
        """What was delivered adds up, and every card is its owner's."""
        place = (node.index * 1000 + node.starts, change.scope, change.node_key)
        shown = self._shown.setdefault(place, {})
        for digest in change.removed:
            self._expect(digest in shown, node, "a card was removed that was not shown")
            del shown[digest]
        for digest, raw in change.added.items():
            self._expect(CARD.decode(raw).owner == change.owner, node, "a card of another owner was shown")
            self._expect(card_hash(raw) == digest, node, "a card was delivered under another's hash")
            shown[digest] = raw

    def bounds(self, node: Node) -> None:
        """Every queue and view is bounded, and no (epoch, seq) goes back."""
        if node.state is None:
            return
        state = node.state
        self._expect(len(state.peers()) <= LINKS_HARD_MAX + 1, node, f"{len(state.peers())} links")
        self._expect(len(state.node_records()) <= NODES_KNOWN_MAX + LINKS_HARD_MAX, node, "too many records")
        for peer in state.peers().values():
            self._expect(len(peer.promises) <= PROMISES_MAX, node, "too many promises")
        for name, size in state.queues().items():
            self._expect(size <= QUEUES[name], node, f"{name} holds {size}")
        for key, held in state.heads().items():
            number = held.head.value.order
            last = self._numbers.get((node.index * 1000 + node.starts, key), number)
            self._expect(number >= last, node, "a number went back")
            self._numbers[node.index * 1000 + node.starts, key] = number

    def shown_is_verified(self) -> None:
        """Nothing is shown that a live head does not cover, and the index that was fed equals the state's."""
        for node, state in self._states(self.world.honest()):
            for scope in (b"", *state.groups().groups):
                for key, held in state.heads(scope).items():
                    self._is_live(node, held.head.value.issued, held.head.value.lease)
                    fed = self._shown.get((node.index * 1000 + node.starts, scope, key), {})
                    self._expect(fed == held.visible, node, "the index differs from the state")
                    if held.shown is not None and held.partial is None:
                        self._is_the_catalogue(node, held.cards, held.shown.value.root)

    def _is_live(self, node: Node, issued: int, lease: int) -> None:
        now, tolerance = self.world.network.wall(node), CLOCK_TOLERANCE_SECONDS
        self._expect(lease >= now - tolerance - 2 * HOUSEKEEPING_SECONDS, node, "a head outlived its lease")
        # What a node took by a clock that was ahead stays, when the clock is set back.
        self._expect(issued <= now + node.clock_set_back + tolerance, node, "a head of the future")

    def _is_the_catalogue(self, node: Node, cards: Mapping[bytes, bytes], root: bytes) -> None:
        """Hold the cards against the signed root by building the catalogue from nothing."""
        entries = []
        for digest, raw in cards.items():
            self._expect(card_hash(raw) == digest, node, "a card under a wrong hash")
            card = CARD.decode(raw)
            entries.append(Entry(card.id, card.island, digest))
        self._expect(Catalogue.build(entries).root == root, node, "cards that the head does not sign")

    def at_rest(self, societies: Sequence[Society] = ()) -> None:
        """All that must hold after quiet time in a network that is whole."""
        self.converged()
        self.views_are_connected()
        self.shown_is_verified()
        self.lies_are_hidden()
        self.quotas_hold()
        self.groups_agree(societies)
        self.strangers_hold_nothing_of_groups()
        self.nobody_was_cut_off()

    def converged(self) -> None:
        """After quiet time all honest nodes hold the same, and every accepted card is there."""
        self.agree(self.world.honest())
        for node, state in self._states(self.world.honest()):
            self._accepted_cards_are_there(node, state)

    def agree(self, nodes: Iterable[Node]) -> None:
        """Hold the digests of some nodes against each other, and what one has whole, all must have."""
        states = list(self._states(nodes))
        views = {self.world.view(state) for _, state in states}
        if len(views) > 1:
            raise CheckFailedError(f"{len(views)} digests among {len(states)} nodes")
        heads = (item for _, state in states for item in state.heads().items())
        owed = {key for key, held in heads if held.whole} - self.world.byzantine
        for node, state in states:
            for key, held in state.heads().items():
                if key in owed:
                    self._expect(held.whole, node, f"catalogue of {self._index_of(key)} not whole")

    def _accepted_cards_are_there(self, node: Node, state: State) -> None:
        for key, accepted in self.world.accepted.items():
            if key not in self.world.byzantine:
                held = state.heads().get(key)
                have = set() if held is None else set(held.cards.values())
                shown = set() if held is None else set(held.visible.values())
                missing = f"cards of {self._index_of(key)} differ"
                self._expect(have == shown == set(accepted.values()), node, missing)

    def all_have_met(self) -> bool:
        """Note who is connected with most of the others over honest nodes alone; return whether all were."""
        most = max(self.world.components(), key=len, default=[])
        self.met.update(dict.fromkeys(node.key for node in most))
        return all(node.key in self.met for node in self.world.honest() if node.up)

    def views_are_connected(self) -> None:
        """Honest nodes are connected with each other over honest nodes alone.

        All links of a few may be to liars, since everybody chooses at random. That is found out by the visits
        that every node makes: so such a node met the others since all was quiet, and lacks no link.
        """
        apart = sorted(self.world.components(), key=len)[:-1]
        surrounded = [node for component in apart for node in component]
        sizes = [len(component) for component in apart]
        if len(surrounded) > len(self.world.byzantine) * SURROUNDED_PART:
            raise CheckFailedError(f"the links fall apart: {sizes} honest nodes")
        self.all_have_met()
        for node in surrounded:
            self._expect(node.key in self.met, node, "surrounded by liars, and has not met the others")
            liars = sum(key in self.world.byzantine for key in node.links)
            self._expect(liars >= LINKS_CHOSEN_MIN, node, f"apart from the others with {liars} liars")

    def lies_are_hidden(self) -> None:
        """No card with a false sketch is shown."""
        if self.world.false_cards:
            for node, state in self._states(self.world.honest()):
                for held in state.heads().values():
                    lies = [digest for digest in held.visible if digest in self.world.false_cards]
                    self._expect(not lies, node, "a card with a false sketch is shown")

    def quotas_hold(self) -> None:
        """What owners hold for whom nobody vouches stays within the quota, however many they are."""
        vouched = {self.world.owner_of[node.key] for node in self.world.honest()}
        for node, state in self._states(self.world.honest() if self.world.vouching else ()):
            member = state.groups().is_member
            counts = [
                len(held.cards)
                for held in state.heads().values()
                if held.head.value.owner not in vouched and not member(held.head.value.owner)
            ]
            most = self.world.cards_max(node)
            self._expect(sum(counts) <= most, node, f"{sum(counts)} cards of {most}")

    def groups_agree(self, societies: Sequence[Society]) -> None:
        """All members of a group show what its publishers were told that it sees."""
        for society in societies:
            for node in society.members():
                self._expect(society.club.agree((node,)), node, f"group {society.number} is not whole")
                same = society.shown(node) == society.expected()
                self._expect(same, node, f"cards of group {society.number} differ")
            members = society.members()
            self._expect(society.club.agree(members), members[0], f"group {society.number} disagrees")

    def strangers_hold_nothing_of_groups(self) -> None:
        """No honest node that was never a member stores or shows a group's record."""
        for node, state in self._states(self.world.honest() if self.world.clubs else ()):
            on_disk = node.disk.scopes()
            for club in self.world.clubs:
                if node.key not in club.ever:
                    holds = club.id in on_disk or club.id in state.groups().groups
                    self._expect(not holds, node, "a stranger holds a group's record")
            if not any(node.key in club.ever for club in self.world.clubs):
                self._expect(on_disk <= {b""}, node, "a stranger holds a group's record")

    def nobody_was_cut_off(self) -> None:
        """No honest node was charged with anything by an honest one."""
        for node in self.world.honest():
            for charge in node.misbehaved:
                if charge.peer not in self.world.byzantine and charge.violation.blames_sender:
                    self._expect(False, node, f"charged {self._index_of(charge.peer)}: {charge.detail}")

    @staticmethod
    def _states(nodes: Iterable[Node]) -> Iterator[tuple[Node, State]]:
        """Yield the nodes that run, with their states."""
        for node in nodes:
            if node.state is not None:
                yield node, node.state

    def _index_of(self, key: bytes) -> int:
        return self.world.network.node(key).index

    def _expect(self, holds: bool, node: Node, what: str) -> None:
        if not holds:
            raise CheckFailedError(f"node {node.index} at {self.world.network.now:.3f} s: {what}")
