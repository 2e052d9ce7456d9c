"""Making the next roster: folded in, signed, and in force or shown to the other admins.

Rules of this file:

1. One change at a time: a lock is held from reading the newest rosters to having the next one taken.
2. A roster that this node's owner may sign alone takes effect at once; any other becomes a draft.
3. Drafts are put together by whichever admin's node first holds enough signatures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skerry.errors import NotFound, Refused
from skerry.protocol.draft import finished, make_draft, proposals, read_drafts, roster_hash
from skerry.protocol.envelope import Signature, open_envelope, record_domain
from skerry.protocol.errors import LocalProtocolError
from skerry.protocol.policy import GroupPolicy
from skerry.protocol.roster import ROSTER, ROSTER_TYPE, GroupRole, Member, make_roster
from skerry.protocol.signing import Signer

from .rosters import Members, admins, leaving, standing_members, strictest

if TYPE_CHECKING:
    from skerry.node.driver import Driver
    from skerry.node.keys import Keyring
    from skerry.protocol.groups import Group
    from skerry.protocol.roster import Roster
    from skerry.protocol.state import State

    from .book import GroupBook

Edit = Callable[[Members], None]


@dataclass(frozen=True)
class Signed:
    """What became of a roster that was signed here."""

    roster: bytes
    """Its hash."""
    signatures: int
    needed: int
    in_force: bool


class RosterWriter:
    """Makes and signs rosters as one of a group's admins.

    Parameters
    ----------
    keyring
        Who this node is.
    state, driver
        What is known of groups, and how it changes.
    book
        Where the admin keys are.
    """

    def __init__(self, keyring: Keyring, state: State, driver: Driver, book: GroupBook) -> None:
        self._keyring = keyring
        self._state = state
        self._driver = driver
        self._book = book
        self._writing = asyncio.Lock()

    async def found(self, name: str, policy: GroupPolicy) -> bytes:
        """Found a group with this node's owner as its first admin, and return its id.

        Raises
        ------
        LocalProtocolError
            The name is not acceptable.
        """
        signer, owner = Signer.generate(), self._keyring.owner
        founder = Member(owner, GroupRole.ADMIN, signer.public_key, b"")
        envelope = make_roster(
            [], [signer], owner=owner, issued=int(time.time()), members=[founder], name=name, policy=policy
        )
        # The key comes first: a group whose key was lost in a crash could never change.
        await self._book.add_admin_key(envelope.hash, signer)
        await self._take(envelope.to_bytes())
        return envelope.hash

    async def change(self, group: Group, edit: Edit, *, policy: GroupPolicy | None = None) -> Signed:
        """Sign the roster that follows the newest ones with one change made to it.

        Parameters
        ----------
        group
            The group.
        edit
            Changes the members; given all that stand in rosters and valid admissions.
        policy
            The new policy; as it is when None.

        Raises
        ------
        Refused
            ``E-GROUP-ROLE``: this node's owner is no admin. ``E-GROUP-ROSTER``: others would refuse the
            roster.
        """
        async with self._writing:
            signer = await self._signer(group)
            wall = int(time.time())
            members = standing_members(group, wall)
            for owner in leaving(group):
                if members.get(owner) and members[owner].role is not GroupRole.ADMIN:
                    del members[owner]
            edit(members)
            settled = policy if policy is not None else strictest(group.rosters.policies)
            body = self._body(group, signer, members, settled, wall)
            return await self._signed(group, signer, body, wall, whole=True)

    async def agree(self, group: Group, roster: bytes) -> Signed:
        """Sign a roster that another admin proposed.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-PROPOSAL``: no such roster waits.
        Refused
            ``E-GROUP-ROLE``: this node's owner is no admin.
        """
        async with self._writing:
            signer = await self._signer(group)
            waiting = self.proposed(group)
            if roster not in waiting:
                raise NotFound(
                    "No roster with this hash waits for signatures",
                    where=roster.hex(),
                    why="it is in force already, or another roster took its place",
                    todo="Look at `skerry group proposals`.",
                    code="E-NOTFOUND-PROPOSAL",
                )
            return await self._signed(group, signer, waiting[roster][0], int(time.time()), whole=False)

    def proposed(self, group: Group) -> dict[bytes, tuple[bytes, list[Signature]]]:
        """Return the rosters that wait for signatures, by hash: body, and the signatures that there are."""
        records = [record.raw for record in group.index.carried.records.values()]
        tips = [tip.hash for tip in group.rosters.tips]
        return proposals(read_drafts(records), group.rosters.known, tips, int(time.time()))

    async def finish(self, group: Group) -> None:
        """Put in force what enough admins have signed."""
        for body, signatures in self.proposed(group).values():
            envelope = finished(body, signatures, group.rosters.known, int(time.time()))
            if envelope is not None:
                await self._take(envelope.to_bytes())
                return

    def needed(self, group: Group) -> int:
        """Return how many admins must sign the next roster."""
        return max(tip.value.threshold for tip in group.rosters.tips)

    def _body(self, group: Group, signer: Signer, members: Members, policy: GroupPolicy, wall: int) -> bytes:
        tips = list(group.rosters.tips)
        try:
            envelope = make_roster(
                tips,
                [signer],
                owner=self._keyring.owner,
                issued=max(wall, *(tip.value.issued for tip in tips)),
                members=list(members.values()),
                threshold=policy.threshold(len(admins(members))),
                policy=policy,
            )
        except LocalProtocolError as error:
            raise Refused(
                "The roster cannot be like this",
                where=group.rosters.tips[0].value.name,
                why=error.why or error.what,
                code="E-GROUP-ROSTER",
            ) from error
        return envelope.body

    async def _signed(self, group: Group, signer: Signer, body: bytes, wall: int, *, whole: bool) -> Signed:
        node = self._keyring.signer
        draft = make_draft(
            node, signer, body, owner=self._keyring.owner, group=group.id, issued=wall, whole=whole
        )
        digest, needed = roster_hash(body), self.needed(group)
        known = self.proposed(group).get(digest, (body, []))[1]
        mine = Signature(signer.public_key, signer.sign(record_domain(ROSTER_TYPE), body))
        signatures = [*(item for item in known if item.key != mine.key), mine]
        envelope = finished(body, signatures, group.rosters.known, wall)
        if envelope is not None:
            await self._take(envelope.to_bytes())
        else:
            await self._take(draft.to_bytes())
        return Signed(digest, len(signatures), needed, envelope is not None)

    async def _signer(self, group: Group) -> Signer:
        for signer in await self._book.admin_keys(group.id):
            if all(signer.public_key in tip.value.admin_keys for tip in group.rosters.tips):
                return signer
        raise Refused(
            "Only an admin of the group may do this",
            where=group.rosters.tips[0].value.name,
            todo="Ask one: `skerry group members` shows who they are.",
            code="E-GROUP-ROLE",
        )

    async def _take(self, raw: bytes) -> None:
        taken = await self._driver.take_records((raw,))
        if taken.refused:
            raise Refused(
                "The group's record was not taken",
                where=open_envelope(raw).type,
                why="; ".join(taken.refused),
                todo="Try again: another roster may have come in between.",
                code="E-GROUP-ROSTER",
            )


def roster_of(body: bytes) -> Roster:
    """Return the roster that a body holds."""
    return ROSTER.decode(body)


def decoded(body: bytes) -> Members:
    """Return the members that a roster's body names."""
    return {member.owner: member for member in ROSTER.decode(body).members}
