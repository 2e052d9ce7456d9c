"""The cards that this node shows: what is searched, listed and served.

Theory of operation. The state machine says which cards are shown
(:class:`~skerry.protocol.effects.CardsChanged`), one change at a time and on the event loop;
:class:`CardIndex` keeps them by hash and by id. Their sketches are kept apart (see ``sketches.py``).

Rules of this file:

1. A card stands here as long as a catalogue that is shown holds it; two nodes of one owner may both hold it.
2. Of several versions under one id the highest is the one shown.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skerry.protocol.card import CARD, Card, card_hash

if TYPE_CHECKING:
    from skerry.protocol.effects import CardsChanged

Place = tuple[bytes, bytes]
"""A catalogue: (scope, node key)."""


@dataclass
class Entry:
    """A card that is shown."""

    hash: bytes
    card: Card
    places: set[Place] = field(default_factory=set)
    """The catalogues that hold it."""


class CardIndex:
    """The live cards, by hash and by id. Used on the event loop only."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.disputed: set[Place] = set()
        self.incomplete: set[Place] = set()
        self._by_id: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self._by_specification: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self._changes: dict[bytes, Card | None] = {}

    def apply(self, change: CardsChanged) -> dict[bytes, Card | None]:
        """Take in what is shown of one catalogue from now on.

        Returns
        -------
        dict
            By hash, the cards that are new, and ``None`` for those that are gone altogether.
        """
        place = (change.scope, change.node_key)
        _mark(self.disputed, place, on=change.disputed)
        _mark(self.incomplete, place, on=not change.complete)
        for removed in change.removed:
            self._remove(removed, place)
        for raw in change.added:
            self._add(raw, place)
        changes, self._changes = self._changes, {}
        return changes

    def newest(self, card_id: bytes) -> Entry | None:
        """Return the highest version of a learnware; of equal ones that with the smaller hash."""
        entries = [self.entries[item] for item in self._by_id.get(card_id, ())]
        return min(entries, key=lambda entry: (-entry.card.version, entry.hash), default=None)

    def by_specification(self, root: bytes) -> Entry | None:
        """Return a card that names the specification blob with this root."""
        key = min(self._by_specification.get(root, ()), default=None)
        return None if key is None else self.entries[key]

    def shown(self) -> list[Entry]:
        """Return the newest version of every learnware."""
        return [entry for entry in map(self.newest, self._by_id) if entry is not None]

    def is_disputed(self, entry: Entry) -> bool:
        """Return whether a key that shows the card signed two heads with one number."""
        return not self.disputed.isdisjoint(entry.places)

    def _add(self, raw: bytes, place: Place) -> None:
        key = card_hash(raw)
        if key not in self.entries:
            card = CARD.decode(raw)
            self.entries[key] = Entry(key, card)
            self._by_id[card.id].add(key)
            self._by_specification[card.specification.root].add(key)
            self._changes[key] = card
        self.entries[key].places.add(place)

    def _remove(self, key: bytes, place: Place) -> None:
        entry = self.entries.get(key)
        if entry is None:
            return
        entry.places.discard(place)
        if not entry.places:
            del self.entries[key]
            _discard(self._by_id, entry.card.id, key)
            _discard(self._by_specification, entry.card.specification.root, key)
            self._changes[key] = None


class OwnBlobs:
    """Which blobs the live public cards of this node name: those, and no others, are served to anybody."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._count: defaultdict[bytes, int] = defaultdict(int)
        self._cards: dict[bytes, tuple[bytes, bytes]] = {}

    def apply(self, change: CardsChanged) -> None:
        """Follow the node's own catalogue."""
        if (change.scope, change.node_key) != self._place:
            return
        for removed in change.removed:
            for root in self._cards.pop(removed, ()):
                self._count[root] -= 1
        for raw in change.added:
            card = CARD.decode(raw)
            roots = (card.specification.root, card.package.root)
            if self._cards.setdefault(card_hash(raw), roots) is roots:
                for root in roots:
                    self._count[root] += 1

    def __contains__(self, root: bytes) -> bool:
        return self._count.get(root, 0) > 0


def _mark(places: set[Place], place: Place, *, on: bool) -> None:
    if on:
        places.add(place)
    else:
        places.discard(place)


def _discard(groups: defaultdict[bytes, set[bytes]], name: bytes, item: bytes) -> None:
    groups[name].discard(item)
    if not groups[name]:
        del groups[name]
