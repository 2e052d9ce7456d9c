"""Routes about the node and its peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.node.config import parse_bootstrap
from skerry.protocol.api import DialRequest, Peers, Status

from .routes import Route, plain, typed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from skerry.node.view import NodeView


class NetworkRoutes:
    """``/status`` and ``/peers``.

    Parameters
    ----------
    view
        Answers what the node knows.
    dial
        Connects to ``host:port#certificate-hash``.
    """

    def __init__(self, view: NodeView, dial: Callable[[str], Awaitable[None]]) -> None:
        self._view = view
        self._dial = dial

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (
            plain("GET", "/status", "search", Status, self._status),
            plain("GET", "/peers", "search", Peers, self._peers),
            typed("POST", "/peers", "admin", DialRequest, Peers, self._add_peer),
        )

    async def _status(self, _: web.Request) -> Status:
        """Show the node at a glance."""
        return self._view.status()

    async def _peers(self, _: web.Request) -> Peers:
        """List the nodes that this one knows."""
        return self._view.peers()

    async def _add_peer(self, _: web.Request, given: DialRequest) -> Peers:
        """Connect to a node."""
        parse_bootstrap(given.address, "address")
        await self._dial(given.address)
        return self._view.peers()
