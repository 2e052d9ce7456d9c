"""Synthetic markets written straight into a node's store: real cards, catalogues, heads and specifications.

Specifications are random points around random centres; each is that of several cards once there are more than
``SPECIFICATIONS_MAX``, so that a million cards take minutes to make and not hours. Every sketch follows from
its specification, every head is signed, and the store is written by the node's own code.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from skerry.node.folder import Folder
from skerry.node.keys import Keyring, initialise
from skerry.node.storage.store import Store
from skerry.package.hashtree import HashTree
from skerry.protocol import effects
from skerry.protocol.card import CARD, Blob, Card, by_hash, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.head import make_head
from skerry.spec import Column, Features, Island, Rkme, SemanticSpec, Specification
from skerry.spec.sketch import sketch_of

COLUMNS = tuple(Column(f"column {at}") for at in range(10))
POINTS = 20
SPECIFICATIONS_MAX = 5_000
OWNER_CARDS_MAX = 20_000
TOPICS = ("heart", "lung", "kidney", "price", "traffic", "energy", "wind", "water", "steel", "wheat")


class Market:
    """Draws specifications and cards.

    Parameters
    ----------
    rng
        Where every draw comes from.
    spread
        How far the centres of specifications are apart.
    """

    def __init__(self, rng: np.random.Generator, spread: float = 3.0) -> None:
        self._rng = rng
        self._spread = spread
        self._island = Island("table", COLUMNS, len(COLUMNS))
        self._semantic = SemanticSpec(
            data="Table",
            task="Regression",
            library="Scikit-learn",
            scenario=("Health",),
            license="MIT",
            name="Synthetic",
            description="A synthetic learnware",
            input=Features(len(COLUMNS), {str(at): column.name for at, column in enumerate(COLUMNS)}),
            output=Features(1, {"0": "target"}),
        )

    def rkme(self) -> Rkme:
        """Return a specification around a random centre."""
        centre = self._rng.normal(0.0, self._spread, len(COLUMNS))
        points = self._rng.normal(centre, 1.0, (POINTS, len(COLUMNS))).astype(np.float32)
        return Rkme(points, np.full(POINTS, 1 / POINTS), self._island)

    def blob(self, rkme: Rkme) -> bytes:
        """Return a full specification."""
        return Specification(self._semantic, rkme).to_bytes()

    def card(self, rkme: Rkme, blob: Blob, owner: bytes) -> Card:
        """Return a card without slug and name of its own."""
        version, vector, means, spreads = sketch_of(rkme).to_bytes()
        return Card(
            owner=owner,
            slug="model",
            version=1,
            name="Model",
            summary="A synthetic learnware of the benchmark, drawn at random.",
            data="Table",
            task="Regression",
            library="Scikit-learn",
            scenarios=("Health",),
            license="MIT",
            tags=("synthetic",),
            language="",
            classes=0,
            island=self._island.id,
            dimension=len(COLUMNS),
            sketch_version=version,
            sketch=vector,
            means=means,
            spreads=spreads,
            specification=blob,
            package=Blob(b"p" * 32, 1000),
            lane="skops",
            published=int(time.time()),
        )


def numbered(card: Card, number: int) -> Card:
    """Return a card with a slug and words of its own."""
    first, second = TOPICS[number % 10], TOPICS[number // 10 % 10]
    return replace(card, slug=f"model-{number}", name=f"{first} and {second} model {number}")


def write_blobs(folder: Path, market: Market, count: int) -> list[tuple[Rkme, Blob]]:
    """Write as many specifications as a blob store would, without waiting for the disk."""
    made = []
    for _ in range(count):
        rkme = market.rkme()
        data = market.blob(rkme)
        root = HashTree.of(data).root
        path = folder / root.hex()[:2] / root.hex()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        made.append((rkme, Blob(root, len(data))))
    return made


def cards_of(
    market: Market, specifications: list[tuple[Rkme, Blob]], owner: bytes, first: int, count: int
) -> Iterator[bytes]:
    """Yield the cards of one owner."""
    templates: dict[int, Card] = {}
    for number in range(first, first + count):
        at = number % len(specifications)
        if at not in templates:
            templates[at] = market.card(*specifications[at], owner)
        yield CARD.encode(numbered(templates[at], number))


def catalogue_of(keyring: Keyring, cards: tuple[bytes, ...]) -> list[effects.StoreOperation]:
    """Return what a node stores that holds the whole catalogue of another, or of itself."""
    decoded = [(CARD.decode(raw), card_hash(raw)) for raw in cards]
    catalogue = Catalogue.build(Entry(card.id, card.island, digest) for card, digest in decoded)
    head = make_head(
        keyring.signer,
        owner=keyring.owner,
        epoch=1,
        seq=1,
        root=catalogue.root,
        count=len(cards),
        issued=int(time.time()) - 60,
    )
    return [
        effects.PutCharters(keyring.owner, (keyring.charters,)),
        effects.PutCatalogue(b"", keyring.signer.public_key, head.to_bytes(), by_hash(cards), ()),
    ]


def write_market(folder: Folder, rng: np.random.Generator, cards: int, *, owners_folder: Path) -> Market:
    """Make a node that holds ``cards`` cards of others, with their specifications in its cache."""
    initialise(folder, "Searcher")
    market = Market(rng)
    specifications = write_blobs(folder.cache, market, min(cards, SPECIFICATIONS_MAX))
    store = Store(folder.database)
    for first in range(0, cards, OWNER_CARDS_MAX):
        keyring = initialise(Folder(owners_folder / str(first)), f"Owner {first // OWNER_CARDS_MAX}")
        count = min(OWNER_CARDS_MAX, cards - first)
        raws = tuple(cards_of(market, specifications, keyring.owner, first, count))
        store.write_now(catalogue_of(keyring, raws))
    store.take_in_all_words()
    store.close()
    return market
