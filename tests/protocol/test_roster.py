"""Rosters and admissions: who counts follows from the records alone, in whatever order they come."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import pytest

from skerry.protocol.admission import make_admission, verify_admission
from skerry.protocol.envelope import Envelope, Verified, cosign, open_envelope, sign_record
from skerry.protocol.errors import LocalProtocolError, RemoteProtocolError
from skerry.protocol.limits import ADMISSION_LEASE_SECONDS_MAX, GROUP_MEMBERS_MAX, ROSTER_LEASE_SECONDS_MAX
from skerry.protocol.roster import (
    ROSTER,
    GroupRole,
    Member,
    Roster,
    Rosters,
    Standing,
    make_roster,
    verify_roster,
)
from skerry.protocol.signing import Signer
from skerry.protocol.violations import Violation
from tests.protocol.world import DAY, NOW, Lab, flipped, outcome, refused, signer

ADMINS = [signer(f"admin {number}") for number in range(3)]


def member(number: int, role: GroupRole = GroupRole.READER) -> Member:
    key = ADMINS[number].public_key if role is GroupRole.ADMIN else b""
    return Member(bytes([number + 1]) * 32, role, key, bytes([1]) * 32)


TWO_ADMINS = (member(0, GroupRole.ADMIN), member(1, GroupRole.ADMIN))


@dataclass
class Club:
    """A group with two admins, of whom ``threshold`` sign."""

    threshold: int = 1
    known: dict[bytes, Verified[Roster]] = field(default_factory=dict)
    issued: int = NOW

    def __post_init__(self) -> None:
        self.first = self.sign([], *ADMINS[: self.threshold], members=(*TWO_ADMINS, member(3), member(4)))

    def sign(
        self, parents: list[Envelope], *admins: Signer, members: tuple[Member, ...] | None = None
    ) -> Envelope:
        self.issued += 1
        return make_roster(
            [self.known[parent.hash] for parent in parents],
            admins,
            owner=bytes([1]) * 32,
            issued=self.issued,
            members=members or TWO_ADMINS,
            name="club",
            threshold=self.threshold,
        )

    def learn(self, envelope: Envelope) -> Envelope:
        """Have the rosters that follow know this one as a parent."""
        item = verify_roster(envelope.to_bytes(), self.known, self.issued)
        self.known[item.hash] = item
        return envelope


@pytest.fixture
def club() -> Club:
    club = Club()
    club.learn(club.first)
    return club


def members_of(rosters: Rosters) -> set[int]:
    return {owner[0] - 1 for owner in rosters.standings}


def test_the_id_is_the_hash_of_the_first_roster_and_roles_have_an_order(club: Club) -> None:
    rosters = Rosters(club.first.to_bytes(), NOW)
    assert rosters.group == club.first.hash
    assert rosters.standings[bytes([4]) * 32] == Standing(GroupRole.READER, bytes([1]) * 32)
    assert [role.rank for role in GroupRole] == [0, 1, 2, 3]


def test_a_later_roster_takes_members_in_and_out_and_an_old_one_changes_nothing(club: Club) -> None:
    rosters = Rosters(club.first.to_bytes(), NOW)
    second = club.sign([club.first], ADMINS[0], members=(*TWO_ADMINS, member(3), member(5)))
    assert rosters.add(second.to_bytes(), NOW)
    assert members_of(rosters) == {0, 1, 3, 5}
    assert not rosters.add(club.first.to_bytes(), NOW), "a replayed roster is known already"
    assert members_of(rosters) == {0, 1, 3, 5}
    assert rosters.version == 2


def test_of_two_rosters_of_one_version_only_the_members_of_both_count_until_one_joins_them(
    club: Club,
) -> None:
    rosters = Rosters(club.first.to_bytes(), NOW)
    one = club.learn(club.sign([club.first], ADMINS[0], members=(*TWO_ADMINS, member(3), member(5))))
    other = club.learn(club.sign([club.first], ADMINS[1], members=(*TWO_ADMINS, member(3), member(6))))
    rosters.add(one.to_bytes(), NOW)
    rosters.add(other.to_bytes(), NOW)
    assert members_of(rosters) == {0, 1, 3}
    later = club.learn(club.sign([one], ADMINS[0], members=(*TWO_ADMINS, member(3), member(5), member(6))))
    rosters.add(later.to_bytes(), NOW)
    assert members_of(rosters) == {0, 1, 3, 6}, "a child of one alone does not settle it"
    joined = club.sign([later, other], ADMINS[0], members=(*TWO_ADMINS, member(5), member(6)))
    rosters.add(joined.to_bytes(), NOW)
    assert members_of(rosters) == {0, 1, 5, 6}
    assert (len(rosters.tips), rosters.version) == (1, 4)


def test_with_two_roles_the_lower_one_counts(club: Club) -> None:
    rosters = Rosters(club.first.to_bytes(), NOW)
    for role in (GroupRole.PUBLISHER, GroupRole.REGISTRAR):
        rosters.add(
            club.sign([club.first], ADMINS[0], members=(*TWO_ADMINS, member(3, role))).to_bytes(), NOW
        )
    assert rosters.standings[bytes([4]) * 32].role is GroupRole.PUBLISHER


@pytest.mark.parametrize("seed", range(5))
def test_any_order_in_which_parents_come_first_gives_the_same_members(seed: int) -> None:
    rng = random.Random(seed)
    club = Club()
    envelopes = [club.learn(club.first)]
    for _ in range(7):
        parents = rng.sample(envelopes, min(len(envelopes), rng.choice((1, 1, 2))))
        extra = tuple(member(number) for number in sorted(rng.sample(range(3, 9), 3)))
        envelopes.append(
            club.learn(club.sign(parents, rng.choice(ADMINS[:2]), members=(*TWO_ADMINS, *extra)))
        )
    results = set()
    for _ in range(20):
        rosters = Rosters(club.first.to_bytes(), NOW)
        left = rng.sample(envelopes[1:], len(envelopes) - 1)
        for envelope in itertools.chain.from_iterable(itertools.repeat(left, len(left))):
            assert outcome(partial(rosters.add, now=NOW), envelope.to_bytes()) in (
                None,
                Violation.PARENTS_UNKNOWN,
            )
        assert len(rosters.known) == len(envelopes)
        results.add((frozenset(members_of(rosters)), tuple(tip.hash for tip in rosters.tips)))
    assert len(results) == 1


def test_what_somebody_lacks_is_told_from_its_tips(club: Club) -> None:
    rosters = Rosters(club.first.to_bytes(), NOW)
    second = club.learn(club.sign([club.first], ADMINS[0]))
    third = club.learn(club.sign([second], ADMINS[0]))
    for envelope in (second, third):
        rosters.add(envelope.to_bytes(), NOW)
    assert [item.hash for item in rosters.beyond([club.first.hash])] == [second.hash, third.hash]
    assert rosters.beyond([third.hash]) == []
    assert len(rosters.beyond([bytes(32)])) == 3


def test_two_of_two_admins_must_sign_and_may_do_so_on_two_machines() -> None:
    club = Club(threshold=2)
    club.learn(club.first)
    alone = club.sign([club.first], ADMINS[0])
    rosters = Rosters(club.first.to_bytes(), NOW)
    with refused(Violation.SIGNER_WRONG):
        rosters.add(alone.to_bytes(), NOW)
    assert rosters.add(cosign(alone, ADMINS[1]).to_bytes(), NOW)
    with pytest.raises(LocalProtocolError):
        cosign(alone, ADMINS[0])


def test_who_is_no_admin_signs_nothing(club: Club) -> None:
    rosters = Rosters(club.first.to_bytes(), NOW)
    with refused(Violation.SIGNER_WRONG):
        rosters.add(club.sign([club.first], ADMINS[2]).to_bytes(), NOW)
    with refused(Violation.SIGNER_WRONG):
        rosters.add(cosign(club.sign([club.first], ADMINS[0]), ADMINS[2]).to_bytes(), NOW)


def test_another_groups_roster_is_refused(club: Club) -> None:
    other = Club()
    other.issued += 50
    first = other.learn(other.sign([], ADMINS[0]))
    rosters = Rosters(club.first.to_bytes(), NOW)
    with refused(Violation.PARENTS_UNKNOWN):
        rosters.add(other.sign([first], ADMINS[0]).to_bytes(), NOW)
    with refused(Violation.ROSTER_INVALID):
        rosters.add(first.to_bytes(), NOW)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"members": ()}, "malformed"),
        ({"members": (member(3), *TWO_ADMINS)}, "order"),
        ({"members": (*TWO_ADMINS, TWO_ADMINS[1])}, "twice"),
        ({"members": (Member(bytes(32), GroupRole.ADMIN, b"", b""),)}, "without a key"),
        ({"members": (*TWO_ADMINS, Member(bytes([9]) * 32, GroupRole.READER, bytes(32), b""))}, "no admin"),
        ({"threshold": 3}, "threshold"),
        ({"version": 2}, "version"),
        ({"scope": bytes(32)}, "another group"),
        ({"lease": NOW}, "lease"),
        ({"lease": NOW + ROSTER_LEASE_SECONDS_MAX + 1}, "lease"),
    ],
)
def test_a_roster_that_contradicts_itself_is_refused(changes: dict[str, object], why: str) -> None:
    good = Roster(bytes(32), b"", NOW, NOW + DAY, 1, 1, "club", TWO_ADMINS, ())
    bad = msgspec.structs.replace(good, **changes)
    raw = sign_record("roster", ROSTER.encode(bad), [ADMINS[0]]).to_bytes()
    violation = Violation.MALFORMED if why == "malformed" else Violation.ROSTER_INVALID
    with refused(violation):
        verify_roster(raw, {}, NOW)
    if why != "malformed":
        with pytest.raises(RemoteProtocolError, match=why):
            verify_roster(raw, {}, NOW)


def test_one_flipped_byte_spoils_a_roster(club: Club) -> None:
    for position, raw in flipped(club.first.to_bytes(), step=3):
        changed = outcome(lambda item: Rosters(item, NOW), raw)
        assert changed is not None or open_envelope(raw).hash != club.first.hash, position


def admission(lab: Lab, **changes: Any) -> Envelope:
    fields: dict[str, Any] = {
        "owner": lab.id,
        "group": bytes([7]) * 32,
        "version": 3,
        "member": bytes([9]) * 32,
        "role": GroupRole.READER,
        "issued": NOW,
    }
    return make_admission(lab.node_signer, **{**fields, **changes})


def test_an_admission_is_signed_by_a_node_of_the_registrar_and_lives_a_week() -> None:
    lab = Lab()
    raw = admission(lab).to_bytes()
    assert verify_admission(raw, lab.trust, NOW).value.member == bytes([9]) * 32
    with refused(Violation.LEASE_ENDED):
        verify_admission(raw, lab.trust, NOW + ADMISSION_LEASE_SECONDS_MAX + 2 * DAY)
    with refused(Violation.OWNER_WRONG):
        verify_admission(raw, Lab("Other").trust, NOW)
    with pytest.raises(LocalProtocolError):
        admission(lab, role=GroupRole.REGISTRAR)
    with pytest.raises(LocalProtocolError):
        admission(lab, group=b"")
    for _, changed in flipped(raw, step=5):
        assert outcome(lambda item: verify_admission(item, lab.trust, NOW), changed) is not None


def test_the_largest_group_fits_one_envelope() -> None:
    keys = [signer(f"many {number}") for number in range(16)]
    members = [
        Member(
            bytes([number]) * 32,
            GroupRole.ADMIN if number < len(keys) else GroupRole.READER,
            keys[number].public_key if number < len(keys) else b"",
            bytes(32),
        )
        for number in range(GROUP_MEMBERS_MAX)
    ]
    first = make_roster(
        [], keys, owner=bytes(32), issued=NOW, members=members, name="n" * 80, threshold=len(keys)
    )
    assert len(Rosters(first.to_bytes(), NOW).standings) == GROUP_MEMBERS_MAX
