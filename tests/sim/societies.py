"""Groups in drawn runs: who is in, who was put out, and what admins, publishers and members do all day."""

from __future__ import annotations

import random
from collections.abc import Sequence

from skerry.protocol.card import card_hash
from skerry.protocol.envelope import Envelope
from skerry.protocol.events import AddressesConfigured, LeaveGroup
from skerry.protocol.roster import GroupRole
from tests.sim.clubs import Club
from tests.sim.network import Node
from tests.sim.world import World

MEMBERS_MAX = 7
RETURNS_AFTER_SECONDS = 5.0


class Society:
    """One group of a run.

    Parameters
    ----------
    world, rng
        The world, and what draws.
    number
        Of the group: its cards are called ``gNUMBER-...``, which nothing else is.
    members
        Honest ones: two admins, a registrar, publishers, and a reader last.
    traitors
        Byzantine ones: publishers as well.
    """

    def __init__(
        self,
        world: World,
        rng: random.Random,
        number: int,
        members: Sequence[Node],
        traitors: Sequence[Node],
    ) -> None:
        self.world, self.rng, self.number = world, rng, number
        admin, publisher = GroupRole.ADMIN, GroupRole.PUBLISHER
        ranks = [admin, admin, GroupRole.REGISTRAR, *[publisher] * (len(members) - 4), GroupRole.READER]
        self.roles = dict(zip(members, ranks, strict=True))
        self.present: dict[Node, GroupRole] = {**self.roles, **dict.fromkeys(traitors, publisher)}
        self.admins = tuple(members[:2])
        self.club = Club(world, list(self.present.items()))
        self.tips: list[Envelope] = [self.club.first]
        self._cards = 0

    def begin(self) -> None:
        """Invite everybody."""
        for node in list(self.present):
            self._invite(node)

    def publish(self) -> None:
        """Have somebody show cards to the group."""
        able = [
            node
            for node, role in self.present.items()
            if role.rank >= GroupRole.PUBLISHER.rank
            if node.state is not None and self.club.id in node.state.groups().groups
        ]
        node = self._one(able)
        if node is not None:
            self._cards += 1
            self.club.publish(node, *(f"g{self.number}-{self._cards}-{part}" for part in range(3)))

    def change(self) -> None:
        """Have an admin put somebody out, or bring somebody back."""
        admin = self.admins[0]
        if not admin.up or len(self.tips) > 1:
            return
        gone = [node for node in self.roles if node not in self.present]
        back = self.rng.choice(gone) if gone and self.rng.random() < 0.5 else None
        if back is not None:
            self.present[back] = self.roles[back]
        else:
            self.present.pop(self._leaver(), None)
        self.tips = [self._roster(admin, self.present)]
        if back is not None:
            self._invite(back)

    def put_out(self, nodes: Sequence[Node]) -> None:
        """Have the admin put some members out, as soon as it runs."""
        admin = self.admins[0]
        if not admin.up:
            self.world.network.at(self.world.network.now + 1.0, lambda: self.put_out(nodes))
            return
        for node in nodes:
            self.present.pop(node, None)
        self.tips = [self._roster(admin, self.present)]

    def disagree(self) -> None:
        """Have both admins change the roster without knowing of each other."""
        if len(self.tips) > 1 or not all(admin.up for admin in self.admins):
            return
        parents = self.tips
        self.tips = []
        for admin in self.admins:
            leaver = self._leaver()
            others = {node: role for node, role in self.present.items() if node is not leaver}
            self.tips.append(self._roster(admin, others, parents))

    def leave_and_return(self) -> None:
        """Have a member forget the group, and come back on another invitation."""
        node = self._one([node for node in self.present if node not in self.admins and self._is_kept(node)])
        if node is not None:
            self.world.network.event(node, LeaveGroup(self.club.id))
            later = self.world.network.now + RETURNS_AFTER_SECONDS
            self.world.network.at(later, lambda: self._invite(node))

    def conclude(self) -> None:
        """Have the admins come to agree."""
        if len(self.tips) > 1:
            self.tips = [self._roster(self.admins[0], self.present, self.tips)]

    def members(self) -> list[Node]:
        """Return the honest members that run."""
        return [node for node in self.present if node.up and node.key not in self.world.byzantine]

    def expected(self) -> list[bytes]:
        """Return the cards that every member has to show: of all honest publishers."""
        return sorted(
            card
            for node in self.present
            if node.key not in self.world.byzantine
            for card in self.club.accepted.get(node.key, {}).values()
        )

    def shown(self, node: Node) -> list[bytes]:
        """Return the cards of honest publishers that a member shows."""
        assert node.state is not None
        heads = node.state.heads(self.club.id).items()
        cards = [
            card for key, held in heads if key not in self.world.byzantine for card in held.cards.items()
        ]
        assert all(card_hash(raw) == digest for digest, raw in cards)
        return sorted(raw for _, raw in cards)

    def _roster(
        self, admin: Node, present: dict[Node, GroupRole], parents: Sequence[Envelope] = ()
    ) -> Envelope:
        roles = sorted(present.items(), key=lambda item: item[0] is not admin)
        envelope = self.club.next(roles, parents=parents or self.tips)
        # Who joins two rosters has both.
        known = parents or (self.tips if len(self.tips) > 1 else ())
        self.club.give(admin, *known, envelope)
        return envelope

    def _invite(self, node: Node) -> None:
        """Give a node what an invitation brings: the rosters, and an admin's address."""
        if not node.up:
            self.world.network.at(self.world.network.now + 1.0, lambda: self._invite(node))
            return
        self.club.give(node, *self.club.envelopes)
        address = f"{self.admins[0].address}#{'0' * 8}"
        if node is not self.admins[0]:
            self.world.network.event(node, AddressesConfigured((address,)))

    def _is_kept(self, node: Node) -> bool:
        """Return whether an admin, who stays, has what a node published: it is forgotten where one leaves."""
        if not self.club.accepted.get(node.key):
            return True
        states = [admin.state for admin in self.admins if admin.state is not None]
        held = [state.heads(self.club.id).get(node.key) for state in states]
        cards = self.club.accepted[node.key].values()
        return any(one is not None and set(cards) <= set(one.cards.values()) for one in held)

    def _leaver(self) -> Node:
        return self.rng.choice([node for node in self.roles if node not in self.admins])

    def _one(self, nodes: Sequence[Node]) -> Node | None:
        up = [node for node in nodes if node.up]
        return self.rng.choice(up) if up else None
