"""Nodes that cannot be dialled: who passes on that they are wanted, and what goes over their connections.

Theory of operation. A node that cannot be dialled has no address in its record. It names in ``via`` up to
``NODE_VIA_MAX`` peers that can be dialled and that it is connected to. Whoever wants a connection to it asks
one of them (*dial?*), which tells it (*dial*); it then dials the asker. Blobs are asked for over whatever
connection there is (*range?*), so that it serves over the connections that it opened.

Rules of this file:

1. A dial request is passed on only to a node that names this one in its ``via``, and obeyed only when it
   comes from a peer in the own ``via``; the asker's address is subject to the rules of :mod:`.membership`.
2. Passing on and serving are charged to who asks.
3. The record is signed anew when the peers in ``via`` changed, but not oftener than every
   ``VIA_SECONDS``: it goes to every node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .context import Context
from .effects import RangeAsked, RangeCame
from .events import AskRange, RangeRead, Reach
from .limits import DIAL_REQUEST_WORK, NODE_VIA_MAX, RANGE_WORK, REACH_MAX, REACH_SECONDS, VIA_SECONDS
from .membership import Membership
from .owners import Owners
from .passing import Dial, DialRequest, RangePart, RangeRequest
from .peers import PromiseKey


class Reaching:
    """See the module's docstring."""

    def __init__(self, context: Context, owners: Owners, membership: Membership) -> None:
        self._context = context
        self._owners = owners
        self._membership = membership
        self._wanted: dict[bytes, float] = {}
        """Node that shall dial this one -> until when it is wanted."""

    def handlers(self) -> dict[type, Callable[[bytes, Any], object]]:
        """Return what deals with each of the messages of :mod:`.passing`."""
        return {
            DialRequest: self.dial_requested,
            Dial: self.dial,
            RangeRequest: self.range_requested,
            RangePart: self.range_came,
        }

    # The own record.

    def via(self) -> tuple[bytes, ...]:
        """Return the peers to name in the own record: none when this node can be dialled."""
        if self._context.config.addresses:
            return ()
        dialled = [key for key, peer in self._context.peers.items() if peer.outbound and peer.addresses]
        return tuple(dialled[:NODE_VIA_MAX])

    def outdated(self) -> bool:
        """Return whether the own record should be signed anew, since other peers are there to be named."""
        own = self._membership.view.own
        if own is None or set(own.value.via) == set(self.via()):
            return False
        return not own.value.via or self._context.wall - own.value.issued >= VIA_SECONDS

    # Dial requests.

    def reach(self, event: Reach) -> None:
        """Have a node that cannot be dialled dial this one."""
        known = self._membership.known.get(event.node_key)
        if known is None or event.node_key in self._context.peers:
            return
        now = self._context.now
        self._wanted = {key: until for key, until in self._wanted.items() if until > now}
        if len(self._wanted) < REACH_MAX:
            self._wanted[event.node_key] = now + REACH_SECONDS
        via = known.record.value.via
        connected = [key for key in via if key in self._context.peers]
        if connected:
            self._context.send(connected[0], DialRequest(event.node_key))
        else:
            self._membership.dial_one_of(via)

    def connected(self, key: bytes) -> None:
        """Ask a new peer for the nodes that are wanted and name it."""
        self._wanted.pop(key, None)
        for node, until in self._wanted.items():
            known = self._membership.known.get(node)
            if known is not None and key in known.record.value.via and until > self._context.now:
                self._context.send(key, DialRequest(node))

    def dial_requested(self, key: bytes, message: DialRequest) -> None:
        """Pass a dial request on, by rule 1."""
        known = self._membership.known.get(message.node)
        asker = self._membership.known.get(key)
        if known is None or asker is None or message.node not in self._context.peers:
            return
        if self._context.key not in known.record.value.via or not self._context.pays(key, DIAL_REQUEST_WORK):
            return
        record = asker.record
        for records in self._owners.with_charters([(record.value.owner, record.raw)]):
            self._context.send(message.node, records)
        self._context.send(message.node, Dial(key))

    def dial(self, key: bytes, message: Dial) -> None:
        """Dial whoever asked, when an own ``via`` says so."""
        own = self._membership.view.own
        if own is not None and key in own.value.via:
            self._membership.dial_one_of((message.node,))

    # Ranges of blobs.

    def ask_range(self, event: AskRange) -> None:
        """Ask a peer for a range; no answer comes when the peer owes too many."""
        message = RangeRequest(event.ticket, event.root, event.leaves, event.offset, event.length)
        if not self._context.request(event.peer, _promise(event.ticket), message):
            self._context.deliver(RangeCame(event.peer, event.ticket, b""))

    def range_requested(self, key: bytes, message: RangeRequest) -> None:
        """Have the rest of the node read what was asked for."""
        if self._context.pays(key, RANGE_WORK):
            self._context.deliver(
                RangeAsked(key, message.ticket, message.root, message.leaves, message.offset, message.length)
            )

    def range_read(self, event: RangeRead) -> None:
        """Answer with what was read."""
        self._context.send(event.peer, RangePart(event.ticket, event.data))

    def range_came(self, key: bytes, message: RangePart) -> None:
        """Hand over what was asked for; anything else is dropped."""
        if self._context.answered(key, _promise(message.ticket)):
            self._context.deliver(RangeCame(key, message.ticket, message.data))


def _promise(ticket: int) -> PromiseKey:
    return "range", ticket.to_bytes(8, "big")
