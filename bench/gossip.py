"""How fast, how cheap and how sure gossip is: the states themselves, in the simulator of the tests.

Network figures come from networks whose membership formed by itself, with links of 10 to 100 ms. Times are
virtual seconds, so they do not depend on the machine; CPU figures do, and say so. ``--sizes 100 1000 10000``
plays the full set; 10,000 nodes take long and are left out by default.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from bench.report import Row, arguments, show
from skerry.protocol.card import CARD, Blob, Card, card_hash, verify_card
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.charter import ROLE_PUBLISH, NodeKey, new_charter
from skerry.protocol.effects import Effect, Send
from skerry.protocol.envelope import Verified
from skerry.protocol.events import Event
from skerry.protocol.hashing import tagged_hash
from skerry.protocol.head import Head, make_head, verify_head
from skerry.protocol.limits import RECONCILE_RANGES_MAX
from skerry.protocol.messages import MESSAGE, Cards, Digest, News, TreeRequest, chunk
from skerry.protocol.pull import Pull
from skerry.protocol.reconcile import Entry as SetEntry
from skerry.protocol.reconcile import HeadSet, Range
from skerry.protocol.signing import FakeSigner
from skerry.protocol.trust import verify_chain
from tests.sim.network import NetworkConfig, Node
from tests.sim.world import World

WALL = 1_790_000_000
LABELS = {100: "100", 1000: "1k", 10_000: "10k"}
WARM_UP_PUBLICATIONS = 16
MEASURED_PUBLICATIONS = 8
PUBLISHERS_MAX = 200


# Networks.


@dataclass
class Traffic:
    """What was sent, by message type; attach it as an observer."""

    frames: Counter[str]
    sent_bytes: Counter[str]

    def watch(self, node: Node, event: Event, effects: list[Effect]) -> None:
        """Count the frames of one event."""
        del node, event
        for effect in effects:
            if isinstance(effect, Send):
                name = type(MESSAGE.decode(effect.frame)).__name__
                self.frames[name] += 1
                self.sent_bytes[name] += len(effect.frame)


def formed(seed: int, size: int, loss: float) -> World:
    """Return a network that has formed by itself and come to rest."""
    world = World(seed, size, NetworkConfig(loss=loss), real=False)
    world.start_all(over=20.0, bootstraps=5)
    world.network.run(60.0)
    return world


def reach(world: World, publisher: Node, slug: str, limit: float = 60.0) -> float:
    """Publish a card; return the virtual seconds until every node that can be reached shows it."""
    start = world.network.now
    world.publish(publisher, [slug])
    waiting = set(connected_to(world, publisher))
    target = world.card(publisher, slug)
    while waiting and world.network.now - start < limit:
        world.network.run(world.network.now + 0.01)
        waiting = {node for node in waiting if not has(node, publisher, target)}
    return world.network.now - start if not waiting else math.inf


def has(node: Node, publisher: Node, card: bytes) -> bool:
    """Return whether a node shows a card."""
    held = None if node.state is None else node.state.catalogue(publisher.key)
    return held is not None and card_hash(card) in held.visible


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


def network_rows(size: int, seed: int, *, loss: float) -> Iterator[Row]:
    """Measure reach, redundancy and bytes in one network, then kill 30 % of it."""
    label = LABELS.get(size, str(size)) + ("_loss5" if loss else "")
    world = formed(seed, size, loss)
    publishers = world.nodes[: min(size // 5, PUBLISHERS_MAX)]
    for number in range(WARM_UP_PUBLICATIONS):
        reach(world, publishers[number % len(publishers)], f"warm{number}")
        world.network.run(world.network.now + 2.0)
    traffic = Traffic(Counter(), Counter())
    world.network.observers.append(traffic.watch)
    seconds = []
    for number in range(MEASURED_PUBLICATIONS):
        seconds.append(reach(world, publishers[-1 - number % len(publishers)], f"measured{number}"))
        world.network.run(world.network.now + 2.0)
    world.network.observers.remove(traffic.watch)
    params = {"nodes": size, "loss": loss, "publications": MEASURED_PUBLICATIONS}
    goal = None if size < 10_000 else ("<= 2" if loss else "<= 1")
    yield Row(
        f"reach_seconds_{label}", max(seconds), "virtual s", params, goal=goal, note="slowest publication"
    )
    copies = traffic.frames["News"] / (MEASURED_PUBLICATIONS * (size - 1)) - 1
    name = "redundancy_loss5" if loss else "redundancy_settled"
    yield Row(name, copies, "extra copies", params, goal="<= 0.6" if loss else "<= 0.05")
    if not loss:
        yield bytes_row(world, traffic, params)
        yield idle_row(world, size)
        yield death_row(world, size, seed)


def bytes_row(world: World, traffic: Traffic, params: dict[str, object]) -> Row:
    """Bytes of news and announcements for each node and card, less 60, over head and card."""
    card = world.card(world.nodes[0], "measured0")
    state = world.nodes[0].state
    if state is None:
        raise RuntimeError("the first node does not run")
    head = next(iter(state.heads().values())).head.raw
    total = sum(traffic.sent_bytes[name] for name in ("News", "IHave", "Graft", "Prune"))
    each = total / (MEASURED_PUBLICATIONS * (len(world.nodes) - 1))
    ratio = (each - 60) / (len(head) + len(card))
    return Row("bytes_ratio_per_card", ratio, "of head + card", params, goal="<= 1.15")


def idle_row(world: World, size: int, seconds: float = 120.0) -> Row:
    """Payload that a node sends while nothing happens."""
    world.network.run(world.network.now + 30.0)
    before = sum(world.network.sent_bytes.values())
    world.network.run(world.network.now + seconds)
    rate = (sum(world.network.sent_bytes.values()) - before) / seconds / size
    label = LABELS.get(size, str(size))
    return Row(f"idle_bytes_per_second_{label}", rate, "bytes/s a node", {"nodes": size}, goal="<= 50")


def death_row(world: World, size: int, seed: int) -> Row:
    """Kill 30 % at once, silently, and publish."""
    rng = random.Random(seed)
    survivors = world.nodes[0]
    for node in rng.sample(world.nodes[1:], int(0.3 * size)):
        for link in node.links.values():
            link.up = False
        node.links.clear()
        node.state = None
    seconds = reach(world, survivors, "after")
    return Row("reach_seconds_after_30pct_death", seconds, "virtual s", {"nodes": size}, goal="<= 3")


def hops_row(rows: Sequence[Row]) -> Row | None:
    """Growth of the time to reach everybody against log2 N, between the smallest and the largest network."""
    times = {
        row.params["nodes"]: row.value
        for row in rows
        if row.measure.startswith("reach_seconds_")
        and not row.params.get("loss")
        and "publications" in row.params
    }
    if len(times) < 2:
        return None
    small, large = min(times), max(times)
    if not times[small] or times[large] is None:
        return None
    growth = (times[large] / times[small]) / (math.log2(large) / math.log2(small))  # type: ignore[operator] # checked above
    return Row("hops_growth", growth, "of log2 N", {"from": small, "to": large}, goal="<= 1")


# One machine.


def make_card(owner: bytes, number: int, version: int = 1) -> bytes:
    """Return a synthetic card of the usual size."""
    blob = Blob(tagged_hash("skerry/bench/1", number.to_bytes(4, "big")), 1000)
    card = Card(
        owner=owner,
        slug=f"m{number}",
        version=version,
        name=f"model {number}",
        summary="a model for a benchmark",
        data="table",
        task="classification",
        library="scikit-learn",
        scenarios=(),
        license="MIT",
        tags=(),
        language="en",
        classes=2,
        island=tagged_hash("skerry/bench-island/1"),
        dimension=10,
        sketch_version=1,
        sketch=blob.root * 8,
        means=bytes(40),
        spreads=bytes(40),
        specification=blob,
        package=blob,
        lane="onnx",
        published=WALL,
    )
    return CARD.encode(card)


class Owner:
    """An owner that signs heads over anything."""

    def __init__(self) -> None:
        self.signer = FakeSigner(b"node")
        owner, recovery = FakeSigner(b"owner"), FakeSigner(b"recovery")
        key = NodeKey(self.signer.public_key, (ROLE_PUBLISH,), 0, 2 * WALL)
        charter = new_charter(
            name="bench",
            owner_signers=[owner],
            recovery_key=recovery.public_key,
            node_keys=[key],
            issued=WALL,
            work_bits=0,
        )
        self.trust = verify_chain([charter.to_bytes()], WALL, scheme=FakeSigner, work_bits=0)

    def head(self, catalogue: Catalogue, seq: int) -> Verified[Head]:
        """Return a verified head over a catalogue."""
        envelope = make_head(
            self.signer,
            owner=self.trust.owner,
            epoch=1,
            seq=seq,
            root=catalogue.root,
            count=catalogue.count,
            issued=WALL,
        )
        return verify_head(envelope.to_bytes(), self.trust, WALL)


def transfer(pull: Pull, source: Catalogue, card_of: Callable[[bytes], bytes]) -> int:
    """Answer a pull until it is done; return the bytes of requests and answers."""
    moved = 0
    while not pull.done:
        for key, request in list(pull.requests()):
            pull.asked(key, request, b"peer")
            moved += len(MESSAGE.encode(request))
            if isinstance(request, TreeRequest):
                answer = source.answer(request)
                if answer is None:
                    raise RuntimeError("the catalogue has no such part")
                moved += len(MESSAGE.encode(answer))
                pull.tree(answer)
            else:
                for part in chunk([card_of(digest) for digest in request.hashes]):
                    cards = Cards(request.head, tuple(part))
                    moved += len(MESSAGE.encode(cards))
                    pull.take_cards(cards)
            pull.lost(key)
    return moved


def apply_rows(count: int) -> Iterator[Row]:
    """Verify and apply cards: by whole buckets, and pushed sixteen at a time."""
    owner = Owner()
    raw = {card_hash(card): card for card in (make_card(owner.trust.owner, n) for n in range(count))}
    entries = [entry_of(card) for card in raw.values()]
    catalogue = Catalogue.build(entries)
    head = owner.head(catalogue, 1)
    started = time.process_time()
    pull = Pull(head, Catalogue(), {}, {})
    transfer(pull, catalogue, raw.__getitem__)
    mine = Catalogue()
    mine.update([Entry(card.value.id, card.value.island, card.hash) for card in pull.cards.values()])
    if not mine.matches(head.value):
        raise RuntimeError("the pulled catalogue is not the one signed")
    rate = count / (time.process_time() - started)
    yield Row(
        "apply_cards_per_second_bucket", rate, "cards/s", {"cards": count}, goal=">= 30000", note="one core"
    )
    yield single_row(owner, list(raw.values()))


def single_row(owner: Owner, cards: list[bytes]) -> Row:
    """Pushed cards: decode the news, verify head and cards, change the catalogue, compare the root."""
    frames = []
    catalogue = Catalogue()
    for seq, start in enumerate(range(0, len(cards) - 15, 16), start=1):
        part = cards[start : start + 16]
        catalogue.update(map(entry_of, part))
        frames.append(MESSAGE.encode(News(owner.head(catalogue, seq).raw, seq - 1, tuple(part), ())))
    mine = Catalogue()
    started = time.process_time()
    for frame in frames:
        news = MESSAGE.decode(frame)
        if not isinstance(news, News):
            raise TypeError(type(news))
        head = verify_head(news.envelope, owner.trust, WALL)
        verified = [verify_card(card, owner=owner.trust.owner) for card in news.cards]
        mine.update([Entry(card.value.id, card.value.island, card.hash) for card in verified])
        if not mine.matches(head.value):
            raise RuntimeError("the pushed catalogue is not the one signed")
    rate = 16 * len(frames) / (time.process_time() - started)
    return Row("apply_cards_per_second_single", rate, "cards/s", {"cards": len(cards)}, goal=">= 8000")


def entry_of(raw: bytes) -> Entry:
    """Return the catalogue entry of a card."""
    card = CARD.decode(raw)
    return Entry(card.id, card.island, card_hash(raw))


def one_change_row(count: int) -> Row:
    """Bytes that move when one card of many changes and the push was missed."""
    owner = Owner()
    numbers: dict[bytes, int] = {}
    entries = []
    for number in range(count):
        raw = make_card(owner.trust.owner, number)
        digest = card_hash(raw)
        numbers[digest] = number
        entries.append(entry_of(raw))
    held = Catalogue.build(entries)
    newer = Catalogue.build(entries)
    changed = make_card(owner.trust.owner, count // 2, version=2)
    newer.update([entry_of(changed)])

    class HeldCards(dict[bytes, bytes]):
        """Makes the cards held again when they are needed: a million of them would only fill memory."""

        def get(self, digest: bytes, default: bytes | None = None) -> bytes | None:  # type: ignore[override] # narrower
            return make_card(owner.trust.owner, numbers[digest]) if digest in numbers else default

    head = owner.head(newer, 2)
    pull = Pull(head, held, HeldCards(), {})
    moved = len(head.raw) + transfer(pull, newer, {card_hash(changed): changed}.__getitem__)
    label = "1m" if count == 1_000_000 else str(count)
    return Row(f"one_card_in_{label}_bytes", moved, "bytes", {"cards": count}, goal="<= 8192")


def reconcile_rows(count: int, differing: int, seed: int) -> Iterator[Row]:
    """Equal sets, and sets in which some heads differ: scattered, and clustered in key order."""
    rng = random.Random(seed)
    entries = {rng.randbytes(32): SetEntry(1, rng.randrange(100), rng.randbytes(32)) for _ in range(count)}
    first, second = HeadSet(), HeadSet()
    for key, entry in entries.items():
        first.put(key, entry)
        second.put(key, entry)
    digest = len(MESSAGE.encode(Digest(b"", len(first), first.digest())))
    yield Row("reconcile_bytes_equal", digest, "bytes", {"heads": count}, goal="<= 100")
    started = time.process_time()
    for _ in range(100):
        first.digest()
    yield Row(
        "reconcile_milliseconds_equal",
        (time.process_time() - started) * 10,
        "ms",
        {"heads": count},
        goal="<= 1",
    )
    keys = sorted(entries)
    start = rng.randrange(count - differing)
    for kind, changed in (("", rng.sample(keys, differing)), ("_clustered", keys[start : start + differing])):
        other = HeadSet()
        for key, entry in entries.items():
            other.put(key, entry)
        for key in changed:
            other.put(key, SetEntry(1, 1000, rng.randbytes(32)))
        moved, legs, found = reconcile(first, other)
        if found != differing:
            raise RuntimeError(f"{found} of {differing} differences found")
        params = {"heads": count, "differing": differing, "legs": legs}
        name = f"reconcile_bytes_per_difference{kind}"
        yield Row(name, moved / differing, "bytes", params, goal="<= 400")


def reconcile(first: HeadSet, second: HeadSet) -> tuple[int, int, int]:
    """Exchange messages until silence; return bytes, legs and the number of keys that ``first`` asks for."""
    sides, moved, leg, wanted = (first, second), 0, 1, 0
    message = list(first.opening())
    while message:
        moved += sum(len(msgspec.msgpack.encode(item)) for item in message)
        answer: list[Range] = []
        for start in range(0, len(message), RECONCILE_RANGES_MAX):
            differences = sides[leg % 2].respond(message[start : start + RECONCILE_RANGES_MAX], leg)
            answer.extend(differences.answer)
            wanted += len(differences.wanted)
            moved += 10 * len(differences.wanted)
        message, leg = answer, leg + 1
    return moved, leg - 1, wanted


def main() -> None:
    """Print the figures."""
    parser = arguments("Gossip: reach, redundancy, bytes, repair and CPU")
    parser.add_argument("--sizes", type=int, nargs="*", help="sizes of the networks (default 100 1000)")
    options = parser.parse_args()
    sizes = options.sizes if options.sizes is not None else ([60] if options.quick else [100, 1000])
    rows = list(apply_rows(2_000 if options.quick else 20_000))
    rows += reconcile_rows(*((10_000, 200) if options.quick else (100_000, 2_000)), options.seed)
    rows.append(one_change_row(20_000 if options.quick else 1_000_000))
    for size in sizes:
        for loss in (0.0, 0.05):
            rows += network_rows(size, options.seed, loss=loss)
    growth = hops_row(rows)
    show(rows + ([growth] if growth else []), as_json=options.json)


if __name__ == "__main__":
    main()
