"""Networks to measure in: joined one node after another, or woken from drawn disks.

Theory of operation. What a node does when it joins costs as much as it does in an hour later, so ten thousand
that join take longer than all that is measured in their network. A converged network whose machines were all
switched off wakes up soon. Every disk holds records of nodes drawn at random from all, which is what a
passive view is once shuffles have mixed it, and the catalogues that were published before; then every node
dials by its own rules. Who knows a node is known to it, as former links are to each other: a peer that nobody
has dialled yet is dialled by others first, which is most of what joining costs. Links, trees and whatever
else is measured come about by the very states in both ways; only what the disks hold before the first start
is drawn. ``tests/sim/test_forming.py`` holds one against the other.
"""

from __future__ import annotations

import random

from skerry.protocol.card import CARD, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.head import make_head
from skerry.protocol.limits import NODES_KNOWN_MAX
from skerry.protocol.snapshot import Snapshot, StoredCatalogue
from tests.sim.disk import Disk
from tests.sim.network import NetworkConfig, Node
from tests.sim.world import World

JOINS_PER_SECOND = 25.0
BOOTSTRAPS = 20
QUIET_SECONDS = 120.0
"""Between the last join and the first publication."""
SETTLING_SECONDS = 2.0
"""After each of the first publications of a joined network: a tree is not shaped by a burst of them."""
WOKEN_QUIET_SECONDS = 360.0
"""Between the start and the first publication. Links are complete after some seconds, but everybody calls on
others after 20, 60, 140 and 300, and links change hands; from then on each calls when it likes, once in five
minutes."""
PUBLISHERS_MAX = 200


def publishers(world: World) -> list[Node]:
    """Return the nodes that publish: a tenth of all, and 200 at most."""
    size = len(world.nodes)
    count = max(1, min(size // 10, PUBLISHERS_MAX))
    return world.nodes[:: size // count][:count]


def joined(seed: int, size: int) -> World:
    """Return a network that has formed by itself and come to rest; its publishers have published."""
    world = World(seed, size, NetworkConfig(), real=False)
    seconds = max(10.0, size / JOINS_PER_SECOND)
    world.start_all(over=seconds, bootstraps=_bootstraps(size))
    world.network.run(seconds + QUIET_SECONDS)
    for node in publishers(world):
        world.publish(node, ["before"])
        world.network.run(world.network.now + SETTLING_SECONDS)
    return world


def woken(seed: int, size: int) -> World:
    """Return a network whose nodes started from drawn disks, and have come to rest."""
    world = World(seed, size, NetworkConfig(), real=False)
    rng = random.Random(f"views {seed}")
    # They are what the nodes will sign when they are switched on.
    records = [world.node_record(node, int(world.network.config.wall)) for node in world.nodes]
    publishing = publishers(world)
    catalogues = {node.key: _catalogue(world, node) for node in publishing}
    views = _views(world.nodes, rng)
    for node in world.nodes:
        known = [other for other in dict.fromkeys([*views[node.key], *publishing]) if other is not node]
        node.disk = Disk(
            Snapshot(
                chains={world.owner_of[other.key]: (world.charters[other.key],) for other in known},
                node_records={other.key: records[other.index] for other in known},
                catalogues={
                    (b"", key): StoredCatalogue(head=head, shown=head, cards={card_hash(card): card})
                    for key, (head, card) in catalogues.items()
                },
            )
        )
        world.start(node, _bootstraps(size))
        # Nobody starts again in what is measured: what was read, and told, only fills memory.
        node.disk = Disk()
        node.deliveries.clear()
    world.network.run(WOKEN_QUIET_SECONDS)
    return world


def _views(nodes: list[Node], rng: random.Random) -> dict[bytes, list[Node]]:
    """Draw circles through all nodes: who is next to a node on one of them is in its view."""
    views: dict[bytes, dict[bytes, Node]] = {node.key: {} for node in nodes}
    for _ in range(NODES_KNOWN_MAX // 2):
        circle = rng.sample(nodes, len(nodes))
        for one, other in zip(circle, [*circle[1:], circle[0]], strict=True):
            views[one.key][other.key] = other
            views[other.key][one.key] = one
    return {key: list(view.values()) for key, view in views.items()}


def _bootstraps(size: int) -> int:
    return min(BOOTSTRAPS, max(2, size // 20))


def _catalogue(world: World, node: Node) -> tuple[bytes, bytes]:
    """Return head and card of what a node published before."""
    raw = world.card(node, "before")
    card = CARD.decode(raw)
    catalogue = Catalogue.build([Entry(card.id, card.island, card_hash(raw))])
    head = make_head(
        world.signer_of(node),
        owner=world.owner_of[node.key],
        epoch=1,
        seq=1,
        root=catalogue.root,
        count=catalogue.count,
        issued=int(world.network.config.wall),
    )
    return head.to_bytes(), raw
