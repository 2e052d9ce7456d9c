"""Bridges between islands, as institutions publish them for each other."""

from __future__ import annotations

from typing import Annotated

import msgspec

IslandId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
"""The id of an island, hexadecimal."""


class PlankView(msgspec.Struct, frozen=True):
    """One column of an island that is one of another; its value there is ``factor * value + offset``."""

    source: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    target: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    factor: float
    offset: float
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]


class BridgeView(msgspec.Struct, frozen=True):
    """A published bridge: a claim of ``owner``, to be tried before it is trusted."""

    owner: str
    owner_name: str
    source: str
    target: str
    planks: list[PlankView]
    issued: int
    lease: int


class Bridges(msgspec.Struct, frozen=True):
    """The bridges that a node knows between two islands, the newest first."""

    bridges: list[BridgeView]


class BridgeQuery(msgspec.Struct, frozen=True):
    """Between which islands; an empty id is any."""

    source: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""
    target: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""


class BridgeRequest(msgspec.Struct, frozen=True):
    """Publish a bridge between two islands."""

    source: IslandId
    target: IslandId
    planks: Annotated[list[PlankView], msgspec.Meta(min_length=1, max_length=256)]
