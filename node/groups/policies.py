"""Which learnwares of a group are hidden here: those that break the group's policy.

Every node that is a member judges alike, by the policy in the newest rosters. What breaks it is held like any
other card, so that catalogues verify and digests agree, but it is neither listed nor found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.node.directory import PUBLIC
from skerry.protocol.card import CARD, Card
from skerry.protocol.effects import CardsChanged, GroupChanged
from skerry.protocol.policy import breaches, over_quota

if TYPE_CHECKING:
    from skerry.node.search.index import CardIndex
    from skerry.protocol.effects import Delivery
    from skerry.protocol.groups import Group
    from skerry.protocol.state import State


class Policies:
    """Judges cards, and has the index hide some.

    Parameters
    ----------
    state
        What is known of groups, and what they show.
    index
        Where cards are found.
    """

    def __init__(self, state: State, index: CardIndex) -> None:
        self._state = state
        self._index = index

    def changed(self, what: Delivery) -> None:
        """Judge again after a group's cards or rosters changed; the index has the cards by now."""
        if isinstance(what, GroupChanged) or (isinstance(what, CardsChanged) and what.scope != PUBLIC):
            self.judge()

    def judge(self) -> None:
        """Have the index hide what breaks a policy, and show all else."""
        groups = self._state.groups().groups.values()
        if all(policy.asks_nothing for group in groups for policy in group.rosters.policies):
            self._index.hide(())
            return
        refused: set[bytes] = set()
        admitted: set[bytes] = set()
        for group in groups:
            broken, fine = self._judged(group)
            refused |= broken
            admitted |= fine
        # What one group refuses another may show, or everybody sees.
        self._index.hide({digest for digest in refused - admitted if not self._is_public(digest)})

    def _judged(self, group: Group) -> tuple[set[bytes], set[bytes]]:
        """Return the hashes of the group's cards that break its policy, and of those that keep to it."""
        cards: dict[bytes, Card] = {}
        for held in self._state.heads(group.id).values():
            cards |= {digest: CARD.decode(raw) for digest, raw in held.visible.items()}
        broken: set[bytes] = set()
        for policy in group.rosters.policies:
            broken |= {digest for digest, card in cards.items() if breaches(policy, card)}
            for owner in {card.owner for card in cards.values()}:
                over = over_quota(policy, [card for card in cards.values() if card.owner == owner])
                broken |= {digest for digest, card in cards.items() if card.id in over}
        return broken, cards.keys() - broken

    def _is_public(self, digest: bytes) -> bool:
        entries = self._index.entries([int(row) for row in self._index.rows_of([digest]) if row >= 0])
        return any(scope == PUBLIC for entry in entries for scope, _ in entry.places)
