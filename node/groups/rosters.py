"""How a next roster follows from those that are known: joined branches, folded-in admissions, and one change.

Rules of this file:

1. Pure: it is given what is known, and returns a body or a verdict. Signing and taking are for others.
2. Branches are joined as if their changes had been made one after the other: who was added on one side stays,
   who was removed on one side goes, the lower of two roles counts.
3. Whom a change does not name stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from skerry.protocol.policy import NO_POLICY, GroupPolicy
from skerry.protocol.roster import GroupRole, Member

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skerry.protocol.envelope import Verified
    from skerry.protocol.groups import Group
    from skerry.protocol.roster import Roster

Members = dict[bytes, Member]
LEAVING_TYPE = "leaving"
"""A record without a body of its own: its owner wants to stand in the roster no more."""


def standing_members(group: Group, wall: int) -> Members:
    """Return who is in a group: by all branches of its rosters joined, and by admissions that count."""
    members = joined([tip.value for tip in group.rosters.tips], _ancestor(group))
    for record in group.admissions.records.values():
        admission = record.value
        if admission.member not in members and group.counts(admission, wall):
            members[admission.member] = Member(admission.member, admission.role, b"", admission.owner)
    return members


def joined(tips: Sequence[Roster], ancestor: Roster | None) -> Members:
    """Return the members of several branches, as if their changes had been made one after the other.

    Parameters
    ----------
    tips
        The newest rosters; with one, its members are the answer.
    ancestor
        The roster from which they part; None when there is none.
    """
    first, *others = [{member.owner: member for member in tip.members} for tip in tips]
    base = {} if ancestor is None else {member.owner: member for member in ancestor.members}
    for other in others:
        removed = {owner for owner in base if owner not in first or owner not in other}
        both = {**other, **first}
        first = {
            owner: _lower(member, other.get(owner, member))
            for owner, member in both.items()
            if owner not in removed
        }
    return dict(first)


def _lower(one: Member, other: Member) -> Member:
    return one if one.role.rank <= other.role.rank else other


def _ancestor(group: Group) -> Roster | None:
    """Return the newest roster from which all tips descend."""
    known = group.rosters.known
    lines = [_line(tip.hash, known) for tip in group.rosters.tips]
    shared = set.intersection(*lines)
    return max((known[item].value for item in shared), key=lambda roster: roster.version, default=None)


def _line(tip: bytes, known: Mapping[bytes, Verified[Roster]]) -> set[bytes]:
    found: set[bytes] = set()
    todo = [tip]
    while todo:
        digest = todo.pop()
        if digest not in found:
            found.add(digest)
            todo.extend(known[digest].value.parents)
    return found


def leaving(group: Group) -> set[bytes]:
    """Return the members who said after the newest roster that they leave."""
    newest = max(tip.value.issued for tip in group.rosters.tips)
    records = group.index.carried.records.values()
    return {
        record.value.owner
        for record in records
        if _type_of(record.raw) == LEAVING_TYPE and record.value.issued >= newest
    }


def _type_of(raw: bytes) -> str:
    return str(msgspec.msgpack.decode(raw)[0])


def admins(members: Members) -> list[bytes]:
    """Return the owners who are admins."""
    return [owner for owner, member in members.items() if member.role is GroupRole.ADMIN]


def removal_version(group: Group, owner: bytes) -> int:
    """Return the version of the newest roster that left out an owner who stood before; 0 when none did."""
    known = group.rosters.known
    return max(
        (
            roster.value.version
            for roster in known.values()
            if not _stands(roster.value, owner)
            and any(_stands(known[parent].value, owner) for parent in roster.value.parents)
        ),
        default=0,
    )


def _stands(roster: Roster, owner: bytes) -> bool:
    return any(member.owner == owner for member in roster.members)


def strictest(policies: Sequence[GroupPolicy]) -> GroupPolicy:
    """Return a policy that asks for all that several ask for."""
    first, *others = policies or [NO_POLICY]
    for other in others:
        lanes = tuple(lane for lane in first.lanes if lane in other.lanes) or first.lanes or other.lanes
        first = GroupPolicy(
            lanes=lanes if first.lanes and other.lanes else first.lanes or other.lanes,
            required=tuple(dict.fromkeys((*first.required, *other.required))),
            cards_max=_smaller(first.cards_max, other.cards_max),
            package_bytes_max=_smaller(first.package_bytes_max, other.package_bytes_max),
            signers=max(first.signers, other.signers),
            admins=max(first.admins, other.admins),
        )
    return first


def _smaller(one: int, other: int) -> int:
    """Return the smaller of two bounds, of which 0 is none."""
    return min(filter(None, (one, other)), default=0)


def differences(before: Members, after: Members, old: GroupPolicy, new: GroupPolicy) -> list[str]:
    """Return what a roster changes, one sentence each; members by the beginning of their id."""
    said = [f"adds {_short(owner)} as {after[owner].role.value}" for owner in after if owner not in before]
    said += [f"removes {_short(owner)}" for owner in before if owner not in after]
    for owner in before.keys() & after.keys():
        was, becomes = before[owner], after[owner]
        if was.role is not becomes.role:
            said.append(f"makes {_short(owner)} {becomes.role.value} instead of {was.role.value}")
        elif was.key != becomes.key:
            said.append(f"changes the key of {_short(owner)}")
    fields = [name for name in GroupPolicy.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    said += [f"sets {name} to {_shown(getattr(new, name))}" for name in fields]
    return said or ["renews the roster"]


def _short(owner: bytes) -> str:
    return owner.hex()[:8]


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, tuple) else str(value)
