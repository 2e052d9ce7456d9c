"""What the parts of the state share.

It holds the configuration, the time, the peers, and the effects of the event at hand. The parts (membership,
index, repair, broadcast, publishing) never call the world and never return effects: they add them here, and
:class:`~skerry.protocol.state.State` hands them out when the event is dealt with.
"""

from __future__ import annotations

import random
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field

from .effects import (
    Deliver,
    Delivery,
    Disconnect,
    Effect,
    Misbehaved,
    Send,
    SetTimer,
    Store,
    StoreOperation,
)
from .events import Timer, TimerKind
from .history import Because, History
from .limits import (
    CUT_OFF_MAX,
    CUT_OFF_SECONDS,
    STRETCH_FACTOR,
    STRETCH_SECONDS,
    UNVOUCHED_CARDS_MAX,
    VOUCHED_CARDS_MAX,
    WORK_BITS,
)
from .messages import MESSAGE, Message
from .peers import Peer, PromiseKey
from .score import ScoreConfig
from .signing import SignatureScheme, Signer
from .violations import Violation


@dataclass(frozen=True, slots=True)
class StateConfig:
    """What a node is told about itself.

    Parameters
    ----------
    addresses
        ``host:port`` under which others reach this node; none when it cannot be dialled.
    mode, certificate, host
        How the server is authenticated, as in a node record (docs/protocol.md section 6).
    score
        Weights and thresholds of the peer score.
    unvouched_cards_max
        How many cards of owners that nobody vouches for this node keeps in all.
    vouched_cards_max
        How many it keeps of all that one member of its groups let in.
    token_secret
        Under which this node makes blob tokens: drawn from the system at every start.
    scheme, work_bits
        How signatures are verified, and the proof of work that first charters need; other than the defaults
        for simulations only.
    """

    addresses: tuple[str, ...] = ()
    mode: str = "pinned"
    certificate: bytes = b""
    host: str = ""
    score: ScoreConfig = field(default_factory=ScoreConfig)
    unvouched_cards_max: int = UNVOUCHED_CARDS_MAX
    vouched_cards_max: int = VOUCHED_CARDS_MAX
    token_secret: bytes = field(default=b"", repr=False)
    scheme: type[SignatureScheme] = Signer
    work_bits: int = WORK_BITS


class Context:
    """See the module's docstring."""

    def __init__(self, config: StateConfig, signer: SignatureScheme, rng: random.Random) -> None:
        self.config = config
        self.signer = signer
        self.key: bytes = signer.public_key
        self.rng = rng
        self.now: float = 0.0
        self.peers: dict[bytes, Peer] = {}
        self._wall_offset = 0.0
        self._effects: list[Effect] = []
        self._stretched_until = 0.0
        self._cut_off: dict[bytes, float] = {}
        """Peers whose score fell too low -> until when they are not taken in."""
        self.history: History = History()
        self.open_cards: Callable[[bytes, bytes], MutableMapping[bytes, bytes]] = lambda _scope, _node_key: {}
        """Returns where the cards of a (scope, node key) are kept that is new here."""
        self.loading = False
        """Set while the disk is read: what it holds need not be stored again."""

    @property
    def wall(self) -> int:
        """The wall clock, whole seconds since 1970 UTC."""
        return int(self._wall_offset + self.now)

    def set_wall(self, wall: float) -> None:
        """Take over the wall clock's time as of now."""
        self._wall_offset = wall - self.now

    def take_effects(self) -> list[Effect]:
        """Return the effects added so far and forget them."""
        effects, self._effects = self._effects, []
        return effects

    def send(self, peer: bytes, message: Message) -> None:
        """Send a message to a connected peer; dropped when it is going away."""
        self.send_frame(peer, MESSAGE.encode(message))

    def send_frame(self, peer: bytes, frame: bytes) -> None:
        """Send a frame that is encoded already."""
        if peer in self.peers and not self.peers[peer].closing:
            self._effects.append(Send(peer, frame))

    def request(self, peer: bytes, key: PromiseKey, message: Message) -> bool:
        """Send a request whose answer is expected; False when the peer owes too many."""
        owing = self.peers.get(peer)
        if owing is None or owing.closing or key in owing.promises or not owing.may_ask():
            return False
        owing.promise(key, self.now, self.stretch)
        self.send(peer, message)
        return True

    def answered(self, peer: bytes, key: PromiseKey) -> bool:
        """Note that a request was answered; False when it was not asked, or too long ago."""
        return peer in self.peers and self.peers[peer].kept(key, self.now)

    def store(self, operation: StoreOperation) -> None:
        """Have the operation on disk before anything sent from here on."""
        if not self.loading:
            self._effects.append(Store(operation))

    def deliver(self, what: Delivery) -> None:
        """Tell the rest of the node."""
        self._effects.append(Deliver(what))

    def add(self, effect: Effect) -> None:
        """Add any other effect."""
        self._effects.append(effect)

    def timer(self, kind: TimerKind, delay: float, key: bytes = b"") -> None:
        """Set a timer ``delay`` seconds from now and up to a tenth more: nodes must not march in step."""
        self._effects.append(SetTimer(Timer(kind, key), self.now + delay * (1 + 0.1 * self.rng.random())))

    def disconnect(self, peer: bytes, reason: str) -> None:
        """Close a connection: nothing more is sent or heard; ``Disconnected`` will follow."""
        going = self.peers.get(peer)
        if going is not None and not going.closing:
            going.closing = True
            self.note(peer, Because.DISCONNECTED, reason)
            self._effects.append(Disconnect(peer, reason))

    def cut_off(self, peer: bytes) -> None:
        """Let a peer go whose score fell too low, and do not take it in again for a while."""
        self._cut_off[peer] = self.now + CUT_OFF_SECONDS
        if len(self._cut_off) > CUT_OFF_MAX:
            del self._cut_off[next(iter(self._cut_off))]
        self.disconnect(peer, "score")

    def is_cut_off(self, peer: bytes) -> bool:
        """Return whether a peer was let go for its score a while ago."""
        return self._cut_off.get(peer, 0.0) > self.now

    def pays(self, peer: bytes, units: float) -> bool:
        """Charge a peer for work that it causes; False when it is too much, which costs its score."""
        culprit = self.peers[peer]
        if culprit.work.spend(units, self.now):
            return True
        culprit.score.was_abusive(self.now)
        return False

    def bears(self, peer: bytes, units: float) -> bool:
        """Return whether a peer takes so much more that it did not ask for: others may have made too much."""
        return peer in self.peers and self.peers[peer].passed.spend(units, self.now)

    def refuse(self, peer: bytes, violation: Violation, detail: str) -> None:
        """Close a connection whose peer cannot be accepted at all."""
        self.note(peer, Because.REFUSED, f"{violation}: {detail}")
        self._effects.append(Misbehaved(peer, violation, detail))
        self._effects.append(Disconnect(peer, violation.value))

    def misbehaved(self, peer: bytes, violation: Violation, detail: str) -> None:
        """Count a violation against a peer, and cut it off when its score fell too low."""
        self.note(peer, Because.REFUSED, f"{violation}: {detail}")
        self._effects.append(Misbehaved(peer, violation, detail))
        culprit = self.peers.get(peer)
        if culprit is None or not violation.blames_sender:
            return
        culprit.score.was_invalid(self.now)

    def note(self, subject: bytes, because: Because, detail: str) -> None:
        """Remember why something is absent, for :mod:`.why`."""
        self.history.note(subject, because, detail, self.wall)

    @property
    def stretch(self) -> float:
        """The factor on timeouts: larger while this node suspects that it is itself cut off."""
        return STRETCH_FACTOR if self.now < self._stretched_until else 1.0

    def suspect_self(self) -> None:
        """Several peers vanished at once: the fault may be here."""
        self._stretched_until = self.now + STRETCH_SECONDS
