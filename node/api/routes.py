"""What a route of the local API is: a row of a table, from which both the server and its description follow.

Theory of operation. Each topic has a module with a class whose ``routes()`` gives its rows; the
application joins them, and ``/openapi.json`` is generated from them. A handler is a plain coroutine: it gets
the request and, where the row says so, what was given with it as a typed struct, and returns a typed struct.
Decoding, encoding and entity tags happen here, for all alike. What is given with a GET or DELETE stands in
the query, with any other method in a JSON body.

Rules of this file:

1. A handler never parses: what it is given has been validated.
2. An answer to a GET carries an entity tag over its bytes, and ``If-None-Match`` saves sending them again.
"""

from __future__ import annotations

import asyncio
import bisect
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import msgspec
from aiohttp import ETag, web

from skerry.node.limits import API_BODY_SECONDS_MAX
from skerry.protocol.api import API_PREFIX, PageQuery

from .problems import JSON, BadRequest, TooSlow, json_response

Given = TypeVar("Given", bound=msgspec.Struct)
Answer = TypeVar("Answer", bound=msgspec.Struct)
Item = TypeVar("Item")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SCOPES: Final = ("search", "publish", "admin")
"""Each includes those before it."""
BODILESS: Final = frozenset({"GET", "DELETE"})
"""Methods whose input stands in the query."""
ETAG_BYTES: Final = 16
"""Half a SHA-256 tells two answers apart."""
NO_TOKEN: Final = ""
"""The scope of what anybody who reaches the API may know."""
ROOT: Final = ""
"""The prefix of what does not belong to a version of the API."""
PATTERNS: Final = {
    "card_id": "^[0-9a-f]{64}$",
    "root": "^[0-9a-f]{64}$",
    "subject": "^[0-9a-f]{64}$",
}
"""What the path's parameters look like; others are words."""


class Caller(NamedTuple):
    """Whose token a request carried."""

    name: str
    scope: str


CALLER: Final = web.RequestKey("caller", Caller)


@dataclass(frozen=True)
class Route:
    """One row of the table.

    Attributes
    ----------
    method, path
        As in HTTP; below ``/api/v1``, with parameters in braces.
    scope
        What the token must allow.
    takes
        The type of the query or body; None without one, a media type for raw bytes.
    gives
        The type of the answer, or a media type.
    handler
        What aiohttp calls.
    status
        The status of success.
    summary
        One sentence, from the handler's docstring.
    prefix
        What the path stands below.
    """

    method: str
    path: str
    scope: str
    takes: type[msgspec.Struct] | str | None
    gives: type[msgspec.Struct] | str
    handler: Handler
    status: int
    summary: str
    prefix: str = API_PREFIX


def plain(
    method: str,
    path: str,
    scope: str,
    gives: type[Answer],
    handle: Callable[[web.Request], Awaitable[Answer]],
) -> Route:
    """Return a route that is given nothing beyond its path."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return _answer(request, await handle(request), 200)

    return Route(method, path, scope, None, gives, handler, 200, _summary(handle))


def typed(
    method: str,
    path: str,
    scope: str,
    takes: type[Given],
    gives: type[Answer],
    handle: Callable[[web.Request, Given], Awaitable[Answer]],
    *,
    status: int = 200,
) -> Route:
    """Return a route that is given a struct, in its query or as its JSON body."""
    decode = _from_query if method in BODILESS else _from_body

    async def handler(request: web.Request) -> web.StreamResponse:
        return _answer(request, await handle(request, await decode(request, takes)), status)

    return Route(method, path, scope, takes, gives, handler, status, _summary(handle))


def raw(
    method: str,
    path: str,
    scope: str,
    gives: type[msgspec.Struct] | str,
    handler: Handler,
    *,
    takes: type[msgspec.Struct] | str | None = None,
    status: int = 200,
    prefix: str = API_PREFIX,
) -> Route:
    """Return a route whose handler reads or writes bytes itself: uploads, blobs, streams."""
    return Route(method, path, scope, takes, gives, handler, status, _summary(handler), prefix)


def caller_of(request: web.Request) -> str:
    """Return the name of the token that the request carried."""
    return request[CALLER].name


def query(request: web.Request, kind: type[Given]) -> Given:
    """Return the query as `kind`."""
    try:
        return msgspec.convert(dict(request.query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _unreadable("query", kind, error) from error


def page(items: Sequence[Item], key: Callable[[Item], str], given: PageQuery) -> tuple[list[Item], str]:
    """Return the part of `items`, which are sorted by `key`, that was asked for, and the next cursor."""
    start = bisect.bisect_right(items, given.cursor, key=key) if given.cursor else 0
    part = list(items[start : start + given.limit])
    return part, key(part[-1]) if start + len(part) < len(items) else ""


async def _from_body(request: web.Request, kind: type[Given]) -> Given:
    try:
        async with asyncio.timeout(API_BODY_SECONDS_MAX):
            body = await request.read()
    except TimeoutError as error:
        raise TooSlow("The body did not come in time", where=f"{request.method} {request.path}") from error
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable("body", kind, error) from error


async def _from_query(request: web.Request, kind: type[Given]) -> Given:
    return query(request, kind)


def _unreadable(part: str, kind: type[msgspec.Struct], error: Exception) -> BadRequest:
    return BadRequest(f"The {part} is not what this route takes", where=kind.__name__, why=str(error))


def _answer(request: web.Request, value: msgspec.Struct, status: int) -> web.StreamResponse:
    if request.method != "GET":
        return json_response(value, status)
    body = msgspec.json.encode(value)
    tag = hashlib.sha256(body).hexdigest()[: 2 * ETAG_BYTES]
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        return web.Response(status=304, headers={"ETag": f'"{tag}"'})
    response = web.Response(body=body, status=status, content_type=JSON)
    response.etag = ETag(tag)
    return response


def _summary(handle: Callable[..., object]) -> str:
    return (handle.__doc__ or "").strip().partition("\n")[0].rstrip(".")
