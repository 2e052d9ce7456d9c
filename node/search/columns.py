"""The facts of all cards as arrays, one a column: what a filter scans in a few milliseconds.

Theory of operation. A card has a *row*, a number that stays its own as long as it is shown. Equality of
words, owners and islands is equality of their codes (see ``storage/facts.py``). Rows are found by a code
through sorted runs of its column (:class:`Finder`).

A million cards take 120 MB here and 36 MB in the three finders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from skerry.node.limits import FINDER_UNSORTED_MAX, ROWS_MIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FACTS_DTYPE: Final = np.dtype(
    [
        ("hash", "V32"),
        ("id", "<u8"),
        ("island", "<u8"),
        ("owner", "<u8"),
        ("specification", "<u8"),
        ("data", "<u8"),
        ("task", "<u8"),
        ("library", "<u8"),
        ("license", "<u8"),
        ("scenarios", "<u8"),
        ("published", "<u8"),
        ("version", "<u4"),
        ("place", "<u4"),
    ]
)
"""``storage.facts.FACTS`` as numpy reads it."""

Facts = npt.NDArray[Any]
"""Of ``FACTS_DTYPE``."""
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint64]


def code(data: bytes) -> int:
    """Return the code of an id, or of the eight bytes of a word's code, as the columns hold it."""
    return int.from_bytes(data[:8], "little")


class Columns:
    """Growing arrays of facts.

    Attributes
    ----------
    size
        Rows in use, free ones among them included.
    freed
        Whether a row was ever freed.
    live
        Which rows hold a card.
    """

    def __init__(self) -> None:
        self.size: int = 0
        self.freed: bool = False
        self._free: list[int] = []
        self._arrays: dict[str, npt.NDArray[Any]] = {
            name: np.zeros(ROWS_MIN, FACTS_DTYPE[name]) for name in FACTS_DTYPE.names or ()
        }
        self._live = np.zeros(ROWS_MIN, np.bool_)
        self.by_hash: Finder = Finder(self, "hash")
        self.by_id: Finder = Finder(self, "id")
        self.by_specification: Finder = Finder(self, "specification")

    @property
    def live(self) -> Mask:
        """Which rows hold a card, (size,)."""
        return self._live[: self.size]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return a column, (size,)."""
        return self._arrays[name][: self.size]

    def codes(self, name: str) -> Codes:
        """Return a column of codes; of hashes, their first eight bytes."""
        if name == "hash":
            return self[name].view("<u8")[::4]
        return self[name]

    def hash(self, row: int) -> bytes:
        """Return the hash of a row's card."""
        return bytes(self._arrays["hash"][row].tobytes())

    def load(self, facts: Facts) -> None:
        """Take in many cards at once, before any other."""
        self._reserve(len(facts))
        self.size = len(facts)
        for name, array in self._arrays.items():
            array[: self.size] = facts[name]
        self._live[: self.size] = True
        self._tell(0)

    def add(self, facts: bytes) -> int:
        """Take in one card and return its row."""
        if self._free:
            row = self._free.pop()
        else:
            self._reserve(self.size + 1)
            row = self.size
            self.size += 1
        values = np.frombuffer(facts, FACTS_DTYPE)[0]
        for name, array in self._arrays.items():
            array[row] = values[name]
        self._live[row] = True
        for finder in (self.by_hash, self.by_id, self.by_specification):
            finder.added(row)
        return row

    def add_many(self, facts: bytes) -> Rows:
        """Take in many cards at once, at the end, and return their rows."""
        values = np.frombuffer(facts, FACTS_DTYPE)
        start = self.size
        self._reserve(start + len(values))
        self.size = start + len(values)
        for name, array in self._arrays.items():
            array[start : self.size] = values[name]
        self._live[start : self.size] = True
        self._tell(start)
        return np.arange(start, self.size)

    def remove(self, row: int) -> None:
        """Free a row."""
        self._live[row] = False
        self.freed = True
        self._free.append(row)

    def _tell(self, start: int) -> None:
        """Let the finders know of the rows from ``start`` on."""
        for finder in (self.by_hash, self.by_id, self.by_specification):
            finder.added_range(start, self.size)

    def _reserve(self, size: int) -> None:
        if size <= len(self._live):
            return
        room = max(size, 3 * len(self._live) // 2)
        for name, array in self._arrays.items():
            self._arrays[name] = _grown(array, room)
        self._live = _grown(self._live, room)


class Finder:
    """Rows by a code, through sorted runs of the column and a small dictionary of what came after them.

    What comes makes a run, and runs of like size are merged, so that a row is sorted a few times however many
    come after it. A run may name rows that were freed, or filled again with something else: whoever reads a
    run looks whether the column still holds the code.
    """

    def __init__(self, columns: Columns, name: str) -> None:
        self._columns = columns
        self._name = name
        self._runs: list[tuple[Codes, Rows]] = []
        """Codes in ascending order with their rows, each run less than half as long as the one before."""
        self._later: dict[int, list[int]] = {}
        self._later_count = 0
        self._unsorted: list[tuple[int, int]] = []
        """Ranges of rows that were filled at once and are in no run yet."""

    def rows(self, wanted: int) -> list[int]:
        """Return the live rows with a code, in ascending order."""
        self._sort()
        found = list(self._later.get(wanted, ()))
        code = np.uint64(wanted)
        for codes, rows in self._runs:
            start, end = np.searchsorted(codes, code), np.searchsorted(codes, code, side="right")
            found += rows[start:end].tolist()
        return sorted({row for row in found if self._holds(row, wanted)})

    def all_rows(self, wanted: Codes) -> Rows:
        """Return the live rows with any of some different codes, in ascending order."""
        self._sort(all_of_it=True)
        found = [np.zeros(0, np.int64)]
        for codes, rows in self._runs:
            starts, ends = np.searchsorted(codes, wanted), np.searchsorted(codes, wanted, side="right")
            lengths = ends - starts
            first = np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
            found.append(rows[first + np.arange(lengths.sum())])
            kept = self._hold(found[-1], np.repeat(wanted, lengths))
            found[-1] = found[-1][kept]
        return np.unique(np.concatenate(found))

    def first(self, wanted: Codes) -> Rows:
        """Return for each code a live row that has it, or -1."""
        self._sort(all_of_it=True)
        result: Rows = np.full(len(wanted), -1, np.int64)
        for codes, rows in self._runs:
            places = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
            found = rows[places]
            there = (codes[places] == wanted) & self._hold(found, wanted)
            result[there] = found[there]
        # Where a freed row stands before a live one of the same code, all of them are looked at.
        for at in np.flatnonzero(result < 0).tolist() if self._columns.freed else ():
            result[at] = next(iter(self.rows(int(wanted[at]))), -1)
        return result

    def added(self, row: int) -> None:
        """Note that a row was filled."""
        self._later.setdefault(int(self._columns.codes(self._name)[row]), []).append(row)
        self._later_count += 1

    def added_range(self, start: int, end: int) -> None:
        """Note that many rows were filled."""
        self._unsorted.append((start, end))

    def _holds(self, row: int, wanted: int) -> bool:
        columns = self._columns
        return bool(columns.live[row]) and int(columns.codes(self._name)[row]) == wanted

    def _hold(self, rows: Rows, wanted: Codes) -> Mask:
        columns = self._columns
        held: Mask = columns.live[rows] & (columns.codes(self._name)[rows] == wanted)
        return held

    def _sort(self, *, all_of_it: bool = False) -> None:
        """Have runs of everything but a few rows that came one by one, or of all of it."""
        for start, end in self._unsorted:
            self._add_run(np.arange(start, end))
        self._unsorted.clear()
        if self._later_count > (0 if all_of_it else FINDER_UNSORTED_MAX):
            self._add_run(np.array(sorted(row for rows in self._later.values() for row in rows), np.int64))
            self._later, self._later_count = {}, 0

    def _add_run(self, rows: Rows) -> None:
        codes = self._columns.codes(self._name)[rows]
        order = np.argsort(codes, kind="stable")
        run = codes[order], rows[order]
        while self._runs and 2 * len(run[1]) > len(self._runs[-1][1]):
            run = self._merged(self._runs.pop(), run)
        if len(run[1]):
            self._runs.append(run)

    def _merged(self, first: tuple[Codes, Rows], second: tuple[Codes, Rows]) -> tuple[Codes, Rows]:
        """Return one run of two, without rows that were freed."""
        codes, rows = np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
        kept = self._hold(rows, codes)
        codes, rows = codes[kept], rows[kept]
        order = np.argsort(codes, kind="stable")
        return codes[order], rows[order]


def newest_rows(columns: Columns, among: Rows) -> Rows:
    """Return of some live rows those of the highest version of an id; of equal ones the smallest hash."""
    ids = columns["id"][among]
    ordered = np.sort(ids)
    if not np.any(ordered[1:] == ordered[:-1]):
        return among
    first = columns["hash"].view(">u8")[::4][among]
    order = np.lexsort((first, -columns["version"][among].astype(np.int64), ids))
    ids = ids[order]
    newest: Rows = among[order[np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])]]
    return newest


def joined(parts: Iterable[bytes]) -> Facts:
    """Return the facts in pieces of bytes as one array."""
    pieces = [np.frombuffer(part, FACTS_DTYPE) for part in parts]
    return np.concatenate(pieces) if pieces else np.zeros(0, FACTS_DTYPE)


def matching(values: Codes, wanted: Callable[[int], bool]) -> Mask:
    """Return where a predicate holds of a column that has few different values."""
    different, inverse = np.unique(values, return_inverse=True)
    holds = np.array([wanted(int(value)) for value in different], np.bool_)
    result: Mask = holds[inverse]
    return result


def _grown(array: npt.NDArray[Any], room: int) -> npt.NDArray[Any]:
    larger = np.zeros(room, array.dtype)
    larger[: len(array)] = array
    return larger
