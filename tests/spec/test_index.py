"""The index against brute force, whatever was added and removed before, and against broken files."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from skerry.errors import SpecificationError
from skerry.spec.bridging import Sharing
from skerry.spec.gaussian import GaussianDistance
from skerry.spec.index import SketchIndex
from skerry.spec.island import Column
from skerry.spec.metric import Scale
from skerry.spec.segments import Segment, SegmentFile
from skerry.spec.sketch import Sketch

COLUMNS = 3
HOME, ABROAD = bytes([1]) * 32, bytes([2]) * 32


def card(number: int) -> bytes:
    return number.to_bytes(32, "big")


def number_of(name: bytes) -> int:
    return int.from_bytes(name, "big")


def sketch(seed: int, columns: int = COLUMNS) -> Sketch:
    """Return a sketch from few different values, so that ties occur."""
    rng = np.random.default_rng(seed)
    return Sketch(
        1,
        rng.integers(-2, 3, 256, dtype=np.int8),
        rng.integers(0, 3, columns).astype(np.float32),
        rng.integers(0, 2, columns).astype(np.float32),
    )


SCALE = Scale(np.zeros(COLUMNS), np.ones(COLUMNS), np.full(COLUMNS, np.inf), 0.2)
Model = dict[bytes, tuple[bytes, Sketch]]


def brute_force(
    model: Model, wanted: Sketch, island: bytes, count: int, among: set[bytes] | None = None
) -> list[bytes]:
    """Return the candidates by computing every distance and sorting."""
    near = {
        card: own
        for card, (where, own) in model.items()
        if where == island and own.columns == wanted.columns and (among is None or card in among)
    }
    if not near:
        return []
    by_vector = {c: int(np.sum((s.vector.astype(int) - wanted.vector) ** 2)) for c, s in near.items()}
    means = np.stack([s.means for s in near.values()], axis=1)
    spreads = np.stack([s.spreads for s in near.values()], axis=1)
    distances = GaussianDistance(wanted, SCALE).of(means, spreads).tolist()
    by_columns = dict(zip(near, distances, strict=True))
    lists = [sorted(near, key=lambda c: (order[c], c)) for order in (by_vector, by_columns)]
    in_turn = [c for pair in zip(*lists, strict=True) for c in pair]
    return list(dict.fromkeys(in_turn))[:count]


class IndexMachine(RuleBasedStateMachine):
    """Any sequence of adding, replacing, removing, compacting and opening again equals brute force."""

    cards = Bundle("cards")

    def __init__(self) -> None:
        super().__init__()
        self.file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed in teardown
        self.index = SketchIndex(self.file)
        self.model: Model = {}

    def teardown(self) -> None:
        self.file.close()

    @rule(target=cards, number=st.integers(0, 300))
    def name_a_card(self, number: int) -> bytes:
        return card(number)

    @rule(names=st.lists(cards, max_size=8), island=st.sampled_from([HOME, ABROAD]), seed=st.integers(0, 999))
    def add(self, names: list[bytes], island: bytes, seed: int) -> None:
        self.add_all(names, island, seed)

    @rule(first=st.integers(0, 300), count=st.integers(60, 200), seed=st.integers(0, 999))
    def add_many(self, first: int, count: int, seed: int) -> None:
        self.add_all([card(number) for number in range(first, first + count)], HOME, seed)

    def add_all(self, names: list[bytes], island: bytes, seed: int) -> None:
        sketches = [sketch(seed + place) for place in range(len(names))]
        self.index.add(island, names, sketches, [number_of(name) for name in names])
        self.model.update({name: (island, own) for name, own in zip(names, sketches, strict=True)})

    @rule(name=cards, seed=st.integers(0, 999))
    def add_with_other_columns(self, name: bytes, seed: int) -> None:
        self.index.add(HOME, [name], [sketch(seed, COLUMNS + 1)], [number_of(name)])
        self.model[name] = (HOME, sketch(seed, COLUMNS + 1))

    @rule(names=st.lists(cards, max_size=20))
    def remove(self, names: list[bytes]) -> None:
        assert self.index.remove(names) == len(set(names) & set(self.model))
        for name in names:
            self.model.pop(name, None)

    @rule(start=st.integers(0, 300), step=st.integers(1, 5))
    def remove_many(self, start: int, step: int) -> None:
        self.remove([card(number) for number in range(start, 500, step)])

    @rule()
    def open_again(self) -> None:
        self.index.flush()
        self.index = SketchIndex(self.file)
        self.index.relabel(lambda ids: ids[:, -2].astype(np.int64) * 256 + ids[:, -1])

    @rule()
    def compact(self) -> None:
        into = tempfile.TemporaryFile()  # noqa: SIM115 - it takes the place of self.file
        self.index = self.index.compact(into)
        self.file.close()
        self.file = into

    @rule(
        seed=st.integers(0, 999),
        island=st.sampled_from([HOME, ABROAD]),
        count=st.sampled_from([1, 7, 100, 600]),
    )
    def search(self, seed: int, island: bytes, count: int) -> None:
        found = self.index.search(sketch(seed), SCALE, island, count=count)
        assert found == brute_force(self.model, sketch(seed), island, count)

    @rule(seed=st.integers(0, 999), among=st.lists(cards, max_size=10), count=st.sampled_from([1, 5, 300]))
    def search_among(self, seed: int, among: list[bytes], count: int) -> None:
        left = np.zeros(250, np.bool_)  # shorter than the labels go, as after a card came
        left[[number_of(name) for name in among if number_of(name) < len(left)]] = True
        found = self.index.search(sketch(seed), SCALE, HOME, count=count, among=left)
        wanted = {name for name in among if number_of(name) < len(left)}
        assert found == brute_force(self.model, sketch(seed), HOME, count, wanted)

    @invariant()
    def it_holds_what_was_added(self) -> None:
        assert set(self.index.ids()) == set(self.model)
        assert len(self.index) == len(self.model)


TestIndex = IndexMachine.TestCase
TestIndex.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_label_below_zero_takes_a_card_out() -> None:
    with tempfile.TemporaryFile() as file:
        index = SketchIndex(file)
        index.add(HOME, [card(1), card(2)], [sketch(1), sketch(2)])
        index.relabel(lambda ids: np.where(ids[:, -1] == 1, -1, 7))
        assert set(index.ids()) == {card(2)}
        left = np.zeros(8, np.bool_)
        left[7] = True
        assert index.search(sketch(1), SCALE, HOME, among=left) == [card(2)]


def test_an_island_that_shares_columns_is_searched_by_these_in_the_own_units() -> None:
    here = [Column("height", "m"), Column("weight", "kg")]
    there = [Column("weight", "g"), Column("age"), Column("height", "cm")]
    sharing = Sharing.of(here, there)
    assert (sharing.here, sharing.there, sharing.is_exact) == ((0, 1), (2, 0), True)
    rng = np.random.default_rng(1)
    means = rng.normal([70_000, 50, 170], [20_000, 10, 20], (40, 3)).astype(np.float32)
    spreads = np.abs(rng.normal([5_000, 3, 8], 1, (40, 3))).astype(np.float32)
    vector = np.zeros(256, np.int8)
    scale = Scale(np.array([1.7, 70.0]), np.array([0.1, 12.0]), np.full(2, np.inf), 0.3)
    wanted = Sketch(1, vector, np.array([1.7, 70], np.float32), np.array([0.1, 12], np.float32))
    with tempfile.TemporaryFile() as file:
        index = SketchIndex(file)
        names = [card(number) for number in range(40)]
        index.add(ABROAD, names, [Sketch(1, vector, *row) for row in zip(means, spreads, strict=True)])
        found = index.search_shared(wanted, scale, ABROAD, sharing, count=5)
    converted = [means[:, [2, 0]].T * [[0.01], [0.001]], spreads[:, [2, 0]].T * [[0.01], [0.001]]]
    distances = GaussianDistance(wanted, scale).of(*(part.astype(np.float32) for part in converted))
    assert found == [names[at] for at in np.argsort(distances)[:5]]


@pytest.fixture
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as opened:
        yield opened


def filled(file: BinaryIO, count: int = 200) -> SketchIndex:
    index = SketchIndex(file)
    index.add(HOME, [card(number) for number in range(count)], [sketch(number) for number in range(count)])
    index.flush()
    return index


def test_more_than_sixty_four_columns_are_found_by_vector_alone(file: BinaryIO) -> None:
    index, scale = SketchIndex(file), Scale(np.zeros(90), np.ones(90), np.full(90, np.inf), 0.1)
    wide = [sketch(seed, 0) for seed in range(50)]
    index.add(HOME, [card(number) for number in range(50)], wide)
    squared = [int(np.sum((own.vector.astype(int) - wide[9].vector) ** 2)) for own in wide]
    expected = sorted(range(50), key=lambda number: (squared[number], number))[:10]
    assert index.search(wide[9], scale, HOME, count=10) == [card(number) for number in expected]


def test_two_threads_find_the_same(file: BinaryIO) -> None:
    index = filled(file)
    with ThreadPoolExecutor(2) as pool:
        for seed in range(5):
            found = index.search(sketch(seed), SCALE, HOME, count=20, run=pool.map)
            assert found == index.search(sketch(seed), SCALE, HOME, count=20)


def test_rows_that_were_removed_are_used_again(file: BinaryIO) -> None:
    index = filled(file, 5000)
    size = file.seek(0, io.SEEK_END)
    for start in range(0, 5000, 100):
        index.remove([card(number) for number in range(start, start + 100)])
        index.add(HOME, [card(9000 + start + k) for k in range(100)], [sketch(k) for k in range(100)])
    assert file.seek(0, io.SEEK_END) == size
    assert len(index) == 5000


def test_compacting_gives_the_space_back(file: BinaryIO) -> None:
    index = filled(file, 5000)
    index.remove([card(number) for number in range(4900)])
    with tempfile.TemporaryFile() as into:
        small = index.compact(into)
        assert set(small.ids()) == {card(number) for number in range(4900, 5000)}
        assert into.seek(0, io.SEEK_END) * 10 < file.seek(0, io.SEEK_END)


def test_a_tail_cut_off_anywhere_is_ignored(file: BinaryIO) -> None:
    filled(file, 100)
    with_more = filled(file, 300)
    assert len(with_more) == 300
    file.seek(0)
    whole = file.read()
    segments = SegmentFile(file).segments
    for length in (64, 70, segments[0].size, len(whole) // 2, len(whole) - 1, len(whole)):
        kept = sum(s.capacity for s in segments if s.offset + s.size <= length)
        with tempfile.TemporaryFile() as torn:
            torn.write(whole[:length])
            assert len(SketchIndex(torn)) == min(300, kept)


def test_a_row_torn_by_a_crash_is_dropped_and_its_neighbours_stay(file: BinaryIO) -> None:
    filled(file, 64)
    segment = SegmentFile(file).segments[0]
    rows = SegmentFile(file).rows(segment)
    rows.vectors[5, 100] ^= 1
    rows.means[2, 6] += 1
    rows.spreads[0, 7] += 1
    rows.ids[8, 31] ^= 255
    rows.checks[9] += 1
    again = SketchIndex(file)
    assert set(again.ids()) == {card(number) for number in range(64) if not 5 <= number <= 9}
    again.add(HOME, [card(5)], [sketch(5)])
    assert card(5) in SketchIndex(file)


@pytest.mark.parametrize("seed", range(8))
def test_any_flipped_byte_loses_rows_at_most(file: BinaryIO, seed: int) -> None:
    filled(file, 100)
    file.seek(0)
    whole = bytearray(file.read())
    headers = [range(segment.offset, segment.offset + 64) for segment in SegmentFile(file).segments]
    rng = np.random.default_rng(seed)
    for at in rng.integers(64, len(whole), 40).tolist():
        broken = bytearray(whole)
        broken[at] ^= int(rng.integers(1, 256))
        with tempfile.TemporaryFile() as copy:
            copy.write(broken)
            index = SketchIndex(copy)
            assert set(index.ids()) <= {card(number) for number in range(100)}
            assert len(index) >= (0 if any(at in header for header in headers) else 99)


def test_of_a_card_that_stands_twice_the_later_row_counts(file: BinaryIO) -> None:
    index = filled(file, 64)
    raw = SegmentFile(file)
    first = raw.rows(raw.segments[0])
    raw.rows(raw.segments[raw.allocate(HOME, COLUMNS, 64)]).put(np.arange(1), first.part(3, 4))
    del index
    again = SketchIndex(file)
    assert len(again) == 64
    assert again.remove([card(3)]) == 1
    assert card(3) not in again.search(sketch(3), SCALE, HOME)


@pytest.mark.parametrize("content", [b"\x00" * 64, b"PK\x03\x04", b"skerry sketch index v9\n" + bytes(41)])
def test_another_file_is_refused(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    with pytest.raises(SpecificationError) as refusal:
        SketchIndex(file)
    assert (refusal.value.code, refusal.value.where) == ("E-SPEC-INDEX", "file")
    file.seek(0)
    assert file.read() == content


@pytest.mark.parametrize(
    ("columns", "capacity"), [(65, 64), (0xFFFF, 64), (3, 2**32 - 64), (3, 0), (3, 65), (3, 32768)]
)
def test_a_segment_with_huge_or_odd_claims_is_ignored(file: BinaryIO, columns: int, capacity: int) -> None:
    filled(file, 64)
    end = SegmentFile(file).segments[-1]
    file.seek(end.offset + end.size)
    file.write(Segment(file.tell(), HOME, columns, capacity).header + bytes(100_000))
    assert len(SketchIndex(file)) == 64


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"island": b"short"}, "island"),
        ({"island": "x" * 32}, "island"),
        ({"ids": [b"short"]}, "ids"),
        ({"ids": [card(1), card(2)]}, "sketches"),
    ],
)
def test_a_bad_addition_is_refused_by_name(file: BinaryIO, change: dict[str, Any], where: str) -> None:
    index = filled(file, 10)
    with pytest.raises(SpecificationError) as refusal:
        index.add(**{"island": HOME, "ids": [card(1)], "sketches": [sketch(7)], **change})
    assert (refusal.value.where, refusal.value.code) == (where, "E-SPEC-INDEX")
    assert len(index) == 10


@pytest.mark.parametrize(
    ("change", "where"), [({"count": 0}, "count"), ({"count": 10**9}, "count"), ({"island": b""}, "island")]
)
def test_a_bad_search_is_refused_by_name(file: BinaryIO, change: dict[str, Any], where: str) -> None:
    with pytest.raises(SpecificationError) as refusal:
        filled(file, 10).search(**{"requirement": sketch(0), "scale": SCALE, "island": HOME, **change})
    assert refusal.value.where == where


def test_a_scale_of_another_island_is_refused(file: BinaryIO) -> None:
    wide = Scale(np.zeros(9), np.ones(9), np.ones(9), 0.1)
    with pytest.raises(SpecificationError) as refusal:
        filled(file, 10).search(sketch(0), wide, HOME)
    assert refusal.value.where == "means"


def test_a_full_disk_is_an_error_and_no_signal(tmp_path: Path) -> None:
    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if len(data) > 1000:
                raise OSError(28, "No space left on device")
            return super().write(data) or 0

    with Full(tmp_path / "index", "w+") as full:
        index = SketchIndex(full)
        with pytest.raises(OSError, match="No space"):
            index.add(HOME, [card(1)], [sketch(1)])
        assert len(index) == 0
