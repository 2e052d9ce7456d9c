"""Nodes that do not follow the protocol in what they say, one class each.

Those whose attack takes a plan are in :mod:`.attacks`.

A byzantine node runs a real state, so that it knows all that an honest one knows, and changes what leaves it.
The honest nodes must agree with each other all the same, charge nobody honest, and stay bounded. Each counts
its lies: a class that tells none tests nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from skerry.protocol.effects import Effect, Send
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import Connected, Event, Received
from skerry.protocol.exchange import IHave, Ranges
from skerry.protocol.head import HEAD, HEAD_TYPE, make_head
from skerry.protocol.messages import MESSAGE, Cards, Message, Missing, News, Records, RosterTips, Tree
from skerry.protocol.reconcile import Range
from skerry.protocol.signing import SignatureScheme
from skerry.protocol.state import State

if TYPE_CHECKING:
    from tests.sim.network import Node
    from tests.sim.world import World


RANGES_FRAME = MESSAGE.encode(Ranges(b"", 1, ()))[:13]
"""How the frame of a message about ranges begins, up to its type."""
PUBLISHES_AT_SECONDS = (4.0, 5.5, 7.0)


@dataclass(frozen=True)
class Conspiracy:
    """What the nodes of one kind know of each other and of the world that they lie to."""

    world: World
    keys: tuple[bytes, ...]


class Byzantine:
    """An honest state behind a mouth that lies; what is not overridden is honest."""

    in_a_group: ClassVar[bool] = False
    """Whether its nodes must be members of a group to do any harm."""
    publishes: ClassVar[bool] = False
    """Whether its lies are about what it publishes itself."""
    stirs: ClassVar[bool] = False
    """Whether something may be said about its lies, by itself or by others, when all is quiet again."""
    machines_max: ClassVar[int] = 1000
    """How many nodes of the kind a run has at most: a few of the busiest keep a large network busy."""

    def __init__(
        self, state: State, signer: SignatureScheme, conspiracy: Conspiracy, rng: random.Random
    ) -> None:
        self.inner = state
        self.signer = signer
        self.conspiracy = conspiracy
        self.rng = rng
        self.now = 0.0
        self.lies = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @classmethod
    def prepare(cls, world: World, nodes: Sequence[Node]) -> None:
        """Arrange what the attack needs, before anything starts; ``nodes`` are those of this kind.

        An owner that lies about its own catalogue has to publish something now and then.
        """
        for node in nodes if cls.publishes else ():
            for at in PUBLISHES_AT_SECONDS:
                world.network.at(at, lambda node=node, at=at: world.publish(node, [f"at-{round(10 * at)}"]))

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Handle as the honest state does, and change what is sent."""
        self.now = now
        effects: list[Effect] = []
        for effect in self.inner.handle(event, now):
            if isinstance(effect, Send):
                frames = self.frames(effect.peer, effect.frame)
                self.lies += frames != [effect.frame]
                effects.extend(Send(effect.peer, frame) for frame in frames)
            else:
                effects.append(effect)
        more = self.more(event)
        self.lies += len(more)
        return effects + more

    def frames(self, peer: bytes, frame: bytes) -> list[bytes]:
        """Return what goes out in place of a frame."""
        return [MESSAGE.encode(message) for message in self.messages(peer, MESSAGE.decode(frame))]

    def messages(self, peer: bytes, message: Message) -> list[Message]:
        """Return what goes out in place of a message."""
        del peer
        return [message]

    def more(self, event: Event) -> list[Effect]:
        """Return what is sent besides."""
        del event
        return []

    def say(self, peer: bytes, message: Message) -> Effect:
        """Return the effect of saying something."""
        return Send(peer, MESSAGE.encode(message))


class EquivocatingOwner(Byzantine):
    """Tells half of the peers one head and the other half another of the same number."""

    publishes = True
    stirs = True
    machines_max = 8

    def messages(self, peer: bytes, message: Message) -> list[Message]:
        """Give every second peer a rival head over an empty catalogue."""
        if not isinstance(message, News) or peer[0] % 2:
            return [message]
        envelope = open_envelope(message.envelope, HEAD_TYPE)
        head = HEAD.decode(envelope.body)
        if head.node_key != self.signer.public_key:
            return [message]
        rival = make_head(
            self.signer,
            owner=head.owner,
            epoch=head.epoch,
            seq=head.seq,
            root=bytes(32),
            count=head.count,
            issued=head.issued,
            lease=head.lease,
        )
        return [News(rival.to_bytes(), 0, (), ())]


class WithholdingRelay(Byzantine):
    """Passes heads on, and never a card."""

    def messages(self, peer: bytes, message: Message) -> list[Message]:
        """Strip news, and have nothing when asked."""
        del peer
        if isinstance(message, News):
            return [News(message.envelope, 0, (), ())]
        if isinstance(message, (Tree, Cards)):
            return [Missing(message.head)]
        return [message]


class StaleHeadPinner(Byzantine):
    """Answers with the first head that it ever saw of a key."""

    def __init__(
        self, state: State, signer: SignatureScheme, conspiracy: Conspiracy, rng: random.Random
    ) -> None:
        super().__init__(state, signer, conspiracy, rng)
        self._first: dict[bytes, bytes] = {}

    def messages(self, peer: bytes, message: Message) -> list[Message]:
        """Replace every head by the first of its key."""
        del peer
        if isinstance(message, Records):
            return [Records(message.charters, tuple(map(self._pinned, message.envelopes)))]
        if isinstance(message, News):
            return [News(self._pinned(message.envelope), 0, (), ())]
        return [message]

    def _pinned(self, raw: bytes) -> bytes:
        envelope = open_envelope(raw)
        if envelope.type != HEAD_TYPE or envelope.signers[0] == self.signer.public_key:
            return raw
        return self._first.setdefault(envelope.signers[0], raw)


class IHaveFlooder(Byzantine):
    """Announces heads that nobody has."""

    _next = 0.0

    def more(self, event: Event) -> list[Effect]:
        """Announce many heads with every frame received, up to twenty times a second."""
        if not isinstance(event, Received) or self.now < self._next:
            return []
        self._next = self.now + 0.05
        flood = IHave(b"", tuple(self.rng.randbytes(32) for _ in range(64)))
        return [self.say(event.peer, flood)]


class SilentPeer(Byzantine):
    """Takes all and gives nothing."""

    def frames(self, peer: bytes, frame: bytes) -> list[bytes]:
        """Send nothing."""
        del peer, frame
        return []


class EndlessReconciler(Byzantine):
    """Answers every leg of a reconciliation with one more beginning, and begins one with everybody."""

    def messages(self, peer: bytes, message: Message) -> list[Message]:
        """Replace ranges by garbage at leg 1."""
        del peer
        return [self._beginning()] if isinstance(message, Ranges) else [message]

    def more(self, event: Event) -> list[Effect]:
        """Begin again whenever somebody connects or answers."""
        begins = isinstance(event, Connected) or (
            isinstance(event, Received) and event.frame.startswith(RANGES_FRAME)
        )
        return [self.say(event.peer, self._beginning())] if begins else []

    def _beginning(self) -> Ranges:
        parts = tuple(self.rng.randbytes(16) for _ in range(16))
        return Ranges(b"", 1, tuple(Range(digit, parts, (), whole=False) for digit in "0123456789abcdef"))


class BitFlipper(Byzantine):
    """Flips a bit now and then."""

    def frames(self, peer: bytes, frame: bytes) -> list[bytes]:
        """Flip one bit of every eighth frame."""
        del peer
        if self.rng.random() >= 0.125:
            return [frame]
        changed = bytearray(frame)
        changed[self.rng.randrange(len(changed))] ^= 1 << self.rng.randrange(8)
        return [bytes(changed)]


class Chatterer(Byzantine):
    """Repeats its greetings to everybody who connects, and says everything twice."""

    def messages(self, peer: bytes, message: Message) -> list[Message]:
        """Say everything twice."""
        del peer
        return [message, message]

    def more(self, event: Event) -> list[Effect]:
        """Send an empty list of records to who connects."""
        if not isinstance(event, Connected):
            return []
        return [self.say(event.peer, Records((), ()))] * 20


class ForwardingMember(Byzantine):
    """Sends all news of its groups to everybody."""

    in_a_group = True

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Send what goes to members to all others as well."""
        effects = super().handle(event, now)
        frames = [effect.frame for effect in effects if isinstance(effect, Send)]
        leaks = [
            Send(peer, frame)
            for frame in frames
            if self._of_a_group(MESSAGE.decode(frame))
            for peer in self.inner.peers()
        ]
        self.lies += len(leaks)
        return effects + leaks

    @staticmethod
    def _of_a_group(message: Message) -> bool:
        return isinstance(message, News) and b"\xa5scope\xc4 " in message.envelope


class OldRosterReplayer(Byzantine):
    """Was put out of a group, keeps its connections, and goes on as if nothing had happened."""

    in_a_group = True
    _next = 0.0

    def more(self, event: Event) -> list[Effect]:
        """Name the old rosters as the newest and send them to whoever speaks, once a second."""
        if not isinstance(event, Received) or self.now < self._next:
            return []
        self._next = self.now + 1.0
        return [
            effect
            for group in self.inner.groups().groups.values()
            for effect in (
                self.say(event.peer, RosterTips(group.id, tuple(tip.hash for tip in group.rosters.tips))),
                self.say(event.peer, Records((), tuple(item.raw for item in group.rosters.known.values()))),
            )
        ]


TALKERS: dict[str, type[Byzantine]] = {
    "equivocating-owner": EquivocatingOwner,
    "withholding-relay": WithholdingRelay,
    "stale-head-pinner": StaleHeadPinner,
    "ihave-flooder": IHaveFlooder,
    "silent-peer": SilentPeer,
    "endless-reconciler": EndlessReconciler,
    "bit-flipper": BitFlipper,
    "chatterer": Chatterer,
    "forwarding-member": ForwardingMember,
    "old-roster-replayer": OldRosterReplayer,
}
"""The kinds of this module by the name that a plan shows."""
