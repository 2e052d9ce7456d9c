"""The sketch index: which few hundred of a million learnwares are worth an exact comparison.

A search scans every card of one island, twice: the squared distance of the int8 vectors, and the squared MMD
of the diagonal Gaussians in the searcher's scale (see ``sketch.py`` and ``gaussian.py``). The candidates are
the best of both lists, taken in turn. An exact scan needs no training, no parameters and no repair after a
removal. Its time is that of reading memory: 29 ms for the vectors of a million cards by simsimd on one core,
56 ms by numpy in float32 blocks.

Rules of this file:

1. The answer depends on the cards and the question alone, never on the history of the index: ties are broken
   by id.
2. A card stands on the shelf of its island *and* its number of columns. One that claims another number than
   its island has is never found, and keeps nobody else out.
3. One call at a time; the caller sees to that. One search may use two threads, which only read.
4. A *label* is a number that the caller gives a card, and by which it says which cards count in a search. It
   is kept in memory alone.
5. The file is a cache (see ``segments.py``). After opening, compare ``ids()`` with the store.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .bridging import Sharing
from .gaussian import GaussianDistance
from .limits import CANDIDATES_MAX, INDEX_ROWS_MAX, INDEX_SEGMENT_ROWS_MAX, INDEX_SEGMENT_ROWS_MIN
from .metric import Scale
from .segments import ID_BYTES, Rows, SegmentFile, row_checks
from .sketch import Sketch, SketchBlock

Positions = npt.NDArray[np.int64]
Labels = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]

Distances = Callable[[Rows], npt.NDArray[np.floating[Any]]]
"""Returns the distances of a segment's rows."""
Run = Callable[[Callable[[Distances], list[bytes]], Iterable[Distances]], Iterable[list[bytes]]]
"""What ``map`` is, and the ``map`` of an executor."""

_ROWS_PER_NUMBER: Final = INDEX_SEGMENT_ROWS_MAX
"""A row's position is its segment's number times this, plus its place in the segment."""


@dataclass
class _Shelf:
    """The segments of one island with one number of columns, and the positions that are free in them."""

    segments: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    capacity: int = 0


class SketchIndex:
    """The sketches of all cards that a node knows, by island.

    Parameters
    ----------
    file
        An open binary file, readable and writable: empty, or one that was an index before. The caller keeps
        it open and gives it to nobody else.

    Raises
    ------
    SpecificationError
        When the file is something else.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = SegmentFile(file)
        self._shelves: defaultdict[tuple[bytes, int], _Shelf] = defaultdict(_Shelf)
        self._positions: dict[bytes, int] = {}
        self._labels: list[Labels] = []
        for number in range(len(self._file.segments)):
            self._open_segment(number)

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, card: bytes) -> bool:
        return card in self._positions

    def ids(self) -> Collection[bytes]:
        """Return the ids of all cards, in no order."""
        return self._positions.keys()

    def holds(self, card: bytes, island: bytes, sketch: Sketch) -> bool:
        """Return whether a card stands on an island with this very sketch."""
        position = self._positions.get(card)
        if position is None:
            return False
        number, place = divmod(position, _ROWS_PER_NUMBER)
        segment = self._file.segments[number]
        rows = self._file.rows(segment)
        return (
            (segment.island, segment.columns) == (island, sketch.columns)
            and bool(np.array_equal(rows.vectors[place], sketch.vector))
            and bool(np.array_equal(rows.means[:, place], sketch.means))
            and bool(np.array_equal(rows.spreads[:, place], sketch.spreads))
        )

    def relabel(self, label_of: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.int64]]) -> None:
        """Give all cards new labels.

        Parameters
        ----------
        label_of
            Returns labels (n,) of the ids (n, 32); a negative one takes the card out of the index.
        """
        for number, segment in enumerate(self._file.segments):
            rows = self._file.rows(segment)
            live = np.flatnonzero(rows.checks)
            labels = label_of(rows.ids[live])
            self._labels[number][live] = np.maximum(labels, 0)
            self.remove(_bytes_of(rows.ids[live[labels < 0]]))

    def add(
        self,
        island: bytes,
        ids: Sequence[bytes],
        sketches: Sequence[Sketch],
        labels: Sequence[int] | None = None,
    ) -> None:
        """Add cards of one island; a card that is there already is replaced.

        Parameters
        ----------
        island
            The island's 32-byte id.
        ids
            32 bytes a card. Use the hash of the card, not of its name: then a new version is a new id, and
            ``ids()`` shows after a crash which versions are missing.
        sketches
            As many sketches.
        labels
            As many labels, from 0 on; all are 0 when None.

        Raises
        ------
        SpecificationError
            When an argument is not acceptable, or the index is full; nothing was added then.
        """
        _require_bytes("island", island)
        for card in ids:
            _require_bytes("ids", card)
        if len(ids) != len(sketches):
            raise _refusal("sketches", f"{len(sketches)} for {len(ids)} ids")
        if len(self) + len(ids) > INDEX_ROWS_MAX:
            raise _refusal("ids", f"the index holds at most {INDEX_ROWS_MAX} cards")
        latest = dict(zip(ids, sketches, strict=True))
        label_of = dict(zip(ids, labels or [0] * len(ids), strict=True))
        self.remove(latest)
        by_columns: defaultdict[int, list[bytes]] = defaultdict(list)
        for card, sketch in latest.items():
            by_columns[sketch.columns].append(card)
        for columns, cards in by_columns.items():
            rows = _rows_of(cards, [latest[card] for card in cards])
            self._place(island, columns, rows, np.array([label_of[card] for card in cards], np.uint32))

    def add_block(
        self, island: bytes, ids: Sequence[bytes], block: SketchBlock, labels: Sequence[int]
    ) -> None:
        """Add many cards of one island with one number of columns; the ids must differ.

        Parameters and errors are those of :meth:`add`.
        """
        _require_bytes("island", island)
        for card in ids:
            _require_bytes("ids", card)
        if len(self) + len(ids) > INDEX_ROWS_MAX:
            raise _refusal("ids", f"the index holds at most {INDEX_ROWS_MAX} cards")
        self.remove(ids)
        rows = Rows(
            np.zeros(len(ids), np.uint64),
            np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), ID_BYTES),
            block.vectors,
            np.ascontiguousarray(block.means.T),
            np.ascontiguousarray(block.spreads.T),
        )
        self._place(island, block.columns, rows, np.array(labels, np.uint32))

    def remove(self, ids: Iterable[bytes]) -> int:
        """Remove cards and return how many were there."""
        found = [self._positions.pop(card) for card in set(ids) if card in self._positions]
        for number, places in _by_segment(np.array(sorted(found), np.int64)):
            self._file.rows(self._file.segments[number]).checks[places] = 0
            self._shelf(number).free.extend((places + number * _ROWS_PER_NUMBER).tolist())
        return len(found)

    def search(
        self,
        requirement: Sketch,
        scale: Scale,
        island: bytes,
        *,
        count: int = 300,
        among: Mask | None = None,
        run: Run = map,
    ) -> list[bytes]:
        """Return the ids of the most promising cards of an island, best first.

        Parameters
        ----------
        requirement
            The sketch of what is asked for, made on the same island.
        scale
            The metric that the requirement sets.
        island
            The island's 32-byte id.
        count
            How many candidates; fewer come back only when the island holds fewer.
        among
            By label, which cards a filter has left, or None for all.
        run
            How the two scans are worked off. ``ThreadPoolExecutor(2).map`` uses two cores: nearly all the
            time is spent outside the interpreter's lock.

        Raises
        ------
        SpecificationError
            When an argument is not acceptable.
        """
        _require_bytes("island", island)
        if not 1 <= count <= CANDIDATES_MAX:
            raise _refusal("count", f"{count} is not between 1 and {CANDIDATES_MAX}")
        distances = [_vector_distances(requirement)]
        if requirement.columns:
            gaussian = GaussianDistance(requirement, scale)
            distances.append(lambda rows: gaussian.of(rows.means, rows.spreads))
        shelf = island, requirement.columns
        return _in_turn(list(run(lambda one: self._nearest(shelf, one, count, among), distances)), count)

    def search_shared(
        self,
        requirement: Sketch,
        scale: Scale,
        island: bytes,
        sharing: Sharing,
        *,
        count: int = 300,
        among: Mask | None = None,
    ) -> list[bytes]:
        """Return the ids of the most promising cards of an island that shares some columns, best first.

        Only means and spreads are compared: the vectors of two islands have nothing to do with each other.

        Parameters
        ----------
        requirement, scale
            The sketch and the metric of the requirement on the shared columns alone.
        island
            The other island's 32-byte id.
        sharing
            Which columns of the other island those are, and their units.
        count, among
            As in :meth:`search`.
        """
        if not requirement.columns:
            return []
        gaussian = GaussianDistance(requirement, scale)
        places, factors = list(sharing.there), sharing.factors.astype(np.float32)[:, None]
        offsets = sharing.offsets.astype(np.float32)[:, None]

        def distances(rows: Rows) -> npt.NDArray[np.float32]:
            means = rows.means[places] * factors + offsets
            return gaussian.of(means, rows.spreads[places] * np.abs(factors))

        return self._nearest((island, sharing.columns_there), distances, count, among)

    def compact(self, into: BinaryIO) -> SketchIndex:
        """Write the cards to another, empty file without gaps, and return the index of that file."""
        other = SketchIndex(into)
        for segment, given in zip(self._file.segments, self._labels, strict=True):
            rows = self._file.rows(segment)
            live = np.flatnonzero(rows.checks)
            if len(live):
                labels = given[live]
                other._place(segment.island, segment.columns, rows.at(live), labels)
        return other

    def flush(self) -> None:
        """Return when everything added and removed so far is on the disk."""
        self._file.flush()

    def _shelf(self, number: int) -> _Shelf:
        segment = self._file.segments[number]
        return self._shelves[segment.island, segment.columns]

    def _open_segment(self, number: int) -> None:
        """Take a segment of the file into the shelves; of a card that stands twice the later row counts."""
        rows, shelf = self._file.rows(self._file.segments[number]), self._shelf(number)
        self._labels.append(np.zeros(len(rows.checks), np.uint32))
        shelf.segments.append(number)
        shelf.capacity += len(rows.checks)
        live = np.flatnonzero(rows.checks)
        cards = _bytes_of(rows.ids[live])
        if not self._positions.keys().isdisjoint(cards):
            self.remove(cards)
        self._positions.update(zip(cards, (live + number * _ROWS_PER_NUMBER).tolist(), strict=True))
        free = np.flatnonzero(rows.checks == 0)[::-1] + number * _ROWS_PER_NUMBER
        shelf.free[:0] = free.tolist()

    def _place(self, island: bytes, columns: int, rows: Rows, labels: Labels) -> None:
        """Write rows whose ids are not in the index to free positions of their shelf."""
        rows.checks[:] = row_checks(island, rows)
        shelf = self._shelves[island, columns]
        while (missing := len(rows.ids) - len(shelf.free)) > 0:
            # Few large segments are scanned faster than many small ones, so a shelf grows in doubling steps.
            whole = -(-max(missing, shelf.capacity) // INDEX_SEGMENT_ROWS_MIN) * INDEX_SEGMENT_ROWS_MIN
            capacity = min(whole, INDEX_SEGMENT_ROWS_MAX)
            number = self._file.allocate(island, columns, capacity)
            self._labels.append(np.zeros(capacity, np.uint32))
            shelf.segments.append(number)
            shelf.capacity += capacity
            first = number * _ROWS_PER_NUMBER
            shelf.free[:0] = range(first + capacity - 1, first - 1, -1)
        positions = np.array(sorted(shelf.free.pop() for _ in range(len(rows.ids))), np.int64)
        start = 0
        for number, places in _by_segment(positions):
            self._file.rows(self._file.segments[number]).put(places, rows.part(start, start + len(places)))
            self._labels[number][places] = labels[start : start + len(places)]
            start += len(places)
        self._positions.update(zip(_bytes_of(rows.ids), positions.tolist(), strict=True))

    def _nearest(
        self, shelf: tuple[bytes, int], distances_of: Distances, count: int, among: Mask | None
    ) -> list[bytes]:
        """Return the ids of the ``count`` nearest rows of a shelf that count, nearest first."""
        best = _Best(count)
        allowed = None if among is None else np.append(among, False)
        for number in self._shelves[shelf].segments if shelf in self._shelves else ():
            rows = self._file.rows(self._file.segments[number])
            distances = distances_of(rows)
            near = np.flatnonzero(distances <= best.limit)
            flags = rows.checks[near] != 0
            if allowed is not None:
                # A card that came after the mask was made has a label beyond it.
                flags &= allowed[np.minimum(self._labels[number][near], len(allowed) - 1)]
            near = near[flags]
            best.offer(distances[near].astype(np.float32), rows.ids, near)
        return best.ids()


class _Best:
    """The nearest rows of those that a scan saw so far.

    Attributes
    ----------
    limit
        How far away another row may be and still be one of them; below infinity, where no row is found.
    """

    def __init__(self, count: int) -> None:
        self.limit: float = float(np.finfo(np.float32).max)
        self._count = count
        self._distances: npt.NDArray[np.float32] = np.empty(0, np.float32)
        self._ids: npt.NDArray[np.uint8] = np.empty((0, ID_BYTES), np.uint8)

    def offer(
        self, distances: npt.NDArray[np.float32], ids: npt.NDArray[np.uint8], places: npt.NDArray[np.intp]
    ) -> None:
        """Take in rows that are within the limit; their ids stand at ``places``."""
        all_of_them = np.concatenate([self._distances, distances])
        if len(all_of_them) > self._count:
            self.limit = float(np.partition(all_of_them, self._count - 1)[self._count - 1])
        before, new = self._distances <= self.limit, distances <= self.limit
        self._ids = np.concatenate([self._ids[before], ids[places[new]]])
        self._distances = np.concatenate([self._distances[before], distances[new]])

    def ids(self) -> list[bytes]:
        """Return the ids of the nearest, nearest first, ties in the order of ids."""
        words = self._ids.view(">u8").T
        order = np.lexsort((*words[::-1], self._distances))
        return _bytes_of(self._ids[order[: self._count]])


def _vector_distances(requirement: Sketch) -> Distances:
    """Return the function that computes the squared distances of a segment's vectors."""
    import simsimd

    wanted = np.array(requirement.vector, ndmin=2)
    return lambda rows: np.asarray(simsimd.cdist(wanted, rows.vectors, "sqeuclidean"))[0]


def _in_turn(lists: Sequence[Sequence[bytes]], count: int) -> list[bytes]:
    """Return the first ``count`` different ids, taken from the lists in turn."""
    merged = (card for row in zip_longest(*lists) for card in row if card is not None)
    return list(islice(dict.fromkeys(merged), count))


def _by_segment(positions: Positions) -> Iterator[tuple[int, Positions]]:
    """Yield segment numbers and the places in them, of ascending positions."""
    numbers = positions // _ROWS_PER_NUMBER
    for number in np.unique(numbers).tolist():
        yield number, positions[numbers == number] - number * _ROWS_PER_NUMBER


def _rows_of(ids: Sequence[bytes], sketches: Sequence[Sketch]) -> Rows:
    """Return the rows of cards that have the same number of columns."""
    return Rows(
        np.zeros(len(ids), np.uint64),
        np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), ID_BYTES),
        np.stack([sketch.vector for sketch in sketches]),
        np.stack([sketch.means for sketch in sketches], axis=1),
        np.stack([sketch.spreads for sketch in sketches], axis=1),
    )


def _bytes_of(ids: npt.NDArray[np.uint8]) -> list[bytes]:
    blob = ids.tobytes()
    return [blob[start : start + ID_BYTES] for start in range(0, len(blob), ID_BYTES)]


def _require_bytes(where: str, value: object) -> None:
    if not isinstance(value, bytes) or len(value) != ID_BYTES:
        raise _refusal(where, f"{ID_BYTES} bytes are needed")


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError("The index cannot do this", where=where, why=why, code="E-SPEC-INDEX")
