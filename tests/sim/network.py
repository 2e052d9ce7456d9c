"""A network of nodes in one process: one seed, one heap of events, the very states that real nodes run.

Theory of operation. Time is a number; what is due next is on top of one heap. Connections behave like TCP:
per direction in order and without loss (a lost segment is a frame that arrives 200 ms later, and those behind
it with it), and what is in flight when a connection ends is gone. A node sends no faster than its bandwidth.
Where one direction alone is cut, frames pile up until it heals or the silence ends the connection. Disks lose
a suffix of what was not synced when their node crashes. Nodes sit on both ends of ``State.handle``; nothing
of the protocol is re-implemented here.

Rules of this file:

1. Every draw comes from the one ``random.Random(seed)``; nothing iterates over a set.
2. What happens to a node is an event of its state, and what it does is an effect: no other way in or out.
3. Every event and every frame goes into the trace hash, so that two runs can be compared by 32 bytes.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

from skerry.protocol.effects import (
    Connect,
    Deliver,
    Delivery,
    Disconnect,
    Effect,
    Misbehaved,
    Send,
    SetTimer,
    Store,
)
from skerry.protocol.events import (
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    Received,
    Started,
    Timer,
    TimerFired,
)
from skerry.protocol.hashing import tagged_hash
from skerry.protocol.state import State
from tests.sim.disk import Disk

_NAMES = {kind: kind.__name__.encode() for kind in get_args(Event)}
RETRANSMISSION_SECONDS = 0.2
DIAL_TIMEOUT_SECONDS = 5.0
SILENCE_SECONDS = 20.0
"""After this a driver's keep-alive notices that the other end is gone."""


@dataclass(frozen=True)
class NetworkConfig:
    """How the network behaves. Latencies are one way, in seconds."""

    latency_min: float = 0.010
    latency_max: float = 0.100
    loss: float = 0.0
    """Chance that a frame needs a retransmission."""
    bandwidth: float = 0.0
    """Bytes a second that a node can send over all its connections together; 0 means no limit."""
    wall: float = 1_790_000_000.0
    """Wall-clock time at virtual time 0."""


@dataclass(slots=True, repr=False)
class Link:
    """A connection; ``ends`` is (dialler, acceptor)."""

    ends: tuple[Node, Node]
    latency: float
    """One way, seconds."""
    up: bool = True
    clear_at: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Per direction, when the last frame sent arrives: none may overtake it."""
    held_up: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    """Per direction, the frames that a cut of this direction alone keeps from arriving."""

    def other(self, node: Node) -> Node:
        """Return the far end."""
        return self.ends[1] if self.ends[0] is node else self.ends[0]


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """One simulated machine: disk and identity outlive the state, which dies in a crash."""

    index: int
    key: bytes
    address: str
    boot: Callable[[Disk, int], State]
    """Make a state from what the disk holds; the number counts the starts."""
    disk: Disk = field(default_factory=Disk)
    state: State | None = None
    starts: int = 0
    links: dict[bytes, Link] = field(default_factory=dict)
    timers: dict[Timer, int] = field(default_factory=dict)
    deliveries: deque[tuple[float, Delivery]] = field(default_factory=lambda: deque(maxlen=10_000))
    misbehaved: list[Misbehaved] = field(default_factory=list)
    reachable: bool = True
    """False behind a NAT: it can dial, and cannot be dialled."""
    hidden: bool = False
    """Whether it is behind a NAT for good, and knows it."""
    clock_offset: float = 0.0
    clock_set_back: float = 0.0
    """How much later its clock was at its furthest."""
    wire_free_at: float = 0.0
    """When the last byte given to the wire has left, where bandwidth is limited."""

    @property
    def up(self) -> bool:
        """Return whether the node runs."""
        return self.state is not None


class Network:
    """The machines, the wires between them and the time."""

    def __init__(self, seed: int, config: NetworkConfig) -> None:
        self.seed = seed
        self.config = config
        self.rng = random.Random(seed)
        self.now = 0.0
        self.nodes: list[Node] = []
        self.sent_bytes: Counter[bytes] = Counter()
        self.sent_frames: Counter[bytes] = Counter()
        self.received_bytes: Counter[bytes] = Counter()
        self.handled = 0
        self._sessions = 0
        self.observers: list[Callable[[Node, Event, list[Effect]], None]] = []
        self.trace_hash = hashlib.sha256()
        self.shape_hash = hashlib.sha256()
        """As the trace hash, with the lengths of frames in place of their bytes, and so without
        signatures."""
        self._by_key: dict[bytes, Node] = {}
        self._by_address: dict[str, Node] = {}
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        """What is due: (time, counter, what to call, with what). Plain tuples: there are millions of them."""
        self._counter = 0
        self._latencies: dict[tuple[int, int], float] = {}
        self._carriers: dict[type, Callable[[Node, Any], None]] = {
            Send: self._send,
            SetTimer: self._set_timer,
            Store: self._store,
            Connect: self._dial,
            Disconnect: self._disconnect,
            Deliver: self._deliver,
            Misbehaved: self._note,
        }
        self._sides: dict[bytes, int] = {}
        """Side of the partition that a node is on; nodes of different sides do not hear each other."""
        self._mute: dict[tuple[bytes, bytes], None] = {}
        """(sender, receiver) of whom nothing arrives, though the other direction may work."""

    # Building and running.

    def add(self, node: Node) -> None:
        """Put a machine into the network, switched off."""
        self.nodes.append(node)
        self._by_key[node.key] = node
        self._by_address[node.address] = node

    def at(self, time: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do something at a virtual time."""
        self._counter += 1
        heapq.heappush(self._heap, (max(time, self.now), self._counter, action, arguments))

    def run(self, until: float, *, stop: Callable[[], bool] | None = None) -> None:
        """Let time pass up to ``until``, or until ``stop`` holds after an event."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action, arguments = heapq.heappop(self._heap)
            action(*arguments)
            if stop is not None and stop():
                return
        self.now = max(self.now, until)

    def event(self, node: Node, event: Event) -> None:
        """Give an event to a node, if it runs, and carry out what it wants."""
        if node.state is None:
            return
        self.handled += 1
        self.trace_hash.update(b"%d %s" % (node.index, _NAMES[type(event)]))
        effects = node.state.handle(event, self.now)
        for effect in effects:
            self._carriers[type(effect)](node, effect)
        for observer in self.observers:
            observer(node, event, effects)

    # Machines.

    def node(self, key: bytes) -> Node:
        """Return the machine with a node key."""
        return self._by_key[key]

    def start(self, node: Node) -> None:
        """Switch a machine on."""
        node.starts += 1
        node.state = node.boot(node.disk, node.starts)
        self.event(node, Started(self.wall(node)))

    def crash(self, node: Node) -> None:
        """Pull the plug: unsynced writes may be lost, and the others learn of it only from silence or a
        reset."""
        node.state = None
        node.timers.clear()
        node.disk.crash(self.rng)
        for link in node.links.values():
            delay = SILENCE_SECONDS if self.rng.random() < 0.5 else 0.0
            self._sever(link, delay)
        node.links.clear()

    def die(self, node: Node) -> None:
        """Have a machine vanish without a word: its peers learn of it from silence alone."""
        node.state = None
        node.timers.clear()
        for link in node.links.values():
            self._sever(link, SILENCE_SECONDS)
        node.links.clear()

    def wall(self, node: Node) -> float:
        """Return what the node's wall clock shows."""
        return self.config.wall + self.now + node.clock_offset

    # Wires.

    def dial(self, node: Node, target: bytes) -> None:
        """Have a machine dial another of its own accord."""
        self._dial(node, Connect(target))

    def partition(self, sides: list[list[Node]]) -> None:
        """Cut the network into sides; an empty list heals it."""
        self._sides = {node.key: number for number, side in enumerate(sides) for node in side}
        for node in self.nodes:
            for link in list(node.links.values()):
                if link.up and not self._hears(*link.ends):
                    self._sever(link)

    def mute(self, senders: list[Node], receivers: list[Node]) -> None:
        """Have nothing of the senders arrive at the receivers; the other direction goes on.

        A connection with such a direction lasts until its keep-alive notices the silence.
        """
        self._mute.update(dict.fromkeys((a.key, b.key) for a in senders for b in receivers if a is not b))
        for node in senders:
            for link in list(node.links.values()):
                if (node.key, link.other(node).key) in self._mute:
                    self.at(self.now + SILENCE_SECONDS, lambda link=link: self._silence(link))

    def unmute(self) -> None:
        """Heal all cuts of one direction: what was held up arrives after a retransmission."""
        self._mute.clear()
        for node in self.nodes:
            for link in list(node.links.values()):
                if link.up and link.ends[0] is node and any(link.held_up):
                    self.at(self.now + RETRANSMISSION_SECONDS, lambda link=link: self._release(link))

    def cut(self, first: Node, second: Node) -> None:
        """End the connection between two nodes, with what is in flight on it."""
        link = first.links.get(second.key)
        if link is not None:
            self._sever(link)

    def latency(self, first: Node, second: Node) -> float:
        """Return the one-way delay of a pair, always the same."""
        low, high = sorted((first.index, second.index))
        known = self._latencies.get((low, high))
        if known is None:
            draw = random.Random(self.seed * 1_000_003 + low * 20_011 + high).random()
            known = self.config.latency_min + draw * (self.config.latency_max - self.config.latency_min)
            self._latencies[low, high] = known
        return known

    def _hears(self, first: Node, second: Node) -> bool:
        """Return whether a connection between two nodes can come up and last."""
        if (first.key, second.key) in self._mute or (second.key, first.key) in self._mute:
            return False
        return self._sides.get(first.key, -1) == self._sides.get(second.key, -1)

    def _silence(self, link: Link) -> None:
        if link.up and not self._hears(*link.ends):
            self._sever(link)

    def _release(self, link: Link) -> None:
        """Let what was held up arrive, unless the direction is cut again."""
        for direction, sender in enumerate(link.ends):
            receiver, frames = link.other(sender), link.held_up[direction]
            while frames and link.up and (sender.key, receiver.key) not in self._mute:
                self._hand_over(link, direction, frames.pop(0))

    def _arrive(self, link: Link, direction: int, frame: bytes) -> None:
        sender, receiver = link.ends[direction], link.ends[1 - direction]
        if link.held_up[direction] or (self._mute and (sender.key, receiver.key) in self._mute):
            link.held_up[direction].append(frame)
        else:
            self._hand_over(link, direction, frame)

    def _hand_over(self, link: Link, direction: int, frame: bytes) -> None:
        sender, receiver = link.ends[direction], link.ends[1 - direction]
        if link.up and receiver.links.get(sender.key) is link:
            self.received_bytes[receiver.key] += len(frame)
            self.event(receiver, Received(sender.key, frame))

    def _store(self, node: Node, effect: Store) -> None:
        node.disk.apply(effect.operation)

    def _disconnect(self, node: Node, effect: Disconnect) -> None:
        link = node.links.get(effect.peer)
        if link is not None:
            self._close(link, node)

    def _deliver(self, node: Node, effect: Deliver) -> None:
        node.deliveries.append((self.now, effect.what))

    def _note(self, node: Node, effect: Misbehaved) -> None:
        node.misbehaved.append(effect)

    def _set_timer(self, node: Node, effect: SetTimer) -> None:
        # The counter names this setting: an earlier one that is still in the heap must not fire in its place.
        node.timers[effect.timer] = self._counter
        self.at(effect.at, self._fire, node, effect.timer, self._counter)

    def _fire(self, node: Node, timer: Timer, setting: int) -> None:
        if node.timers.get(timer) == setting:
            del node.timers[timer]
            self.event(node, TimerFired(timer))

    def _send(self, node: Node, effect: Send) -> None:
        link = node.links.get(effect.peer)
        if link is None or not link.up:
            return
        far = link.other(node)
        direction = 0 if link.ends[0] is node else 1
        arrival = self.now + link.latency
        if self.config.bandwidth:
            seconds = len(effect.frame) / self.config.bandwidth
            node.wire_free_at = max(self.now, node.wire_free_at) + seconds
            arrival += node.wire_free_at - self.now
        while self.config.loss and self.rng.random() < self.config.loss:
            arrival += RETRANSMISSION_SECONDS
        link.clear_at[direction] = arrival = max(arrival, link.clear_at[direction])
        self.sent_bytes[node.key] += len(effect.frame)
        self.sent_frames[node.key] += 1
        self.trace_hash.update(effect.frame)
        self.shape_hash.update(b"%d %d %d" % (node.index, far.index, len(effect.frame)))
        self.at(arrival, self._arrive, link, direction, effect.frame)

    def _dial(self, node: Node, effect: Connect) -> None:
        target = effect.target
        address = target.partition("#")[0] if isinstance(target, str) else ""
        far = self._by_key.get(target) if isinstance(target, bytes) else self._by_address.get(address)
        starts = node.starts

        def fail() -> None:
            if node.starts == starts:
                self.event(node, ConnectFailed(target))

        if far is None or far is node or not far.reachable or not self._hears(node, far):
            self.at(self.now + DIAL_TIMEOUT_SECONDS, fail)
            return

        def arrive() -> None:
            if node.starts != starts or not self._meet(node, far):
                fail()

        self.at(self.now + 4 * self.latency(node, far), arrive)

    def _meet(self, dialler: Node, acceptor: Node) -> bool:
        """Bring a connection up at both ends; of two for one pair, the smaller key's survives."""
        if dialler.state is None or acceptor.state is None or not self._hears(dialler, acceptor):
            return False
        old = dialler.links.get(acceptor.key)
        if old is not None and old.up:
            if old.ends[0] is acceptor and acceptor.key < dialler.key:
                return False
            old.up = False
        for node, far in ((dialler, acceptor), (acceptor, dialler)):
            if far.key in node.links:
                self._report_end(node, far.key, node.links[far.key])
        link = Link((dialler, acceptor), self.latency(dialler, acceptor))
        dialler.links[acceptor.key] = acceptor.links[dialler.key] = link
        self._sessions += 1
        session = tagged_hash("skerry/test-session/1", self._sessions.to_bytes(8, "big"))
        for node, far, outbound in ((dialler, acceptor, True), (acceptor, dialler, False)):
            if node.state is not None and far.state is not None:
                identity = far.state.identity()
                self.event(node, Connected(far.key, identity.charters, identity.node, outbound, session))
        return True

    def _close(self, link: Link, closer: Node) -> None:
        """Close in order: frames already sent arrive, then both ends hear of it."""
        far = link.other(closer)
        direction = 0 if link.ends[0] is closer else 1
        last = max(link.clear_at[direction], self.now + link.latency)
        self.at(self.now, lambda: self._report_end(closer, far.key, link))

        def finish() -> None:
            link.up = False
            self._report_end(far, closer.key, link)

        self.at(last, finish)

    def _sever(self, link: Link, delay: float = 0.0) -> None:
        """End abruptly: what is in flight is gone, and each end hears of it, late when only silence tells."""
        link.up = False
        for node in link.ends:
            peer = link.other(node).key
            at = self.now + delay + link.latency
            self.at(at, lambda node=node, peer=peer: self._report_end(node, peer, link))

    def _report_end(self, node: Node, peer: bytes, link: Link) -> None:
        if node.links.get(peer) is link:
            del node.links[peer]
            self.event(node, Disconnected(peer))
