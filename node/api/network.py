"""Routes about the node and its peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.node.config import parse_bootstrap
from skerry.protocol.api import DialRequest, PageQuery, Peers, Status

from .routes import Route, caller_of, page, plain, typed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from skerry.node.audit import AuditLog
    from skerry.node.view import NodeView


class NetworkRoutes:
    """``/status`` and ``/peers``.

    Parameters
    ----------
    view
        Answers what the node knows.
    dial
        Connects to ``host:port#certificate-hash``.
    audit
        Where dials are written down.
    """

    def __init__(self, view: NodeView, dial: Callable[[str], Awaitable[None]], audit: AuditLog) -> None:
        self._view = view
        self._audit = audit
        self._dial = dial

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (
            plain("GET", "/status", "search", Status, self._status),
            typed("GET", "/peers", "search", PageQuery, Peers, self._peers),
            typed("POST", "/peers", "admin", DialRequest, Peers, self._add_peer),
        )

    async def _status(self, _: web.Request) -> Status:
        """Show the node at a glance."""
        return self._view.status()

    async def _peers(self, _: web.Request, given: PageQuery) -> Peers:
        """List the nodes that this one knows."""
        return self._page(given)

    async def _add_peer(self, request: web.Request, given: DialRequest) -> Peers:
        """Connect to a node."""
        parse_bootstrap(given.address, "address")
        await self._dial(given.address)
        await self._audit.note(caller_of(request), "dialled", given.address)
        return self._page(PageQuery())

    def _page(self, given: PageQuery) -> Peers:
        return Peers(*page(self._view.peers(), lambda peer: peer.node_key, given))
