"""Routes of groups: rosters, invites, members and policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.errors import NotFound
from skerry.node.transfer.blobs_http import parse_root
from skerry.protocol.api import (
    CreateGroupRequest,
    Groups,
    InviteReceipt,
    InviteRequest,
    Invites,
    JoinRequest,
    Left,
    Members,
    PolicyRequest,
    Proposals,
    RosterChange,
)
from skerry.protocol.api import Sources as SourcesView

from .routes import Route, caller_of, plain, typed

if TYPE_CHECKING:
    from aiohttp import web

    from skerry.node.audit import AuditLog
    from skerry.node.groups.service import GroupService
    from skerry.node.groups.sources import Sources
    from skerry.node.search.index import CardIndex


class GroupRoutes:
    """``/groups``.

    Parameters
    ----------
    groups
        The service behind the routes.
    audit
        Where changes are written down.
    """

    def __init__(self, groups: GroupService, audit: AuditLog) -> None:
        self._groups = groups
        self._audit = audit

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        one, admin = "/groups/{group}", "admin"
        return (
            plain("GET", "/groups", "search", Groups, self._list),
            typed("POST", "/groups", admin, CreateGroupRequest, Members, self._create, status=201),
            typed("POST", "/groups/join", admin, JoinRequest, Members, self._join, status=201),
            plain("DELETE", one, admin, Left, self._leave),
            plain("GET", f"{one}/members", "search", Members, self._members),
            plain("DELETE", f"{one}/members/{{member}}", admin, RosterChange, self._remove),
            plain("GET", f"{one}/invites", admin, Invites, self._invites),
            typed("POST", f"{one}/invites", admin, InviteRequest, InviteReceipt, self._invite, status=201),
            plain("DELETE", f"{one}/invites/{{invite}}", admin, Invites, self._revoke),
            plain("POST", f"{one}/rotate", admin, RosterChange, self._rotate),
            typed("PUT", f"{one}/policy", admin, PolicyRequest, RosterChange, self._policy),
            plain("GET", f"{one}/proposals", "search", Proposals, self._proposals),
            plain("POST", f"{one}/proposals/{{roster}}", admin, RosterChange, self._agree),
        )

    async def _list(self, _: web.Request) -> Groups:
        """List the groups of this node."""
        return self._groups.list()

    async def _create(self, request: web.Request, given: CreateGroupRequest) -> Members:
        """Found a group."""
        done = await self._groups.create(given)
        await self._note(request, "founded", done.group.id, given.name)
        return done

    async def _join(self, request: web.Request, given: JoinRequest) -> Members:
        """Join a group by an invite."""
        done = await self._groups.join(given.invite)
        await self._note(request, "joined", done.group.id, done.group.role)
        return done

    async def _leave(self, request: web.Request) -> Left:
        """Leave a group."""
        done = await self._groups.leave(request.match_info["group"])
        await self._note(request, "left", done.group, "")
        return done

    async def _members(self, request: web.Request) -> Members:
        """List the members of a group."""
        return self._groups.members(request.match_info["group"])

    async def _remove(self, request: web.Request) -> RosterChange:
        """Remove a member."""
        done = await self._groups.remove(request.match_info["group"], request.match_info["member"])
        await self._note(request, "removed", done.group.id, request.match_info["member"])
        return done

    async def _invites(self, request: web.Request) -> Invites:
        """List the invites that this node issued."""
        return await self._groups.issued(request.match_info["group"])

    async def _invite(self, request: web.Request, given: InviteRequest) -> InviteReceipt:
        """Make an invite."""
        done = await self._groups.invite(request.match_info["group"], given)
        await self._note(
            request, "invited", request.match_info["group"], f"{given.uses} as {given.role}, {done.invite.id}"
        )
        return done

    async def _revoke(self, request: web.Request) -> Invites:
        """Make an invite void."""
        done = await self._groups.revoke(request.match_info["group"], request.match_info["invite"])
        await self._note(request, "revoked", request.match_info["group"], request.match_info["invite"])
        return done

    async def _rotate(self, request: web.Request) -> RosterChange:
        """Change this owner's key for the group's rosters."""
        done = await self._groups.rotate(request.match_info["group"])
        await self._note(request, "rotated", done.group.id, f"roster {done.roster}")
        return done

    async def _policy(self, request: web.Request, given: PolicyRequest) -> RosterChange:
        """Change what the group asks of learnwares."""
        done = await self._groups.policy(request.match_info["group"], given)
        await self._note(request, "ruled", done.group.id, f"roster {done.roster}")
        return done

    async def _proposals(self, request: web.Request) -> Proposals:
        """List the rosters that wait for signatures."""
        return self._groups.proposals(request.match_info["group"])

    async def _agree(self, request: web.Request) -> RosterChange:
        """Sign a roster that another admin proposed."""
        done = await self._groups.agree(request.match_info["group"], request.match_info["roster"])
        await self._note(request, "agreed", done.group.id, f"roster {done.roster}")
        return done

    async def _note(self, request: web.Request, action: str, group: str, detail: str) -> None:
        await self._audit.note(caller_of(request), action, f"group {group}", detail)


class SourceRoutes:
    """``/cards/{card_id}/sources``.

    Parameters
    ----------
    index
        Which cards are shown.
    sources
        How their nodes are reached.
    """

    def __init__(self, index: CardIndex, sources: Sources) -> None:
        self._index = index
        self._sources = sources

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (plain("GET", "/cards/{card_id}/sources", "search", SourcesView, self._ready),)

    async def _ready(self, request: web.Request) -> SourcesView:
        """Say who serves a learnware's blobs, with tokens for what is not public."""
        card = parse_root(request.match_info["card_id"])
        entry = self._index.newest(card)
        if entry is None:
            raise NotFound("No live learnware has this id", where=card.hex(), code="E-NOTFOUND-CARD")
        return SourcesView(await self._sources.ready(entry))
