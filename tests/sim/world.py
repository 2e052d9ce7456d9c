"""Whole networks of owners and nodes, in the language of the tests.

An institution here is one owner with one node. Keys follow from the seed, and so do all records: a seed is a
run.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from skerry.protocol.card import CARD, Blob, Card
from skerry.protocol.charter import ROLE_PUBLISH, ROLE_SERVE, NodeKey, new_charter
from skerry.protocol.context import StateConfig
from skerry.protocol.effects import CardsChanged, Deliver, Effect, Published, PublishRefused
from skerry.protocol.events import AddressesConfigured, Event, Publish, Vouch
from skerry.protocol.hashing import fingerprint, tagged_hash
from skerry.protocol.node_record import make_node_record
from skerry.protocol.signing import FakeSigner, SignatureScheme, Signer
from skerry.protocol.state import State
from tests.sim.byzantine import Byzantine, Conspiracy
from tests.sim.disk import Disk
from tests.sim.network import Network, NetworkConfig, Node

if TYPE_CHECKING:
    from tests.sim.clubs import Club

SUMMARY = "Predicts the outcome of interest from ten routine measurements. " * 4
"""Makes a card about a kilobyte, which is what a card of a real learnware takes."""
YEAR = 365 * 24 * 3600
REAL_SIGNATURES_MAX = 199
"""Networks up to this size use Ed25519; larger ones would do nothing else."""


class LookalikeSigner(FakeSigner):
    """Signs like a fake signer, under the public key that the real one has."""

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed)
        self._public_key = Signer.from_bytes(seed).public_key


class World:
    """A network with its owners, and what was published.

    Parameters
    ----------
    seed
        Everything follows from it.
    count
        Number of nodes.
    real
        Whether signatures are Ed25519; by default when the network is small enough.
    lookalike
        Whether fake signatures stand under the keys that real ones have.
    """

    def __init__(
        self,
        seed: int,
        count: int,
        config: NetworkConfig | None = None,
        *,
        real: bool | None = None,
        lookalike: bool = False,
    ) -> None:
        self.lookalike = lookalike
        self.seed = seed
        self.network = Network(seed, config or NetworkConfig())
        self.real = count <= REAL_SIGNATURES_MAX if real is None else real
        self.tokens = 0
        self.accepted: dict[bytes, dict[bytes, bytes]] = {}
        """Node key -> card id -> card, as far as the node said that it is published."""
        self._asked: dict[int, tuple[dict[bytes, bytes], tuple[bytes, ...]]] = {}
        """Token -> what was asked for: cards by id, and ids to remove."""
        self.owner_of: dict[bytes, bytes] = {}
        self.charters: dict[bytes, tuple[bytes, ...]] = {}
        """Node key -> the charter chain of its owner."""
        self.byzantine: set[bytes] = set()
        """Node keys of machines that do not follow the protocol."""
        self.liars: list[Byzantine] = []
        """What runs on them, one for each start."""
        self.joins_late: dict[bytes, float] = {}
        """Node key -> when the machine is switched on."""
        self.unsteady: dict[bytes, None] = {}
        """Node keys whose heads some honest clocks take and others do not."""
        self.false_cards: dict[bytes, None] = {}
        """Hashes of cards whose sketch does not follow from their specification."""
        self.clubs: list[Club] = []
        """Groups, in the order in which they were made."""
        self.vouching = False
        """Whether the people of honest nodes vouch for each other's owners."""
        self.quiet = False
        """Whether nobody publishes any more, liars neither: all must come to rest."""
        self.rng = random.Random(f"world {seed}")
        self._configs: dict[bytes, StateConfig] = {}
        self._signers: dict[bytes, SignatureScheme] = {}
        self.network.observers.append(self._note_published)
        for index in range(count):
            self._add(index)

    @property
    def nodes(self) -> list[Node]:
        """All machines."""
        return self.network.nodes

    def start_all(self, *, over: float = 1.0, bootstraps: int = 2) -> None:
        """Switch all machines on within some seconds; each knows the addresses of the first few."""
        for node in self.nodes:
            at = self.joins_late.get(node.key, over * node.index / len(self.nodes))
            self.network.at(at, lambda node=node: self.start(node, bootstraps))

    def start(self, node: Node, bootstraps: int = 2) -> None:
        """Switch one machine on."""
        self.network.start(node)
        addresses = tuple(
            f"{other.address}#{'0' * 8}" for other in self.nodes[:bootstraps] if other is not node
        )
        self.network.event(node, AddressesConfigured(addresses))
        if self.vouching and node.key not in self.byzantine:
            self.network.event(node, Vouch(tuple(self.owner_of[other.key] for other in self.honest())))

    def card(self, node: Node, slug: str, version: int = 1, island: int = 0) -> bytes:
        """Return a card of a node's owner."""
        draw = random.Random(f"{self.seed} {node.index} {slug} {version}")
        blob = Blob(tagged_hash("skerry/test/1", slug.encode(), bytes([version % 256])), 1000)
        return Card(
            owner=self.owner_of[node.key],
            slug=slug,
            version=version,
            name=f"model {slug}",
            summary=SUMMARY,
            data="table",
            task="classification",
            library="scikit-learn",
            scenarios=(),
            license="MIT",
            tags=(),
            language="en",
            classes=2,
            island=tagged_hash("skerry/test-island/1", bytes([island])),
            dimension=10,
            sketch_version=1,
            sketch=draw.randbytes(256),
            means=bytes(40),
            spreads=bytes(40),
            specification=blob,
            package=blob,
            lane="onnx",
            published=int(self.network.config.wall),
        ).to_bytes()

    def publish(self, node: Node, slugs: Iterable[str], version: int = 1, islands: int = 1) -> int:
        """Have a running node publish cards; return the token."""
        cards = {slug: self.card(node, slug, version, hash_of(slug) % islands) for slug in slugs}
        self.tokens += 1
        self._asked[self.tokens] = {card_id_of(raw): raw for raw in cards.values()}, ()
        self.network.event(node, Publish(self.tokens, tuple(cards.values())))
        return self.tokens

    def withdraw(self, node: Node, ids: tuple[bytes, ...]) -> None:
        """Have a running node withdraw cards."""
        self.tokens += 1
        self._asked[self.tokens] = {}, ids
        self.network.event(node, Publish(self.tokens, (), ids))

    def published(self, node: Node) -> list[Published]:
        """Return what a node was told about its publications."""
        return [what for _, what in node.deliveries if isinstance(what, Published)]

    def refused(self, node: Node) -> list[PublishRefused]:
        """Return the publications that a node refused."""
        return [what for _, what in node.deliveries if isinstance(what, PublishRefused)]

    def changes(self, node: Node) -> list[CardsChanged]:
        """Return the changes of the index that a node was told of."""
        return [what for _, what in node.deliveries if isinstance(what, CardsChanged)]

    def signer_of(self, node: Node) -> SignatureScheme:
        """Return a node's key."""
        return self._signers[node.key]

    def limit(self, node: Node, *, unvouched_cards_max: int) -> None:
        """Give a node another limit, from its next start on."""
        config = self._configs[node.key]
        self._configs[node.key] = replace(config, unvouched_cards_max=unvouched_cards_max)

    def key_of(self, node: Node, purpose: str) -> SignatureScheme:
        """Return the key that a node's people have for a purpose."""
        return self._key(node.index, purpose)

    def owner_signers(self, node: Node) -> list[SignatureScheme]:
        """Return the keys that sign the charters of a node's owner."""
        return [self._key(node.index, "owner")]

    def node_record(self, node: Node, issued: int) -> bytes:
        """Return the record that a node signs when it starts for the first time at a wall-clock time."""
        config = self._configs[node.key]
        return make_node_record(
            self._signers[node.key],
            owner=self.owner_of[node.key],
            seq=issued,
            issued=issued,
            addresses=config.addresses,
            certificate=config.certificate,
        ).to_bytes()

    def corrupt(self, nodes: Sequence[Node], kind: type[Byzantine]) -> None:
        """Have machines run byzantine nodes of one kind from their next start on."""
        conspiracy = Conspiracy(self, tuple(node.key for node in nodes))
        self.byzantine.update(conspiracy.keys)
        for node in nodes:
            self._corrupt(node, kind, conspiracy)

    def _corrupt(self, node: Node, kind: type[Byzantine], conspiracy: Conspiracy) -> None:
        honest = node.boot

        def boot(disk: Disk, starts: int) -> State:
            rng = random.Random(f"byzantine {self.seed} {node.index} {starts}")
            self.liars.append(kind(honest(disk, starts), self.signer_of(node), conspiracy, rng))
            # It has all that a state has: what it does not override it passes on.
            return cast("State", self.liars[-1])

        node.boot = boot

    def hide(self, node: Node) -> None:
        """Put a machine behind a NAT for good: it knows that nobody can dial it and names no address."""
        node.hidden, node.reachable = True, False
        self._configs[node.key] = replace(self._configs[node.key], addresses=())

    def honest(self) -> list[Node]:
        """Return the machines that follow the protocol."""
        return [node for node in self.nodes if node.key not in self.byzantine]

    def components(self) -> list[list[Node]]:
        """Return the honest running machines, by which of them are connected over honest ones alone."""
        left = {node.key: node for node in self.honest() if node.up}
        found = []
        while left:
            component = [left.pop(next(iter(left)))]
            for node in component:
                component.extend(left.pop(key) for key in node.links if key in left)
            found.append(component)
        return found

    def running(self) -> list[Node]:
        """Return the machines that are on."""
        return [node for node in self.nodes if node.up]

    def agree(self, nodes: Iterable[Node] | None = None) -> bool:
        """Return whether all running nodes hold the same heads, and every catalogue whole.

        Of a part of them, every catalogue that one of the part has whole: the others have nobody to ask.
        """
        honest = [node for node in (nodes or self.running()) if node.key not in self.byzantine]
        states = [node.state for node in honest if node.state is not None]
        if len({self.view(state) for state in states}) > 1:
            return False
        heads = [(key, held) for state in states for key, held in state.heads().items()]
        owed = {key for key, held in heads if held.whole or nodes is None} - self.byzantine
        return all(held.whole for key, held in heads if key in owed)

    def is_idle(self) -> bool:
        """Return whether no running node is yet to sign what it was asked to publish."""
        states = [node.state for node in self.running() if node.state is not None]
        return not any(state.queues()["publications"] for state in states)

    def view(self, state: State) -> bytes:
        """Return a fingerprint of all public heads that honest nodes must agree about.

        Heads of who lies about time are left out where honest clocks differ: one clock takes such a head and
        another does not yet.
        """
        if not self.unsteady:
            return state.digest()
        heads = [held for key, held in sorted(state.heads().items()) if key not in self.unsteady]
        return fingerprint([head.hash for held in heads for head in (held.head, held.other) if head])

    def cards_max(self, node: Node) -> int:
        """Return how many cards of owners not vouched for a node keeps."""
        return self._configs[node.key].unvouched_cards_max

    def settle(self, seconds: float) -> bool:
        """Let time pass until all agree, at most so long; return whether they do."""
        end = self.network.now + seconds
        while self.network.now < end:
            self.network.run(min(end, self.network.now + 0.5))
            if self.agree():
                return True
        return False

    def _note_published(self, node: Node, event: Event, effects: list[Effect]) -> None:
        del event
        for effect in effects:
            if isinstance(effect, Deliver) and isinstance(effect.what, Published):
                cards, removed = self._asked.pop(effect.what.token, ({}, ()))
                accepted = self.accepted.setdefault(node.key, {})
                for card_id in removed:
                    accepted.pop(card_id, None)
                accepted.update(cards)

    def _add(self, index: int) -> None:
        keys = [self._key(index, purpose) for purpose in ("owner", "recovery", "node")]
        owner, recovery, signer = keys
        wall = int(self.network.config.wall)
        node_key = NodeKey(signer.public_key, (ROLE_PUBLISH, ROLE_SERVE), wall - YEAR, wall + YEAR)
        charter = new_charter(
            name=f"institution {index}",
            owner_signers=[owner],
            recovery_key=recovery.public_key,
            node_keys=[node_key],
            issued=wall - 1000,
            work_bits=0,
        )
        chain = self.charters[signer.public_key] = (charter.to_bytes(),)
        address = f"11.{index % 200}.{index // 200}.1:4000"
        self._configs[signer.public_key] = StateConfig(
            addresses=(address,),
            certificate=tagged_hash("skerry/test-certificate/1", signer.public_key),
            scheme=type(signer),
            work_bits=0,
        )

        def boot(disk: Disk, starts: int) -> State:
            rng = random.Random(f"{self.seed} {index} {starts}")
            return State(self._configs[signer.public_key], signer, rng, chain, disk.snapshot())

        node = Node(index, signer.public_key, address, boot)
        self.network.add(node)
        self._signers[node.key] = signer
        self.owner_of[node.key] = tagged_hash("skerry/owner/1", charter.body)

    def _key(self, index: int, purpose: str) -> SignatureScheme:
        seed = tagged_hash("skerry/test-key/1", f"{self.seed} {index} {purpose}".encode())
        if self.real:
            return Signer.from_bytes(seed)
        return LookalikeSigner(seed) if self.lookalike else FakeSigner(seed)


def hash_of(text: str) -> int:
    """Return a number that follows from a text in every process."""
    return tagged_hash("skerry/test/1", text.encode())[0]


def card_id_of(raw: bytes) -> bytes:
    """Return the id of a card."""
    return CARD.decode(raw).id
