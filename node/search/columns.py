"""The facts of all cards as arrays, one a column: what a filter scans in a few milliseconds.

Theory of operation. A card has a *row*, a number that stays its own as long as it is shown. Equality of
words, owners and islands is equality of their codes (see ``storage/facts.py``). Rows are found by a code
through a sorted copy of its column (:class:`Finder`), which is renewed when many rows came after it.

A million cards take 120 MB here and 36 MB in the three finders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from skerry.node.limits import FINDER_UNSORTED_MIN, FINDER_UNSORTED_SHARE, ROWS_MIN

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
    live
        Which rows hold a card.
    """

    def __init__(self) -> None:
        self.size: int = 0
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
        for finder in (self.by_hash, self.by_id, self.by_specification):
            finder.outdated()
        return np.arange(start, self.size)

    def remove(self, row: int) -> None:
        """Free a row."""
        self._live[row] = False
        self._free.append(row)

    def _reserve(self, size: int) -> None:
        if size <= len(self._live):
            return
        room = max(size, 3 * len(self._live) // 2)
        for name, array in self._arrays.items():
            self._arrays[name] = _grown(array, room)
        self._live = _grown(self._live, room)


class Finder:
    """Rows by a code, through a sorted copy of the column and a small dictionary of what came after it."""

    def __init__(self, columns: Columns, name: str) -> None:
        self._columns = columns
        self._name = name
        self._sorted: Codes = np.zeros(0, np.uint64)
        self._rows: Rows = np.zeros(0, np.int64)
        self._later: dict[int, list[int]] = {}
        self._later_count = 0
        self._covered = 0

    def rows(self, wanted: int) -> list[int]:
        """Return the live rows with a code, in ascending order."""
        self._renew()
        start = int(np.searchsorted(self._sorted, np.uint64(wanted)))
        found = list(self._later.get(wanted, ()))
        while start < len(self._sorted) and int(self._sorted[start]) == wanted:
            found.append(int(self._rows[start]))
            start += 1
        return sorted({row for row in found if self._holds(row, wanted)})

    def first(self, wanted: Codes) -> Rows:
        """Return for each code a row that has it, or -1; of rows that are not live too."""
        self._renew(all_of_it=True)
        if not len(self._sorted):
            return np.full(len(wanted), -1, np.int64)
        places = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        found: Rows = np.where(self._sorted[places] == wanted, self._rows[places], -1)
        return found

    def added(self, row: int) -> None:
        """Note that a row was filled."""
        self._later.setdefault(int(self._columns.codes(self._name)[row]), []).append(row)
        self._later_count += 1

    def outdated(self) -> None:
        """Note that many rows were filled: all are sorted anew when a code is looked for."""
        self._covered = 0

    def _holds(self, row: int, wanted: int) -> bool:
        columns = self._columns
        return bool(columns.live[row]) and int(columns.codes(self._name)[row]) == wanted

    def _renew(self, *, all_of_it: bool = False) -> None:
        """Sort anew when much came since, or anything where all of it is needed."""
        size = self._columns.size
        behind = self._later_count if self._covered else size
        share = 0 if all_of_it else max(FINDER_UNSORTED_MIN, int(FINDER_UNSORTED_SHARE * self._covered))
        if behind <= share and (self._covered or not size):
            return
        live = np.flatnonzero(self._columns.live)
        codes = self._columns.codes(self._name)[live]
        order = np.argsort(codes, kind="stable")
        self._sorted, self._rows = codes[order], live[order]
        self._later, self._later_count, self._covered = {}, 0, max(size, 1)


def newest_rows(columns: Columns) -> Mask:
    """Return for each row whether it is the highest version of its id; of equal ones the smallest hash."""
    mask = np.zeros(columns.size, np.bool_)
    live = np.flatnonzero(columns.live)
    if not len(live):
        return mask
    first = columns["hash"].view(">u8")[::4][live]
    order = np.lexsort((first, -columns["version"][live].astype(np.int64), columns["id"][live]))
    ids = columns["id"][live][order]
    mask[live[order[np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])]]] = True
    return mask


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
