"""Who may have which of this node's blobs.

Theory of operation. A blob is named by cards, and each card stands in one or several of this node's
catalogues: public, or of a group. Who may see a catalogue may have what its cards name; a package may be kept
for some groups only, though its card is seen by more. The reader shows the token that this node gave to it on
a gossip connection (see :mod:`skerry.protocol.tokens`); membership is looked up in the newest roster at every
request, and again for every piece of a long answer.

Rules of this file:

1. A blob that no live card of this node names is not there, whoever asks; but for 90 days those that a
   version named which a newer one replaced. Withdrawing a learnware recalls all its versions at once.
2. "No" is "not there": the caller gets one answer for both, after the same steps.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from skerry.node.directory import PUBLIC
from skerry.node.limits import SUPERSEDED_SECONDS
from skerry.protocol.card import CARD, card_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from skerry.protocol.effects import CardsChanged
    from skerry.protocol.state import State

Scopes = frozenset[bytes]


class Audience:
    """See the module's docstring.

    Parameters
    ----------
    node_key
        This node's own key.
    state
        Who is a member, and which tokens count.
    kept
        By slug, the groups for which a package is kept.
    superseded
        (Root, scope, card id, until) of blobs of replaced versions, as the store holds them.
    now
        Returns the wall clock, seconds since 1970 UTC.
    """

    def __init__(
        self,
        node_key: bytes,
        state: State,
        kept: Mapping[str, Scopes],
        superseded: Iterable[tuple[bytes, bytes, bytes, int]] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self._superseded = {(root, scope): (card, until) for root, scope, card, until in superseded}
        self._node_key = node_key
        self._state = state
        self.kept: dict[str, Scopes] = dict(kept)
        self._readers: defaultdict[bytes, Counter[bytes]] = defaultdict(Counter)
        """Blob -> scopes whose members may have it, and by how many cards."""
        self._named: dict[tuple[bytes, bytes], list[tuple[bytes, bytes]]] = {}
        """(Scope, card) -> the (blob, scope) pairs that it gave."""
        self._ids: dict[tuple[bytes, bytes], bytes] = {}
        """(Scope, card) -> the card's id."""

    def apply(self, change: CardsChanged) -> None:
        """Follow this node's own catalogues."""
        if change.node_key != self._node_key:
            return
        new = {card.id: card.published for card in map(CARD.decode, change.added.values())}
        for removed in change.removed:
            self._supersede((change.scope, removed), new)
            self._remove((change.scope, removed))
        for digest, raw in change.added.items():
            self._remove((change.scope, digest))
            self._add(change.scope, raw)

    def may_have(self, root: bytes, token: bytes) -> bool:
        """Return whether the bearer of a token, or anybody when it is empty, may have a blob now."""
        return self._admits(root, self._state.tokens().bearer(token, time.time()))

    def peer_may_have(self, root: bytes, peer: bytes) -> bool:
        """Return whether a connected peer, which proved who it is, may have a blob now."""
        known = self._state.peers().get(peer)
        return known is not None and self._admits(root, known.owner)

    def load(self) -> None:
        """Take over this node's own catalogues as the state machine holds them at the start."""
        for scope in (PUBLIC, *self._state.groups().groups):
            held = self._state.catalogue(self._node_key, scope)
            for digest, raw in () if held is None else held.visible.items():
                self._remove((scope, digest))
                self._add(scope, raw)

    def drop(self, scope: bytes) -> None:
        """Forget this node's catalogue in a scope."""
        for place in [place for place in self._named if place[0] == scope]:
            self._remove(place)

    def _admits(self, root: bytes, owner: bytes) -> bool:
        readers = {*self._readers.get(root, ()), *self._still_readers(root)}
        groups = self._state.groups()
        allowed = [scope for scope in readers if scope == PUBLIC or (owner and groups.may_read(scope, owner))]
        return bool(allowed)

    def _still_readers(self, root: bytes) -> list[bytes]:
        """Return the scopes whose members may have a blob of a replaced version."""
        now = self._now()
        return [scope for (of, scope), (_, until) in self._superseded.items() if of == root and now < until]

    def _supersede(self, place: tuple[bytes, bytes], new: Mapping[bytes, int]) -> None:
        """Note until when the blobs of a card that goes are there; of one that was withdrawn, no longer."""
        card_id = self._ids.get(place)
        if card_id is None:
            return
        if card_id in new:
            until = new[card_id] + SUPERSEDED_SECONDS
            self._superseded.update((pair, (card_id, until)) for pair in self._named[place])
        else:
            kept = {pair: item for pair, item in self._superseded.items() if item[0] != card_id}
            self._superseded = kept

    def _add(self, scope: bytes, raw: bytes) -> None:
        card = CARD.decode(raw)
        named = [(card.specification.root, scope)]
        named += [(card.package.root, reader) for reader in self.kept.get(card.slug, (scope,))]
        self._named[scope, card_hash(raw)] = named
        self._ids[scope, card_hash(raw)] = card.id
        for root, reader in named:
            self._readers[root][reader] += 1

    def _remove(self, place: tuple[bytes, bytes]) -> None:
        self._ids.pop(place, None)
        for root, reader in self._named.pop(place, ()):
            self._readers[root][reader] -= 1
            if not self._readers[root][reader]:
                del self._readers[root][reader]
            if not self._readers[root]:
                del self._readers[root]
