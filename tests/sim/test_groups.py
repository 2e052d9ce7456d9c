"""Groups in whole networks: members share, nobody else learns anything, and removal takes effect at once."""

from __future__ import annotations

import pytest

from skerry.protocol.card import card_hash
from skerry.protocol.effects import PublishRefused
from skerry.protocol.events import AddressesConfigured, LeaveGroup, Received
from skerry.protocol.messages import MESSAGE, Records
from skerry.protocol.roster import GroupRole
from tests.sim.byzantine import ForwardingMember
from tests.sim.checkers import Checkers
from tests.sim.clubs import Club, Observer
from tests.sim.network import NetworkConfig
from tests.sim.world import World

ADMIN, REGISTRAR, PUBLISHER, READER = (
    GroupRole.ADMIN,
    GroupRole.REGISTRAR,
    GroupRole.PUBLISHER,
    GroupRole.READER,
)


class Scene:
    """Eight nodes, of which the first four are in a group."""

    def __init__(self, seed: int = 1, loss: float = 0.01) -> None:
        self.world = World(seed, 8, NetworkConfig(loss=loss))
        self.checkers = Checkers(self.world)
        self.members, self.outsiders = self.world.nodes[:4], self.world.nodes[4:]
        self.roles = list(zip(self.members, (ADMIN, REGISTRAR, PUBLISHER, READER), strict=True))
        self.club = Club(self.world, self.roles)

    def start(self) -> Scene:
        self.world.start_all()
        self.world.network.run(8.0)
        for node in self.members:
            self.club.give(node, self.club.first)
        self.run(8.0)
        return self

    def run(self, seconds: float) -> None:
        self.world.network.run(self.world.network.now + seconds)


@pytest.mark.parametrize("seed", [1, 2])
def test_members_share_and_an_observer_learns_nothing(seed: int) -> None:
    scene = Scene(seed)
    observer = Observer(scene.world, scene.outsiders)
    scene.start()
    scene.club.publish(scene.members[2], "secret", "second")
    scene.run(40.0)
    cards = sorted(scene.world.card(scene.members[2], slug) for slug in ("secret", "second"))
    for node in scene.members:
        assert scene.club.cards(node) == cards, node.index
    state = scene.members[2].state
    assert state is not None
    head = state.heads(scene.club.id)[scene.members[2].key].head
    needles = [scene.club.id, scene.club.first.body, head.raw, head.hash, b"model secret"]
    needles += [needle for card in cards for needle in (card, card_hash(card))]
    assert observer.frames
    assert not any(observer.saw(needle) for needle in needles)
    for node in scene.outsiders:
        held = node.disk.snapshot()
        assert not held.records
        assert not held.groups
        assert {scope for scope, _ in held.catalogues} <= {b""}
    scene.checkers.nobody_was_cut_off()


def test_a_removed_member_is_cut_off_at_once_and_an_old_roster_brings_it_nothing() -> None:
    scene = Scene().start()
    removed = scene.members[3]
    scene.club.publish(scene.members[2], "before")
    scene.run(30.0)
    assert len(scene.club.cards(removed)) == 1
    old = scene.club.first
    scene.club.give(scene.members[0], scene.club.next(scene.roles[:3]))
    scene.run(5.0)
    assert all(removed.key not in scene.club.open_to(node) for node in scene.members[:3])
    observer = Observer(scene.world, [removed])
    scene.club.publish(scene.members[2], "after")
    replay = MESSAGE.encode(Records((), (old.to_bytes(),)))
    for node in scene.members[:3]:
        if removed.key in node.links:
            scene.world.network.event(node, Received(removed.key, replay))
    scene.run(70.0)
    assert [len(scene.club.cards(node)) for node in scene.members] == [2, 2, 2, 1]
    assert not observer.saw(b"model after")
    assert not observer.saw(scene.club.envelopes[-1].body), "who is out is not told who is in"
    assert all(removed.key not in scene.club.open_to(node) for node in scene.members[:3])
    scene.checkers.nobody_was_cut_off()


def test_a_registrar_admits_a_reader_until_the_next_roster_folds_it_in() -> None:
    scene = Scene().start()
    registrar, newcomer = scene.members[1], scene.outsiders[0]
    scene.club.publish(scene.members[2], "one")
    scene.run(10.0)
    admission = scene.club.admission(registrar, newcomer)
    taken = scene.club.give(newcomer, scene.club.first, admission, registrar=registrar)
    assert (taken.taken, taken.refused) == (2, ())
    scene.run(70.0)
    assert len(scene.club.cards(newcomer)) == 1
    scene.club.publish(newcomer, "mine")
    refused = [what for _, what in newcomer.deliveries if isinstance(what, PublishRefused)]
    assert [what.why for what in refused] == ["not a publisher in the group"]
    scene.club.give(scene.members[0], scene.club.next([*scene.roles, (newcomer, PUBLISHER)]))
    scene.run(10.0)
    scene.club.publish(newcomer, "mine")
    scene.run(40.0)
    assert all(len(scene.club.cards(node)) == 2 for node in [*scene.members, newcomer])
    members = scene.club.changes(scene.members[3])[-1].members
    owner = scene.world.owner_of
    assert (owner[newcomer.key], "publisher", owner[scene.members[0].key]) in members


def test_an_admission_that_the_next_roster_leaves_out_ends() -> None:
    scene = Scene().start()
    registrar, newcomer = scene.members[1], scene.outsiders[0]
    admission = scene.club.admission(registrar, newcomer)
    scene.club.give(newcomer, scene.club.first, admission, registrar=registrar)
    scene.run(20.0)
    assert any(newcomer.key in scene.club.open_to(node) for node in scene.members)
    scene.club.give(scene.members[0], scene.club.next(scene.roles))
    scene.run(5.0)
    assert not any(newcomer.key in scene.club.open_to(node) for node in scene.members)
    replay = scene.club.give(scene.members[1], admission)
    assert "no such role" in replay.refused[0]


def test_admins_who_disagree_leave_the_members_of_both_until_one_joins_the_rosters() -> None:
    scene = Scene()
    scene.roles[1] = (scene.members[1], ADMIN)
    scene.club = Club(scene.world, scene.roles)
    scene.start()
    first = scene.club.first
    without_2 = [item for item in scene.roles if item[0] is not scene.members[2]]
    without_3 = scene.roles[1::-1] + scene.roles[2:3]
    one = scene.club.next(without_2, parents=[first])
    other = scene.club.next(without_3, parents=[first])
    scene.world.network.partition([scene.members[:1] + scene.members[2:], scene.members[1:2]])
    scene.club.give(scene.members[0], one)
    scene.club.give(scene.members[1], other)
    scene.run(30.0)
    scene.world.network.partition([])
    scene.run(150.0)
    for node in scene.members[:2]:
        assert scene.club.changes(node)[-1].forked
        assert len(scene.club.changes(node)[-1].members) == 2
        assert scene.members[2].key not in scene.club.open_to(node)
    scene.club.give(scene.members[0], scene.club.next(scene.roles, parents=[one, other]))
    scene.run(150.0)
    for node in scene.members:
        assert not scene.club.changes(node)[-1].forked
        assert len(scene.club.changes(node)[-1].members) == 4


def test_who_is_no_member_stores_nothing_that_a_member_forwards() -> None:
    scene = Scene()
    scene.world.corrupt(scene.members[1:2], ForwardingMember)
    observer = Observer(scene.world, scene.outsiders)
    scene.start()
    scene.club.publish(scene.members[2], "leaked")
    scene.run(40.0)
    assert observer.saw(b"model leaked")
    for node in scene.outsiders:
        held = node.disk.snapshot()
        assert not held.records
        assert {scope for scope, _ in held.catalogues} <= {b""}
        assert node.state is not None
        assert not node.state.cards()
    charged = [charge for node in scene.outsiders for charge in node.misbehaved]
    assert {charge.peer for charge in charged} == {scene.members[1].key}
    scene.checkers.nobody_was_cut_off()


def test_a_group_survives_a_crash_and_a_partition() -> None:
    scene = Scene(3).start()
    scene.club.publish(scene.members[2], "one")
    scene.run(30.0)
    for node in scene.members[2:]:
        scene.world.network.crash(node)
        scene.world.start(node)
    scene.run(20.0)
    scene.world.network.partition([scene.world.nodes[:2], scene.world.nodes[2:]])
    scene.run(5.0)
    scene.club.publish(scene.members[2], "two")
    scene.run(15.0)
    scene.world.network.partition([])
    scene.run(200.0)
    assert [len(scene.club.cards(node)) for node in scene.members] == [2, 2, 2, 2]
    numbers = {
        node.state.heads(scene.club.id)[scene.members[2].key].other for node in scene.members if node.state
    }
    assert numbers == {None}, "a restarted publisher gave no number away twice"


def test_who_leaves_forgets_all_and_is_charged_with_nothing() -> None:
    scene = Scene().start()
    scene.club.publish(scene.members[2], "one")
    scene.run(30.0)
    scene.world.network.event(scene.members[3], LeaveGroup(scene.club.id))
    scene.club.publish(scene.members[2], "two")
    scene.run(40.0)
    held = scene.members[3].disk.snapshot()
    assert not held.records
    assert not held.groups
    assert {scope for scope, _ in held.catalogues} <= {b""}
    scene.checkers.nobody_was_cut_off()


def test_members_find_each_other_among_many_strangers() -> None:
    world = World(5, 120, real=False)
    members = world.nodes[20:100:10]
    club = Club(world, [(node, ADMIN if node is members[0] else PUBLISHER) for node in members])
    world.start_all()
    world.network.run(8.0)
    for node in members:
        club.give(node, club.first)
        # What an invite names: the address of the node that issued it.
        world.network.event(node, AddressesConfigured((f"{members[0].address}#{'0' * 8}",)))
    club.publish(members[-1], "one")
    world.network.run(240.0)
    assert [len(club.cards(node)) for node in members] == [1] * len(members)
    for node in members:
        assert len(club.open_to(node)) >= 2, node.index
