"""How many cards this node keeps of owners that its own people do not vouch for.

Anybody can make an owner for the price of its proof of work, and a registrar of a group can let in as many as
a group holds. Heads are admitted all the same, by rules that every node computes alike, so that digests
converge; what is withheld is bodies: the catalogue of a head over the quota is not fetched, and :mod:`.why`
says so, with a code.

Rules of this file:

1. This node's own owner, and those that its people named, have no quota.
2. Members of a group of ours share the quota of who let them in: the voucher pays. Who let itself in pays
   for itself.
3. All others share one quota. Either is first come, first served: how many owners somebody makes, and how
   many keys, gains nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from .context import Context
from .history import Because
from .index import Held, Index

STRANGERS = b""
"""The quota of all for whom nobody vouches."""


class Quota:
    """See the module's docstring.

    Parameters
    ----------
    context
        Shared with the other parts of the state; its configuration gives the quotas.
    voucher
        Returns who let an owner into a group of ours, nothing when it is in none.
    """

    def __init__(self, context: Context, voucher: Callable[[bytes], bytes]) -> None:
        self._context = context
        self._voucher = voucher
        self._counts: dict[bytes, tuple[bytes, int]] = {}
        """Node key -> the quota that it counts to, and cards allowed."""
        self._totals: Counter[bytes] = Counter()
        """By quota."""
        self.vouched: frozenset[bytes] = frozenset()
        """Owners that this node's people named, and its own."""

    def allows(self, index: Index, held: Held) -> bool:
        """Return whether the catalogue of the newest head may be fetched; note why when it may not."""
        value = held.head.value
        if index.scope or value.owner in self.vouched:
            return True
        quota = self._voucher(value.owner)
        before, count = self._counts.get(value.node_key, (quota, 0))
        total = self._totals[quota] + value.count - (count if before == quota else 0)
        if total > self._most(quota):
            for subject in (value.owner, value.node_key):
                self._context.note(subject, Because.WITHHELD, self._reason(quota, value.count))
            return False
        self._totals[before] -= count
        self._totals[quota] += value.count
        self._counts[value.node_key] = quota, value.count
        return True

    def recount(self, index: Index) -> None:
        """Count anew what is held: heads went, and people changed their minds."""
        counts = {}
        for key, held in index.heads.items():
            value = held.head.value
            if value.owner not in self.vouched:
                # What is whole is what the head signs, and its trees need not be asked.
                count = value.count if held.whole else max(held.count, self._counts.get(key, (b"", 0))[1])
                counts[key] = self._voucher(value.owner), count
        self._counts = counts
        self._totals = Counter()
        for quota, count in counts.values():
            self._totals[quota] += count

    def _most(self, quota: bytes) -> int:
        config = self._context.config
        return config.unvouched_cards_max if quota == STRANGERS else config.vouched_cards_max

    def _reason(self, quota: bytes, count: int) -> str:
        most = self._most(quota)
        if quota == STRANGERS:
            return f"quota-strangers: {count} cards, all of owners not vouched for may have {most}"
        return f"quota-voucher: {count} cards, all whom {quota.hex()[:16]} vouches for may have {most}"
