"""Whom to dial, and who is left in peace.

Theory of operation. Of the nodes that are known those come first that are far from the links there are and
from the dials under way: another owner, another network. So of several dials made at once no two go to one
network while there are others. After a start the anchors come before all: they were long-lived links. A
configured address is tried with every batch until one was reached, since whoever meets a newcomer at the door
may have filled its view; afterwards only when links are few, and by some of the visits.

Rules of this file:

1. Dials are bounded: so many at once, one at a time for a target, with doubling pauses after failures.
2. It decides whom, never how many: links are counted by :mod:`.membership`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .addresses import network_of
from .context import Context
from .effects import Connect, PutAnchors
from .limits import (
    BOOTSTRAP_MAX,
    DIAL_FORGOTTEN_SECONDS,
    DIAL_PAUSE_SECONDS_MAX,
    DIAL_PAUSE_SECONDS_MIN,
    DIALS_MAX,
    NODES_KNOWN_MAX,
    REJOIN_BOOTSTRAP_SHARE,
)
from .passive import Passive

Target = bytes | str
"""A node key, or a configured address."""


@dataclass(slots=True)
class Pause:
    """How long a target is left alone: doubles with each failure."""

    failures: int = 0
    until: float = 0.0


class Dialling:
    """See the module's docstring.

    Parameters
    ----------
    context
        Shared with the other parts of the state.
    view
        The nodes known.
    """

    def __init__(self, context: Context, view: Passive) -> None:
        self._context = context
        self._view = view
        self._bootstrap: tuple[str, ...] = ()
        self._bootstrap_met = False
        self.anchors: tuple[bytes, ...] = ()
        """Long-lived peers to be dialled first after a start."""
        self.under_way: dict[Target, float] = {}
        self.pauses: dict[Target, Pause] = {}

    def configure(self, bootstrap: tuple[str, ...]) -> None:
        """Take over the configured addresses; pauses of old ones end."""
        self._bootstrap = bootstrap[:BOOTSTRAP_MAX]
        self.pauses = {target: pause for target, pause in self.pauses.items() if isinstance(target, bytes)}

    @property
    def room(self) -> int:
        """How many dials more may be under way."""
        return DIALS_MAX - len(self.under_way)

    def tick(self) -> None:
        """Forget dials that nobody told the end of."""
        oldest = self._context.now - DIAL_FORGOTTEN_SECONDS
        self.under_way = {target: since for target, since in self.under_way.items() if since > oldest}

    def dial(self, target: Target) -> None:
        """Dial a known node or a configured address."""
        record = self._view.known[target].record.raw if isinstance(target, bytes) else b""
        self.dial_record(target, record)

    def dial_record(self, target: Target, record: bytes) -> None:
        """Dial a node whose record need not be known."""
        self.under_way[target] = self._context.now
        self._context.add(Connect(target, record))

    def arrived(self, key: bytes) -> list[Target]:
        """Note that a peer is connected; return the dials that this ends."""
        addresses = self._context.peers[key].addresses
        self._bootstrap_met |= any(_host(target) in addresses for target in self._bootstrap)
        ended = [
            target
            for target in self.under_way
            if target == key or (isinstance(target, str) and _host(target) in addresses)
        ]
        for target in ended:
            del self.under_way[target]
        self.pauses.pop(key, None)
        return ended

    def failed(self, target: Target) -> bool:
        """Note that a dial came to nothing; return whether it was one of these."""
        if self.under_way.pop(target, None) is None:
            return False
        self.pause(target)
        return True

    def pause(self, target: Target, least: float = 0.0) -> None:
        """Leave a target alone for a while, twice as long as the time before."""
        pause = self.pauses.setdefault(target, Pause())
        pause.failures += 1
        seconds = min(DIAL_PAUSE_SECONDS_MIN * 2**pause.failures, DIAL_PAUSE_SECONDS_MAX)
        pause.until = self._context.now + max(seconds, least) * (0.5 + self._context.rng.random())
        if len(self.pauses) > 4 * NODES_KNOWN_MAX:
            del self.pauses[next(iter(self.pauses))]

    def is_free(self, key: bytes) -> bool:
        """Return whether a node is neither connected nor being dialled nor to be left alone."""
        free = key not in self._context.peers and not self._context.is_cut_off(key)
        return free and self._is_at_rest(key)

    def choose(self, count: int, *, few: bool, visit: bool) -> list[Target]:
        """Return whom to dial now.

        Parameters
        ----------
        count
            How many at most.
        few
            Whether links are so few that configured addresses are dialled, too.
        visit
            Whether one of the dials is for a visit.
        """
        addresses: list[Target] = [
            target for target in self._bootstrap if self._is_at_rest(target) and not self._is_linked(target)
        ]
        # Everybody knows them, so they must not be everybody's visit every time.
        first = visit and self._context.rng.random() < REJOIN_BOOTSTRAP_SHARE
        if first:
            self._context.rng.shuffle(addresses)
        if first or not self._bootstrap_met:
            return [*addresses[:1], *self._spread(count - len(addresses[:1])), *addresses[1:]][:count]
        return [*self._spread(count), *(addresses if few else [])][:count]

    def remember_anchors(self, chosen: Iterable[bytes], count: int) -> None:
        """Remember the chosen links that live longest."""
        peers = self._context.peers
        anchors = tuple(sorted(chosen, key=lambda key: peers[key].since)[:count])
        if anchors and anchors != self.anchors:
            self.anchors = anchors
            self._context.store(PutAnchors(anchors))

    def _spread(self, count: int) -> list[Target]:
        """Return known nodes, each far from the links there are and from those before it in the list.

        Otherwise chance decides. The newest are not preferred, though they have the fewest links: a swarm is
        new.
        """
        peers, known = self._context.peers, self._view.known
        free = [key for key, item in known.items() if item.dialable and self.is_free(key)]
        self._context.rng.shuffle(free)
        dialled = [known[key].record.value for key in self.under_way if key in known]
        networks = {network_of(address) for peer in peers.values() for address in peer.addresses[:1]}
        networks |= {network_of(record.addresses[0]) for record in dialled}
        owners = {peer.owner for peer in peers.values()} | {record.owner for record in dialled}
        anchors = () if peers else self.anchors
        chosen: list[Target] = [key for key in anchors if key in free]
        while free and len(chosen) < count:
            best = min(
                free,
                key=lambda key: (known[key].record.value.owner in owners, known[key].network in networks),
            )
            free.remove(best)
            if best not in chosen:
                chosen.append(best)
            owners.add(known[best].record.value.owner)
            networks.add(known[best].network)
        return chosen[: max(0, count)]

    def _is_at_rest(self, target: Target) -> bool:
        pause = self.pauses.get(target)
        return target not in self.under_way and (pause is None or pause.until <= self._context.now)

    def _is_linked(self, target: str) -> bool:
        address = _host(target)
        return any(address in peer.addresses for peer in self._context.peers.values())


def _host(target: str) -> str:
    """Return the ``host:port`` of a configured address."""
    return target.partition("#")[0]
