"""Walks: how the record of a newcomer gets to a node anywhere in the network, which dials it.

Theory of operation. Who is dialled by a newcomer that has no other link sends its record over links chosen at
random (HyParView's forward join). :mod:`.membership` begins walks and ends them; this module takes the steps
in between: it verifies what came.

Rules of this file:

1. A walk goes on only with a record that verified.
2. A step costs its sender what a chain of charters and a record cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .context import Context
from .envelope import Verified
from .limits import CHAIN_WORK, ENVELOPE_WORK
from .membership import Membership
from .messages import Join
from .node_record import NodeRecord
from .owners import Owners


class Walks:
    """See the module's docstring.

    Parameters
    ----------
    context, owners, membership
        The other parts of the state.
    verify
        Verifies a node record against the charters known.
    learned
        Called with owners whose charters are news.
    """

    def __init__(
        self,
        context: Context,
        owners: Owners,
        membership: Membership,
        verify: Callable[[bytes], Verified[NodeRecord]],
        learned: Callable[[Sequence[bytes]], None],
    ) -> None:
        self._context = context
        self._owners = owners
        self._membership = membership
        self._verify = verify
        self._learned = learned

    def handlers(self) -> dict[type, Callable[[bytes, Any], object]]:
        """Return who takes which message."""
        return {Join: self._step}

    def _step(self, peer: bytes, message: Join) -> None:
        if not self._context.pays(peer, CHAIN_WORK + ENVELOPE_WORK):
            return
        trust, news = self._owners.learn(message.charters)
        if news:
            self._learned([trust.owner])
        self._membership.walked(peer, message, self._verify(message.record))
