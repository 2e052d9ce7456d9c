"""Which islands can be compared with a requirement, though they are not its own.

Theory of operation. A card names its island by a hash, which does not say what the columns are. Every full
specification does, and the hash shows that it says so truthfully; what was learned once is kept in the store.
A search with named columns looks for islands whose columns are a subset, a superset or another order of its
own (:class:`skerry.spec.bridging.Sharing`); of islands that nobody here knows yet it asks for one
specification each, within a part of its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from skerry.errors import SpecificationError

from .columns import code

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from skerry.spec.bridging import Sharing
    from skerry.spec.island import Column, Island


class Comparable(NamedTuple):
    """An island, and what it shares with a requirement."""

    island: bytes
    sharing: Sharing


class Islands:
    """Descriptions of islands by their ids.

    Parameters
    ----------
    descriptions
        The written forms of islands, as the store holds them.
    """

    def __init__(self, descriptions: Mapping[bytes, bytes]) -> None:
        self._descriptions = dict(descriptions)
        self._codes = {code(island) for island in descriptions}
        self._new: dict[bytes, bytes] = {}

    def knows(self, island_code: int) -> bool:
        """Return whether the columns of the island with this code are known."""
        return island_code in self._codes

    def learn(self, island: Island) -> None:
        """Take in what a specification said."""
        identity = island.id
        if identity not in self._descriptions:
            self._descriptions[identity] = self._new[identity] = island.canonical
            self._codes.add(code(identity))

    def take_new(self) -> dict[bytes, bytes]:
        """Return what was learned since the last call, to be stored."""
        new, self._new = self._new, {}
        return new

    def comparable(self, own: Island, live: Iterable[int]) -> list[Comparable]:
        """Return the islands, of those with live cards, that share enough with one of named columns.

        Parameters
        ----------
        own
            The requirement's island, which is not among the answers.
        live
            The codes of the islands that cards stand on.

        Returns
        -------
        list of Comparable
            Those that share most first.
        """
        from skerry.spec.bridging import Sharing

        if own.columns is None:
            return []
        wanted, found = set(live), []
        for island, description in self._descriptions.items():
            if island == own.id or code(island) not in wanted:
                continue
            columns = _columns(description, own.kind)
            try:
                sharing = Sharing.of(own.columns, columns)
            except SpecificationError:
                continue
            if sharing.is_exact:
                found.append(Comparable(island, sharing))
        return sorted(
            found, key=lambda item: (-len(item.sharing.here), item.sharing.columns_there, item.island)
        )


def _columns(description: bytes, kind: str) -> tuple[Column, ...] | None:
    from skerry.spec.island import Column

    its_kind, columns, _, _ = msgspec.msgpack.decode(description)
    if its_kind != kind or columns is None:
        return None
    return tuple(Column(name, unit) for name, unit in columns)
