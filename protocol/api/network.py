"""The node and its peers, at a glance."""

from __future__ import annotations

import msgspec


class PeerView(msgspec.Struct, frozen=True):
    """A connected or known node."""

    node_key: str
    owner: str
    owner_name: str
    addresses: list[str]
    connected: bool
    direction: str
    """``out``, ``in``, or empty when not connected."""
    cards: int
    seen: float
    """When it was last heard; 0 when never."""
    round_trip_seconds: float | None = None


class Peers(msgspec.Struct, frozen=True):
    """The nodes that this one knows, by node key."""

    peers: list[PeerView]
    next: str = ""
    """Cursor of the next page; empty at the end."""


class DialRequest(msgspec.Struct, frozen=True):
    """Connect to a node: ``host:port#certificate-hash``."""

    address: str


class Status(msgspec.Struct, frozen=True):
    """The node at a glance."""

    name: str
    owner: str
    node_key: str
    version: str
    bootstrap: str
    """What others configure to reach this node: ``host:port#certificate-hash``."""
    started: float
    learnwares: int
    cards: int
    owners: int
    peers_connected: int
    peers_known: int
    seq: int
    lease_ends: int
    digest: str
    """Fingerprint of the public heads this node holds; equal at nodes that agree."""
    troubles: list[str] = []
    """Why the dials that failed last did so: target and reason, oldest first."""
    alarms: list[str] = []
    """What is wrong with this node itself: its key is used elsewhere, it may be cut off, its head cannot be
    renewed."""
