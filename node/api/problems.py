"""Errors as HTTP answers: problem+json (RFC 9457) with a status that follows from the error's class.

Rules of this file:

1. No handler picks a status: it raises, and :data:`STATUSES` decides.
2. What is not a :class:`SkerryError` is a bug: the answer says so and no more, the log has the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from aiohttp import web

from skerry.errors import (
    ConfigError,
    NotFound,
    PackageError,
    Refused,
    SandboxError,
    SkerryError,
    SpecificationError,
    TransportError,
    Unavailable,
)
from skerry.protocol.api import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log: Final = structlog.get_logger()

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"


class BadRequest(Refused):
    """The request is malformed; names the field."""

    default_code = "E-API-REQUEST"


class Unauthorized(Refused):
    """The request carries no token, or none that allows it."""

    default_code = "E-API-TOKEN"


class TooLarge(Refused):
    """The body is larger than the node takes."""

    default_code = "E-API-SIZE"


class TooSlow(Refused):
    """The body came too slowly."""

    default_code = "E-API-SLOW"


class TooMany(Refused):
    """The caller asks more often than the node answers."""

    default_code = "E-API-RATE"


class Busy(Unavailable):
    """The node has too much to do; says when to come again."""

    def __init__(self, *parts: str, again_seconds: int, **named: str) -> None:
        super().__init__(*parts, **named)
        self.again_seconds = again_seconds


class Conflict(Refused):
    """The request contradicts what is there."""

    default_code = "E-API-CONFLICT"


STATUSES: Final[tuple[tuple[type[SkerryError], int], ...]] = (
    (BadRequest, 400),
    (Unauthorized, 401),
    (TooLarge, 413),
    (TooSlow, 408),
    (TooMany, 429),
    (Conflict, 409),
    (Refused, 403),
    (NotFound, 404),
    (Unavailable, 503),
    (ConfigError, 400),
    (SpecificationError, 422),
    (PackageError, 422),
    (SandboxError, 422),
    (TransportError, 502),
    (SkerryError, 500),
)
"""The first class that fits decides."""
HEADERS: Final = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "2"},
}
"""What goes with a status: above all when to come again, in seconds."""


def status_of(error: SkerryError) -> int:
    """Return the HTTP status for `error`."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def json_response(value: object, status: int = 200) -> web.Response:
    """Return `value`, one of the types of :mod:`skerry.protocol.api`, as a JSON answer."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type=JSON)


def problem_response(error: SkerryError, status: int = 0) -> web.Response:
    """Return `error` as an answer, with `status` where the class does not decide."""
    problem = Problem(
        type=f"urn:skerry:error:{error.code}",
        title=error.what,
        status=status or status_of(error),
        code=error.code,
        where=error.where,
        why=error.why,
        todo=error.todo,
    )
    headers = HEADERS.get(problem.status)
    if isinstance(error, Busy):
        headers = {"Retry-After": str(error.again_seconds)}
    body = msgspec.json.encode(problem)
    return web.Response(body=body, status=problem.status, content_type=PROBLEM, headers=headers)


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn every error of a handler into an answer."""
    try:
        return await handler(request)
    except SkerryError as error:
        if status_of(error) >= 500:
            log.warning("request failed", path=request.path, error=str(error))
        return problem_response(error)
    except web.HTTPException as error:
        return _routing_problem(request, error)
    except (ConnectionError, TimeoutError) as error:
        log.info("caller went away", path=request.path, error=type(error).__name__)
        return web.Response(status=400)
    except Exception as error:  # supervision: one request must not end the node
        log.exception("request failed", path=request.path)
        return problem_response(
            SkerryError("The node failed to answer; its log has the details", where=type(error).__name__)
        )


def _routing_problem(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """Turn what aiohttp refuses by itself (unknown route, bad range, ...) into the same shape."""
    if error.status < 400:
        return error
    code = {404: "E-API-ROUTE", 405: "E-API-ROUTE", 413: "E-API-SIZE"}.get(error.status, "E-API-REQUEST")
    where = f"{request.method} {request.path}"
    answer = problem_response(BadRequest(error.reason, where=where, code=code), error.status)
    for name in ("Allow", "Content-Range"):
        if name in error.headers:
            answer.headers[name] = error.headers[name]
    return answer
