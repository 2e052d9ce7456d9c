"""Traces that a protocol expert can read without Python: input above the rule, full effects below it.

A trace is a text file of steps. One real state is under test; ``a``, ``b``, ... are peers with real keys
whose every frame stands in the file. ``a#2`` is the head with seq 2 of a's key, and ``a#2'`` a rival of the
same number. Nothing is left out below the rule except how long timers that are set for no reaction run (their
kinds are shown).

    connect a [outbound]         disconnect a           wait SECONDS          fire TIMER [HEAD]
    publish SLUG...              withdraw SLUG...       bootstrap ADDRESS...
    a says news HEAD since N [CARD...] [-CARD...]       a says records HEAD...
    a says ihave HEAD            a says graft HEAD      a says prune          a says full
    a says neighbour [alone]     a says digest N        a says newest [HEAD]  a says offer PEER...
    a says missing HEAD          a says records? PEER   a says nodes? PEER    a says bytes HEX
    a says ranges leg N all HEAD... | some HEAD... | garbage     (one range of all keys)
    a serves                     (a answers all that it was asked, truthfully, until nothing is asked)
    head HEAD CARD...            (names a head over these cards; says nothing)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from skerry.protocol.card import CARD, card_hash
from skerry.protocol.catalogue import Catalogue
from skerry.protocol.effects import (
    CardsChanged,
    Connect,
    Deliver,
    Disconnect,
    Effect,
    Misbehaved,
    Send,
    SetTimer,
    Store,
)
from skerry.protocol.envelope import open_envelope
from skerry.protocol.events import AddressesConfigured, Disconnected, Publish, Received, TimerKind
from skerry.protocol.exchange import (
    Full,
    Graft,
    IHave,
    Neighbour,
    Newest,
    NewestRequest,
    NodesRequest,
    Offer,
    Prune,
    Ranges,
    RecordsRequest,
)
from skerry.protocol.hashing import fingerprint
from skerry.protocol.head import HEAD, HEAD_TYPE, head_id
from skerry.protocol.messages import (
    MESSAGE,
    Cards,
    CardsRequest,
    Digest,
    Join,
    Message,
    Missing,
    News,
    Records,
    Tree,
    TreeRequest,
)
from skerry.protocol.reconcile import DIGITS, KEY_BYTES, MARK_BYTES, PART_BYTES, Listed, Range
from tests.protocol.scripted import Scripted, sent
from tests.sim.network import Node

RULE = "----"
NAMES = "abcdefgh"


class Interpreter:
    """Plays the steps of one trace."""

    def __init__(self) -> None:
        self.script = Scripted(peers=len(NAMES))
        self.peers = dict(zip(NAMES, self.script.peers, strict=True))
        self._names = {peer.key: name for name, peer in self.peers.items()}
        self._names[self.script.node.key] = "self"
        self._owners = {
            self.script.world.owner_of[key]: f"{name}'s owner" for key, name in self._names.items()
        }
        self._heads: dict[str, tuple[bytes, Catalogue, list[bytes]]] = {}
        self._head_names: dict[bytes, str] = {}
        self._served: dict[bytes, int] = {}

    def play(self, step: str) -> list[str]:
        """Carry out one step; return its effects as lines."""
        words = step.split()
        name, verb, rest = words[0], words[1] if len(words) > 1 else "", words[2:]
        if name in self.peers and verb == "says":
            return self._show(self._say(self.peers[name], rest[0], rest[1:]))
        if name in self.peers and verb == "serves":
            return self._show(self._serve(self.peers[name]))
        return self._show(self._STEPS[name](self, words[1:]))

    # Steps.

    def _connect(self, words: list[str]) -> list[Effect]:
        return self.script.connect(self.peers[words[0]], outbound="outbound" in words, alone=None)

    def _disconnect(self, words: list[str]) -> list[Effect]:
        return self.script.happen(Disconnected(self.peers[words[0]].key))

    def _wait(self, words: list[str]) -> list[Effect]:
        return self.script.wait(float(words[0]))

    def _fire(self, words: list[str]) -> list[Effect]:
        key = self._hash(words[1]) if len(words) > 1 else b""
        return self.script.fire(TimerKind(words[0]), key)

    def _publish(self, words: list[str]) -> list[Effect]:
        return self.script.happen(Publish(1, tuple(self._card("self", word) for word in words)))

    def _withdraw(self, words: list[str]) -> list[Effect]:
        ids = tuple(CARD.decode(self._card("self", word)).id for word in words)
        return self.script.happen(Publish(1, (), ids))

    def _bootstrap(self, words: list[str]) -> list[Effect]:
        return self.script.happen(AddressesConfigured(tuple(words)))

    def _name_head(self, words: list[str]) -> list[Effect]:
        self._head(words[0], words[1:])
        return []

    _STEPS: ClassVar[dict[str, Callable[[Interpreter, list[str]], list[Effect]]]] = {
        "connect": _connect,
        "disconnect": _disconnect,
        "wait": _wait,
        "fire": _fire,
        "publish": _publish,
        "withdraw": _withdraw,
        "bootstrap": _bootstrap,
        "head": _name_head,
    }

    def _say(self, peer: Node, verb: str, words: list[str]) -> list[Effect]:
        if verb == "bytes":
            return self.script.happen(Received(peer.key, bytes.fromhex("".join(words))))
        return self.script.say(peer, self._message(verb, words))

    def _message(self, verb: str, words: list[str]) -> Message:  # noqa: C901 - one case a message
        match verb:
            case "news":
                owner = words[0].partition("#")[0]
                added = tuple(self._card(owner, word) for word in words[3:] if word[0] != "-")
                gone = tuple(
                    CARD.decode(self._card(owner, word[1:])).id for word in words[3:] if word[0] == "-"
                )
                return News(self._heads[words[0]][0], int(words[2]), added, gone)
            case "records":
                keys = dict.fromkeys(word.partition("#")[0] for word in words)
                chains = tuple(self.script.charters(self._node(key)) for key in keys)
                return Records(chains, tuple(self._heads[word][0] for word in words))
            case "records?":
                return RecordsRequest(b"", tuple(self._node(word).key for word in words))
            case "digest":
                return Digest(b"", int(words[0]), fingerprint([bytes(32)] * int(words[0])))
            case "ranges":
                return Ranges(b"", int(words[1]), (self._range(words[2], words[3:]),))
            case "newest":
                return Newest(b"", self._heads[words[0]][0] if words else b"")
            case "offer":
                more = words[-2:] == ["of", "more"]
                ids = tuple(self._record_id(word) for word in (words[:-2] if more else words))
                return Offer(ids, wants_offer=False, more=more)
            case "join":
                peer = self._node(words[0])
                assert peer.state is not None
                return Join(self.script.charters(peer), peer.state.identity().node, int(words[2]))
            case "nodes?":
                return NodesRequest(tuple(self._record_id(word) for word in words))
            case "missing":
                return Missing(self._hash(words[0]))
            case "ihave":
                return IHave(b"", tuple(self._hash(word) for word in words))
            case "graft":
                return Graft(b"", self._hash(words[0]))
            case "prune":
                return Prune(b"")
            case "full":
                return Full()
            case _:
                return Neighbour(alone="alone" in words)

    def _range(self, kind: str, heads: list[str]) -> Range:
        """Return the range of all keys: sixteen parts that fit nothing, or the entries of some heads."""
        if kind == "garbage":
            return Range("", (bytes(PART_BYTES),) * len(DIGITS), (), whole=False)
        entries = []
        for name in heads:
            seq = int(name.partition("#")[2].rstrip("'"))
            key, mark = self._node(name).key[:KEY_BYTES], self._hash(name)[:MARK_BYTES]
            entries.append(Listed(key, 1, seq, mark))
        return Range("", (), tuple(entries), whole=kind == "all")

    def _serve(self, peer: Node) -> list[Effect]:
        """Answer what the peer was asked since it last served, and what follows from the answers."""
        start = len(self.script.effects)
        effects = self.script.effects[self._served.get(peer.key, 0) :]
        while True:
            asked: list[TreeRequest | CardsRequest] = [
                *sent(effects, peer, TreeRequest),
                *sent(effects, peer, CardsRequest),
            ]
            if not asked:
                self._served[peer.key] = len(self.script.effects)
                return self.script.effects[start:]
            effects = [effect for request in asked for effect in self.script.say(peer, self._answer(request))]

    def _answer(self, request: TreeRequest | CardsRequest) -> Message:
        _, catalogue, cards = self._heads[self._head_names[head_id(request.head)]]
        if isinstance(request, TreeRequest):
            return catalogue.answer(request) or Missing(request.head)
        return Cards(request.head, tuple(card for card in cards if card_hash(card) in request.hashes))

    # Names.

    def _node(self, name: str) -> Node:
        return self.script.node if name.startswith("self") else self.peers[name[0]]

    def _card(self, owner: str, word: str) -> bytes:
        slug, _, version = word.partition("@")
        return self.script.world.card(self._node(owner), slug, int(version or "1"))

    def _record_id(self, name: str) -> bytes:
        state = self._node(name).state
        assert state is not None
        return open_envelope(state.identity().node).hash[:8]

    def _head(self, name: str, words: Iterable[str]) -> None:
        owner, _, number = name.partition("#")
        cards = [self._card(owner, word) for word in words]
        seq, rival = number.rstrip("'"), number.count("'")
        raw, catalogue = self.script.head(self._node(owner), cards, int(seq), issued=rival)
        self._heads[name] = (raw, catalogue, cards)
        self._head_names[head_id(open_envelope(raw).hash)] = name

    def _hash(self, name: str) -> bytes:
        return open_envelope(self._heads[name][0]).hash

    # Showing.

    def _show(self, effects: list[Effect]) -> list[str]:
        return [self._line(effect) for effect in effects]

    def _line(self, effect: Effect) -> str:
        match effect:
            case Send(peer, frame):
                return f"send {self._names[peer]}: {self._words(MESSAGE.decode(frame))}"
            case Connect(target):
                return f"connect {self._names.get(target, target) if isinstance(target, bytes) else target}"
            case Disconnect(peer, reason):
                return f"disconnect {self._names[peer]}: {reason}"
            case SetTimer(timer):
                head = f" {self._head_names.get(head_id(timer.key), '')}" if timer.key else ""
                return f"timer {timer.kind}{head}"
            case Misbehaved(peer, violation):
                return f"misbehaved {self._names[peer]}: {violation}"
            case Store(operation):
                return f"store {type(operation).__name__} {self._fields(operation)}".rstrip()
            case Deliver(what):
                return f"deliver {type(what).__name__} {self._fields(what)}".rstrip()

    def _words(self, message: Message) -> str:  # noqa: C901 - one case a message
        match message:
            case News(envelope, since, cards, removed):
                changes = [f"+{CARD.decode(card).slug}" for card in cards] + [f"-{len(removed)}"] * bool(
                    removed
                )
                return " ".join(["news", self._envelope(envelope), "since", str(since), *changes])
            case Records(chains, envelopes):
                shown = [*(f"charters x{len(chain)}" for chain in chains), *map(self._envelope, envelopes)]
                return "records " + (", ".join(shown) or "(no more)")
            case RecordsRequest(_, keys):
                return "records? " + " ".join(self._key(key) for key in keys)
            case Digest(_, count):
                return f"digest of {count}"
            case Ranges(_, leg, ranges):
                kinds = ["parts" if item.parts else f"list of {len(item.entries)}" for item in ranges]
                return f"ranges leg {leg}: {', '.join(kinds)}"
            case NewestRequest():
                return "newest?"
            case Newest(_, envelope):
                return f"newest {self._envelope(envelope) if envelope else 'none'}"
            case Tree() | TreeRequest():
                island = "shelf" if message.island else "catalogue"
                mark = "?" if isinstance(message, TreeRequest) else ""
                level = "top" if message.level == 255 else f"level {message.level}"
                head = self._head_names.get(head_id(message.head), "unknown")
                return f"tree{mark} {head} {island} {level} {message.index}"
            case CardsRequest(head, hashes):
                return f"cards? {self._head_names[head_id(head)]} x{len(hashes)}"
            case Cards(_, cards):
                return "cards " + " ".join(CARD.decode(card).slug for card in cards)
            case Missing(head):
                return f"missing {self._head_names.get(head_id(head), 'unknown')}"
            case IHave(_, heads):
                return "ihave " + " ".join(self._head_names.get(head_id(head), "own") for head in heads)
            case Graft(_, head):
                return f"graft {self._head_names.get(head_id(head), 'unknown')}"
            case Offer(ids, wants_offer, more):
                return f"offer of {len(ids)}" + (", wants one" if wants_offer else "") + ", of more" * more
            case Join(_, record, hops):
                return f"join {self._envelope(record)}, {hops} hops left"
            case NodesRequest(ids):
                return f"nodes? x{len(ids)}"
            case Neighbour(alone):
                return "neighbour alone" if alone else "neighbour"
        return type(message).__name__.lower()

    def _envelope(self, raw: bytes) -> str:
        envelope = open_envelope(raw)
        if envelope.type != HEAD_TYPE:
            return f"record of {self._names[envelope.signers[0]]}"
        head = HEAD.decode(envelope.body)
        return self._head_names.get(head_id(envelope.hash), f"{self._names[head.node_key]}#{head.seq}")

    def _key(self, prefix: bytes) -> str:
        everybody = {**self._names, **self._owners}
        return next((name for key, name in everybody.items() if key.startswith(prefix)), "unknown")

    def _fields(self, value: object) -> str:
        """Return the telling fields of a store operation or delivery."""
        parts = []
        if (key := getattr(value, "node_key", None)) is not None:
            parts.append(self._names[key])
        if isinstance(value, CardsChanged):
            parts += ["whole" if value.complete else "partial"] + ["disputed"] * value.disputed
        for field in ("added", "cards"):
            parts += [f"+{CARD.decode(card).slug}" for card in getattr(value, field, {}).values()]
        removed = getattr(value, "removed", ())
        parts += [f"-{len(removed)}"] * bool(removed)
        parts += (
            [f"seq {value.seq} to {value.peers}"] if hasattr(value, "peers") and hasattr(value, "seq") else []
        )
        parts += [value.why] if hasattr(value, "why") else []
        return " ".join(parts)


def steps_of(text: str) -> list[tuple[str, list[str]]]:
    """Return (comment and inputs, expected lines) of each step of a trace."""
    steps = []
    for block in text.strip().split("\n\n"):
        above, rule, below = block.partition(f"\n{RULE}")
        if rule:
            steps.append((above, below.strip().splitlines()))
    return steps


def replay(text: str) -> str:
    """Return the trace with what really happens below the rules."""
    interpreter = Interpreter()
    blocks = []
    for block in text.strip().split("\n\n"):
        above, rule, _ = block.partition(f"\n{RULE}")
        if rule:
            lines = [line for line in above.splitlines() if not line.startswith("#")]
            effects = [line for step in lines for line in interpreter.play(step)]
            blocks.append("\n".join([above, RULE, *effects]))
        else:
            blocks.append(block)
    return "\n\n".join(blocks) + "\n"
