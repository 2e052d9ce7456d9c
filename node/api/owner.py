"""Routes about owners: the own charter, others' charters, and opinions of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.protocol.api import (
    CharterRequest,
    DomainProof,
    Opinion,
    OpinionRequest,
    Opinions,
    OwnerView,
)

from .routes import Route, caller_of, plain, typed

if TYPE_CHECKING:
    from aiohttp import web

    from skerry.node.audit import AuditLog
    from skerry.node.owners import OwnerService


class OwnerRoutes:
    """``/owner``, ``/owners`` and ``/opinions``.

    Parameters
    ----------
    owners
        The service behind the routes.
    audit
        Where changes are written down.
    """

    def __init__(self, owners: OwnerService, audit: AuditLog) -> None:
        self._owners = owners
        self._audit = audit

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (
            plain("GET", "/owner", "search", OwnerView, self._own),
            typed("POST", "/owner/charter", "admin", CharterRequest, OwnerView, self._take),
            plain("GET", "/owners/{owner}", "search", OwnerView, self._show),
            plain("GET", "/owners/{owner}/domain", "search", DomainProof, self._domain),
            plain("GET", "/opinions", "search", Opinions, self._opinions),
            typed("PUT", "/opinions/{subject}", "admin", OpinionRequest, Opinion, self._think),
        )

    async def _own(self, _: web.Request) -> OwnerView:
        """Show this node's owner."""
        return self._owners.show()

    async def _show(self, request: web.Request) -> OwnerView:
        """Show an owner."""
        return self._owners.show(request.match_info["owner"])

    async def _take(self, request: web.Request, given: CharterRequest) -> OwnerView:
        """Take a charter that was signed with the owner's keys."""
        view = await self._owners.take(given.charter)
        await self._audit.note(caller_of(request), "chartered", f"owner {view.owner}", f"v{view.version}")
        return view

    async def _domain(self, request: web.Request) -> DomainProof:
        """Ask the domain in an owner's charter whether it is the owner's."""
        return await self._owners.domain(request.match_info["owner"])

    async def _opinions(self, _: web.Request) -> Opinions:
        """List what this node thinks of owners and learnwares."""
        return self._owners.opinions()

    async def _think(self, request: web.Request, given: OpinionRequest) -> Opinion:
        """Vouch for an owner, block an owner or a learnware, or give an owner a nickname."""
        subject = request.match_info["subject"]
        opinion = await self._owners.think(subject, given)
        said = f"vouched {opinion.vouched}, blocked {opinion.blocked}, nickname {opinion.nickname!r}"
        await self._audit.note(caller_of(request), "judged", opinion.subject, said)
        return opinion
