"""Range-based set reconciliation: it finds exactly what differs, in bounded bytes."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.protocol.exchange import Ranges
from skerry.protocol.hashing import fingerprint
from skerry.protocol.limits import FRAME_BYTES_MAX, RECONCILE_ENTRIES_MAX, RECONCILE_LEGS_MAX
from skerry.protocol.messages import MESSAGE
from skerry.protocol.reconcile import KEY_BYTES, Entry, HeadSet, Listed, Range
from skerry.protocol.repair import range_bytes_max

Sets = dict[bytes, Entry]


def head_set(entries: Sets) -> HeadSet:
    result = HeadSet()
    for key, entry in entries.items():
        result.put(key, entry)
    return result


def reconcile(first: HeadSet, second: HeadSet) -> tuple[set[bytes], set[bytes], int, int]:
    """Exchange messages until silence; return what each side wants, the bytes and the legs."""
    sides = (first, second)
    wants: tuple[set[bytes], set[bytes]] = (set(), set())
    message, leg, total = first.opening(), 1, 0
    while message:
        total += sum(len(msgspec.msgpack.encode(item)) for item in message)
        receiver = leg % 2
        differences = sides[receiver].respond(message, leg)
        wants[receiver].update(differences.wanted)
        message, leg = differences.answer, leg + 1
    return wants[0], wants[1], total, leg


def random_entries(rng: random.Random, count: int) -> Sets:
    return {rng.randbytes(32): Entry(1, rng.randrange(100), rng.randbytes(32)) for _ in range(count)}


def test_the_digest_is_that_of_the_written_format() -> None:
    entries = random_entries(random.Random(1), 5)
    digest = head_set(entries).digest()
    assert digest == fingerprint([entry.statement for entry in entries.values()])


@given(
    shared=st.dictionaries(st.binary(min_size=32, max_size=32), st.integers(0, 3), max_size=60),
    seed=st.integers(0, 2**32),
)
def test_each_side_learns_exactly_what_the_other_has_newer(shared: dict[bytes, int], seed: int) -> None:
    rng = random.Random(seed)
    first, second = {}, {}
    for key, kind in shared.items():
        if kind in (0, 1):
            first[key] = Entry(1, rng.randrange(3), rng.randbytes(32))
        if kind in (0, 2):
            second[key] = Entry(1, rng.randrange(3), rng.randbytes(32))
        if kind == 3:
            first[key] = second[key] = Entry(1, rng.randrange(3), rng.randbytes(32))
    wanted_first, wanted_second, _, legs = reconcile(head_set(first), head_set(second))

    def lacking(mine: Sets, theirs: Sets) -> set[bytes]:
        return {
            key[:KEY_BYTES]
            for key, entry in theirs.items()
            if key not in mine
            or mine[key].number < entry.number
            or (mine[key].number == entry.number and mine[key].statement != entry.statement)
        }

    prefixes = {key[:KEY_BYTES] for key in shared}
    if len(prefixes) == len(shared):
        assert wanted_first == lacking(first, second)
        assert wanted_second == lacking(second, first)
    assert legs <= RECONCILE_LEGS_MAX


def test_equal_sets_need_one_digest_of_under_a_hundred_bytes() -> None:
    entries = random_entries(random.Random(2), 1000)
    first, second = head_set(entries), head_set(dict(reversed(entries.items())))
    assert first.digest() == second.digest()
    second.remove(next(iter(entries)))
    assert first.digest() != second.digest()


@pytest.mark.parametrize("seed", [1, 2])
def test_scattered_differences_cost_few_bytes_each(seed: int) -> None:
    rng = random.Random(seed)
    entries = random_entries(rng, 10_000)
    other = dict(entries)
    changed = rng.sample(sorted(entries), 200)
    for key in changed:
        other[key] = Entry(1, 1000, rng.randbytes(32))
    wanted, nothing, total, _ = reconcile(head_set(entries), head_set(other))
    assert wanted == {key[:KEY_BYTES] for key in changed}
    assert not nothing
    assert total / len(changed) <= 400


def test_a_message_never_outgrows_its_frame() -> None:
    entry = Listed(bytes(8), 2**53 - 1, 2**53 - 1, bytes(4))
    largest = Range("f" * 63, (), (entry,) * RECONCILE_ENTRIES_MAX, whole=True)
    frame = MESSAGE.encode(Ranges(bytes(32), 32, (largest,)))
    assert len(frame) <= FRAME_BYTES_MAX
    assert len(msgspec.msgpack.encode(largest)) <= range_bytes_max(largest)


def test_a_responder_answers_no_further_leg_than_the_last() -> None:
    entries = head_set(random_entries(random.Random(3), 500))
    garbage = Range("", tuple(bytes([n]) * 16 for n in range(16)), (), whole=False)
    assert entries.respond([garbage], 1).answer
    assert not entries.respond([garbage], RECONCILE_LEGS_MAX).answer
