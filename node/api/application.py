"""The local API: what programs of this machine may ask of the node.

The contract is :mod:`skerry.protocol.api`.

Theory of operation. A table says for each route which scope a token needs; three middlewares run before
every handler: errors become problems, ``Host`` and ``Origin`` must be this node's own (a web page that
lures a browser here, by DNS rebinding or a cross-site request, has others), and the bearer token must carry
the scope. Handlers decode, call one service, encode.

Rules of this file:

1. Every route stands in one table; nothing else is reachable but ``/healthz``.
2. Tokens are new at every start and lie in ``api.json``, which only the owner of the folder can read.
3. A body is bounded before it is read; an upload goes to disk piece by piece.
"""

from __future__ import annotations

import hmac
import os
import secrets
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from skerry.node.config import parse_bootstrap
from skerry.node.limits import API_BODY_BYTES_MAX
from skerry.node.transfer.blobs_http import BINARY, parse_root
from skerry.protocol.api import API_PREFIX, DialRequest, Endpoint, PublishRequest, SearchRequest

from .problems import BadRequest, Unauthorized, json_response, problems

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from skerry.node.publishing import Publisher
    from skerry.node.search.service import SearchService
    from skerry.node.transfer.fetching import SpecificationCache
    from skerry.node.view import NodeView

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Body = TypeVar("Body")

SCOPES: Final = ("search", "publish", "admin")
"""Each includes those before it."""
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
    view
        Answers what the node knows.
    search, publisher, specifications
        The services behind the routes.
    dial
        Connects to ``host:port#certificate-hash``.
    """

    def __init__(
        self,
        *,
        tokens: dict[str, str],
        hosts: frozenset[str],
        view: NodeView,
        search: SearchService,
        publisher: Publisher,
        specifications: SpecificationCache,
        dial: Callable[[str], Awaitable[None]],
    ) -> None:
        self.tokens = tokens
        self._hosts = hosts | LOOPBACK_NAMES
        self._view = view
        self._search = search
        self._publisher = publisher
        self._specifications = specifications
        self._dial = dial
        self._scopes: dict[object, str] = {}

    def application(self) -> web.Application:
        """Return the application, to be run once."""
        application = web.Application(
            client_max_size=API_BODY_BYTES_MAX, middlewares=[problems, self._check_origin, self._check_token]
        )
        for method, path, scope, handler in self._routes():
            route = application.router.add_route(method, API_PREFIX + path, handler)
            self._scopes[route.handler] = scope
        application.router.add_get("/healthz", _health, allow_head=False)
        return application

    def endpoint(self, url: str) -> Endpoint:
        """Return what ``api.json`` holds while the API is reachable at `url`."""
        return Endpoint(url=url, pid=os.getpid(), tokens=self.tokens)

    def _routes(self) -> tuple[tuple[str, str, str, Handler], ...]:
        return (
            ("GET", "/status", "search", self._get_status),
            ("GET", "/peers", "search", self._get_peers),
            ("GET", "/learnwares", "search", self._get_learnwares),
            ("GET", "/checks/{slug}", "search", self._get_checks),
            ("GET", "/cards/{card_id}", "search", self._get_card),
            ("POST", "/search", "search", self._post_search),
            ("GET", "/specifications/{root}", "search", self._get_specification),
            ("POST", "/blobs", "publish", self._post_blob),
            ("POST", "/learnwares", "publish", self._post_learnware),
            ("DELETE", "/learnwares/{slug}", "publish", self._delete_learnware),
            ("POST", "/peers", "admin", self._post_peer),
        )

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

    async def _get_status(self, _: web.Request) -> web.StreamResponse:
        return json_response(self._view.status())

    async def _get_peers(self, _: web.Request) -> web.StreamResponse:
        return json_response(self._view.peers())

    async def _get_learnwares(self, _: web.Request) -> web.StreamResponse:
        return json_response(self._view.learnwares())

    async def _get_checks(self, request: web.Request) -> web.StreamResponse:
        return json_response(await self._publisher.checks(request.match_info["slug"]))

    async def _get_card(self, request: web.Request) -> web.StreamResponse:
        return json_response(self._view.hit(parse_root(request.match_info["card_id"])))

    async def _post_search(self, request: web.Request) -> web.StreamResponse:
        return json_response(await self._search.search(await _decode(request, SearchRequest)))

    async def _get_specification(self, request: web.Request) -> web.StreamResponse:
        blob = await self._specifications.get(parse_root(request.match_info["root"]))
        return web.Response(body=blob, content_type=BINARY)

    async def _post_blob(self, request: web.Request) -> web.StreamResponse:
        receipt = await self._publisher.upload(request.content, request.content_length)
        return json_response(receipt, status=201)

    async def _post_learnware(self, request: web.Request) -> web.StreamResponse:
        receipt = await self._publisher.publish(await _decode(request, PublishRequest))
        return json_response(receipt, status=201)

    async def _delete_learnware(self, request: web.Request) -> web.StreamResponse:
        return json_response(await self._publisher.withdraw(request.match_info["slug"]))

    async def _post_peer(self, request: web.Request) -> web.StreamResponse:
        address = (await _decode(request, DialRequest)).address
        parse_bootstrap(address, "address")
        await self._dial(address)
        return json_response(self._view.peers())


async def _health(_: web.Request) -> web.StreamResponse:
    return web.Response(text="ok\n")


async def _decode(request: web.Request, kind: type[Body]) -> Body:
    """Return the JSON body as `kind`."""
    body = await request.read()
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise BadRequest(
            "The body is not what this route takes", where=kind.__name__, why=str(error)
        ) from error
