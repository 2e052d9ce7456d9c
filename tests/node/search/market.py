"""A node's search service over cards that a test puts in: a real store, index and blobs, and no network."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from skerry.node.alarms import Alarms
from skerry.node.directory import Directory
from skerry.node.keys import Keyring
from skerry.node.network.ways import DIRECT
from skerry.node.search.index import CardIndex, Entry
from skerry.node.search.service import SearchService
from skerry.node.search.sketches import Sketches
from skerry.node.storage.store import Store
from skerry.node.transfer.fetching import SpecificationCache
from skerry.node.view import NodeView
from skerry.package.blobs import BlobStore
from skerry.protocol.api import SearchRequest, Source
from skerry.protocol.card import Blob, Card, by_hash
from skerry.protocol.effects import CardsChanged, PutCatalogue
from skerry.protocol.signing import Signer
from skerry.spec import Features, Island, Rkme, SemanticSpec, Specification, mmd2
from skerry.spec.sketch import sketch_of

OWNER, NODE = b"o" * 32, b"n" * 32
COLUMNS = 3


def small_rkme(rng: np.random.Generator, shift: float) -> Rkme:
    points = rng.normal(shift, 1.0, (8, COLUMNS)).astype(np.float32)
    return Rkme(points, np.full(8, 1 / 8), Island("table", None, COLUMNS))


def whole(rkme: Rkme) -> bytes:
    described = {str(index): f"column {index}" for index in range(rkme.dimension)}
    semantic = SemanticSpec(
        data="Table",
        task="Feature Extraction",
        library="Scikit-learn",
        scenario=("Health",),
        license="MIT",
        name="Model",
        description="A model",
        input=Features(rkme.dimension, described),
    )
    return Specification(semantic, rkme).to_bytes()


def card_of(slug: str, rkme: Rkme, specification: Blob, owner: bytes = OWNER) -> Card:
    version, vector, means, spreads = sketch_of(rkme).to_bytes()
    return Card(
        owner=owner,
        slug=slug,
        version=1,
        name=f"Model {slug}",
        summary="",
        data="Table",
        task="Feature Extraction",
        library="Scikit-learn",
        scenarios=("Health",),
        license="MIT",
        tags=(),
        language="",
        classes=0,
        island=rkme.island.id,
        dimension=rkme.dimension,
        sketch_version=version,
        sketch=vector,
        means=means,
        spreads=spreads,
        specification=specification,
        package=Blob(b"p" * 32, 10),
        lane="python",
        published=int(time.time()),
    )


class Posts:
    """Takes the driver's place where only what is posted matters."""

    def __init__(self) -> None:
        self.posted: list[Any] = []

    def post(self, event: Any) -> None:
        self.posted.append(event)


class Nothing:
    """Stands for the connections of a node that has none."""

    connections: dict[bytes, Any] = {}  # noqa: RUF012 - never changed


@dataclass
class Market:
    """A node's search service over cards that the test puts in."""

    service: SearchService
    store: Store
    index: CardIndex
    sketches: Sketches
    blobs: BlobStore
    posts: Posts
    cache: SpecificationCache
    rkmes: dict[str, Rkme] = field(default_factory=dict)

    def add(self, rkmes: dict[str, Rkme], **changes: Any) -> None:
        cards = []
        for slug, rkme in rkmes.items():
            tree = self.blobs.put_bytes(whole(rkme))
            cards.append(replace(card_of(slug, rkme, Blob(tree.root, tree.size)), **changes).to_bytes())
        self.show(*cards)
        self.rkmes.update(rkmes)

    def show(self, *cards: bytes, **flags: bool) -> None:
        """Store cards and show them, as the driver does."""
        self.store.write_now([PutCatalogue(b"", NODE, b"head", by_hash(cards), ())])
        self.sketches.submit(
            self.index.apply(CardsChanged(b"", NODE, OWNER, b"h", by_hash(cards), (), **flags))
        )

    def take_in_words(self) -> None:
        """Wait until the words of all cards can be found."""
        self.store.take_in_all_words()

    def nearest(self, requirement: Rkme, count: int) -> list[str]:
        """Return the truth: slugs by exact distance."""
        return sorted(self.rkmes, key=lambda slug: mmd2(requirement, self.rkmes[slug]))[:count]


@functools.cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Store(Path(folder) / "store.sqlite").close()
        return (Path(folder) / "store.sqlite").read_bytes()


def new_store(folder: Path) -> Store:
    """Return an empty store, without waiting for the migrations again."""
    path = folder / "store.sqlite"
    path.write_bytes(_empty_database())
    return Store(path)


@contextmanager
def market_in(folder: Path) -> Iterator[Market]:
    """Give a market in a folder."""
    store, blobs, directory = new_store(folder), BlobStore(folder / "blobs"), Directory()
    index = CardIndex(store.cards)
    sketches, posts = Sketches(folder / "sketches"), Posts()
    keyring = Keyring(OWNER, Signer.generate(), (), b"c" * 32)
    view = NodeView(keyring, None, index, directory, Nothing(), Alarms(), "127.0.0.1:1")  # type: ignore[arg-type]

    async def reach(entry: Entry) -> list[Source]:
        return directory.sources(key for _, key in entry.places)

    fetched = BlobStore(folder / "cache")
    cache = SpecificationCache(blobs, fetched, index, directory, reach, DIRECT, Nothing())  # type: ignore[arg-type]
    service = SearchService(OWNER, index, sketches, directory, view, store, cache, posts)  # type: ignore[arg-type]
    try:
        yield Market(service, store, index, sketches, blobs, posts, cache)
    finally:
        sketches.close()
        store.close()


def request(requirement: Rkme | None = None, **fields: Any) -> SearchRequest:
    blob = b"" if requirement is None else requirement.to_bytes()
    return SearchRequest(requirement=blob, timeout_seconds=30, **fields)
