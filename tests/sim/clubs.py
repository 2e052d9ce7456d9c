"""Groups for simulated worlds: rosters and admissions signed with keys that follow from the seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skerry.protocol.admission import make_admission
from skerry.protocol.card import CARD
from skerry.protocol.effects import Deliver, Effect, GroupChanged, Published, RecordsTaken
from skerry.protocol.envelope import Envelope
from skerry.protocol.events import Event, Publish, Received, TakeRecords
from skerry.protocol.roster import GroupRole, Member, Rosters, make_roster
from skerry.protocol.signing import SignatureScheme
from tests.sim.network import Node
from tests.sim.world import World

Roles = Sequence[tuple[Node, GroupRole]]


class Club:
    """A group of a world's nodes; every admin signs alone.

    Parameters
    ----------
    world
        The world.
    roles
        The first members.
    """

    def __init__(self, world: World, roles: Roles) -> None:
        self.world = world
        first = self.roster([], roles)
        self.rosters = Rosters(first.to_bytes(), self._wall, type(self._admin_key(roles[0][0])))
        self.first = first
        self.envelopes = [first]
        self.ever = dict.fromkeys(node.key for node, _ in roles)
        """Node keys of all who were told of the group at any time."""
        self.accepted: dict[bytes, dict[bytes, bytes]] = {}
        """Node key -> card id -> card, as far as the node said that the group sees it."""
        self._asked: dict[int, tuple[bytes, ...]] = {}
        world.clubs.append(self)
        world.network.observers.append(self._note_published)

    @property
    def id(self) -> bytes:
        """The group's id."""
        return self.rosters.group

    @property
    def _wall(self) -> int:
        return int(self.world.network.config.wall + self.world.network.now)

    def roster(self, parents: Iterable[Envelope], roles: Roles, *, lease: int | None = None) -> Envelope:
        """Return a roster signed by the first admin among the members."""
        admin = next(node for node, role in roles if role is GroupRole.ADMIN)
        known = [self.rosters.known[parent.hash] for parent in parents]
        return make_roster(
            known,
            [self._admin_key(admin)],
            owner=self.world.owner_of[admin.key],
            issued=self._wall,
            members=[self._member(node, role, admin) for node, role in roles],
            name="club",
            lease=lease,
        )

    def next(self, roles: Roles, *, parents: Sequence[Envelope] | None = None) -> Envelope:
        """Return a roster that follows the newest (or the parents given) and remember it."""
        self.ever.update(dict.fromkeys(node.key for node, _ in roles))
        envelope = self.roster(parents or self.envelopes[-1:], roles)
        self.rosters.add(envelope.to_bytes(), self._wall)
        self.envelopes.append(envelope)
        return envelope

    def admission(self, registrar: Node, newcomer: Node, role: GroupRole = GroupRole.READER) -> Envelope:
        """Return an admission to the newest version."""
        self.ever[newcomer.key] = None
        return make_admission(
            self.world.signer_of(registrar),
            owner=self.world.owner_of[registrar.key],
            group=self.id,
            version=self.rosters.version,
            member=self.world.owner_of[newcomer.key],
            role=role,
            issued=self._wall,
        )

    def give(self, node: Node, *envelopes: Envelope, registrar: Node | None = None) -> RecordsTaken:
        """Have a node's own people bring it records, with a registrar's charters."""
        answers: list[RecordsTaken] = []

        def note(of: Node, event: Event, effects: list[Effect]) -> None:
            del event
            whats = [effect.what for effect in effects if isinstance(effect, Deliver)]
            answers.extend(what for what in whats if of is node and isinstance(what, RecordsTaken))

        charters: tuple[tuple[bytes, ...], ...] = ()
        if registrar is not None and registrar.state is not None:
            charters = (registrar.state.identity().charters,)
        self.world.network.observers.append(note)
        raws = tuple(item.to_bytes() for item in envelopes)
        self.world.network.event(node, TakeRecords(1, raws, charters))
        self.world.network.observers.remove(note)
        return answers[0]

    def publish(self, node: Node, *slugs: str) -> None:
        """Have a node show cards to the group."""
        cards = tuple(self.world.card(node, slug) for slug in slugs)
        self.world.tokens += 1
        self._asked[self.world.tokens] = cards
        self.world.network.event(node, Publish(self.world.tokens, cards, (), self.id))

    def agree(self, nodes: Iterable[Node]) -> bool:
        """Return whether some members hold the same rosters and heads, and every catalogue whole."""
        seen = set()
        for node in nodes:
            if node.state is None or self.id not in (groups := node.state.groups().groups):
                return False
            if not all(held.whole for held in node.state.heads(self.id).values()):
                return False
            tips = tuple(tip.hash for tip in groups[self.id].rosters.tips)
            seen.add((tips, node.state.digest(self.id)))
        return len(seen) <= 1

    def _note_published(self, node: Node, event: Event, effects: list[Effect]) -> None:
        del event
        for effect in effects:
            if isinstance(effect, Deliver) and isinstance(effect.what, Published):
                cards = self._asked.pop(effect.what.token, ())
                self.accepted.setdefault(node.key, {}).update((CARD.decode(raw).id, raw) for raw in cards)

    def cards(self, node: Node) -> list[bytes]:
        """Return the group's cards that a node shows, in order."""
        state = node.state
        if state is None or self.id not in state.groups().groups:
            return []
        return sorted(state.cards(self.id))

    def open_to(self, node: Node) -> list[bytes]:
        """Return with whom a node's scope is open."""
        assert node.state is not None
        return list(node.state.groups().groups[self.id].open_to)

    def changes(self, node: Node) -> list[GroupChanged]:
        """Return what a node was told of groups."""
        return [what for _, what in node.deliveries if isinstance(what, GroupChanged)]

    def _member(self, node: Node, role: GroupRole, inviter: Node) -> Member:
        owner = self.world.owner_of
        key = self._admin_key(node).public_key if role is GroupRole.ADMIN else b""
        return Member(owner[node.key], role, key, owner[inviter.key])

    def _admin_key(self, node: Node) -> SignatureScheme:
        return self.world.key_of(node, "admin")


class Observer:
    """Every frame that some nodes received, as bytes."""

    def __init__(self, world: World, nodes: Iterable[Node]) -> None:
        self.frames: list[bytes] = []
        self._nodes = {node.key for node in nodes}
        world.network.observers.append(self._watch)

    def _watch(self, node: Node, event: Event, effects: list[Effect]) -> None:
        del effects
        if node.key in self._nodes and isinstance(event, Received):
            self.frames.append(event.frame)

    def saw(self, needle: bytes) -> bool:
        """Return whether some bytes came in any frame."""
        return any(needle in frame for frame in self.frames)
