"""What the node shows of its groups, in the types of the local API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from skerry.protocol.api import GroupView, InviteView, Members, MemberView, PolicyView, Proposal

from .rosters import differences, joined, standing_members, strictest
from .signing import decoded, roster_of

if TYPE_CHECKING:
    from skerry.node.directory import Directory
    from skerry.node.network.transport import Transport
    from skerry.protocol.envelope import Signature
    from skerry.protocol.groups import Group
    from skerry.protocol.policy import GroupPolicy
    from skerry.protocol.state import State

    from .book import IssuedInvite


class GroupViews:
    """Answers from what the node knows of groups.

    Parameters
    ----------
    owner
        This node's owner.
    state, directory, transport
        What the node knows, and whom it hears.
    """

    def __init__(self, owner: bytes, state: State, directory: Directory, transport: Transport) -> None:
        self._owner = owner
        self._state = state
        self._directory = directory
        self._transport = transport

    def group(self, group: Group) -> GroupView:
        """Return a group at a glance."""
        wall = int(time.time())
        standing = group.standing(self._owner, wall)
        return GroupView(
            id=group.id.hex(),
            name=group.rosters.tips[0].value.name,
            role="" if standing is None else standing.role.value,
            version=group.rosters.version,
            members=len(group.members(wall)),
            signers=max(tip.value.threshold for tip in group.rosters.tips),
            forked=len(group.rosters.tips) > 1,
            serving=self._state.groups().serves(group),
            refreshed=group.refreshed,
            lease_ends=group.rosters.lease,
            policy=policy_view(strictest(group.rosters.policies)),
        )

    def members(self, group: Group) -> Members:
        """Return who is in a group: admins first, then by name."""
        wall = int(time.time())
        rows = []
        for owner, standing in group.members(wall).items():
            row = MemberView(
                owner=owner.hex(),
                owner_name=self._directory.name(owner),
                role=standing.role.value,
                invited_by=standing.invited_by.hex(),
                invited_by_name=self._directory.name(standing.invited_by),
                admitted_until=_admitted_until(group, owner, wall),
                last_seen=time.time() if owner == self._owner else self._seen(owner),
                own=owner == self._owner,
            )
            rows.append((-standing.role.rank, row.owner_name, row.owner, row))
        return Members(self.group(group), [row for *_, row in sorted(rows, key=lambda item: item[:3])])

    def proposal(self, group: Group, digest: bytes, body: bytes, signatures: list[Signature]) -> Proposal:
        """Return a roster that waits for signatures."""
        roster, wall = roster_of(body), int(time.time())
        now = standing_members(group, wall)
        own = {
            member.key
            for tip in group.rosters.tips
            for member in tip.value.members
            if member.owner == self._owner and member.key
        }
        return Proposal(
            roster=digest.hex(),
            proposed_by=roster.owner.hex(),
            proposed_by_name=self._directory.name(roster.owner),
            issued=roster.issued,
            changes=differences(now, decoded(body), strictest(group.rosters.policies), roster.policy),
            signatures=len(signatures),
            needed=max(tip.value.threshold for tip in group.rosters.tips),
            signed=any(item.key in own for item in signatures),
        )

    def _seen(self, owner: bytes) -> float:
        """Return when a node of an owner was last heard of: now and then directly, else by its record."""
        heard = [c.heard for c in self._transport.connections.values() if c.peer.trust.owner == owner]
        signed = [float(node.issued) for node in self._directory.nodes.values() if node.owner == owner]
        return min(max((*heard, *signed), default=0.0), time.time())


def policy_view(policy: GroupPolicy) -> PolicyView:
    """Return a policy as it is shown."""
    return PolicyView(
        lanes=list(policy.lanes),
        required=list(policy.required),
        cards_max=policy.cards_max,
        package_bytes_max=policy.package_bytes_max,
        signers=policy.signers,
        admins=policy.admins,
    )


def invite_view(invite: IssuedInvite) -> InviteView:
    """Return an issued invite as it is shown."""
    return InviteView(
        id=invite.id.hex()[:16],
        role=invite.role,
        uses=invite.uses,
        used=invite.used,
        expires=invite.expires,
        void=invite.void,
    )


def _admitted_until(group: Group, owner: bytes, wall: int) -> int:
    if owner in joined([tip.value for tip in group.rosters.tips], None):
        return 0
    leases = [
        record.value.lease
        for record in group.admissions.records.values()
        if record.value.member == owner and group.counts(record.value, wall)
    ]
    return max(leases, default=0)
