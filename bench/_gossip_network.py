"""Whole networks: the states themselves, in the simulator of the tests, with links of 10 to 100 ms.

Times are virtual seconds and bytes are payload, so neither depends on the machine; only the time that ten
virtual minutes take does. One network of a size plays everything in turn: publications without loss, and
with it, ten minutes of one publication each, idle minutes, and at last the silent death of 30 %.
How the network came about stands in the first row (:mod:`bench._gossip_forming`).
"""

from __future__ import annotations

import gc
import math
import random
import resource
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from bench._gossip_forming import joined, publishers, woken
from bench.report import Row
from skerry.protocol.effects import CardsChanged, Deliver, Effect, Send
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import Event, Received
from skerry.protocol.messages import MESSAGE, News
from tests.sim.network import Node
from tests.sim.world import World

LABELS = {100: "100", 1000: "1k", 10_000: "10k"}
GOALS_SIZE = 10_000
"""The size that the goals are about."""
ROUNDS_WARM_UP = 3
"""Publications of some publishers before: the tree has settled then."""
ROUNDS_SETTLED = 3
"""As many times more publications of others are measured: the tree goes on changing."""
SHAPING_MAX = 8
"""Publishers that shape the tree: as many in each size, since more make it shorter."""
LOSSY_MAX = 8
MEASURED_MAX_LARGE = 12
LOSSY_MAX_LARGE = 4
"""Publications at the size that the goals are about: there are ten thousand deliveries of each."""
SMALL_SIZE = 100
NETWORKS_SMALL = 8
"""Networks of at most ``SMALL_SIZE`` nodes that the mean hops are of: one differs from another by a tenth."""
IDLE_SECONDS = 300.0
"""One visit of every node on average."""
NEWS_START = b"\x85\xa4type\xa4news"
TYPES = {"news": "news", "ihave": "ihave", "graft": "graft", "prune": "prune"}


@dataclass
class Deliveries:
    """What one publication set in motion: who has it, when, over how many hops, and what it cost."""

    head: bytes = b""
    waiting: set[bytes] = field(default_factory=set)
    hops: dict[bytes, int] = field(default_factory=dict)
    frames: Counter[str] = field(default_factory=Counter)
    sent_bytes: Counter[str] = field(default_factory=Counter)
    _heads: dict[bytes, bytes] = field(default_factory=dict)

    def watch(self, node: Node, event: Event, effects: list[Effect]) -> None:
        """Take note of one event."""
        if isinstance(event, Received) and event.frame.startswith(NEWS_START):
            self._note_hop(node.key, event)
        for effect in effects:
            if isinstance(effect, Send):
                start = effect.frame[7:12]
                name = next((name for name in TYPES if start.startswith(name.encode())), "")
                if name and effect.frame[1:6] == b"\xa4type":
                    self.frames[name] += 1
                    self.sent_bytes[name] += len(effect.frame)
            elif (
                isinstance(effect, Deliver)
                and isinstance(effect.what, CardsChanged)
                and effect.what.head == self.head
            ):
                self.waiting.discard(node.key)

    def _note_hop(self, key: bytes, event: Received) -> None:
        news = MESSAGE.decode(event.frame)
        if isinstance(news, News) and self._hash(news.envelope) == self.head and event.peer in self.hops:
            self.hops.setdefault(key, self.hops[event.peer] + 1)

    def _hash(self, envelope: bytes) -> bytes:
        known = self._heads.get(envelope)
        if known is None:
            known = self._heads[envelope] = open_envelope(envelope).hash
        return known


def reach(world: World, publisher: Node, slug: str, limit: float = 60.0) -> tuple[float, Deliveries]:
    """Publish a card; return the virtual seconds until every node of the component shows it."""
    network = world.network
    start = network.now
    seen = Deliveries(waiting={node.key for node in connected_to(world, publisher)})
    network.observers.append(seen.watch)
    world.publish(publisher, [slug])
    held = None if publisher.state is None else publisher.state.catalogue(publisher.key)
    if held is None:
        raise RuntimeError("the publisher did not sign")
    seen.head = held.head.hash
    seen.hops[publisher.key] = 0
    seen.waiting.discard(publisher.key)
    network.run(start + limit, stop=lambda: not seen.waiting)
    seconds = network.now - start if not seen.waiting else math.inf
    # Announcements and late copies belong to it too.
    network.run(network.now + 3.0)
    network.observers.remove(seen.watch)
    return seconds, seen


def connected_to(world: World, start: Node) -> list[Node]:
    """Return the running nodes of the component of a node."""
    reached: dict[bytes, Node] = {}
    frontier = [start]
    while frontier:
        node = frontier.pop()
        if node.key not in reached and node.up:
            reached[node.key] = node
            frontier.extend(world.network.node(peer) for peer in sorted(node.links))
    return list(reached.values())


@dataclass
class Measured:
    """Several publications together."""

    seconds: list[float]
    hops: float
    """Mean hops of a delivery."""
    hops_max: int
    copies: float
    """News received per node and publication, less one."""
    bytes_each: float
    """Of news, announcements and requests, per node and publication."""


def measured(world: World, publishers: list[Node], label: str) -> Measured:
    """Publish once from each of some nodes."""
    seconds, hops, frames, sent = [], [], 0, 0
    for node in publishers:
        taken, seen = reach(world, node, label)
        seconds.append(taken)
        hops.extend(hop for hop in seen.hops.values() if hop)
        frames += seen.frames["news"]
        sent += sum(seen.sent_bytes.values())
    deliveries = len(publishers) * (len(world.running()) - 1)
    return Measured(seconds, sum(hops) / len(hops), max(hops), frames / deliveries - 1, sent / deliveries)


def network_rows(size: int, seed: int, *, join: bool = False) -> Iterator[Row]:
    """Measure one network of a size, which formed by joining or woke from drawn disks."""
    label = LABELS.get(size, str(size))
    started = time.process_time()
    # What a simulation leaves behind has no cycles; looking for them among all states takes minutes.
    gc.disable()
    formed = joined if join else woken
    world = formed(seed, size)
    minutes = (time.process_time() - started) / 60
    links = sum(len(node.links) for node in world.nodes) / size
    params: dict[str, object] = {
        "nodes": size,
        "formed": "joined" if join else "woken from drawn disks",
        "links": round(links, 2),
    }
    yield Row(f"forming_minutes_{label}", minutes, "min of one core", params)
    tree = shaped(world)
    further = range(seed + 1, seed + NETWORKS_SMALL) if size <= SMALL_SIZE else ()
    hops = [tree.settled.hops, *(shaped(formed(other, size)).settled.hops for other in further)]
    goal = size == GOALS_SIZE
    yield from settled_rows(world, tree, hops, label, "<= 1" if goal else None)
    yield from lossy_rows(world, tree.others, label, "<= 2" if goal else None)
    yield ten_minutes_row(world, size, publishers(world), label)
    yield from idle_rows(world, size, label)
    yield death_row(world, size, seed)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    yield Row(f"peak_gigabytes_{label}", gigabytes, "GB", {"nodes": size}, goal="<= 8")
    gc.enable()


@dataclass
class Tree:
    """What publications cost in a tree that has settled, and who made them."""

    first: Measured
    """The first publications of all, which are flooded."""
    settled: Measured
    others: list[Node]
    """Who published when it had settled."""


def shaped(world: World) -> Tree:
    """Publish from some nodes until the tree has settled, and then from others.

    A tree is shortest for those whose publications shaped it, so others are measured.
    """
    publishing = publishers(world)
    count = max(1, min(SHAPING_MAX, len(publishing) // 2))
    shaping = publishing[:: len(publishing) // count][:count]
    rest = [node for node in publishing if node not in shaping] or shaping
    wanted = MEASURED_MAX_LARGE if len(world.nodes) == GOALS_SIZE else count * ROUNDS_SETTLED
    others = rest[:: max(1, len(rest) // wanted)][:wanted]
    first = measured(world, shaping, "first")
    for number in range(1, ROUNDS_WARM_UP):
        measured(world, shaping, f"warm{number}")
    return Tree(first, measured(world, others, "settled"), others)


def settled_rows(world: World, tree: Tree, hops: list[float], label: str, bound: str | None) -> Iterator[Row]:
    """Say what publications cost in the settled tree, and their mean hops in it and in others of the size."""
    first, settled = tree.first, tree.settled
    params: dict[str, object] = {"nodes": len(world.nodes), "publications": len(tree.others)}
    note = f"slowest; first publications {max(first.seconds):.2f}"
    yield Row(f"reach_seconds_{label}", max(settled.seconds), "virtual s", params, goal=bound, note=note)
    of_hops = {**params, "networks": len(hops), "max": settled.hops_max, "flooded": round(first.hops, 2)}
    yield Row(f"hops_mean_{label}", statistics.mean(hops), "hops", of_hops)
    yield Row("redundancy_settled", settled.copies, "extra copies", params, goal="<= 0.05")
    yield bytes_row(world, settled, params)


def lossy_rows(world: World, others: list[Node], label: str, bound: str | None) -> Iterator[Row]:
    """Publish where one frame in twenty needs a retransmission."""
    chosen = others[: LOSSY_MAX_LARGE if len(world.nodes) == GOALS_SIZE else LOSSY_MAX]
    world.network.config = replace(world.network.config, loss=0.05)
    measured(world, chosen, "lossy-warm")
    lossy = measured(world, chosen, "lossy")
    params: dict[str, object] = {"nodes": len(world.nodes), "publications": len(chosen), "loss": 0.05}
    yield Row(f"reach_seconds_{label}_loss5", max(lossy.seconds), "virtual s", params, goal=bound)
    yield Row("redundancy_loss5", lossy.copies, "extra copies", params, goal="<= 0.6")
    world.network.config = replace(world.network.config, loss=0.0)


def bytes_row(world: World, settled: Measured, params: dict[str, object]) -> Row:
    """Bytes of news and announcements for each node and card, less 60, over head and card."""
    card = world.card(world.nodes[0], "settled")
    state = world.nodes[0].state
    if state is None:
        raise RuntimeError("the first node does not run")
    head = next(iter(state.heads().values())).head.raw
    ratio = (settled.bytes_each - 60) / (len(head) + len(card))
    params = {**params, "head": len(head), "card": len(card)}
    return Row("bytes_ratio_per_card", ratio, "of head + card", params, goal="<= 1.15")


def idle_rows(world: World, size: int, label: str) -> Iterator[Row]:
    """Payload that a node sends while nothing happens."""
    before = sum(world.network.sent_bytes.values())
    world.network.run(world.network.now + IDLE_SECONDS)
    rate = (sum(world.network.sent_bytes.values()) - before) / IDLE_SECONDS / size
    state = world.nodes[0].state
    heads = 0 if state is None else len(state.heads())
    params = {"nodes": size, "publishing": heads, "seconds": IDLE_SECONDS}
    yield Row(f"idle_bytes_per_second_{label}", rate, "bytes/s a node", params, goal="<= 50")


def ten_minutes_row(world: World, size: int, publishing: list[Node], label: str) -> Row:
    """Processor time of ten virtual minutes with one publication a minute."""
    started, handled = time.process_time(), world.network.handled
    for minute in range(10):
        world.publish(publishing[-1 - minute % len(publishing)], [f"minute{minute}"])
        world.network.run(world.network.now + 60.0)
    minutes = (time.process_time() - started) / 60
    params = {"nodes": size, "events": world.network.handled - handled}
    return Row(f"virtual_10min_minutes_{label}", minutes, "min of one core", params, goal="<= 5")


def death_row(world: World, size: int, seed: int) -> Row:
    """Kill 30 % at once: nobody is told, and what is sent to them is lost until silence is noticed."""
    rng = random.Random(seed)
    publisher = world.nodes[0]
    for node in rng.sample(world.nodes[1:], int(0.3 * size)):
        world.network.die(node)
    seconds, _ = reach(world, publisher, "after")
    name = "reach_seconds_after_30pct_death"
    return Row(name, seconds, "virtual s", {"nodes": size}, goal="<= 3", note="next publication, at once")


def hops_rows(rows: list[Row]) -> Iterator[Row]:
    """Fit the mean hops of deliveries over the sizes that were measured.

    Hops that grow like log2 N are a line over log2 N, so each doubling adds the same; more between the larger
    sizes than between the smaller ones is faster growth, and a power of N would be a multiple.
    """
    found = {
        math.log2(float(str(row.params["nodes"]))): row.value
        for row in rows
        if row.measure.startswith("hops_mean_") and row.value is not None
    }
    points = sorted(found.items())
    if len(points) < 2:
        return
    doublings, hops = zip(*points, strict=True)
    slope, start = statistics.linear_regression(doublings, hops)
    sizes = "/".join(str(round(2**item)) for item in doublings)
    params = {"sizes": sizes, "at_one_node": round(start, 2)}
    yield Row("hops_per_doubling", slope, "hops", params, note="least squares over log2 N")
    if len(points) < 3:
        return
    steps = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(points)]
    params = {"sizes": sizes, "per_doubling": "/".join(f"{step:.2f}" for step in steps)}
    note = "1 is log2 N; of the largest sizes over the smallest"
    # Sizes close to each other tell the growth from chance only roughly.
    bound = "<= 1.1" if max(found) >= math.log2(GOALS_SIZE) else None
    yield Row("hops_growth", steps[-1] / steps[0], "ratio of slopes", params, goal=bound, note=note)
