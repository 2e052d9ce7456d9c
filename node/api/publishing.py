"""Routes of an owner: the node's own learnwares, their checks and their blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.node.transfer.blobs_http import BINARY
from skerry.protocol.api import (
    BlobReceipt,
    CheckReport,
    Learnwares,
    PageQuery,
    PublishReceipt,
    PublishRequest,
)

from .problems import json_response
from .routes import Route, caller_of, page, plain, raw, typed

if TYPE_CHECKING:
    from aiohttp import web

    from skerry.node.audit import AuditLog
    from skerry.node.publishing import Publisher
    from skerry.node.view import NodeView


class PublishingRoutes:
    """``/learnwares``, ``/checks`` and ``/blobs``.

    Parameters
    ----------
    view, publisher
        The services behind the routes.
    audit
        Where changes are written down.
    """

    def __init__(self, view: NodeView, publisher: Publisher, audit: AuditLog) -> None:
        self._view = view
        self._audit = audit
        self._publisher = publisher

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (
            typed("GET", "/learnwares", "search", PageQuery, Learnwares, self._own),
            plain("GET", "/checks/{slug}", "search", CheckReport, self._checks),
            raw("POST", "/blobs", "publish", BlobReceipt, self._upload, takes=BINARY, status=201),
            typed(
                "POST",
                "/learnwares",
                "publish",
                PublishRequest,
                PublishReceipt,
                self._publish,
                status=201,
            ),
            plain("DELETE", "/learnwares/{slug}", "publish", PublishReceipt, self._withdraw),
        )

    async def _own(self, _: web.Request, given: PageQuery) -> Learnwares:
        """List the node's own learnwares."""
        return Learnwares(*page(self._view.learnwares(), lambda card: card.slug, given))

    async def _checks(self, request: web.Request) -> CheckReport:
        """Show what was found when a learnware was checked before it was published."""
        return await self._publisher.checks(request.match_info["slug"])

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        """Store a blob durably."""
        receipt = await self._publisher.upload(request.content, request.content_length)
        return json_response(receipt, status=201)

    async def _publish(self, request: web.Request, given: PublishRequest) -> PublishReceipt:
        """Put a learnware into the market, or replace one."""
        receipt = await self._publisher.publish(given)
        detail = f"version {receipt.card.version}, card {receipt.card.hash}, seq {receipt.seq}"
        await self._audit.note(caller_of(request), "published", given.slug, detail)
        return receipt

    async def _withdraw(self, request: web.Request) -> PublishReceipt:
        """Take a learnware out of the market."""
        slug = request.match_info["slug"]
        receipt = await self._publisher.withdraw(slug)
        await self._audit.note(caller_of(request), "withdrawn", slug, f"seq {receipt.seq}")
        return receipt
