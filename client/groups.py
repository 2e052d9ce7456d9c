"""Institutional groups as Python sees them: ``net.groups``.

::

    club = net.groups.create("North Sea hospitals", admins=(2, 3))
    print(net.groups.invite(club.id, role="publisher", uses=3).text)

Texts such as names come from other institutions: show them escaped (:mod:`skerry.client.escape`).
"""

from __future__ import annotations

from collections.abc import Sequence

from skerry.protocol import api

from .connection import Connection, segment

DAY_SECONDS = 24 * 3600


class Groups:
    """The groups of one node; a group is named by id, the beginning of it, or its name.

    Parameters
    ----------
    connection
        The way to the node.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __repr__(self) -> str:
        return f"<Groups of {self._connection.url}>"

    def all(self) -> list[api.GroupView]:
        """Return the groups that the node is in."""
        return self._connection.get("/groups", api.Groups).groups

    def create(self, name: str, *, admins: tuple[int, int] = (1, 1)) -> api.GroupView:
        """Found a group with the node's owner as its first admin.

        Parameters
        ----------
        name
            What the group calls itself, at most 80 characters.
        admins
            m and n: of n admins m sign each change. Until there are n, as many as there are, at most m.

        Raises
        ------
        Refused
            ``E-GROUP-NAME``, ``E-GROUP-ADMINS``, ``E-GROUP-EXISTS``.
        """
        request = api.CreateGroupRequest(name, *admins)
        return self._connection.post("/groups", request, api.Members).group

    def members(self, group: str) -> list[api.MemberView]:
        """Return who is in a group, with role, inviter, and when each was last seen."""
        return self.view(group).members

    def view(self, group: str) -> api.Members:
        """Return a group at a glance, and who is in it."""
        return self._connection.get(f"{_path(group)}/members", api.Members)

    def invite(
        self, group: str, *, role: str = "reader", uses: int = 1, days: float = 7.0
    ) -> api.InviteReceipt:
        """Make an invite: one string, redeemed at this node, so often and so long.

        Parameters
        ----------
        group
            The group.
        role
            ``reader``, ``publisher``, ``registrar`` or ``admin``.
        uses
            How many institutions may come in by it.
        days
            How long.

        Raises
        ------
        Refused
            ``E-GROUP-ROLE``: only registrars and admins invite; only admins invite registrars and admins.
        """
        request = api.InviteRequest(role, uses, round(days * DAY_SECONDS))
        return self._connection.post(f"{_path(group)}/invites", request, api.InviteReceipt)

    def invites(self, group: str) -> list[api.InviteView]:
        """Return the invites that this node issued, without their secrets."""
        return self._connection.get(f"{_path(group)}/invites", api.Invites).invites

    def revoke(self, group: str, invite: str) -> list[api.InviteView]:
        """Make an invite void, and return all."""
        path = f"{_path(group)}/invites/{segment(invite)}"
        return self._connection.delete(path, api.Invites).invites

    def join(self, invite: str) -> api.GroupView:
        """Join a group by an invite; returns when the node is a member.

        Raises
        ------
        Refused
            The invite is used up, expired, void, or no invite.
        NotFound
            The issuing node knows no such invite.
        Unavailable
            The issuing node cannot be reached.
        """
        return self._connection.post("/groups/join", api.JoinRequest(invite), api.Members).group

    def leave(self, group: str) -> None:
        """Leave a group: the node forgets all of it. What others fetched cannot be recalled."""
        self._connection.delete(_path(group), api.Left)

    def remove(self, group: str, member: str) -> api.RosterChange:
        """Remove a member; named by id, the beginning of it, or its name. What it fetched stays with it."""
        return self._connection.delete(f"{_path(group)}/members/{segment(member)}", api.RosterChange)

    def rotate(self, group: str) -> api.RosterChange:
        """Change this owner's key for the group's rosters, and make all open invites void."""
        return self._connection.post(f"{_path(group)}/rotate", None, api.RosterChange)

    def policy(
        self,
        group: str,
        *,
        lanes: Sequence[str] | None = None,
        required: Sequence[str] | None = None,
        cards_max: int | None = None,
        package_bytes_max: int | None = None,
        admins: tuple[int, int] | None = None,
    ) -> api.RosterChange:
        """Change what the group asks of learnwares; what is None stays as it is.

        Parameters
        ----------
        group
            The group.
        lanes
            The only lanes admitted; empty admits all.
        required
            Card fields that must not be empty.
        cards_max, package_bytes_max
            Learnwares of one owner, and size of one package; 0 sets no bound.
        admins
            m and n, as in :meth:`create`.
        """
        request = api.PolicyRequest(
            lanes=None if lanes is None else list(lanes),
            required=None if required is None else list(required),
            cards_max=cards_max,
            package_bytes_max=package_bytes_max,
            signers=None if admins is None else admins[0],
            admins=None if admins is None else admins[1],
        )
        return self._connection.put(f"{_path(group)}/policy", request, api.RosterChange)

    def proposals(self, group: str) -> list[api.Proposal]:
        """Return the changes that wait for other admins' signatures."""
        return self._connection.get(f"{_path(group)}/proposals", api.Proposals).proposals

    def agree(self, group: str, roster: str) -> api.RosterChange:
        """Sign a change that another admin proposed."""
        return self._connection.post(f"{_path(group)}/proposals/{segment(roster)}", None, api.RosterChange)


def _path(group: str) -> str:
    return f"/groups/{segment(group)}"
