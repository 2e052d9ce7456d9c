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

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from aiohttp import ETag, web

from .problems import JSON, BadRequest, json_response

Given = TypeVar("Given", bound=msgspec.Struct)
Answer = TypeVar("Answer", bound=msgspec.Struct)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SCOPES: Final = ("search", "publish", "admin")
"""Each includes those before it."""
BODILESS: Final = frozenset({"GET", "DELETE"})
"""Methods whose input stands in the query."""
ETAG_BYTES: Final = 16
"""Half a SHA-256 tells two answers apart."""


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
    """

    method: str
    path: str
    scope: str
    takes: type[msgspec.Struct] | str | None
    gives: type[msgspec.Struct] | str
    handler: Handler
    status: int
    summary: str


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
    takes: str | None = None,
    status: int = 200,
) -> Route:
    """Return a route whose handler reads or writes bytes itself: uploads, blobs, streams."""
    return Route(method, path, scope, takes, gives, handler, status, _summary(handler))


async def _from_body(request: web.Request, kind: type[Given]) -> Given:
    body = await request.read()
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable("body", kind, error) from error


async def _from_query(request: web.Request, kind: type[Given]) -> Given:
    try:
        return msgspec.convert(dict(request.query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _unreadable("query", kind, error) from error


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
