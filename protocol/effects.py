"""What a node wants done: the closed set of outputs of :class:`~skerry.protocol.state.State`.

Rules of this file:

1. The driver carries effects out in the order given, and *a Store is durable before any later Send is written
   to a socket*. For a node's own heads durable means fsync; a crash may lose what was stored about others.
   Of cards that are pending nobody is told anything, so what follows may overtake them.
2. Effects are frozen and carry data only. An effect names a peer by its node key.
3. A Store operation says what the disk shall hold afterwards, never how: applying one twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .events import Timer
from .history import Reason
from .violations import Violation


@dataclass(frozen=True, slots=True)
class Send:
    """Write one frame to a connected peer. Frames to one peer keep their order."""

    peer: bytes
    frame: bytes


@dataclass(frozen=True, slots=True)
class Connect:
    """Dial; answered by ``Connected`` or ``ConnectFailed``.

    ``target`` is a node key, whose record the driver finds in ``record``, or a bootstrap address
    ``host:port#certificate-hash``.
    """

    target: bytes | str
    record: bytes = b""
    """The envelope of the signed node record when ``target`` is a node key."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the connection after the frames before it were written; ``Disconnected`` follows."""

    peer: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire ``timer`` at the monotonic time ``at`` (seconds); replaces an earlier setting of it."""

    timer: Timer
    at: float


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """A peer broke a rule. For logs and counters: its consequences are effects of their own."""

    peer: bytes
    violation: Violation
    detail: str


# What the disk shall hold.


@dataclass(frozen=True, slots=True)
class PutCharters:
    """The verified charter chain of an owner, or both rivals of a frozen one, replacing what was stored."""

    owner: bytes
    chains: tuple[tuple[bytes, ...], ...]


@dataclass(frozen=True, slots=True)
class DropCharters:
    """Forget an owner: nothing else of it is held."""

    owner: bytes


@dataclass(frozen=True, slots=True)
class PutHead:
    """The newest verified head of (scope, node key), whose cards may not be whole yet.

    ``other`` is the second envelope of an equivocation, else empty.
    """

    scope: bytes
    node_key: bytes
    head: bytes
    other: bytes = b""


@dataclass(frozen=True, slots=True)
class PutCatalogue:
    """The catalogue under the newest head is whole: in one transaction add and remove cards and show it.

    ``added`` may hold cards that were stored as pending; they stop being pending.
    """

    scope: bytes
    node_key: bytes
    head: bytes
    added: Mapping[bytes, bytes]
    """Card hash -> card: who stores them need not hash them again."""
    removed: tuple[bytes, ...]
    """Card hashes."""
    own: bool = False
    """Set for a head that this node signed: it must survive a power cut before a later Send."""


@dataclass(frozen=True, slots=True)
class PutPendingCards:
    """Verified cards of a catalogue that is not whole yet, so that a restart need not fetch them again."""

    scope: bytes
    node_key: bytes
    cards: Mapping[bytes, bytes]
    """Card hash -> card."""


@dataclass(frozen=True, slots=True)
class DropCatalogue:
    """Forget head and cards of (scope, node key), pending ones included."""

    scope: bytes
    node_key: bytes


@dataclass(frozen=True, slots=True)
class PutNodeRecord:
    """The newest node record of a node key."""

    node_key: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class DropNodeRecord:
    """Forget the record of a node key."""

    node_key: bytes


@dataclass(frozen=True, slots=True)
class PutAnchors:
    """The long-lived peers to dial first after a restart, replacing those stored before."""

    node_keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PutRecord:
    """A verified record that is no charter, head or node record: a roster, an admission, a later type."""

    scope: bytes
    hash: bytes
    envelope: bytes
    own: bool = False
    """Set for a record that came from this node's own people: it must survive a power cut, like an own
    head."""


@dataclass(frozen=True, slots=True)
class DropRecord:
    """Forget such a record."""

    scope: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class PutGroup:
    """When a registrar or admin last named this node's newest rosters of a group as the newest."""

    group: bytes
    refreshed: int
    """Wall clock, seconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class DropGroup:
    """Forget a group: its time, and all its records."""

    group: bytes


StoreOperation = (
    PutCharters
    | DropCharters
    | PutHead
    | PutCatalogue
    | PutPendingCards
    | DropCatalogue
    | PutNodeRecord
    | DropNodeRecord
    | PutAnchors
    | PutRecord
    | DropRecord
    | PutGroup
    | DropGroup
)


@dataclass(frozen=True, slots=True)
class Store:
    """Apply the operation to the disk."""

    operation: StoreOperation


# What the rest of the node is told.


@dataclass(frozen=True, slots=True)
class CardsChanged:
    """The cards shown for (scope, node key) changed; the search index follows these.

    The verified part of a first catalogue is shown as it comes. While a later one is pulled the last whole
    one stays shown, and after 60 s the verified part of the new one takes its place. ``complete`` is false
    until it is whole.
    """

    scope: bytes
    node_key: bytes
    owner: bytes
    head: bytes
    """Hash of the head's envelope."""
    added: Mapping[bytes, bytes]
    """Card hash -> card."""
    removed: tuple[bytes, ...]
    """Card hashes. A new version of a card comes with the hash of the old one here."""
    complete: bool = True
    disputed: bool = False
    """The key signed two heads with one number: shown marked, never recommended."""


@dataclass(frozen=True, slots=True)
class Published:
    """A ``Publish`` is signed, stored, and sent to ``peers`` peers."""

    token: int
    head: bytes
    """The envelope."""
    seq: int
    peers: int


@dataclass(frozen=True, slots=True)
class PublishRefused:
    """A ``Publish`` changed nothing."""

    token: int
    why: str


@dataclass(frozen=True, slots=True)
class RenewalFailed:
    """The own head could not be signed anew; its lease will end unless the cause is removed."""

    scope: bytes
    why: str


@dataclass(frozen=True, slots=True)
class OwnKeyElsewhere:
    """Someone else signs with this node's key: the folder was copied, or the key stolen."""

    scope: bytes
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Disputed:
    """A node key signed two heads with one (epoch, seq). ``proof`` is both envelopes."""

    scope: bytes
    node_key: bytes
    proof: tuple[bytes, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class WhyReport:
    """Answers :class:`~skerry.protocol.events.Why`: how things stand, then what happened, newest first."""

    token: int
    subject: bytes
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class RecordsTaken:
    """Answers :class:`~skerry.protocol.events.TakeRecords`."""

    token: int
    taken: int
    """How many were news."""
    refused: tuple[str, ...]
    """Why the others were not taken, one line each."""


@dataclass(frozen=True, slots=True)
class GroupChanged:
    """The members of a group, or whether this node serves it, changed."""

    group: bytes
    version: int
    """The highest version of its rosters."""
    forked: bool
    """Admins made rosters that do not know of each other: only who stands in all of them counts."""
    serving: bool
    """Whether this node is a member whose rosters are fresh enough to serve the group."""
    members: tuple[tuple[bytes, str, bytes], ...]
    """(owner, role, invited by), admitted ones included."""


@dataclass(frozen=True, slots=True)
class SketchReported:
    """Another owner says that a card's sketch is false: compute it, and answer with ``SketchVerdict``."""

    scope: bytes
    node_key: bytes
    card: bytes
    """The card as it is held here."""
    reporter: bytes
    """The owner who says so."""


@dataclass(frozen=True, slots=True)
class MayBeCutOff:
    """Half of all heads are older than owners take to renew them (or no longer): nothing new is heard.

    See :mod:`.freshness`.
    """

    alarmed: bool
    old: int
    heads: int


@dataclass(frozen=True, slots=True)
class RangeAsked:
    """A peer asks for a part of a blob: read it, if the peer may have it, and answer with ``RangeRead``."""

    peer: bytes
    ticket: int
    root: bytes
    leaves: bool
    """Whether the leaf hashes are meant, not the blob."""
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class RangeCame:
    """Answers :class:`~skerry.protocol.events.AskRange`; empty where there is nothing."""

    peer: bytes
    ticket: int
    data: bytes


Delivery = (
    CardsChanged
    | Published
    | PublishRefused
    | RenewalFailed
    | OwnKeyElsewhere
    | Disputed
    | WhyReport
    | RecordsTaken
    | GroupChanged
    | SketchReported
    | MayBeCutOff
    | RangeAsked
    | RangeCame
)


@dataclass(frozen=True, slots=True)
class Deliver:
    """Tell the rest of the node."""

    what: Delivery


Effect = Send | Connect | Disconnect | SetTimer | Store | Deliver | Misbehaved
