"""The fuzz target: a whole state is fed whatever a peer can send, beginning with the vectors of messages.

One sentence: any frame is handled or refused as a violation, never raises, takes a bounded time, and leaves a
bounded amount of memory behind. The mutations are those of a fuzzer of bytes (flip, cut, repeat, splice with
another vector, and MessagePack's headers that claim the most); who wants to look for longer runs
``python -m tests.protocol.test_fuzz_state SEED MUTATIONS``.
"""

from __future__ import annotations

import json
import random
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from skerry.protocol.effects import Effect, Misbehaved
from skerry.protocol.events import Received
from skerry.protocol.limits import FRAME_BYTES_MAX
from tests.protocol.scripted import Scripted

VECTORS = Path(__file__).parent.parent / "vectors" / "messages-v1.json"
FRAMES = [
    (item["type"], bytes.fromhex(item["frame"]))
    for item in json.loads(VECTORS.read_text(encoding="ascii"))["frames"]
]
HEADERS = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"]
HEADERS += [b"\x91" * 40, b"\xc1", b"\xcf" + b"\xff" * 8, b"\xd9\x02\xff\xfe", b""]
SECONDS_PER_FRAME_MAX = 2.0
"""A frame takes a millisecond of CPU, a slow machine ten; a full garbage collection of what other tests left
in this process may fall on it and took half a second."""
BYTES_KEPT_MAX = 16 * 1024 * 1024
"""What a state may have grown by after all mutations of one vector: far more than its queues hold."""
BYTES_PEAK_MAX = 64 * 1024 * 1024
"""And at any moment meanwhile: a frame of 64 KiB that claims gigabytes must not get them."""


def mutated(rng: random.Random, raw: bytes, others: list[bytes]) -> bytes:
    """Return a frame with one to three changes."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(raw) + 1)
        end = min(len(raw), start + rng.choice((0, 1, 1, 2, 8, 64)))
        match rng.randrange(5):
            case 0 if raw:
                place = min(start, len(raw) - 1)
                raw = raw[:place] + bytes([raw[place] ^ 1 << rng.randrange(8)]) + raw[place + 1 :]
            case 1:
                raw = raw[:start] + raw[end:]
            case 2:
                raw = raw[:start] + raw[start:end] * rng.choice((2, 3, 100)) + raw[end:]
            case 3:
                other = rng.choice(others)
                cut = rng.randrange(len(other))
                raw = raw[:start] + other[cut : cut + rng.randrange(200)] + raw[end:]
            case _:
                raw = raw[:start] + rng.choice(HEADERS) + raw[end:]
    return raw[: FRAME_BYTES_MAX + 16]


def feed(script: Scripted, frames: list[bytes]) -> list[Effect]:
    """Give frames to the state under test from a peer that is connected again whenever it was cut off."""
    effects: list[Effect] = []
    peer = script.peers[0]
    for frame in frames:
        if peer.key not in script.state.peers() or script.state.peers()[peer.key].closing:
            script = Scripted(peers=1)
            peer = script.peers[0]
            script.connect(peer)
        started = time.process_time()
        effects += script.happen(Received(peer.key, frame))
        assert time.process_time() - started < SECONDS_PER_FRAME_MAX, frame.hex()
    return effects


@pytest.mark.parametrize(("kind", "frame"), FRAMES, ids=[f"{n}-{kind}" for n, (kind, _) in enumerate(FRAMES)])
def test_any_change_of_a_message_is_handled_or_refused_in_bounded_time_and_memory(
    kind: str, frame: bytes
) -> None:
    rng = random.Random(kind)
    others = [raw for _, raw in FRAMES]
    frames = [frame, *(mutated(rng, frame, others) for _ in range(40))]
    tracemalloc.start()
    try:
        effects = feed(Scripted(peers=1), frames)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < BYTES_KEPT_MAX
    assert peak < BYTES_PEAK_MAX
    assert any(isinstance(effect, Misbehaved) for effect in effects), "the changes reach the decoder"


def main() -> None:
    """Fuzz for longer."""
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(seed)
    others = [raw for _, raw in FRAMES]
    for _ in range(count):
        feed(Scripted(peers=1), [mutated(rng, rng.choice(others), others) for _ in range(100)])


if __name__ == "__main__":
    main()
