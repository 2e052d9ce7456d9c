"""Routes of an operator: the audit log, what goes on, and why something is absent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from skerry.node.limits import EVENTS_PAUSE_SECONDS
from skerry.protocol.api import Audit, AuditQuery, Event, EventsQuery

from .problems import BadRequest
from .routes import Route, query, raw, typed

if TYPE_CHECKING:
    from skerry.node.audit import AuditLog
    from skerry.node.progress import Listener, Progress

EVENT_STREAM = "text/event-stream"


class OperatingRoutes:
    """``/audit`` and ``/events``.

    Parameters
    ----------
    audit, progress
        The services behind the routes.
    """

    def __init__(self, audit: AuditLog, progress: Progress) -> None:
        self._audit = audit
        self._progress = progress

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (
            typed("GET", "/audit", "admin", AuditQuery, Audit, self._acts),
            raw("GET", "/events", "search", EVENT_STREAM, self._events, takes=EventsQuery),
        )

    async def _acts(self, _: web.Request, given: AuditQuery) -> Audit:
        """Show who did what, oldest first."""
        return await asyncio.to_thread(self._audit.read, given.cursor, given.limit)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send what goes on, as it happens."""
        kinds = frozenset(filter(None, query(request, EventsQuery).kinds.split(",")))
        with self._progress.listening(_last_seen(request)) as listener:
            response = web.StreamResponse(headers={"Cache-Control": "no-store"})
            response.content_type = EVENT_STREAM
            await response.prepare(request)
            await response.write(b": what happens at this node\n\n")
            while (event := await _next(listener)) is not None:
                if isinstance(event, str) or not kinds or event.kind in kinds:
                    await response.write(_encoded(event))
            await response.write_eof()
        return response


async def _next(listener: Listener) -> Event | str | None:
    """Return the next event, a comment when there was none for a while, or None at the end."""
    try:
        return await asyncio.wait_for(listener.get(), EVENTS_PAUSE_SECONDS)
    except TimeoutError:
        return ": nothing new\n\n"


def _encoded(event: Event | str) -> bytes:
    if isinstance(event, str):
        return event.encode()
    return f"id: {event.id}\nevent: {event.kind}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"


def _last_seen(request: web.Request) -> int | None:
    text = request.headers.get("Last-Event-ID", "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise BadRequest("The number of the last event cannot be read", where="Last-Event-ID", why=text[:80])
    return int(text)
