"""CPU and bytes of one machine: verifying, applying and reconciling, without a network around it.

CPU figures are processor seconds of this process and depend on the machine; each is the best of a few runs,
since whatever else runs on a machine makes a core look slower than it is. Bytes depend on nothing. Signatures
are Ed25519 here.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator

import msgspec

from bench.report import Row
from skerry.protocol.card import CARD, Blob, Card, card_hash, verify_card
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.charter import ROLE_PUBLISH, NodeKey, new_charter
from skerry.protocol.envelope import Verified
from skerry.protocol.hashing import tagged_hash
from skerry.protocol.head import Head, make_head, verify_head
from skerry.protocol.limits import RECONCILE_RANGES_MAX
from skerry.protocol.messages import MESSAGE, Cards, Digest, News, Tree, TreeRequest, chunk
from skerry.protocol.pull import Pull
from skerry.protocol.reconcile import Entry as SetEntry
from skerry.protocol.reconcile import HeadSet, Range
from skerry.protocol.signing import Signer
from skerry.protocol.trust import verify_chain

WALL = 1_790_000_000
REPEATS = 3


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
        self.signer = Signer.from_bytes(tagged_hash("skerry/bench-node/1"))
        owner, recovery = (
            Signer.from_bytes(tagged_hash(f"skerry/bench-{name}/1")) for name in ("owner", "recovery")
        )
        key = NodeKey(self.signer.public_key, (ROLE_PUBLISH,), 0, 2 * WALL)
        charter = new_charter(
            name="bench",
            owner_signers=[owner],
            recovery_key=recovery.public_key,
            node_keys=[key],
            issued=WALL,
            work_bits=0,
        )
        self.trust = verify_chain([charter.to_bytes()], WALL, work_bits=0)

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


def transfer(
    pull: Pull, source: Catalogue, card_of: Callable[[bytes], bytes], answers: list[bytes] | None = None
) -> int:
    """Answer a pull until it is done; return the bytes of requests and answers, and note the answers."""
    moved = 0
    answers = [] if answers is None else answers
    while not pull.done:
        for key, request in pull.requests():
            pull.asked(key, request, b"peer")
            moved += len(MESSAGE.encode(request))
            if isinstance(request, TreeRequest):
                answer = source.answer(request)
                if answer is None:
                    raise RuntimeError("the catalogue has no such part")
                answers.append(MESSAGE.encode(answer))
                moved += len(answers[-1])
                pull.tree(answer)
            else:
                for part in chunk([card_of(digest) for digest in request.hashes]):
                    cards = Cards(request.head, tuple(part))
                    answers.append(MESSAGE.encode(cards))
                    moved += len(answers[-1])
                    pull.take_cards(cards)
            pull.lost(key)
    return moved


def receive(pull: Pull, answers: list[bytes]) -> None:
    """Play the receiver's side of a transfer again: ask, decode what comes, verify it."""
    remaining = iter(answers)
    while not pull.done:
        for key, request in pull.requests():
            pull.asked(key, request, b"peer")
            while key in pull.in_flight:
                message = MESSAGE.decode(next(remaining))
                settled = pull.tree(message) if isinstance(message, Tree) else None
                if isinstance(message, Cards):
                    settled, _ = pull.take_cards(message)
                if settled is not None:
                    pull.lost(settled)


def apply_rows(count: int) -> Iterator[Row]:
    """Verify and apply cards: by whole buckets, and pushed sixteen at a time."""
    owner = Owner()
    raw = {card_hash(card): card for card in (make_card(owner.trust.owner, n) for n in range(count))}
    entries = [entry_of(card) for card in raw.values()]
    catalogue = Catalogue.build(entries)
    head = owner.head(catalogue, 1)
    answers: list[bytes] = []
    transfer(Pull(head, Catalogue(), {}, {}), catalogue, raw.__getitem__, answers)
    seconds = min(receive_seconds(head, answers) for _ in range(REPEATS))
    note = f"one core, best of {REPEATS}"
    rate = count / seconds
    yield Row("apply_cards_per_second_bucket", rate, "cards/s", {"cards": count}, goal=">= 30000", note=note)
    yield single_row(owner, list(raw.values()))


def receive_seconds(head: Verified[Head], answers: list[bytes]) -> float:
    """Return the processor time in which a catalogue is received, verified and applied."""
    gc.collect()
    started = time.process_time()
    pull = Pull(head, Catalogue(), {}, {})
    receive(pull, answers)
    mine = Catalogue()
    mine.update(pull.entries.values())
    if not mine.matches(head.value):
        raise RuntimeError("the pulled catalogue is not the one signed")
    return time.process_time() - started


def single_row(owner: Owner, cards: list[bytes]) -> Row:
    """Pushed cards: sixteen with each head."""
    frames = []
    catalogue = Catalogue()
    for seq, start in enumerate(range(0, len(cards) - 15, 16), start=1):
        part = cards[start : start + 16]
        catalogue.update(map(entry_of, part))
        frames.append(MESSAGE.encode(News(owner.head(catalogue, seq).raw, seq - 1, tuple(part), ())))
    rate = 16 * len(frames) / min(pushed_seconds(owner, frames) for _ in range(REPEATS))
    note = f"one core, best of {REPEATS}"
    params = {"cards": len(cards)}
    return Row("apply_cards_per_second_single", rate, "cards/s", params, goal=">= 8000", note=note)


def pushed_seconds(owner: Owner, frames: list[bytes]) -> float:
    """Decode news, verify heads and cards, change the catalogue, compare the roots; return processor time."""
    gc.collect()
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
    return time.process_time() - started


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

        def __missing__(self, digest: bytes) -> bytes:
            return make_card(owner.trust.owner, numbers[digest])

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
