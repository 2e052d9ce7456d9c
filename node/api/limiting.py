"""Bounds on what callers of the local API may take: requests a second, requests at a time, bodies in memory.

Rules of this file:

1. What is refused here costs next to nothing, and says when to come again.
2. A limit is a caller's own, so that one program gone wild does not shut out the others; requests without a
   good token share one.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skerry.errors import Unavailable
from skerry.node.limits import (
    API_BODIES_BYTES_MAX,
    API_BODY_BYTES_MAX,
    API_REFUSALS_BURST,
    API_REFUSALS_PER_SECOND,
    API_REQUESTS_BURST,
    API_REQUESTS_CONCURRENT_MAX,
    API_REQUESTS_PER_SECOND,
)
from skerry.protocol.allowance import Allowance

from .problems import TooMany

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web


class Limiter:
    """The bounds of one API."""

    def __init__(self) -> None:
        self._callers: dict[str, Allowance] = {}
        self._strangers = Allowance(API_REFUSALS_PER_SECOND, API_REFUSALS_BURST)
        self._requests = 0
        self._body_bytes = 0

    def admit(self, caller: str) -> None:
        """Count a request of a caller with a good token.

        Raises
        ------
        TooMany
            ``E-API-RATE``.
        """
        # There are as many allowances as tokens that were ever good in this run, which only admins make.
        allowance = self._callers.setdefault(caller, Allowance(API_REQUESTS_PER_SECOND, API_REQUESTS_BURST))
        if not allowance.spend(1, time.monotonic()):
            raise _too_many(f"{API_REQUESTS_PER_SECOND:g} requests a second with one token are answered")

    def refuse(self) -> None:
        """Count a request without a good token; the errors are those of :meth:`admit`."""
        if not self._strangers.spend(1, time.monotonic()):
            raise _too_many(
                f"{API_REFUSALS_PER_SECOND:g} requests a second without a good token are answered"
            )

    @contextmanager
    def place(self, request: web.Request, *, in_memory: bool) -> Iterator[None]:
        """Hold a place for a request, and for its body where that is read into memory.

        Raises
        ------
        Unavailable
            ``E-UNAVAILABLE-FULL``.
        """
        size = _body_bytes(request) if in_memory else 0
        if self._requests >= API_REQUESTS_CONCURRENT_MAX or self._body_bytes + size > API_BODIES_BYTES_MAX:
            raise Unavailable(
                "The node has too many requests under way",
                why=f"{self._requests} requests, {self._body_bytes} bytes of bodies",
                todo="Try again in a few seconds.",
                code="E-UNAVAILABLE-FULL",
            )
        self._requests += 1
        self._body_bytes += size
        try:
            yield
        finally:
            self._requests -= 1
            self._body_bytes -= size


def _body_bytes(request: web.Request) -> int:
    """Return the most bytes that the body can come to in memory."""
    if not request.can_read_body:
        return 0
    return min(request.content_length or API_BODY_BYTES_MAX, API_BODY_BYTES_MAX)


def _too_many(why: str) -> TooMany:
    return TooMany("Too many requests", why=why, todo="Wait as long as Retry-After says.")
