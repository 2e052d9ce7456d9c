"""Groups in one state: who may hear what, and for how long."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.protocol.effects import (
    DropGroup,
    Effect,
    GroupChanged,
    Published,
    PublishRefused,
    PutCatalogue,
    PutGroup,
    PutHead,
    PutRecord,
)
from skerry.protocol.envelope import Envelope
from skerry.protocol.events import Connected, LeaveGroup, Publish, Received, WallClock
from skerry.protocol.exchange import Graft, IHave, Neighbour, Newest, NewestRequest, Ranges, RecordsRequest
from skerry.protocol.groups import tag
from skerry.protocol.limits import (
    GROUPS_MAX,
    OWN_HEAD_SECONDS,
    ROSTER_LEASE_SECONDS_MAX,
    ROSTER_REFRESH_SECONDS,
)
from skerry.protocol.messages import (
    MESSAGE,
    CardsRequest,
    Digest,
    Groups,
    News,
    Records,
    RosterTips,
    TreeRequest,
)
from skerry.protocol.roster import GroupRole
from tests.protocol.scripted import Scripted, delivered, sent, stored, violations
from tests.sim.clubs import Club
from tests.sim.network import Node

SESSION = bytes(range(32))
DAY = 24 * 3600


class Table:
    """A state in a group with its first peer, an admin; its second peer is no member.

    Parameters
    ----------
    own_role, peer_role
        What the state's owner and the first peer's are.
    """

    def __init__(
        self, own_role: GroupRole = GroupRole.PUBLISHER, peer_role: GroupRole = GroupRole.ADMIN
    ) -> None:
        self.script = Scripted(peers=3)
        self.node = self.script.node
        self.peer, self.outsider, self.admin = self.script.peers
        roles = [(self.node, own_role), (self.peer, peer_role), (self.admin, GroupRole.ADMIN)]
        self.club = Club(self.script.world, roles)
        self.id = self.club.id

    def connect(self, peer: Node, session: bytes = SESSION) -> list[Effect]:
        assert peer.state is not None
        identity = peer.state.identity()
        come = Connected(peer.key, identity.charters, identity.node, outbound=False, session=session)
        return self.script.happen(come) + self.script.say(peer, Neighbour(alone=False))

    def tell(self, peer: Node, session: bytes = SESSION, *groups: bytes) -> list[Effect]:
        """Have a peer tell that it is in the group (and in others)."""
        tags = [tag(group, session, peer.key) for group in (self.id, *groups)]
        tags += [bytes([number]) * 32 for number in range(GROUPS_MAX - len(tags))]
        return self.script.say(peer, Groups(tuple(sorted(tags))))

    def meet(self, peer: Node) -> None:
        """Connect a member that holds the same rosters."""
        self.connect(peer)
        self.tell(peer)
        self.script.say(peer, RosterTips(self.id, (self.club.envelopes[-1].hash,)))

    def clock(self, seconds: float) -> None:
        self.script.happen(WallClock(self.script.world.network.config.wall + seconds))
        self.script.wait(70.0)

    @property
    def open_to(self) -> list[bytes]:
        return self.club.open_to(self.node)


@pytest.fixture
def table() -> Table:
    table = Table()
    table.club.give(table.node, table.club.first)
    return table


def test_the_first_roster_from_own_people_is_joining_and_is_stored_for_good(table: Table) -> None:
    operations = stored(table.script.effects, (PutRecord, PutGroup))
    first = table.club.first
    assert PutRecord(table.id, first.hash, first.to_bytes(), own=True) in operations
    assert [item.refreshed for item in operations if isinstance(item, PutGroup)]
    changed = delivered(table.script.effects, GroupChanged)[-1]
    assert (changed.serving, changed.forked, len(changed.members)) == (True, False, 3)


def test_groups_are_told_blinded_and_padded_and_only_by_who_has_some(table: Table) -> None:
    (first,) = sent(table.connect(table.peer), table.peer, Groups)
    (second,) = sent(table.connect(table.outsider, bytes(32)), table.outsider, Groups)
    assert len(first.tags) == len(second.tags) == GROUPS_MAX
    assert not set(first.tags) & set(second.tags)
    assert tag(table.id, SESSION, table.node.key) in first.tags
    alone = Table()
    assert not sent(alone.connect(alone.peer), alone.peer, Groups)


def test_a_scope_opens_with_a_member_that_tells_it_and_with_nobody_else(table: Table) -> None:
    table.meet(table.peer)
    assert table.open_to == [table.peer.key]
    table.connect(table.outsider)
    effects = table.tell(table.outsider)
    assert table.open_to == [table.peer.key], "to know the id is not to be a member"
    assert not [item for item in sent(effects, table.outsider, Digest) if item.scope]
    assert not sent(effects, table.outsider, Records)
    table.connect(table.admin)
    assert table.open_to == [table.peer.key], "a member that does not tell the group hears nothing of it"


def test_without_a_session_nothing_is_said_of_groups(table: Table) -> None:
    effects = table.connect(table.peer, b"")
    assert not sent(effects, table.peer, Groups)
    assert violations(table.tell(table.peer)) == ["unexpected"]
    assert table.open_to == []


def questions(table: Table, head: bytes) -> list[object]:
    return [
        Digest(table.id, 3, bytes(32)),
        Ranges(table.id, 1, ()),
        RecordsRequest(table.id, (table.node.key,)),
        NewestRequest(table.id),
        Newest(table.id, b""),
        IHave(table.id, (bytes(32),)),
        Graft(table.id, head),
        Graft(b"", head),
        TreeRequest(head, b"", 255, 0),
        CardsRequest(head, (bytes(32),)),
        RosterTips(table.id, (bytes(32),)),
    ]


def test_to_who_is_no_member_no_and_not_there_look_the_same(table: Table) -> None:
    table.meet(table.peer)
    table.club.publish(table.node, "one")
    table.script.wait(15.0)
    head = table.script.state.heads(table.id)[table.node.key].head
    other = Scripted(peers=2)
    other.connect(other.peers[0])
    table.connect(table.outsider)
    table.tell(table.outsider)
    for question in questions(table, head.hash):
        here = table.script.say(table.outsider, question)  # type: ignore[arg-type]  # one of the messages
        there = other.say(other.peers[0], question)  # type: ignore[arg-type]  # one of the messages
        answers = [sent(here, table.outsider, object), sent(there, other.peers[0], object)]
        assert answers[0] == answers[1], question
        assert violations(here) == violations(there)


def test_news_of_a_group_from_outside_is_refused_and_leaves_nothing(table: Table) -> None:
    table.connect(table.outsider)
    raw, _ = table.script.head(table.outsider, [])
    stolen = raw.replace(b"\xa5scope\xc4\x00", b"\xa5scope\xc4 " + table.id)
    effects = table.script.say(table.outsider, News(stolen, 0, (), ()))
    assert not stored(effects, (PutHead, PutCatalogue))
    assert violations(effects)


def test_a_reader_may_not_publish() -> None:
    table = Table(own_role=GroupRole.READER)
    table.club.give(table.node, table.club.first)
    table.club.publish(table.node, "one")
    assert table.club.cards(table.node) == []
    assert table.node.key not in table.script.state.heads(table.id)


def test_after_a_day_without_word_the_group_is_not_served_until_an_admin_gives_it(table: Table) -> None:
    table.meet(table.peer)
    table.clock(ROSTER_REFRESH_SECONDS + 60)
    assert table.open_to == []
    assert not table.script.state.groups().may_read(table.id, table.script.world.owner_of[table.peer.key])
    assert not delivered(table.script.effects, GroupChanged)[-1].serving
    table.script.say(table.peer, RosterTips(table.id, (table.club.first.hash,)))
    assert table.open_to == [table.peer.key]
    assert table.script.state.groups().may_read(table.id, table.script.world.owner_of[table.peer.key])


def test_the_word_of_a_mere_reader_does_not_count() -> None:
    table = Table(peer_role=GroupRole.READER)
    table.club.give(table.node, table.club.first)
    table.meet(table.peer)
    table.clock(ROSTER_REFRESH_SECONDS + 60)
    table.script.say(table.peer, RosterTips(table.id, (table.club.first.hash,)))
    assert table.open_to == []


def test_the_only_admin_with_one_node_needs_nobodys_word() -> None:
    script = Scripted(peers=1)
    club = Club(script.world, [(script.node, GroupRole.ADMIN), (script.peers[0], GroupRole.READER)])
    club.give(script.node, club.first)
    script.happen(WallClock(script.world.network.config.wall + 10 * DAY))
    script.wait(70.0)
    assert script.state.groups().may_read(club.id, script.world.owner_of[script.peers[0].key])
    script.happen(WallClock(script.world.network.config.wall + ROSTER_LEASE_SECONDS_MAX + 2 * DAY))
    script.wait(70.0)
    assert not script.state.groups().may_read(club.id, script.world.owner_of[script.peers[0].key])


def test_who_lacks_rosters_is_sent_them_and_who_is_out_is_sent_none(table: Table) -> None:
    table.meet(table.peer)
    second = table.club.next([(table.admin, GroupRole.ADMIN), (table.node, GroupRole.READER)])
    effects = table.script.effects
    table.club.give(table.node, second)
    assert table.open_to == []
    table.connect(table.admin)
    table.tell(table.admin)
    before = len(effects)
    table.script.say(table.admin, RosterTips(table.id, (table.club.first.hash,)))
    rosters = [raw for item in sent(effects[before:], table.admin, Records) for raw in item.envelopes]
    assert rosters == [second.to_bytes()]
    before = len(effects)
    table.script.say(table.peer, RosterTips(table.id, (table.club.first.hash,)))
    assert sent(effects[before:], table.peer, object) == []


def test_a_restart_keeps_groups_and_their_time(table: Table) -> None:
    table.meet(table.peer)
    second = table.club.next([(node, GroupRole.ADMIN) for node in (table.admin, table.node, table.peer)])
    table.club.give(table.node, second)
    table.script.world.network.crash(table.node)
    table.script.world.network.start(table.node)
    group = table.script.state.groups().groups[table.id]
    assert [tip.hash for tip in group.rosters.tips] == [second.hash]
    assert group.refreshed > 0
    table.meet(table.peer)
    assert table.open_to == [table.peer.key]


def test_leaving_forgets_all_and_tells_the_peers(table: Table) -> None:
    table.meet(table.peer)
    effects = table.script.happen(LeaveGroup(table.id))
    assert stored(effects, DropGroup) == [DropGroup(table.id)]
    (told,) = sent(effects, table.peer, Groups)
    assert tag(table.id, SESSION, table.node.key) not in told.tags
    assert table.id not in table.script.state.groups().groups
    assert table.script.happen(LeaveGroup(bytes(32))) == []
    assert not violations(table.script.say(table.peer, Digest(table.id, 0, bytes(32))))


def test_what_waits_to_be_published_in_a_group_is_refused_when_it_is_left(table: Table) -> None:
    """Found by the simulator: it was signed later, said to be published, and with nobody."""
    table.meet(table.outsider)
    table.script.say(table.outsider, Newest(b"", b""))
    card = table.script.world.card(table.node, "one")
    assert not delivered(table.script.happen(Publish(1, (card,), (), table.id)), Published)
    effects = table.script.happen(LeaveGroup(table.id))
    assert [what.token for what in delivered(effects, PublishRefused)] == [1]
    assert not delivered(table.script.wait(2 * OWN_HEAD_SECONDS), Published)


def test_who_is_put_out_while_a_publication_waits_does_not_sign_it(table: Table) -> None:
    table.meet(table.outsider)
    table.script.say(table.outsider, Newest(b"", b""))
    card = table.script.world.card(table.node, "one")
    table.script.happen(Publish(1, (card,), (), table.id))
    table.club.give(table.node, table.club.next([(table.admin, GroupRole.ADMIN)]))
    effects = table.script.wait(2 * OWN_HEAD_SECONDS)
    assert [what.token for what in delivered(effects, PublishRefused)] == [1]
    assert not delivered(effects, Published)


def test_publishing_in_a_group_waits_for_what_its_members_know(table: Table) -> None:
    table.meet(table.outsider)
    table.script.say(table.outsider, Newest(b"", b""))
    effects = table.script.happen(Publish(1, (table.script.world.card(table.node, "one"),), (), table.id))
    table.meet(table.peer)
    assert not stored(effects, PutCatalogue), "the public answer says nothing of the group"
    effects = table.script.say(table.peer, Newest(table.id, b""))
    assert stored(effects, PutCatalogue)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_flipped_bytes_of_a_groups_messages_are_survived(data: st.DataObject) -> None:
    table = Table()
    table.club.give(table.node, table.club.first)
    table.meet(table.peer)
    second: Envelope = table.club.next([(table.admin, GroupRole.ADMIN), (table.node, GroupRole.READER)])
    message = data.draw(
        st.sampled_from(
            [
                Records((), (second.to_bytes(),)),
                RosterTips(table.id, (second.hash,)),
                Groups(tuple(random.Random(1).randbytes(32) for _ in range(GROUPS_MAX))),
            ]
        )
    )
    frame = bytearray(MESSAGE.encode(message))
    position = data.draw(st.integers(0, len(frame) - 1))
    frame[position] ^= 1 << data.draw(st.integers(0, 7))
    table.script.happen(Received(table.peer.key, bytes(frame)))
    known = table.script.state.groups().groups[table.id].rosters.known
    assert set(known) <= {table.club.first.hash, second.hash}


def test_a_roster_with_unknown_parents_is_answered_with_the_tips_so_that_they_come(table: Table) -> None:
    """Found by the simulator: nobody sent them before this node happened to ask the right peer."""
    table.meet(table.peer)
    roles = [(table.node, GroupRole.PUBLISHER), (table.peer, GroupRole.ADMIN), (table.admin, GroupRole.ADMIN)]
    between = table.club.next(roles)
    newest = table.club.next(roles)
    replay = Records((), (newest.to_bytes(),))
    effects = table.script.say(table.peer, replay)
    assert violations(effects) == ["parents-unknown"]
    assert [tips.tips for tips in sent(effects, table.peer, RosterTips)] == [(table.club.first.hash,)]
    assert not sent(table.script.say(table.peer, replay), table.peer, RosterTips), "once"
    table.script.say(table.peer, Records((), (between.to_bytes(), newest.to_bytes())))
    tips = table.script.state.groups().groups[table.id].rosters.tips
    assert [tip.hash for tip in tips] == [newest.hash]


def test_who_names_unknown_tips_is_told_what_is_known(table: Table) -> None:
    table.connect(table.peer)
    table.tell(table.peer)
    effects = table.script.say(table.peer, RosterTips(table.id, (bytes(32),)))
    assert sent(effects, table.peer, RosterTips)


def test_a_roster_of_a_group_that_was_left_is_passed_over_and_nobody_is_blamed(table: Table) -> None:
    table.meet(table.peer)
    table.script.happen(LeaveGroup(table.id))
    effects = table.script.say(table.peer, Records((), (table.club.first.to_bytes(),)))
    assert not violations(effects)
    assert table.id not in table.script.state.groups().groups


def test_who_may_publish_no_more_keeps_its_cards_and_shows_them_when_it_may_again(table: Table) -> None:
    """Found by the simulator: a publisher between two rosters lost the only copy of what it had published."""
    table.meet(table.peer)
    table.club.publish(table.node, "one")
    table.script.wait(15.0)
    own = table.node.key
    empty = table.script.state.digest(table.id)
    admins = [(table.peer, GroupRole.ADMIN), (table.admin, GroupRole.ADMIN)]
    table.club.give(table.node, table.club.next([*admins, (table.node, GroupRole.READER)]))
    assert own in table.script.state.heads(table.id)
    assert table.script.state.digest(table.id) != empty, "others do not hold it now"
    table.script.world.network.crash(table.node)
    table.script.world.network.start(table.node)
    table.club.give(table.node, table.club.next([*admins, (table.node, GroupRole.PUBLISHER)]))
    assert len(table.club.cards(table.node)) == 1
    assert table.script.state.digest(table.id) == empty


def test_who_comes_back_to_a_group_asks_for_its_own_newest_head_before_it_signs(table: Table) -> None:
    """Found by the simulator: it began again at number one, which is equivocation."""
    table.meet(table.peer)
    table.club.publish(table.node, "one")
    table.script.wait(15.0)
    head = table.script.state.heads(table.id)[table.node.key].head
    table.script.happen(LeaveGroup(table.id))
    table.club.give(table.node, table.club.first)
    effects = table.script.effects
    assert sent(effects, table.peer, NewestRequest)[-1].scope == table.id
    table.club.publish(table.node, "two")
    assert table.node.key not in table.script.state.heads(table.id)
    table.script.say(table.peer, Newest(table.id, head.raw))
    assert table.script.state.heads(table.id)[table.node.key].head.value.seq == head.value.seq
