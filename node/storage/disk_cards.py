"""The cards of one catalogue where they are: on the disk, and for a moment in memory.

The state machine keeps of each catalogue a mapping from hash to card. Here it is the ``cards`` table, so a
million cards cost no memory. A change is kept in memory until the store has written it, which by the rules of
the effects is before the next event.

Rules of this file:

1. It is used on the event loop only, over one connection that reads.
2. What the database holds was verified before it was stored and is not verified again (ADR 45); a card that
   does not have its hash any more is as good as gone.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from skerry.protocol.card import card_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Read = Callable[..., list[Any]]

_OF_PLACE = """SELECT {} FROM cards WHERE NOT pending AND place =
    (SELECT place FROM catalogues WHERE scope = ? AND node_key = ?)"""


class DiskCards(MutableMapping[bytes, bytes]):
    """Card hash -> card of one (scope, node key).

    Parameters
    ----------
    read
        Runs a query with parameters and returns its rows.
    scope, node_key
        The catalogue.
    changed
        Called at a change, with this object; :meth:`settle` is due once the change is on the disk.
    stored
        Whether there can be anything on the disk; otherwise it is not asked before something was stored.
    """

    __slots__ = ("_changed", "_gone", "_new", "_place", "_read", "_stored")

    def __init__(
        self,
        read: Read,
        scope: bytes,
        node_key: bytes,
        changed: Callable[[DiskCards], None],
        *,
        stored: bool,
    ) -> None:
        self._read = read
        self._place = (scope, node_key)
        self._changed = changed
        self._stored = stored
        self._new: dict[bytes, bytes] = {}
        self._gone: set[bytes] = set()

    def __getitem__(self, digest: bytes) -> bytes:
        if digest in self._new:
            return self._new[digest]
        if digest in self._gone or not self._stored:
            raise KeyError(digest)
        rows = self._read(_OF_PLACE.format("card") + " AND hash = ?", *self._place, digest)
        if not rows:
            raise KeyError(digest)
        card: bytes = rows[0][0]
        return card

    def many(self, hashes: Sequence[bytes]) -> list[bytes]:
        """Return those of some cards that are here, in the order of their hashes, by one query."""
        found = dict.fromkeys(hashes, b"")
        if self._stored:
            marks = ",".join("?" * len(hashes))
            query = _OF_PLACE.format("hash, card") + f" AND hash IN ({marks})"
            found.update(row for row in self._read(query, *self._place, *hashes) if row[0] not in self._gone)
        found.update((digest, self._new[digest]) for digest in hashes if digest in self._new)
        return [card for card in found.values() if card]

    def __contains__(self, digest: object) -> bool:
        with suppress(KeyError):
            return bool(self[digest]) if isinstance(digest, bytes) else False
        return False

    def __setitem__(self, digest: bytes, card: bytes) -> None:
        self._gone.discard(digest)
        self._new[digest] = card
        self._changed(self)

    def __delitem__(self, digest: bytes) -> None:
        if digest not in self:
            raise KeyError(digest)
        self._new.pop(digest, None)
        self._gone.add(digest)
        self._changed(self)

    def __iter__(self) -> Iterator[bytes]:
        stored = self._read(_OF_PLACE.format("hash"), *self._place) if self._stored else []
        yield from (row[0] for row in stored if row[0] not in self._gone and row[0] not in self._new)
        yield from list(self._new)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def items(self) -> ItemsView[bytes, bytes]:
        """Return all hashes and cards, read at once; a card that was damaged on the disk is left out."""
        return self._all().items()

    def update(self, other: Any = (), /, **_: Any) -> None:
        """Take in many cards at once."""
        added = dict(other)
        self._gone.difference_update(added)
        self._new.update(added)
        self._changed(self)

    def _all(self) -> dict[bytes, bytes]:
        stored = self._read(_OF_PLACE.format("hash, card"), *self._place) if self._stored else []
        sound = {digest: card for digest, card in stored if card_hash(card) == digest}
        for digest in self._gone:
            sound.pop(digest, None)
        return sound | self._new

    def settle(self) -> None:
        """Forget what is on the disk by now."""
        self._stored = True
        self._new.clear()
        self._gone.clear()
