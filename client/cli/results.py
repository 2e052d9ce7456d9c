"""What commands print with ``--json`` where it is none of the types of :mod:`skerry.protocol.api`.

These types are a promise: fields are added, never renamed or removed. ``docs/cli.schema.json`` is made of
them and of the API's, and the tests hold every command's output against it.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Fetched(msgspec.Struct, frozen=True):
    """``get``: a package, and where it lies; ``path`` is empty after ``--dry-run``."""

    id: str
    bytes: int
    lane: str
    path: str
    cached: bool
    """Whether it was here before, so that nothing moved or would move."""
    sources: list[str]
    """Addresses of the nodes that serve it."""


class Predictions(msgspec.Struct, frozen=True):
    """``run`` and ``reuse`` without ``-o``: one row a row of the data."""

    columns: list[str]
    rows: list[list[Any]]


class Written(msgspec.Struct, frozen=True):
    """``run`` and ``reuse`` with ``-o``."""

    rows: int
    path: str


class ReuseReport(msgspec.Struct, frozen=True):
    """``reuse``: what was chosen and why, and the predictions or where they lie."""

    chosen: str
    why: str
    trials: list[dict[str, Any]]
    members: list[str]
    """Ids of the learnwares that take part."""
    predictions: Predictions | None = None
    written: Written | None = None


class CacheEntry(msgspec.Struct, frozen=True):
    """One learnware in the cache."""

    id: str
    name: str
    version: int
    owner: str
    bytes: int
    fetched: float
    path: str


class CacheListing(msgspec.Struct, frozen=True):
    """``cache ls``: ``bytes`` is the size of everything, files that several share counted once."""

    folder: str
    bytes: int
    learnwares: list[CacheEntry]


class Freed(msgspec.Struct, frozen=True):
    """``cache rm``."""

    bytes: int


class Verified(msgspec.Struct, frozen=True):
    """``cache verify``: ids of learnwares whose files were damaged, and were removed."""

    damaged: list[str]


class Exported(msgspec.Struct, frozen=True):
    """``export``."""

    id: str
    bytes: int
    lane: str
    path: str


class ShownColumn(msgspec.Struct, frozen=True):
    """What a specification says of one column."""

    name: str
    location: float
    spread: float
    missing_rate: float


class ShownSpecification(msgspec.Struct, frozen=True):
    """``spec show``: exactly what would leave."""

    bytes: int
    island: str
    columns: list[str]
    weights: list[float]
    points: list[list[float]]
    location: list[float]
    spread: list[float]
    missing_rate: list[float]


class PackedFile(msgspec.Struct, frozen=True):
    """``package pack``."""

    name: str
    lane: str
    bytes: int
    path: str


class Files(msgspec.Struct, frozen=True):
    """``package new``: what was written."""

    files: list[str]


class SignedCharter(msgspec.Struct, frozen=True):
    """``owner rotate`` and its like with ``--out``: a charter that no node has yet."""

    path: str


class ServiceUnit(msgspec.Struct, frozen=True):
    """``service``: a systemd unit, and where it goes."""

    unit: str
    path: str


class AuditExport(msgspec.Struct, frozen=True):
    """``audit export``: what was written, and the hash of the last entry, which covers all before it."""

    entries: int
    path: str
    last: str


class Finding(msgspec.Struct, frozen=True):
    """What one check of ``doctor`` found."""

    check: str
    passed: bool
    found: str
    todo: str = ""


class Findings(msgspec.Struct, frozen=True):
    """``doctor``."""

    findings: list[Finding]


class ErrorParts(msgspec.Struct, frozen=True):
    """An error in its five parts."""

    code: str
    what: str
    where: str
    why: str
    todo: str


class Failure(msgspec.Struct, frozen=True):
    """What stands on standard error when a command fails."""

    error: ErrorParts
