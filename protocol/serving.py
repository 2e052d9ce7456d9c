"""What a node answers when it is asked for parts of a catalogue.

Rules of this file:

1. Only what is whole is served, under the head that was asked for; who asks under an older head is sent the
   newer one.
2. Cards cost who asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .context import Context
from .index import Held, Index
from .limits import CARD_WORK
from .messages import Cards, CardsRequest, Missing, TreeRequest, chunk
from .repair import Repair
from .snapshot import cards_in


class Serving:
    """See the module's docstring.

    Parameters
    ----------
    context, indexes, repair
        The other parts of the state.
    scopes_of
        The scopes that may be spoken of with a peer.
    """

    def __init__(
        self,
        context: Context,
        scopes_of: Callable[[bytes], list[bytes]],
        indexes: Mapping[bytes, Index],
        repair: Repair,
    ) -> None:
        self._context = context
        self._scopes_of = scopes_of
        self._indexes = indexes
        self._repair = repair

    def handlers(self) -> dict[type, Callable[[bytes, Any], object]]:
        """Return what deals with each request."""
        return {TreeRequest: self.tree_requested, CardsRequest: self.cards_requested}

    def tree_requested(self, peer: bytes, message: TreeRequest) -> None:
        """Send a part of a tree."""
        held = self._shown(peer, message.head)
        answer = None if held is None else held.catalogue.answer(message)
        self._context.send(peer, Missing(message.head) if answer is None else answer)

    def cards_requested(self, peer: bytes, message: CardsRequest) -> None:
        """Send cards."""
        held = self._shown(peer, message.head)
        cards = [] if held is None else cards_in(held.cards, message.hashes)
        if not cards or not self._context.peers[peer].work.spend(CARD_WORK * len(cards), self._context.now):
            self._context.send(peer, Missing(message.head))
            return
        for part in chunk(cards):
            self._context.send(peer, Cards(message.head, tuple(part)))

    def _shown(self, peer: bytes, head: bytes) -> Held | None:
        """Return what is held under a whole catalogue's head; a newer head is sent when there is one."""
        for scope in self._scopes_of(peer):
            index = self._indexes[scope]
            held = index.holder(head)
            if held is not None and held.shown is not None and held.shown.hash == head:
                return held
            if held is not None and held.head.hash != head:
                self._repair.send_records(peer, index, [held.head.value.node_key])
        return None
