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
    token: str = ""
    """For what is not public: sent as a bearer token with every request for a blob; good for minutes."""


class Sources(msgspec.Struct, frozen=True):
    """Nodes from which a learnware's blobs can be fetched now."""

    sources: list[Source]


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
    public: bool = True
    """Whether everybody sees it."""
    groups: list[str] = []
    """Ids of the groups of this node in which it is shown."""
