"""Copies of public specifications at other nodes: ``POST /copies``, for when their owner cannot be reached.

Theory of operation. Whoever searched has the specifications that it compared in its cache, and a node that is
connected may ask for them: a name is the hash of the bytes, so it does not matter who sends them. Request and
answer are those of ``POST /blobs`` (see ``batches.py``).

Owners are asked first, each for its own. A peer that is asked for copies learns which cards somebody
compares, so it is asked only for what the owner did not send.

Rules of this file:

1. A copy is there for others when a live public card names it. What is in the cache for a group's members is
   not there, and looked for in the same way.
2. A flood of cards that name one blob costs no more than a few of them.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from aiohttp import web

from skerry.errors import Unavailable
from skerry.node.directory import PUBLIC
from skerry.node.limits import COPIES_SERVED_MAX, COPY_CARDS_MAX
from skerry.node.search.columns import code

from . import batches
from .blobs_http import BINARY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skerry.node.search.index import CardIndex
    from skerry.package.blobs import BlobStore

    from .pace import Pace


class CopyRoutes:
    """The route of the public listener that serves copies.

    Parameters
    ----------
    cache
        The specifications of others that are here.
    index
        The live cards.
    pace
        The limit on what is sent.
    """

    def __init__(self, cache: BlobStore, index: CardIndex, pace: Pace) -> None:
        self._cache = cache
        self._index = index
        self._pace = pace
        self._serving = 0

    def add_to(self, application: web.Application) -> None:
        """Add the route."""
        application.router.add_post("/copies", self._many)

    async def _many(self, request: web.Request) -> web.StreamResponse:
        """Answer with those of some public specifications that are in the cache."""
        roots = batches.asked_roots(await request.read())
        if self._serving >= COPIES_SERVED_MAX:
            raise Unavailable("The node serves too many copies now", code="E-UNAVAILABLE-FULL")
        self._serving += 1
        try:
            public = self._public(roots)
            # All are read in any case: how long "no" takes must not tell why.
            found = await asyncio.to_thread(batches.read_pieces, self._cache, dict.fromkeys(roots))
            pieces = [(root, data) for root, data in found if root in public]
            await self._pace.take(sum(len(data) for _, data in pieces))
        finally:
            self._serving -= 1
        return web.Response(body=batches.joined(pieces), content_type=BINARY)

    def _public(self, roots: Iterable[bytes]) -> set[bytes]:
        """Return those of some names that stand in a live public card."""
        named = self._index.columns.by_specification
        rows = [int(row) for root in roots for row in islice(named.rows(code(root)), COPY_CARDS_MAX)]
        return {
            entry.card.specification.root
            for entry in self._index.entries(rows)
            if any(scope == PUBLIC for scope, _ in entry.places)
        }
