"""Skerry: a peer-to-peer market network for learnwares.

A learnware is a trained model plus a specification of what it is good for. Institutions host their
own models and publish only signed specifications; anybody on the network finds models by data and
fetches them directly from their owner::

    import skerry

    net = skerry.connect()
    hits = net.search(X, task="classification")
    model = hits[0].estimator()

Nothing heavy is imported before it is used: the names below resolve on first access.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import (
    ClientError,
    ConfigError,
    NotFound,
    PackageError,
    Refused,
    SandboxError,
    SkerryError,
    SpecificationError,
    StorageError,
    TransportError,
    Unavailable,
)

if TYPE_CHECKING:
    from skerry import reuse, spec
    from skerry.client import AsyncNetwork, Hit, Hits, Network, WithdrawnWarning, connect, publish

__version__ = "0.1.0"

__all__ = [
    "AsyncNetwork",
    "ClientError",
    "ConfigError",
    "Hit",
    "Hits",
    "Network",
    "NotFound",
    "PackageError",
    "Refused",
    "SandboxError",
    "SkerryError",
    "SpecificationError",
    "StorageError",
    "TransportError",
    "Unavailable",
    "WithdrawnWarning",
    "__version__",
    "connect",
    "publish",
    "reuse",
    "spec",
]

_LAZY_MODULES = frozenset({"reuse", "spec"})
_LAZY_NAMES = dict.fromkeys(
    ("AsyncNetwork", "Hit", "Hits", "Network", "WithdrawnWarning", "connect", "publish"), "skerry.client"
)


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f"skerry.{name}")
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(_LAZY_NAMES[name]), name)
    raise AttributeError(f"module 'skerry' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
