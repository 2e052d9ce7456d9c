"""``/bridges``: what institutions found out about which column is which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.protocol.api import BridgeQuery, BridgeRequest, Bridges

from .routes import Route, typed

if TYPE_CHECKING:
    from aiohttp import web

    from skerry.node.bridges import BridgeBook


class BridgeRoutes:
    """``/bridges``.

    Parameters
    ----------
    book
        The bridges that are known.
    """

    def __init__(self, book: BridgeBook) -> None:
        self._book = book

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (
            typed("GET", "/bridges", "search", BridgeQuery, Bridges, self._find),
            typed("POST", "/bridges", "publish", BridgeRequest, Bridges, self._publish),
        )

    async def _find(self, _: web.Request, given: BridgeQuery) -> Bridges:
        """Show the bridges between two islands, the newest first."""
        return self._book.find(given)

    async def _publish(self, _: web.Request, given: BridgeRequest) -> Bridges:
        """Sign a bridge and send it on to all nodes."""
        return await self._book.publish(given)
