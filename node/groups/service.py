"""Groups as people use them: found, invite, join, leave, remove, rotate, set the policy, agree.

Theory of operation. What a group is follows from its rosters, which the state machine holds. This service
turns a wish into a signed record and has the state machine take it; every node then draws the same
conclusions.

Rules of this file:

1. A group is named by its id, by the beginning of it, or by its name where only one has it.
2. Nothing is said to be done before it is on the disk.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from skerry.errors import NotFound, Refused
from skerry.node.api.problems import BadRequest, Conflict
from skerry.protocol import events
from skerry.protocol.api import (
    Groups,
    InviteReceipt,
    Left,
    Members,
    Proposals,
    RosterChange,
)
from skerry.protocol.api import Invites as InvitesView
from skerry.protocol.envelope import RECORD_HEADER, RecordHeader, sign_record
from skerry.protocol.errors import LocalProtocolError
from skerry.protocol.limits import UNKNOWN_LEASE_SECONDS_MAX
from skerry.protocol.policy import REQUIRABLE, GroupPolicy
from skerry.protocol.roster import GroupRole, Member
from skerry.protocol.signing import Signer

from .finding import PREFIX_CHARACTERS_MIN, find_group
from .invites import bootstrap_of
from .rosters import LEAVING_TYPE, admins, standing_members, strictest
from .views import invite_view

if TYPE_CHECKING:
    from skerry.node.driver import Driver
    from skerry.node.keys import Keyring
    from skerry.node.network.transport import Transport
    from skerry.protocol.api import CreateGroupRequest, InviteRequest, PolicyRequest
    from skerry.protocol.groups import Group
    from skerry.protocol.state import State

    from .book import GroupBook
    from .invites import Invites
    from .signing import RosterWriter, Signed
    from .views import GroupViews


class GroupService:
    """See the module's docstring.

    Parameters
    ----------
    keyring
        Who this node is.
    state, driver, transport
        What is known of groups, how it changes, and whom to connect to.
    book, writer, invites, views
        The parts of this folder.
    """

    def __init__(
        self,
        keyring: Keyring,
        state: State,
        driver: Driver,
        transport: Transport,
        book: GroupBook,
        writer: RosterWriter,
        invites: Invites,
        views: GroupViews,
    ) -> None:
        self._keyring = keyring
        self._state = state
        self._driver = driver
        self._transport = transport
        self._book = book
        self._writer = writer
        self._invites = invites
        self._views = views

    # Reading.

    def find(self, name: str) -> Group:
        """Return the group that a person means; see :func:`~.finding.find_group`."""
        return find_group(self._state, name)

    def list(self) -> Groups:
        """Return the groups of this node, by name."""
        views = [self._views.group(group) for group in self._state.groups().groups.values()]
        return Groups(sorted(views, key=lambda view: (view.name, view.id)))

    def members(self, name: str) -> Members:
        """Return who is in a group."""
        return self._views.members(self.find(name))

    async def issued(self, name: str) -> InvitesView:
        """Return a group's invites that this node issued."""
        return InvitesView([invite_view(item) for item in await self._book.issued(self.find(name).id)])

    def proposals(self, name: str) -> Proposals:
        """Return the rosters of a group that wait for signatures."""
        group = self.find(name)
        waiting = self._writer.proposed(group)
        views = [self._views.proposal(group, digest, *item) for digest, item in waiting.items()]
        return Proposals(sorted(views, key=lambda view: (view.issued, view.roster)))

    # Changing.

    async def create(self, request: CreateGroupRequest) -> Members:
        """Found a group with this node's owner as its first admin.

        Raises
        ------
        BadRequest
            ``E-GROUP-NAME``: the name is empty or too long. ``E-GROUP-ADMINS``: not m of n.
        Conflict
            ``E-GROUP-EXISTS``: this node is in a group of that name, or in as many as it can be.
        """
        if not 1 <= request.signers <= request.admins:
            raise _bad_admins(request.signers, request.admins)
        if any(view.name == request.name for view in self.list().groups):
            raise Conflict(
                "This node is in a group of that name",
                where=request.name,
                todo="Choose another name: people tell groups apart by it.",
                code="E-GROUP-EXISTS",
            )
        policy = GroupPolicy(signers=request.signers, admins=request.admins)
        try:
            group = await self._writer.found(request.name, policy)
        except LocalProtocolError as error:
            raise BadRequest(
                "A group cannot be called that",
                where=repr(request.name),
                why="it is empty, or longer than 80 characters",
                todo="Choose a name of 1 to 80 characters.",
                code="E-GROUP-NAME",
            ) from error
        return self._views.members(self._state.groups().groups[group])

    async def invite(self, name: str, request: InviteRequest) -> InviteReceipt:
        """Make an invite; see :meth:`~.invites.Invites.issue` for the errors."""
        group, role = self.find(name), _role(request.role)
        policy = strictest(group.rosters.policies)
        present = len(admins(standing_members(group, int(time.time()))))
        if role is GroupRole.ADMIN and policy.admins and present >= policy.admins:
            raise Refused(
                "The group has all the admins that it may have",
                where=group.rosters.tips[0].value.name,
                why=f"its policy says {policy.signers} of {policy.admins}",
                todo="Change it with `skerry group policy --admins m-of-n`.",
                code="E-GROUP-ADMINS",
            )
        text, kept = await self._invites.issue(group, role, request.uses, request.seconds)
        return InviteReceipt(text, invite_view(kept))

    async def revoke(self, name: str, invite: str) -> InvitesView:
        """Make an invite void.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-INVITE``: this node issued no such invite.
        """
        group = self.find(name)
        fitting = [
            item for item in await self._book.issued(group.id) if item.id.hex().startswith(invite.lower())
        ]
        if len(invite) < PREFIX_CHARACTERS_MIN or len(fitting) != 1:
            raise NotFound(
                "This node issued no such invite",
                where=invite,
                todo="Look at `skerry group invites`.",
                code="E-NOTFOUND-INVITE",
            )
        await self._book.void(group.id, fitting[0].id)
        return await self.issued(name)

    async def join(self, text: str) -> Members:
        """Join a group by an invite, and connect to the node that issued it."""
        invite = await self._invites.join(text)
        if invite.issuer not in self._transport.connections:
            self._transport.connect(bootstrap_of(invite), b"")
        return self._views.members(self._state.groups().groups[invite.group])

    async def leave(self, name: str) -> Left:
        """Leave a group and forget all of it; the next roster leaves this owner out.

        Raises
        ------
        Refused
            ``E-GROUP-LAST-ADMIN``: nobody could change the group any more.
        """
        group, wall = self.find(name), int(time.time())
        members = standing_members(group, wall)
        if admins(members) == [self._keyring.owner] and len(members) > 1:
            raise Refused(
                "The only admin cannot leave",
                where=group.rosters.tips[0].value.name,
                why="nobody could admit or remove anybody any more",
                todo="Invite another admin first (`skerry group invite --role admin`), or remove all others.",
                code="E-GROUP-LAST-ADMIN",
            )
        said = RecordHeader(self._keyring.owner, group.id, wall, wall + UNKNOWN_LEASE_SECONDS_MAX)
        record = sign_record(LEAVING_TYPE, RECORD_HEADER.encode(said), [self._keyring.signer])
        await self._driver.take_records((record.to_bytes(),))
        self._driver.post(events.LeaveGroup(group.id))
        # An answered request stands behind the event in the driver's queue: then the group is gone.
        await self._driver.take_records(())
        await self._book.forget(group.id)
        return Left(group.id.hex())

    async def remove(self, name: str, member: str) -> RosterChange:
        """Remove a member. What it already fetched cannot be recalled.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-MEMBER``.
        Refused
            ``E-GROUP-LAST-ADMIN``, ``E-GROUP-ROLE``.
        """
        group = self.find(name)
        owner = self._member(name, member)

        def without(members: dict[bytes, Member]) -> None:
            members.pop(owner, None)
            if not admins(members):
                raise _no_admin(group)

        return self._changed(group, await self._writer.change(group, without))

    async def rotate(self, name: str) -> RosterChange:
        """Change this owner's key for the group's rosters, and make all open invites void."""
        group = self.find(name)
        fresh = Signer.generate()
        await self._book.add_admin_key(group.id, fresh)

        def rotated(members: dict[bytes, Member]) -> None:
            own = members[self._keyring.owner]
            members[self._keyring.owner] = msgspec.structs.replace(own, key=fresh.public_key)

        signed = await self._writer.change(group, rotated)
        await self._book.void(group.id)
        return self._changed(group, signed)

    async def policy(self, name: str, request: PolicyRequest) -> RosterChange:
        """Change what the group asks of learnwares.

        Raises
        ------
        BadRequest
            ``E-GROUP-POLICY``: a field cannot be required, or a number is out of range.
        """
        group = self.find(name)
        changes = {
            field: tuple(value) if isinstance(value, list) else value
            for field, value in msgspec.structs.asdict(request).items()
            if value is not None
        }
        try:
            raw = msgspec.structs.replace(strictest(group.rosters.policies), **changes)
            policy = msgspec.convert(msgspec.structs.asdict(raw), GroupPolicy)
        except msgspec.ValidationError as error:
            raise _bad_policy(str(error)) from error
        unknown = [field for field in policy.required if field not in REQUIRABLE]
        if unknown:
            raise _bad_policy(f"{', '.join(unknown)} cannot be required, only {', '.join(REQUIRABLE)}")
        if (policy.signers or policy.admins) and not 1 <= policy.signers <= policy.admins:
            raise _bad_admins(policy.signers, policy.admins)
        return self._changed(group, await self._writer.change(group, lambda _: None, policy=policy))

    async def agree(self, name: str, roster: str) -> RosterChange:
        """Sign a roster that another admin proposed.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-PROPOSAL``.
        """
        group = self.find(name)
        waiting = [
            digest for digest in self._writer.proposed(group) if digest.hex().startswith(roster.lower())
        ]
        digest = waiting[0] if len(waiting) == 1 and len(roster) >= PREFIX_CHARACTERS_MIN else roster.encode()
        return self._changed(group, await self._writer.agree(group, digest))

    def _changed(self, group: Group, signed: Signed) -> RosterChange:
        return RosterChange(
            self._views.group(group), signed.roster.hex(), signed.signatures, signed.needed, signed.in_force
        )

    def _member(self, name: str, member: str) -> bytes:
        """Return the owner that an id, the beginning of one, or a name stands for."""
        rows = self.members(name).members
        exact = [row for row in rows if row.owner == member.lower()]
        named = [row for row in rows if row.owner_name == member]
        begun = [
            row
            for row in rows
            if len(member) >= PREFIX_CHARACTERS_MIN and row.owner.startswith(member.lower())
        ]
        fitting = exact or named or begun
        if len(fitting) != 1:
            raise NotFound(
                "No member of the group fits" if not fitting else "Several members fit",
                where=member,
                why=", ".join(row.owner[:8] for row in fitting),
                todo="Take the id that `skerry group members` shows.",
                code="E-NOTFOUND-MEMBER",
            )
        return bytes.fromhex(fitting[0].owner)


def _role(text: str) -> GroupRole:
    try:
        return GroupRole(text)
    except ValueError as error:
        raise BadRequest(
            "There is no such role",
            where=text,
            why=f"roles are {', '.join(role.value for role in GroupRole)}",
            todo="Name one of them.",
            code="E-GROUP-INVITE-TERMS",
        ) from error


def _bad_admins(signers: int, admins_max: int) -> BadRequest:
    return BadRequest(
        "Admins are m of n",
        where=f"{signers} of {admins_max}",
        why="of n admins at least one and at most all must sign",
        todo="Write for instance --admins 2-of-3.",
        code="E-GROUP-ADMINS",
    )


def _bad_policy(why: str) -> BadRequest:
    return BadRequest("The policy cannot be like this", where="policy", why=why, code="E-GROUP-POLICY")


def _no_admin(group: Group) -> Refused:
    return Refused(
        "The only admin cannot be removed",
        where=group.rosters.tips[0].value.name,
        todo="Invite another admin first (`skerry group invite --role admin`).",
        code="E-GROUP-LAST-ADMIN",
    )
