"""A learnware as the local API shows it, and where its blobs can be had."""

from __future__ import annotations

import msgspec


class Source(msgspec.Struct, frozen=True):
    """One node from which a learnware's blobs can be fetched."""

    node_key: str
    addresses: list[str]
    """``host:port`` of the public listener."""
    mode: str
    """``pinned`` or ``web``."""
    certificate: str
    """SHA-256 of the certificate for ``pinned``; empty for ``web``."""
    host: str = ""
    prefix: str = ""
    """What comes before ``/blob/`` in a path; a node that relays for the owner has one."""


class CardView(msgspec.Struct, frozen=True):
    """A learnware's entry in the index, as shown to people and programs."""

    id: str
    hash: str
    owner: str
    owner_name: str
    slug: str
    version: int
    name: str
    summary: str
    data: str
    task: str
    library: str
    scenarios: list[str]
    license: str
    tags: list[str]
    language: str
    classes: int
    island: str
    dimension: int
    lane: str
    specification: str
    specification_bytes: int
    package: str
    package_bytes: int
    published: int
    disputed: bool = False
