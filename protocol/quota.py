"""How many cards of owners that nobody vouches for this node keeps.

Anybody can make an owner for the price of its proof of work. Heads are admitted all the same, by rules that
every node computes alike, so that digests converge; what is withheld is bodies: the catalogue of a head over
the quota is not fetched, and :mod:`.why` says so.

Rules of this file:

1. Vouched for are this node's own owner, the members of its groups, and those that its people named.
2. All others share one quota, first come, first served: how many owners somebody makes gains nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from .context import Context
from .history import Because
from .index import Held, Index


class Quota:
    """See the module's docstring.

    Parameters
    ----------
    context
        Shared with the other parts of the state; its configuration gives the quota.
    member
        Whether an owner is a member of a group of ours.
    """

    def __init__(self, context: Context, member: Callable[[bytes], bool]) -> None:
        self._context = context
        self._member = member
        self._counts: dict[bytes, int] = {}
        """Node key -> cards allowed, of owners that nobody vouches for."""
        self._total = 0
        self.vouched: frozenset[bytes] = frozenset()
        """Owners that this node's people named, and its own."""

    def allows(self, index: Index, held: Held) -> bool:
        """Return whether the catalogue of the newest head may be fetched; note why when it may not."""
        value = held.head.value
        if index.scope or value.owner in self.vouched or self._member(value.owner):
            return True
        total = self._total - self._counts.get(value.node_key, 0) + value.count
        most = self._context.config.unvouched_cards_max
        if total > most:
            detail = f"quota: {value.count} cards, all of owners not vouched for may have {most}"
            for subject in (value.owner, value.node_key):
                self._context.note(subject, Because.WITHHELD, detail)
            return False
        self._total, self._counts[value.node_key] = total, value.count
        return True

    def recount(self, index: Index) -> None:
        """Count anew what is held: heads went, and people changed their minds."""
        vouched, member, counts = self.vouched, self._member, {}
        for key, held in index.heads.items():
            value = held.head.value
            if value.owner in vouched or member(value.owner):
                continue
            # What is whole is what the head signs, and its trees need not be asked.
            counts[key] = value.count if held.whole else max(held.count, self._counts.get(key, 0))
        self._counts = counts
        self._total = sum(self._counts.values())
