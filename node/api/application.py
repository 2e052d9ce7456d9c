"""The local API: what programs of this machine may ask of the node.

The contract is :mod:`skerry.protocol.api`.

Theory of operation. The topics' modules give tables of routes (see ``routes.py``), which this file joins.
Before every handler middlewares run, outermost first: the request gets an id that all its log lines carry,
and is counted; errors become problems; ``Host`` and ``Origin`` must be this node's own (a web page that lures
a browser here, by DNS rebinding or a cross-site request, has others); the bearer token must carry the scope,
and its caller must not ask too much.

Rules of this file:

1. Every route stands in a table; nothing else is reachable.
2. Session tokens are new at every start and lie in ``api.json``, which only the owner of the folder can read.
3. A body is bounded before it is read; an upload goes to disk piece by piece.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from skerry.node.limits import API_BODY_BYTES_MAX
from skerry.protocol.api import Endpoint

from .limiting import Limiter
from .openapi import Description
from .problems import Unauthorized, problems
from .routes import CALLER, NO_TOKEN, ROOT, SCOPES, Handler, Route, raw

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skerry.node.progress import Progress

    from .metrics import Metrics
    from .tokens import TokenBook

log: Final = structlog.get_logger()

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
REQUEST_ID: Final = "X-Request-Id"


class LocalApi:
    """The HTTP application of the local API.

    Parameters
    ----------
    tokens
        Who may call.
    hosts
        Names, beside loopback, under which the API may be called.
    routes
        The rows of all topics.
    metrics
        Counts the requests.
    progress
        Its listeners are ended with the API.
    """

    def __init__(
        self,
        *,
        tokens: TokenBook,
        hosts: frozenset[str],
        routes: Iterable[Route],
        metrics: Metrics,
        progress: Progress,
    ) -> None:
        self._tokens = tokens
        self._hosts = hosts | LOOPBACK_NAMES
        rows = (
            raw("GET", "/healthz", NO_TOKEN, "text/plain", _health, prefix=ROOT),
            *metrics.routes(),
            *routes,
        )
        self._rows = (*rows, *Description(rows).routes())
        self._by_handler: dict[object, Route] = {}
        self._limiter = Limiter()
        self._metrics = metrics
        self._progress = progress

    def application(self) -> web.Application:
        """Return the application, to be run once."""
        application = web.Application(
            client_max_size=API_BODY_BYTES_MAX,
            middlewares=[self._observe, problems, self._check_origin, self._check_token],
        )
        for row in self._rows:
            route = application.router.add_route(row.method, row.prefix + row.path, row.handler)
            self._by_handler[route.handler] = row
        application.on_shutdown.append(self._end_listeners)
        return application

    def endpoint(self, url: str) -> Endpoint:
        """Return what ``api.json`` holds while the API is reachable at `url`."""
        return Endpoint(url=url, pid=os.getpid(), tokens=self._tokens.session)

    async def _end_listeners(self, _: web.Application) -> None:
        self._progress.close()

    @web.middleware
    async def _observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give the request an id, and log and count what became of it."""
        number = secrets.token_hex(4)
        began = asyncio.get_running_loop().time()
        with structlog.contextvars.bound_contextvars(request=number):
            response = await handler(request)
            seconds = asyncio.get_running_loop().time() - began
            row = self._row(request)
            route = "" if row is None else row.path
            self._metrics.answered(request.method if row is not None else "", route, response.status, seconds)
            log.debug("answered", method=request.method, route=route, status=response.status, seconds=seconds)
        if not response.prepared:
            response.headers[REQUEST_ID] = number
        return response

    def _row(self, request: web.Request) -> Route | None:
        return self._by_handler.get(request.match_info.route.handler)

    @web.middleware
    async def _check_origin(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._require_own(request, "Host", f"//{request.headers.get('Host', '')}")
        if "Origin" in request.headers:
            self._require_own(request, "Origin", request.headers["Origin"])
        return await handler(request)

    def _require_own(self, request: web.Request, header: str, url: str) -> None:
        try:
            name = urlsplit(url).hostname
        except ValueError:
            name = None
        if name not in self._hosts:
            raise Unauthorized(
                f"The {header} header names another site",
                where=request.headers.get(header, ""),
                why="only this node's own names may be used, against requests that a web page makes",
                todo="Call the node by its loopback address, or list the name in api.hosts.",
                code="E-API-ORIGIN",
            )

    @web.middleware
    async def _check_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        row = self._row(request)
        if row is not None and row.scope != NO_TOKEN:
            self._require_scope(request, row.scope)
        in_memory = row is not None and isinstance(row.takes, type)
        with self._limiter.place(request, in_memory=in_memory):
            return await handler(request)

    def _require_scope(self, request: web.Request, scope: str) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        caller = self._tokens.caller(token.strip()) if kind.lower() == "bearer" else None
        if caller is None or SCOPES.index(caller.scope) < SCOPES.index(scope):
            self._limiter.refuse()
            raise Unauthorized(
                f"This needs a token of scope {scope!r}",
                where=f"{request.method} {request.path}",
                todo="Send `Authorization: Bearer TOKEN` with the token from api.json in the node's folder.",
            )
        self._limiter.admit(caller.name)
        request[CALLER] = caller


async def _health(_: web.Request) -> web.StreamResponse:
    """Say that the node serves."""
    return web.Response(text="ok\n")
