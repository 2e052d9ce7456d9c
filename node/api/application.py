"""The local API: what programs of this machine may ask of the node.

The contract is :mod:`skerry.protocol.api`.

Theory of operation. The topics' modules give tables of routes (see ``routes.py``), which this file joins.
Three middlewares run before every handler: errors become problems, ``Host`` and ``Origin`` must be this
node's own (a web page that lures a browser here, by DNS rebinding or a cross-site request, has others), and
the bearer token must carry the scope.

Rules of this file:

1. Every route stands in a table; nothing else is reachable but ``/healthz``.
2. Tokens are new at every start and lie in ``api.json``, which only the owner of the folder can read.
3. A body is bounded before it is read; an upload goes to disk piece by piece.
"""

from __future__ import annotations

import hmac
import os
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from skerry.node.limits import API_BODY_BYTES_MAX
from skerry.protocol.api import API_PREFIX, Endpoint

from .problems import Unauthorized, problems
from .routes import SCOPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .routes import Handler, Route

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def new_tokens() -> dict[str, str]:
    """Return a fresh token for each scope."""
    return {scope: secrets.token_urlsafe(32) for scope in SCOPES}


class LocalApi:
    """The HTTP application of the local API.

    Parameters
    ----------
    tokens
        The token of each scope.
    hosts
        Names, beside loopback, under which the API may be called.
    routes
        The rows of all topics.
    """

    def __init__(self, *, tokens: dict[str, str], hosts: frozenset[str], routes: Iterable[Route]) -> None:
        self.tokens = tokens
        self._hosts = hosts | LOOPBACK_NAMES
        self._routes = tuple(routes)
        self._scopes: dict[object, str] = {}

    def application(self) -> web.Application:
        """Return the application, to be run once."""
        application = web.Application(
            client_max_size=API_BODY_BYTES_MAX, middlewares=[problems, self._check_origin, self._check_token]
        )
        for row in self._routes:
            route = application.router.add_route(row.method, API_PREFIX + row.path, row.handler)
            self._scopes[route.handler] = row.scope
        application.router.add_get("/healthz", _health, allow_head=False)
        return application

    def endpoint(self, url: str) -> Endpoint:
        """Return what ``api.json`` holds while the API is reachable at `url`."""
        return Endpoint(url=url, pid=os.getpid(), tokens=self.tokens)

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
        scope = self._scopes.get(request.match_info.route.handler)
        if scope is not None:
            self._require_scope(request, scope)
        return await handler(request)

    def _require_scope(self, request: web.Request, scope: str) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        enough = SCOPES[SCOPES.index(scope) :]
        # Every token is compared, so that the time taken tells nothing.
        fits = [hmac.compare_digest(self.tokens[name].encode(), token.strip().encode()) for name in enough]
        if kind.lower() != "bearer" or not any(fits):
            raise Unauthorized(
                f"This needs a token of scope {scope!r}",
                where=f"{request.method} {request.path}",
                todo="Send `Authorization: Bearer TOKEN` with the token from api.json in the node's folder.",
            )


async def _health(_: web.Request) -> web.StreamResponse:
    return web.Response(text="ok\n")
