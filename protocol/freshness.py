"""The alarm of who may be cut off: most heads have not been renewed for longer than honest owners take.

Who withholds updates from a node can keep it where it is until the leases end, three weeks at most. Owners
renew every seven days, so when half of all heads are older than eight, it is likelier that this node hears
nothing new than that all of them failed at once.
"""

from __future__ import annotations

from .context import Context
from .effects import MayBeCutOff
from .index import Index
from .limits import HEAD_OLD_SECONDS, HEADS_TO_JUDGE_MIN


class Freshness:
    """Tells once when the alarm begins and once when it ends."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.alarmed: bool = False

    def tick(self, index: Index) -> None:
        """Look at the heads of others."""
        oldest = self._context.wall - HEAD_OLD_SECONDS
        issued = [held.head.value.issued for key, held in index.heads.items() if key != self._context.key]
        old = sum([at < oldest for at in issued])
        alarmed = len(issued) >= HEADS_TO_JUDGE_MIN and 2 * old >= len(issued)
        if alarmed != self.alarmed:
            self.alarmed = alarmed
            self._context.deliver(MayBeCutOff(alarmed, old, len(issued)))
