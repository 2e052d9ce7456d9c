"""Which heads differ between two nodes: range-based set reconciliation.

Theory of operation. Each side holds a set of *entries*, one per node key: its number (epoch, seq) and a
statement hash. A range is the set of keys that begin with given hexadecimal digits. The fingerprint of a
range is the hash of the count and of the sum of its statement hashes modulo 2^256, so it can be kept up to
date, and computed for any range from running sums. One side sends the fingerprints of the sixteen parts of a
range; the other answers, for each part that differs, with its own sixteen fingerprints one digit further, or,
when it holds few entries there, with those entries. Who receives entries sees at once which side is behind
for which key: it asks for what it lacks and names what the other lacks. After Meyer, "Range-based set
reconciliation" (2023), with ranges cut by digits of the key instead of by ranks: node keys are uniform, so no
bounds need to travel.

Rules of this file:

1. The responder keeps no state: an answer follows from the message and the own set alone.
2. A fingerprint adds, and never XORs: chosen records can make an XOR vanish.
3. Nothing here sends records. Both sides only learn which keys to ask for, and each decides how many.
4. An answer is bounded: what does not fit is found in the next round, since the digests still differ.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Annotated

from msgspec import Meta, Struct

from .encoding import Natural
from .hashing import fingerprint_of_sum
from .limits import RECONCILE_ENTRIES_MAX, RECONCILE_LEGS_MAX, RECONCILE_LIST_MAX, RECONCILE_RANGES_MAX

PART_BYTES = 16
"""Bytes of a part's fingerprint: a collision costs its maker 2^64 work and hides the maker's own heads
only."""
KEY_BYTES = 8
"""Bytes of a node key that name an entry in a list."""
MARK_BYTES = 4
"""Bytes of the statement hash in a list: enough to see that two entries of one number differ."""
DIGITS = "0123456789abcdef"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """What one side holds for one node key."""

    epoch: int
    seq: int
    statement: bytes
    """32 bytes that differ when the envelopes held differ."""

    @property
    def number(self) -> tuple[int, int]:
        """Return (epoch, seq)."""
        return self.epoch, self.seq


class Listed(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An entry on the wire."""

    key: Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
    epoch: Natural
    seq: Natural
    mark: Annotated[bytes, Meta(min_length=MARK_BYTES, max_length=MARK_BYTES)]


class Range(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One range of a message: either ``parts``, sixteen fingerprints, or ``entries``.

    ``prefix`` is the hexadecimal digits that all keys of the range begin with. A range with ``parts`` asks
    for an answer. ``entries`` with ``whole`` is all that the sender holds there and asks what the receiver
    holds besides; without ``whole`` they are entries that the sender believes the receiver lacks.
    """

    prefix: Annotated[str, Meta(pattern=r"^[0-9a-f]{0,63}\Z")]
    parts: Annotated[tuple[Annotated[bytes, Meta(max_length=PART_BYTES)], ...], Meta(max_length=len(DIGITS))]
    entries: Annotated[tuple[Listed, ...], Meta(max_length=RECONCILE_ENTRIES_MAX)]
    whole: bool


@dataclass(frozen=True, slots=True)
class Differences:
    """What a message taught: ranges to answer with, and keys whose records the sender of it has newer."""

    answer: tuple[Range, ...]
    wanted: tuple[bytes, ...]
    """Key prefixes of KEY_BYTES bytes."""


@dataclass(slots=True)
class _Ordered:
    """The set in the order of its keys, with running sums: ``sums[i]`` adds up the first i statements."""

    keys: list[bytes]
    entries: list[Entry]
    sums: list[int]

    def span(self, prefix: str) -> tuple[int, int]:
        """Return the positions that the range covers, end exclusive."""
        low = bytes.fromhex(prefix.ljust(64, "0"))
        high = bytes.fromhex(prefix.ljust(64, "f"))
        end = bisect_left(self.keys, high)
        if end < len(self.keys) and self.keys[end] == high:
            end += 1
        return bisect_left(self.keys, low), end

    def part(self, prefix: str) -> bytes:
        start, end = self.span(prefix)
        if start == end:
            return b""
        return _fingerprint(end - start, self.sums[end] - self.sums[start])[:PART_BYTES]


@dataclass(slots=True)
class HeadSet:
    """The set of one scope: node key -> entry, with its digest kept up to date."""

    _entries: dict[bytes, Entry] = field(default_factory=dict)
    _total: int = 0
    _ordered: _Ordered | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def put(self, key: bytes, entry: Entry) -> None:
        """Add an entry, or replace the one of the same key."""
        self.remove(key)
        self._entries[key] = entry
        self._total += int.from_bytes(entry.statement, "big")
        self._ordered = None

    def remove(self, key: bytes) -> None:
        """Take an entry out; nothing happens when there is none."""
        old = self._entries.pop(key, None)
        if old is not None:
            self._total -= int.from_bytes(old.statement, "big")
            self._ordered = None

    def digest(self) -> bytes:
        """Return the fingerprint of the whole set."""
        return _fingerprint(len(self._entries), self._total)

    def named(self, prefix: bytes) -> Iterator[bytes]:
        """Yield the keys that begin with the bytes given."""
        ordered = self._order()
        position = bisect_left(ordered.keys, prefix)
        while position < len(ordered.keys) and ordered.keys[position].startswith(prefix):
            yield ordered.keys[position]
            position += 1

    def opening(self) -> tuple[Range, ...]:
        """Return the first message: everything as one range."""
        return (self._describe(""),)

    def respond(self, ranges: Iterable[Range], leg: int) -> Differences:
        """Return what follows from a message: the ranges to answer with and the keys to ask for."""
        answer: list[Range] = []
        wanted: list[bytes] = []
        for item in list(ranges)[:RECONCILE_RANGES_MAX]:
            if item.parts:
                answer.extend(self._differing(item) if leg < RECONCILE_LEGS_MAX else ())
            else:
                lacking = self._compare(item, wanted)
                if item.whole and lacking:
                    entries = tuple(lacking[:RECONCILE_ENTRIES_MAX])
                    answer.append(Range(item.prefix, (), entries, whole=False))
        return Differences(tuple(answer), tuple(wanted))

    def _order(self) -> _Ordered:
        if self._ordered is None:
            keys = sorted(self._entries)
            entries = [self._entries[key] for key in keys]
            statements = (int.from_bytes(entry.statement, "big") for entry in entries)
            self._ordered = _Ordered(keys, entries, list(accumulate(statements, initial=0)))
        return self._ordered

    def _describe(self, prefix: str) -> Range:
        ordered = self._order()
        start, end = ordered.span(prefix)
        if end - start <= RECONCILE_LIST_MAX:
            return Range(prefix, (), self._listed(start, end), whole=True)
        parts = tuple(ordered.part(prefix + digit) for digit in DIGITS)
        return Range(prefix, parts, (), whole=False)

    def _differing(self, item: Range) -> Iterator[Range]:
        ordered = self._order()
        for digit, theirs in zip(DIGITS, item.parts, strict=True):
            prefix = item.prefix + digit
            if ordered.part(prefix) != theirs:
                yield self._describe(prefix)

    def _listed(self, start: int, end: int) -> tuple[Listed, ...]:
        ordered = self._order()
        return tuple(_listed(ordered.keys[i], ordered.entries[i]) for i in range(start, end))

    def _compare(self, item: Range, wanted: list[bytes]) -> list[Listed]:
        """Collect the keys that the sender has newer in ``wanted`` and return the entries it lacks."""
        ordered = self._order()
        start, end = ordered.span(item.prefix)
        theirs = {listed.key: listed for listed in item.entries}
        lacking = []
        for position in range(start, end):
            key, entry = ordered.keys[position], ordered.entries[position]
            other = theirs.pop(key[:KEY_BYTES], None)
            if other is None or (other.epoch, other.seq) < entry.number:
                lacking.append(_listed(key, entry))
            elif (other.epoch, other.seq) > entry.number:
                wanted.append(other.key)
            elif other.mark != entry.statement[:MARK_BYTES]:
                wanted.append(other.key)
                lacking.append(_listed(key, entry))
        wanted.extend(theirs)
        return lacking


def _listed(key: bytes, entry: Entry) -> Listed:
    return Listed(key[:KEY_BYTES], entry.epoch, entry.seq, entry.statement[:MARK_BYTES])


def _fingerprint(count: int, total: int) -> bytes:
    return fingerprint_of_sum(count, total % 2**256)
