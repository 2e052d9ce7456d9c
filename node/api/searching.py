"""Routes that find learnwares and say what they are good for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from skerry.node.transfer.blobs_http import BINARY, parse_root
from skerry.protocol.api import Hit, SearchAnswer, SearchRequest

from .routes import Route, caller_of, plain, raw, typed

if TYPE_CHECKING:
    from skerry.node.search.service import SearchService
    from skerry.node.transfer.fetching import SpecificationCache
    from skerry.node.view import NodeView


class SearchRoutes:
    """``/search``, ``/cards`` and ``/specifications``.

    Parameters
    ----------
    view, search, specifications
        The services behind the routes.
    """

    def __init__(self, view: NodeView, search: SearchService, specifications: SpecificationCache) -> None:
        self._view = view
        self._search = search
        self._specifications = specifications

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (
            typed("POST", "/search", "search", SearchRequest, SearchAnswer, self._find),
            plain("GET", "/cards/{card_id}", "search", Hit, self._card),
            raw("GET", "/specifications/{root}", "search", BINARY, self._specification),
        )

    async def _find(self, request: web.Request, given: SearchRequest) -> SearchAnswer:
        """Search by data, by words, or by both."""
        return await self._search.search(given, caller_of(request), lambda: request.transport is None)

    async def _card(self, request: web.Request) -> Hit:
        """Show one learnware of the index, and who serves it."""
        return self._view.hit(parse_root(request.match_info["card_id"]))

    async def _specification(self, request: web.Request) -> web.StreamResponse:
        """Send a full specification, from the cache or from its owner."""
        blob = await self._specifications.get(parse_root(request.match_info["root"]))
        return web.Response(body=blob, content_type=BINARY)
