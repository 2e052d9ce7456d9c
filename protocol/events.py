"""What can happen to a node: the closed set of inputs of :class:`~skerry.protocol.state.State`.

The driver turns sockets, clocks and requests into these values, and the simulator invents them. Rules of this
file:

1. Events are frozen and carry data only: ids, frames and records as bytes, never handles or callbacks.
2. Everything that a peer sent arrives as the bytes received. Whoever verifies keeps those bytes.
3. Monotonic time is not part of an event: it is the second argument of ``State.handle``. Wall-clock time
   decides leases only, and comes in :class:`Started` and :class:`WallClock`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class TimerKind(enum.StrEnum):
    """What a timer is for."""

    DIAL = "dial"
    """Look after the number of links."""
    SHUFFLE = "shuffle"
    """Exchange node records with a peer."""
    REPAIR = "repair"
    """Compare the heads of every scope with a peer."""
    HOUSEKEEPING = "housekeeping"
    """Renew and expire leases, look after old requests."""
    PULL = "pull"
    """Look after catalogues that are not whole."""
    OWN_HEAD = "own-head"
    """Stop waiting for peers to tell this node's own newest head."""
    LAZY = "lazy"
    """Send the announcements that were collected."""
    GRAFT = "graft"
    """An announced head has not come by itself: ask for it. The key is the head's envelope hash."""
    REPORT = "report"
    """Report a false sketch that others reported before, unless enough have. The key is the card's hash."""


@dataclass(frozen=True, slots=True)
class Timer:
    """The name of a timer: setting the same name again replaces it."""

    kind: TimerKind
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Started:
    """The node starts; always the first event. ``wall`` is seconds since 1970 UTC."""

    wall: float


@dataclass(frozen=True, slots=True)
class WallClock:
    """The wall clock, read again; the driver sends it every minute and whenever the clock jumped."""

    wall: float


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that was set is due. One that fires too often or too early does no harm."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is up and its handshake verified.

    There is at most one connection for a peer. Of two, the one dialled by the smaller node key survives; of
    two in one direction, the newer. The driver applies this rule, and reports a replaced connection as
    :class:`Disconnected` first.
    """

    peer: bytes
    """The node key that the peer proved to hold."""
    charters: tuple[bytes, ...]
    """The charter chain of the peer's owner, from the first charter to the newest."""
    record: bytes
    """The peer's signed node record."""
    outbound: bool
    """Whether this node dialled."""
    session: bytes = b""
    """What the nonces of both greetings gave (:attr:`~skerry.protocol.hello.PeerIdentity.session`); with none
    nothing is said about groups."""


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """A :class:`~skerry.protocol.effects.Connect` came to nothing; ``target`` is the one given there."""

    target: bytes | str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection to the peer is gone, and whatever was under way on it."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """One frame from a connected peer."""

    peer: bytes
    frame: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """Change this node's own catalogue: new cards, or new versions of cards, and ids to withdraw."""

    token: int
    """Comes back in :class:`~skerry.protocol.effects.Published` or ``PublishRefused``."""
    cards: tuple[bytes, ...] = ()
    removed: tuple[bytes, ...] = ()
    """Card ids."""
    scope: bytes = b""


@dataclass(frozen=True, slots=True)
class Renew:
    """Sign this node's head again now, whatever its age."""

    scope: bytes = b""


@dataclass(frozen=True, slots=True)
class AddressesConfigured:
    """The bootstrap addresses, each ``host:port#certificate-hash``; replaces those given before."""

    bootstrap: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SketchVerdict:
    """The numbers are in: whether a card's sketch follows from its specification."""

    node_key: bytes
    card_id: bytes
    honest: bool


@dataclass(frozen=True, slots=True)
class Why:
    """Ask why something is absent; :class:`~skerry.protocol.effects.WhyReport` answers."""

    token: int
    subject: bytes
    """A node key, an owner's id or a card's id, 32 bytes."""
    owner: bytes = b""
    """Of a card: its owner's id, so that the owner's heads can be told."""


@dataclass(frozen=True, slots=True)
class TakeRecords:
    """Records that came by another way than gossip, from this node's own people: they are passed on.

    :class:`~skerry.protocol.effects.RecordsTaken` answers.
    """

    token: int
    envelopes: tuple[bytes, ...]
    charters: tuple[tuple[bytes, ...], ...] = ()
    """The charter chains that they need."""


@dataclass(frozen=True, slots=True)
class LeaveGroup:
    """Take part in a group no more: all of it is forgotten. Joining is its first roster in TakeRecords."""

    group: bytes


@dataclass(frozen=True, slots=True)
class Vouch:
    """The owners that this node's people vouch for, replacing those named before."""

    owners: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """A connection to a node that cannot be dialled is wanted: have it dial this one."""

    node_key: bytes


@dataclass(frozen=True, slots=True)
class AskRange:
    """Ask a peer for a part of one of its blobs; :class:`~skerry.protocol.effects.RangeCame` answers."""

    peer: bytes
    ticket: int
    """Comes back in the answer."""
    root: bytes
    leaves: bool
    """Whether the leaf hashes are meant, not the blob."""
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class RangeRead:
    """Answers :class:`~skerry.protocol.effects.RangeAsked`: what was read, nothing when it is not there."""

    peer: bytes
    ticket: int
    data: bytes


Event = (
    Started
    | WallClock
    | TimerFired
    | Connected
    | ConnectFailed
    | Disconnected
    | Received
    | Publish
    | Renew
    | AddressesConfigured
    | SketchVerdict
    | Why
    | TakeRecords
    | LeaveGroup
    | Vouch
    | Reach
    | AskRange
    | RangeRead
)
