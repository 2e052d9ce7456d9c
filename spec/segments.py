"""The flat file under the index: fixed rows in memory-mapped segments.

The file is a cache: whatever it holds can be made again from the cards in the node's store. So it is built to
be scanned fast, and to lose rows at worst, but never to invent any::

    file    := magic (64 bytes) segment*
    segment := header (64 bytes) checks ids vectors means spreads

A segment holds at most ``capacity`` cards of one island with one number of columns. ``ids`` (32 bytes) and
``vectors`` (256 int8) lie row by row, ``means`` and ``spreads`` (float32) column by column, as
they are scanned. All numbers are little-endian.

Rules of this file:

1. A row exists if and only if its check word is not 0. The word is a sum over the row's other bytes, so a row
   that was torn by a crash does not match and is dropped when the file is opened. Removing a row
   writes a 0: the check words are also the tombstones.
2. A segment whose header does not hold up, or which the file is too short for, ends the file: it and all
   behind it are ignored and cut off.
3. The file is opened, renamed and deleted by the caller. It must be writable, a real file (it is mapped), and
   have one user at a time.
4. Space is written as zeros before it is mapped: a full disk is then an ``OSError`` here and no signal later.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .limits import INDEX_SEGMENT_ROWS_MAX, INDEX_SEGMENT_ROWS_MIN, SKETCH_COLUMNS_MAX
from .sketch import SKETCH_FEATURES

ID_BYTES: Final = 32
_MAGIC: Final = b"skerry sketch index v1\n".ljust(64, b"\x00")
_SEGMENT_MAGIC: Final = b"SEGM"
_HEADER: Final = struct.Struct("<4sHHI32sI16x")
_ZEROS_BYTES: Final = 1 << 20
_GROWTH_SHARE: Final = 16
"""The file grows by at least this part of itself, so that it is mapped anew only now and then."""

_PHI: Final = np.uint64(0x9E3779B97F4A7C15)

Words = npt.NDArray[np.uint64]


class Rows(NamedTuple):
    """The arrays of a segment (views into the file) or of rows on their way into one.

    ``checks`` (n,) uint64, ``ids`` (n, 32) uint8, ``vectors`` (n, 256) int8, ``means`` and ``spreads``
    (columns, n) float32.
    """

    checks: Words
    ids: npt.NDArray[np.uint8]
    vectors: npt.NDArray[np.int8]
    means: npt.NDArray[np.float32]
    spreads: npt.NDArray[np.float32]

    def at(self, places: npt.NDArray[np.intp]) -> Rows:
        """Return copies of the rows at the given places."""
        values = (np.ascontiguousarray(columns[:, places]) for columns in (self.means, self.spreads))
        return Rows(self.checks[places], self.ids[places], self.vectors[places], *values)

    def part(self, start: int, end: int) -> Rows:
        """Return views of neighbouring rows."""
        rows = slice(start, end)
        return Rows(
            self.checks[rows], self.ids[rows], self.vectors[rows], self.means[:, rows], self.spreads[:, rows]
        )

    def put(self, places: npt.NDArray[np.int64], rows: Rows) -> None:
        """Write rows to the given places, their check words last."""
        self.ids[places], self.vectors[places] = rows.ids, rows.vectors
        self.means[:, places], self.spreads[:, places] = rows.means, rows.spreads
        self.checks[places] = rows.checks


@dataclass(frozen=True)
class Segment:
    """Where a segment lies and what it holds."""

    offset: int
    island: bytes
    columns: int
    capacity: int

    @property
    def size(self) -> int:
        """Return its bytes, header included."""
        return _HEADER.size + self.capacity * (8 + ID_BYTES + SKETCH_FEATURES + 8 * self.columns)

    @property
    def header(self) -> bytes:
        """Return the 64 bytes it starts with."""
        parts = (_SEGMENT_MAGIC, self.columns, 0, self.capacity, self.island)
        return _HEADER.pack(*parts, zlib.crc32(_HEADER.pack(*parts, 0)))


class SegmentFile:
    """The mapped file and its segments.

    Parameters
    ----------
    file
        An open binary file, readable and writable; empty, or written by this class.

    Raises
    ------
    SpecificationError
        When the file is something else.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.segments: list[Segment] = []
        if file.seek(0, os.SEEK_END) == 0:
            file.write(_MAGIC)
        self._map = self._mapped()
        if self._map[: len(_MAGIC)] != _MAGIC:
            raise SpecificationError(
                "This is not a sketch index",
                where="file",
                why="it does not start as one",
                todo="Delete the file; the index is built again from the cards",
                code="E-SPEC-INDEX",
            )
        self.segments = list(self._stored_segments())
        self._end = sum(segment.size for segment in self.segments) + len(_MAGIC)
        file.truncate(self._end)
        self._map = self._mapped()
        for segment in self.segments:
            self._drop_torn_rows(segment)

    def rows(self, segment: Segment) -> Rows:
        """Return writable views of a segment's arrays; they stay valid, also when the file grows."""
        count, columns = segment.capacity, segment.columns
        at = segment.offset + _HEADER.size
        parts = []
        for shape, dtype in (
            ((count,), "<u8"),
            ((count, ID_BYTES), "u1"),
            ((count, SKETCH_FEATURES), "i1"),
            ((columns, count), "<f4"),
            ((columns, count), "<f4"),
        ):
            view: npt.NDArray[np.generic] = np.ndarray(shape, dtype, self._map, at)
            parts.append(view)
            at += view.nbytes
        return Rows(*parts)  # type: ignore[arg-type] # the dtypes stand in the table above

    def allocate(self, island: bytes, columns: int, capacity: int) -> int:
        """Append an empty segment and return its number."""
        segment = Segment(self._end, island, columns, capacity)
        if segment.offset + segment.size > len(self._map):
            self._grow(segment.size)
        self._map[segment.offset : segment.offset + _HEADER.size] = segment.header
        self._end += segment.size
        self.segments.append(segment)
        return len(self.segments) - 1

    def flush(self) -> None:
        """Return when everything written so far is on the disk."""
        self._map.flush()

    def _mapped(self) -> mmap.mmap:
        self._file.flush()
        return mmap.mmap(self._file.fileno(), 0)

    def _grow(self, needed: int) -> None:
        size = self._file.seek(0, os.SEEK_END)
        missing = max(needed, size // _GROWTH_SHARE)
        while missing > 0:
            missing -= self._file.write(bytes(min(missing, _ZEROS_BYTES)))
        self._map = self._mapped()

    def _stored_segments(self) -> Iterator[Segment]:
        """Yield the segments from the start on, up to the first that does not hold up."""
        at = len(_MAGIC)
        while at + _HEADER.size <= len(self._map):
            header = self._map[at : at + _HEADER.size]
            _, columns, _, capacity, island, _ = _HEADER.unpack(header)
            segment = Segment(at, island, columns, capacity)
            sound = (
                segment.header == header
                and columns <= SKETCH_COLUMNS_MAX
                and INDEX_SEGMENT_ROWS_MIN <= capacity <= INDEX_SEGMENT_ROWS_MAX
                and capacity % INDEX_SEGMENT_ROWS_MIN == 0
                and at + segment.size <= len(self._map)
            )
            if not sound:
                return
            yield segment
            at += segment.size

    def _drop_torn_rows(self, segment: Segment) -> None:
        rows = self.rows(segment)
        stored = np.flatnonzero(rows.checks)
        if len(stored):
            claimed = rows.at(stored)
            rows.checks[stored[claimed.checks != row_checks(segment.island, claimed)]] = 0


def row_checks(island: bytes, rows: Rows) -> Words:
    """Return the check words (n,) of rows of an island: never 0, and another one when any one word differs.

    The word is ``sum_i word_i (2 i + 1) phi`` modulo 2^64 over the row's words, started by the island's
    first eight bytes; ``phi`` is the golden ratio's odd 64-bit multiplier. It is against torn writes and
    rotten disks, not against people: whoever can write the file can write anything.
    """
    columns = len(rows.means)
    factors = (2 * np.arange((ID_BYTES + SKETCH_FEATURES) // 8 + 2 * columns, dtype=np.uint64) + 1) * _PHI
    id_words, vector_words = rows.ids.view("<u8"), rows.vectors.view("<u8")
    sums: Words = np.full(len(rows.ids), int.from_bytes(island[:8], "little"), np.uint64)
    sums += (id_words * factors[: ID_BYTES // 8]).sum(axis=1)
    sums += (vector_words * factors[ID_BYTES // 8 : -2 * columns or None]).sum(axis=1)
    for values, factor in zip(
        (*rows.means, *rows.spreads), factors[len(factors) - 2 * columns :], strict=True
    ):
        sums += values.view("<u4") * factor
    sums[sums == 0] = 1
    return sums
