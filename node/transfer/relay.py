"""Blobs of nodes that cannot be dialled: ``GET /relay/KEY/blob/NAME`` and its leaves, over their connection.

A relay is a favour with bounds. It serves what a live public card of the relayed node names, and nothing
else; it sends on no leaf that it did not verify, so it is no channel for other bytes; and it has a budget
for all relayed nodes together. It relays for nodes that are connected to this one; for programs of this
machine it also has a node open a connection first.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from skerry.errors import NotFound, SkerryError, Unavailable
from skerry.node.directory import PUBLIC
from skerry.node.limits import RELAY_BYTES_PER_SECOND, RELAY_BYTES_SAVED_MAX, RELAYED_MAX, RELAYS_MAX
from skerry.package.limits import LEAF_BYTES
from skerry.protocol.allowance import Allowance
from skerry.protocol.card import CARD

from .blobs_http import BINARY, byte_range, parse_root

if TYPE_CHECKING:
    from skerry.node.directory import Directory
    from skerry.node.network.ranges import Ranges
    from skerry.protocol.state import State

log: Final = structlog.get_logger()


class RelayRoutes:
    """The two routes of the public listener that relay.

    Parameters
    ----------
    ranges
        How relayed nodes are asked.
    state, directory
        Which blobs their live cards name, and who cannot be dialled.
    """

    def __init__(self, ranges: Ranges, state: State, directory: Directory) -> None:
        self._ranges = ranges
        self._state = state
        self._directory = directory
        self._budget = Allowance(RELAY_BYTES_PER_SECOND, RELAY_BYTES_SAVED_MAX)
        self._relaying = 0
        self._sizes: OrderedDict[bytes, tuple[bytes, dict[bytes, int]]] = OrderedDict()
        """Node key -> hash of the head that is shown, and its blobs' sizes."""

    def add_to(self, application: web.Application) -> None:
        """Add the routes."""
        application.router.add_get("/relay/{node}/blob/{name}", self._blob, allow_head=False)
        application.router.add_get("/relay/{node}/blob/{name}/leaves", self._leaves, allow_head=False)

    async def _leaves(self, request: web.Request) -> web.StreamResponse:
        node_key, root, size = self._asked(request)
        await self._ranges.reach(node_key)
        leaves = await self._ranges.leaves(node_key, root, size)
        return web.Response(body=b"".join(leaves), content_type=BINARY)

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        node_key, root, size = self._asked(request)
        start, stop = byte_range(request, size)
        if self._relaying >= RELAYS_MAX or not self._budget.spend(stop - start, time.monotonic()):
            raise Unavailable(
                "The node relays too much now", todo="Try again in a moment.", code="E-UNAVAILABLE-FULL"
            )
        self._relaying += 1
        try:
            await self._ranges.reach(node_key)
            leaves = await self._ranges.leaves(node_key, root, size)
            response = _response(start, stop, size)
            await response.prepare(request)
            try:
                for index in range(start // LEAF_BYTES, -(-stop // LEAF_BYTES)):
                    leaf = await self._ranges.leaf(node_key, root, size, leaves, index)
                    first = index * LEAF_BYTES
                    await response.write(leaf[max(0, start - first) : stop - first])
                await response.write_eof()
            except SkerryError as error:
                # The status is sent already: the connection ends early, and so the reader knows.
                log.warning("relaying ended", peer=node_key.hex(), why=str(error))
                if request.transport is not None:
                    request.transport.close()
            return response
        finally:
            self._relaying -= 1

    def _asked(self, request: web.Request) -> tuple[bytes, bytes, int]:
        """Return the node, the blob and its size; what may not be relayed is not there."""
        node_key, root = parse_root(request.match_info["node"]), parse_root(request.match_info["name"])
        record = self._directory.nodes.get(node_key)
        size = self._sizes_of(node_key).get(root)
        reachable = self._ranges.connected(node_key) or _is_here(request)
        if size is None or record is None or record.addresses or not reachable:
            raise NotFound("There is no such blob here", where=root.hex(), code="E-NOTFOUND-BLOB")
        return node_key, root, size

    def _sizes_of(self, node_key: bytes) -> dict[bytes, int]:
        """Return the sizes of the blobs that a node's live public cards name."""
        held = self._state.catalogue(node_key, PUBLIC)
        if held is None:
            return {}
        known, shown = self._sizes.get(node_key), b"" if held.shown is None else held.shown.hash
        if known is None or known[0] != shown or held.partial is not None:
            cards = [CARD.decode(raw) for raw in held.visible.values()]
            blobs = [blob for card in cards for blob in (card.specification, card.package)]
            known = (shown, {blob.root: blob.size for blob in blobs})
            self._sizes[node_key] = known
            if len(self._sizes) > RELAYED_MAX:
                self._sizes.popitem(last=False)
        self._sizes.move_to_end(node_key)
        return known[1]


def _response(start: int, stop: int, size: int) -> web.StreamResponse:
    response = web.StreamResponse(status=200 if (start, stop) == (0, size) else 206)
    response.content_type = BINARY
    response.content_length = stop - start
    if response.status == 206:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return response


def _is_here(request: web.Request) -> bool:
    """Return whether a program of this machine asks."""
    return ipaddress.ip_address((request.remote or "0.0.0.0").partition("%")[0]).is_loopback  # noqa: S104
