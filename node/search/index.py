"""The cards that this node shows: what is searched, listed and served.

Theory of operation. The state machine says which cards are shown
(:class:`~skerry.protocol.effects.CardsChanged`), one change at a time and on the event loop. Of each card
this file keeps the facts that searches filter by (``columns.py``) and where it stands; the card itself is
read from the store when it is shown. Sketches are kept apart (``sketches.py``), under the same row numbers.

Rules of this file:

1. A card stands here as long as a catalogue that is shown holds it; two nodes of one owner may both hold it.
2. Of several versions under one id the highest is the one shown.
3. At the start the facts of the store are taken over as they are; nothing is read twice.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from skerry.node.limits import SETTLED_SINGLY_MAX
from skerry.node.storage.facts import facts_of, scenario_words, scenarios_in, word_code
from skerry.protocol.card import CARD, Card, decoded

from .columns import Codes, Columns, Facts, Mask, Rows, code, joined, matching, newest_rows
from .sketches import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from skerry.protocol.effects import CardsChanged

HASH_BYTES: Final = 32
Place = tuple[bytes, bytes]
"""A catalogue: (scope, node key)."""

WORDS: Final = ("data", "task", "library", "license")
"""Fields that a search may ask for by their exact word, whatever its case."""


@dataclass
class Entry:
    """A card that is shown."""

    hash: bytes
    card: Card
    places: set[Place] = field(default_factory=set)
    """The catalogues that hold it."""


@dataclass(frozen=True)
class Standing:
    """What follows from all rows together, as long as nothing changes."""

    shown: Mask
    """Which rows hold the newest version of a learnware that is not hidden; not to be written to."""
    cards: int
    owners: int
    places: frozenset[Place]
    """The catalogues that hold cards which are shown."""
    islands: Codes
    """The codes of all islands, ascending."""
    island_of: Rows
    """By row, the position of its island among these."""

    @cached_property
    def shown_by_island(self) -> dict[int, tuple[int, int]]:
        """What :meth:`by_island` returns for all rows that are shown: most searches have no filter."""
        return self.by_island(self.shown)

    def by_island(self, mask: Mask) -> dict[int, tuple[int, int]]:
        """Return by code the islands of the rows of a mask, each with one such row and how many there are."""
        rows = np.flatnonzero(mask)
        island_of = self.island_of[rows]
        counts = np.bincount(island_of, minlength=len(self.islands))
        some = np.zeros(len(self.islands), np.int64)
        some[island_of] = rows
        present = np.flatnonzero(counts)
        values = zip(some[present].tolist(), counts[present].tolist(), strict=True)
        return dict(zip(self.islands[present].tolist(), values, strict=True))


class CardIndex:
    """The live cards, by hash and by id. Used on the event loop only.

    Parameters
    ----------
    read
        Returns those of some cards that the store holds, by hash.
    """

    def __init__(self, read: Callable[[Sequence[bytes]], Mapping[bytes, bytes]]) -> None:
        self.columns: Columns = Columns()
        self.disputed: set[Place] = set()
        self.incomplete: set[Place] = set()
        self.changes: int = 0
        """Counted up whenever what is shown changes."""
        self._read = read
        self._newest: Mask = np.zeros(len(self.columns.live), np.bool_)
        self._places: list[Place] = []
        self._place_numbers: dict[Place, int] = {}
        self._also_in: defaultdict[int, set[int]] = defaultdict(set)
        """Row -> the further catalogues that hold its card."""
        self._scenarios: dict[int, set[str]] = {}
        self._changes: dict[bytes, Change] = {}
        self._hidden: set[int] = set()
        """Rows that are held, but not shown."""
        self._blocked: list[int] = []
        """Codes of the owners and the ids whose cards are not shown."""
        self._known: tuple[int, Standing] | None = None

    # Following the state machine.

    def load(
        self, facts: Iterable[bytes], places: Mapping[int, Place], scenarios: Mapping[bytes, str]
    ) -> None:
        """Take over what the store derived, before any change."""
        rows = joined(facts)
        numbers = np.zeros(max(places, default=0) + 1, np.uint32)
        for number, place in places.items():
            numbers[number] = self._number(place)
        if len(rows):
            rows["place"] = numbers[rows["place"]]
            self.columns.load(self._once(rows))
        self._scenarios = {code(key): scenarios_in(words) for key, words in scenarios.items()}
        self._newest = np.zeros(self.columns.size, np.bool_)
        self._newest[newest_rows(self.columns, np.arange(self.columns.size))] = True

    def apply(self, change: CardsChanged) -> dict[bytes, Change]:
        """Take in what is shown of one catalogue from now on.

        Returns
        -------
        dict
            By hash, the cards that are new, and those that are gone altogether.
        """
        place = (change.scope, change.node_key)
        _mark(self.disputed, place, on=change.disputed)
        _mark(self.incomplete, place, on=not change.complete)
        number = self._number(place)
        touched = {self._remove(removed, number) for removed in change.removed}
        if len(change.added) > SETTLED_SINGLY_MAX:
            touched |= self._add_many(change.added, number)
        else:
            touched |= {self._add(digest, raw, number) for digest, raw in change.added.items()}
        self._settle(touched)
        changes, self._changes = self._changes, {}
        return changes

    def drop(self, place: Place) -> dict[bytes, Change]:
        """Take out whatever a catalogue holds, and return what :meth:`apply` returns."""
        number = self._number(place)
        also = [row for row, numbers in self._also_in.items() if number in numbers]
        rows = [*np.flatnonzero(self.columns.live & (self.columns["place"] == number)).tolist(), *also]
        self._settle({self._remove(self.columns.hash(row), number) for row in rows})
        self.disputed.discard(place)
        self.incomplete.discard(place)
        changes, self._changes = self._changes, {}
        return changes

    # Reading.

    def newest(self, card_id: bytes) -> Entry | None:
        """Return the highest version of a learnware; of equal ones that with the smaller hash."""
        rows = [row for row in self.columns.by_id.rows(code(card_id)) if self._newest[row]]
        rows = [row for row in rows if row not in self._hidden and not self._is_blocked(row)]
        entries = [entry for entry in self.entries(rows) if entry.card.id == card_id]
        return entries[0] if entries else None

    def by_specification(self, root: bytes) -> Entry | None:
        """Return a card that names the specification blob with this root."""
        entries = self.entries(self.columns.by_specification.rows(code(root)))
        named = [entry for entry in entries if entry.card.specification.root == root]
        return min(named, key=lambda entry: entry.hash, default=None)

    def entries(self, rows: Iterable[int] | Rows) -> list[Entry]:
        """Return the cards of some rows; one that went in the meantime is left out."""
        hashes = {int(row): self.columns.hash(int(row)) for row in rows if self.columns.live[int(row)]}
        cards = self._read(list(hashes.values()))
        return [
            Entry(digest, CARD.decode(cards[digest]), self._places_of(row))
            for row, digest in hashes.items()
            if digest in cards
        ]

    def shown(self) -> Mask:
        """Return which rows hold the newest version of a learnware."""
        return self._standing().shown.copy()

    def block(self, subjects: Iterable[bytes]) -> None:
        """Show no cards of these owners, and none with these ids."""
        self._blocked = [code(subject) for subject in subjects]
        self.changes += 1

    def hide(self, hashes: Collection[bytes]) -> None:
        """Hide these cards, and show all others: what breaks its group's policy is held, but not found."""
        rows = self.rows_of(hashes) if hashes else ()
        self._hidden = {int(row) for row in rows if row >= 0}
        self.changes += 1

    def held_by(self, place: Place) -> list[Entry]:
        """Return the newest versions that a catalogue holds."""
        return self.entries(self._rows_held_by(place))

    def count_held_by(self, places: Iterable[Place]) -> int:
        """Return how many learnwares some catalogues hold together."""
        return len({row for place in places for row in self._rows_held_by(place)})

    def _rows_held_by(self, place: Place) -> list[int]:
        number = self._place_numbers.get(place)
        if number is None:
            return []
        mask = self.shown() & (self.columns["place"] == number)
        also = [row for row, numbers in self._also_in.items() if number in numbers and self._newest[row]]
        return [*np.flatnonzero(mask).tolist(), *also]

    def count(self) -> tuple[int, int]:
        """Return how many learnwares are shown, and of how many owners."""
        standing = self._standing()
        return standing.cards, standing.owners

    def places(self) -> frozenset[Place]:
        """Return the catalogues that hold cards which are shown."""
        return self._standing().places

    def islands_in(self, mask: Mask) -> Mapping[int, tuple[int, int]]:
        """Return by code the islands of the rows of a mask, each with one such row and how many there are."""
        standing = self._standing()
        return standing.shown_by_island if np.array_equal(mask, standing.shown) else standing.by_island(mask)

    def rows_of(self, hashes: Collection[bytes]) -> Rows:
        """Return the rows of cards by hash; -1 for one that is not here."""
        prefixes = np.frombuffer(b"".join(digest[:8] for digest in hashes), "<u8").astype(np.uint64)
        return self.columns.by_hash.first(prefixes)

    def hashes(self, rows: Rows) -> list[bytes]:
        """Return the hashes of the cards in some rows."""
        blob = self.columns["hash"][rows].tobytes()
        return [blob[start : start + HASH_BYTES] for start in range(0, len(blob), HASH_BYTES)]

    def disputed_among(self, rows: Iterable[int]) -> set[int]:
        """Return those of some rows whose card is shown by a key that signed two heads with one number."""
        if not self.disputed:
            return set()
        return {row for row in rows if not self.disputed.isdisjoint(self._places_of(row))}

    def is_disputed(self, entry: Entry) -> bool:
        """Return whether a key that shows the card signed two heads with one number."""
        return not self.disputed.isdisjoint(entry.places)

    # Filters.

    def with_word(self, name: str, word: str) -> Mask:
        """Return the rows whose ``data``, ``task``, ``library`` or ``license`` is a word."""
        mask: Mask = self.columns[name] == np.uint64(code(word_code(word)))
        return mask

    def with_scenario(self, scenario: str) -> Mask:
        """Return the rows that name a scenario."""
        wanted = scenario.casefold()
        return matching(
            self.columns.codes("scenarios"), lambda value: wanted in self._scenarios.get(value, ())
        )

    def of_owners(self, owners: Iterable[bytes]) -> Mask:
        """Return the rows that belong to one of some owners."""
        mask: Mask = np.isin(self.columns["owner"], np.array([code(owner) for owner in owners], np.uint64))
        return mask

    def on_island(self, island: bytes) -> Mask:
        """Return the rows on an island."""
        mask: Mask = self.columns["island"] == np.uint64(code(island))
        return mask

    # Inside.

    def _standing(self) -> Standing:
        """Return what follows from all rows, computed anew after a change: 0.1 s for a million."""
        if self._known is None or self._known[0] != self.changes:
            self._known = self.changes, self._stand()
        return self._known[1]

    def _stand(self) -> Standing:
        columns = self.columns
        mask: Mask = columns.live & self._newest[: columns.size]
        mask[list(self._hidden)] = False
        if self._blocked:
            blocked = np.array(self._blocked, np.uint64)
            for name in ("owner", "id"):
                mask &= ~np.isin(columns[name], blocked)
        owners = columns["owner"][mask]
        numbers = {int(number) for number in np.unique(columns["place"][mask])}
        for row, further in self._also_in.items():
            if self._newest[row]:
                numbers |= further
        islands, island_of = np.unique(columns["island"], return_inverse=True)
        return Standing(
            shown=mask,
            cards=len(owners),
            owners=len(np.unique(owners)),
            places=frozenset(self._places[number] for number in numbers),
            islands=islands,
            island_of=island_of,
        )

    def _once(self, rows: Facts) -> Facts:
        """Return the rows without the second ones of cards that stand in several catalogues."""
        codes = np.sort(np.ascontiguousarray(rows["hash"]).view("<u8")[::4])
        if not np.any(codes[1:] == codes[:-1]):
            return rows
        _, first, inverse = np.unique(rows["hash"], return_index=True, return_inverse=True)
        kept = np.sort(first)
        position = {int(row): at for at, row in enumerate(kept)}
        for row in np.setdiff1d(np.arange(len(rows)), first).tolist():
            self._also_in[position[int(first[inverse[row]])]].add(int(rows["place"][row]))
        unique: Facts = rows[kept]
        return unique

    def _number(self, place: Place) -> int:
        if place not in self._place_numbers:
            self._place_numbers[place] = len(self._places)
            self._places.append(place)
        return self._place_numbers[place]

    def _places_of(self, row: int) -> set[Place]:
        numbers = {int(self.columns["place"][row]), *self._also_in.get(row, ())}
        return {self._places[number] for number in numbers}

    def _is_blocked(self, row: int) -> bool:
        return any(int(self.columns[name][row]) in self._blocked for name in ("owner", "id"))

    def _row(self, digest: bytes) -> int | None:
        rows = self.columns.by_hash.rows(code(digest))
        return next((row for row in rows if self.columns.hash(row) == digest), None)

    def _add(self, digest: bytes, raw: bytes, number: int) -> int:
        """Take in a card and return the code of its id."""
        row = self._row(digest)
        if row is None:
            card = decoded(raw)
            row = self.columns.add(facts_of(card, digest, number))
            self._scenarios.setdefault(
                code(word_code(scenario_words(card.scenarios))), scenarios_in(scenario_words(card.scenarios))
            )
            self._changes[digest] = Change(row, card)
        elif self.columns["place"][row] != number:
            self._also_in[row].add(number)
        return int(self.columns["id"][row])

    def _add_many(self, raws: Mapping[bytes, bytes], number: int) -> set[int]:
        """Take in many cards, those that are new all at once; return the codes of their ids."""
        known = dict(zip(raws, self.rows_of(raws.keys()).tolist(), strict=True))
        touched = {self._add(digest, raws[digest], number) for digest, row in known.items() if row >= 0}
        cards = {digest: decoded(raws[digest]) for digest, row in known.items() if row < 0}
        facts = [facts_of(card, digest, number) for digest, card in cards.items()]
        rows = self.columns.add_many(b"".join(facts)).tolist()
        self._changes.update(zip(cards, map(Change, rows, cards.values()), strict=True))
        for scenarios in {card.scenarios for card in cards.values()}:
            words = scenario_words(scenarios)
            self._scenarios.setdefault(code(word_code(words)), scenarios_in(words))
        return touched | set(self.columns["id"][rows].tolist())

    def _remove(self, digest: bytes, number: int) -> int:
        """Take a card out of a catalogue and return the code of its id; 0 when it is not here."""
        row = self._row(digest)
        if row is None:
            return 0
        further = self._also_in.get(row, set())
        if number in further:
            further.discard(number)
        elif self.columns["place"][row] == number:
            if further:
                self.columns["place"][row] = further.pop()
            else:
                self.columns.remove(row)
                self._changes[digest] = Change(row, None)
        if not further:
            self._also_in.pop(row, None)
        return int(self.columns["id"][row])

    def _settle(self, ids: Iterable[int]) -> None:
        """Find the newest version of each of some ids."""
        if len(self._newest) < self.columns.size:
            self._newest = np.concatenate([self._newest, np.zeros(self.columns.size, np.bool_)])
        self.changes += 1
        wanted = set(ids)
        if len(wanted) > SETTLED_SINGLY_MAX:
            touched = self.columns.by_id.all_rows(np.fromiter(wanted, np.uint64, len(wanted)))
            self._newest[touched] = False
            self._newest[newest_rows(self.columns, touched)] = True
            return
        versions, hash_of = self.columns["version"], self.columns.hash
        for card_id in wanted:
            rows = self.columns.by_id.rows(card_id)
            best = min(rows, key=lambda row: (-int(versions[row]), hash_of(row)), default=None)
            for row in rows:
                self._newest[row] = row == best


def _mark(places: set[Place], place: Place, *, on: bool) -> None:
    if on:
        places.add(place)
    else:
        places.discard(place)
