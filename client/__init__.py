"""The client: the library, the command line and the demo.

It meets the node over its local HTTP API (:mod:`skerry.protocol.api`), never by import, and fetches models
straight from the nodes that own them. The public names resolve on first use, so that the command line starts
without numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asynchronous import AsyncNetwork
    from .hits import Hit, Hits, WithdrawnWarning
    from .network import Network, connect
    from .publishing import publish

__all__ = ["AsyncNetwork", "Hit", "Hits", "Network", "WithdrawnWarning", "connect", "publish"]

_HOMES = {
    "AsyncNetwork": "asynchronous",
    "Hit": "hits",
    "Hits": "hits",
    "Network": "network",
    "WithdrawnWarning": "hits",
    "connect": "network",
    "publish": "publishing",
}


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
