"""Who an owner is, by its charters, and what this node's people think of it."""

from __future__ import annotations

import msgspec


class NodeKeyView(msgspec.Struct, frozen=True):
    """A machine of an owner."""

    key: str
    roles: list[str]
    not_before: int
    not_after: int
    here: bool
    """Whether it is this node."""


class OwnerView(msgspec.Struct, frozen=True):
    """An owner, as its newest charter says, and this node's opinion of it."""

    owner: str
    name: str
    """What it calls itself: a claim."""
    version: int
    epoch: int
    threshold: int
    owner_keys: list[str]
    recovery_key: str
    node_keys: list[NodeKeyView]
    about: str
    contact: str
    url: str
    issued: int
    frozen: bool
    """Whether two rival charters exist that nothing has settled: none of its keys counts."""
    nickname: str
    vouched: bool
    blocked: bool
    charters: list[bytes]
    """The chain, first to newest, as signed."""


class CharterRequest(msgspec.Struct, frozen=True):
    """Take the charter that follows this node's newest one; it was signed with the owner's keys elsewhere."""

    charter: bytes


class OpinionRequest(msgspec.Struct, frozen=True):
    """Change what this node thinks of an owner or a learnware; what is None stays."""

    vouched: bool | None = None
    blocked: bool | None = None
    nickname: str | None = None


class Opinion(msgspec.Struct, frozen=True):
    """What this node thinks of an owner or a learnware. It is told to nobody."""

    subject: str
    """Id of an owner or a card."""
    vouched: bool = False
    """Its learnwares do not count against the quota of owners whom nobody knows."""
    blocked: bool = False
    """Its learnwares, or this one, are not shown here."""
    nickname: str = ""
    """Shown instead of the name that it gives itself."""


class Opinions(msgspec.Struct, frozen=True):
    """All opinions of this node."""

    opinions: list[Opinion]


class DomainProof(msgspec.Struct, frozen=True):
    """Whether the domain in an owner's charter names the owner."""

    owner: str
    url: str
    """The address that was asked."""
    proved: bool
    why: str = ""
    """Why not."""
