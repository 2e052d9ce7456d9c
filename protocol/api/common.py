"""What every caller of the local API needs: where it is, and how it says no."""

from __future__ import annotations

from typing import Annotated

import msgspec

API_PREFIX = "/api/v1"
ENDPOINT_FILE = "api.json"
"""Name of the file in the node's folder, readable by its owner alone, that holds an :class:`Endpoint`."""


class Endpoint(msgspec.Struct, frozen=True):
    """How programs on this machine reach the running node."""

    url: str
    pid: int
    tokens: dict[str, str]
    """Bearer token by scope: ``search``, ``publish``, ``admin``."""


class Problem(msgspec.Struct, frozen=True):
    """An error, as ``application/problem+json`` (RFC 9457) with the parts of a Skerry error."""

    type: str
    title: str
    status: int
    code: str
    where: str = ""
    why: str = ""
    todo: str = ""


class PageQuery(msgspec.Struct, frozen=True):
    """Which part of a list. Items come in a fixed order, so that one that stays is on exactly one page."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1000
    cursor: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """What the page before gave as ``next``; empty for the first."""
