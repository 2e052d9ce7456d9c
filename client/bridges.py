"""Bridges that others found, and those that are found here, through the node.

A published bridge names columns by their place in an island. Which columns these are is known to whoever has
specifications of both islands, so a bridge is made usable with the owner's specification at hand
(:func:`skerry.spec.bridge_of`). It is a claim: hold it against models that need no bridge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.errors import SpecificationError
from skerry.protocol import api

if TYPE_CHECKING:
    from skerry.spec import Bridge, Rkme

    from .connection import Connection


def known_bridges(connection: Connection, searcher: Rkme, owner: Rkme) -> list[tuple[str, Bridge]]:
    """Return the published bridges from one table to another, each with the name of who found it.

    Those that do not fit the two tables are left out.
    """
    answer = connection.get(
        f"/bridges?source={searcher.island.id.hex()}&target={owner.island.id.hex()}", api.Bridges
    )
    found = []
    for view in answer.bridges:
        try:
            found.append((view.owner_name or view.owner[:8], bridge_from(view, searcher, owner)))
        except SpecificationError:
            continue
    return found


def bridge_from(view: api.BridgeView, searcher: Rkme, owner: Rkme) -> Bridge:
    """Return a published bridge, usable between two specifications of its islands.

    Raises
    ------
    SpecificationError
        ``E-SPEC-BRIDGE`` when it does not fit the two tables.
    """
    from skerry.spec import Match, bridge_of
    from skerry.spec.bridging import unnamed

    matches = [Match(p.source, p.target, p.factor, p.offset, p.confidence) for p in view.planks]
    return bridge_of(owner, searcher.columns or unnamed(searcher.dimension), matches)


def publish_bridge(connection: Connection, bridge: Bridge, searcher: Rkme, owner: Rkme) -> api.BridgeView:
    """Publish a bridge between the islands of two specifications, signed by the node."""
    planks = [api.PlankView(m.source, m.target, m.factor, m.offset, m.confidence) for m in bridge.matches]
    request = api.BridgeRequest(searcher.island.id.hex(), owner.island.id.hex(), planks)
    return connection.post("/bridges", request, api.Bridges).bridges[0]
