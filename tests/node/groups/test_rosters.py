"""Branches of rosters are joined as if their changes had been made one after the other."""

from __future__ import annotations

from msgspec.structs import replace

from skerry.node.groups.rosters import differences, joined, strictest
from skerry.protocol.policy import NO_POLICY, GroupPolicy
from skerry.protocol.roster import GroupRole, Member, Roster


def member(name: str, role: GroupRole = GroupRole.READER, key: bytes = b"") -> Member:
    return Member(name.encode() * 32, role, key, b"")


def roster(*members: Member) -> Roster:
    return Roster(b"o" * 32, b"g" * 32, 1, 2, 2, 1, "club", members, ())


A, B, C, D = (member(name) for name in "abcd")


def test_what_either_branch_added_stays_and_what_either_removed_goes() -> None:
    ancestor = roster(A, B, C)
    one, other = roster(A, B, D), roster(A, C, member("e"))
    for tips in ([one, other], [other, one]):
        assert set(joined(tips, ancestor)) == {A.owner, D.owner, b"e" * 32}
    assert set(joined([one], ancestor)) == {A.owner, B.owner, D.owner}


def test_the_lower_of_two_roles_counts() -> None:
    high = member("a", GroupRole.REGISTRAR)
    assert joined([roster(high), roster(A)], roster(high))[A.owner] == A
    assert joined([roster(A), roster(high)], roster(high))[A.owner] == A


def test_two_policies_ask_for_all_that_either_asks_for() -> None:
    one = GroupPolicy(lanes=("onnx", "skops"), required=("tags",), cards_max=5, signers=1, admins=2)
    other = GroupPolicy(lanes=("skops", "python"), required=("license",), cards_max=3, package_bytes_max=9)
    both = GroupPolicy(
        lanes=("skops",),
        required=("tags", "license"),
        cards_max=3,
        package_bytes_max=9,
        signers=1,
        admins=2,
    )
    assert strictest([one, other]) == both
    assert strictest([one, NO_POLICY]) == one
    assert strictest([]) == NO_POLICY


def test_a_change_is_said_in_words() -> None:
    before = {m.owner: m for m in (A, B, C)}
    after = {A.owner: replace(A, role=GroupRole.PUBLISHER), B.owner: replace(B, key=b"k" * 32), D.owner: D}
    said = differences(before, after, NO_POLICY, GroupPolicy(lanes=("onnx",), cards_max=2))
    assert sorted(said) == [
        "adds 64646464 as reader",
        "changes the key of 62626262",
        "makes 61616161 publisher instead of reader",
        "removes 63636363",
        "sets cards_max to 2",
        "sets lanes to onnx",
    ]
    assert differences(before, before, NO_POLICY, NO_POLICY) == ["renews the roster"]
