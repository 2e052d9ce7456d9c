"""What an operator asks of a node: who may call it, who did what, what goes on, why something is absent."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Scope = Literal["search", "publish", "admin"]
"""What a token allows; each includes those before it."""
TokenName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
"""Small letters, digits and hyphens, 64 at most."""


class TokenView(msgspec.Struct, frozen=True):
    """A named token that outlives restarts; the token itself is not kept."""

    name: str
    scope: Scope
    created: int


class Tokens(msgspec.Struct, frozen=True):
    """All named tokens."""

    tokens: list[TokenView]


class TokenRequest(msgspec.Struct, frozen=True):
    """Make a named token."""

    name: TokenName
    scope: Scope


class TokenGrant(msgspec.Struct, frozen=True):
    """A new token; shown this once."""

    name: str
    scope: Scope
    token: str


class AuditEntry(msgspec.Struct, frozen=True):
    """One act, as a line of the audit log; ``msgspec.json.encode`` of it is the line."""

    seq: int
    """1, 2, 3, ..."""
    at: int
    who: str
    """The token's name, or a node key."""
    action: str
    """``published``, ``withdrawn``, ``fetched``, ``joined``, ..."""
    subject: str
    detail: str
    previous: str
    """SHA-256 of the line before, without its line break; 64 zeros for the first."""


class AuditQuery(msgspec.Struct, frozen=True):
    """Which part of the audit log."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1000
    cursor: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0
    """0, or what the page before gave as ``next``."""


class Audit(msgspec.Struct, frozen=True):
    """A page of the audit log, oldest entry first."""

    entries: list[AuditEntry]
    next: int | None = None
    """Cursor of the next page; None at the end."""


class Backup(msgspec.Struct, frozen=True):
    """A backup that was written; it holds the node's private keys."""

    path: str
    """Where it lies on the node's machine."""
    bytes: int


class EventsQuery(msgspec.Struct, frozen=True):
    """Which events are wanted."""

    kinds: str = ""
    """Kinds joined by commas; all when empty."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened at the node, as ``data`` of a server-sent event."""

    id: int
    """Grows by one an event; starts anew with the node."""
    at: float
    kind: str
    """``publish``, ``peer``, ``transfer`` or ``index``; also the name of the server-sent event."""
    subject: str
    """The slug, node key or blob."""
    step: str
    done: int = 0
    total: int = 0
    """Of `done`, in bytes or items; 0 when there is nothing to count."""


class WhyQuery(msgspec.Struct, frozen=True):
    """More about the subject."""

    owner: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""
    """Of a card: its owner's id."""


class WhyReason(msgspec.Struct, frozen=True):
    """One reason why something is not here, or that it is."""

    because: str
    sentence: str
    detail: str = ""
    todo: str = ""
    at: int | None = None
    """When it happened; None for how things stand now."""


class WhyAnswer(msgspec.Struct, frozen=True):
    """All that the node knows about an absent node, owner or card: how things stand, then what happened."""

    subject: str
    reasons: list[WhyReason]
