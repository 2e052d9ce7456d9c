"""What every caller of the local API needs: where it is, and how it says no."""

from __future__ import annotations

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
