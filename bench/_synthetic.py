"""Synthetic markets written straight into a node's store: real cards, catalogues, heads and specifications.

Specifications are random points around random centres; there are at most ``SPECIFICATIONS_MAX`` sets of
points, so that a million cards take minutes to make and not hours, and the blobs that hold them differ in
their description. Every sketch follows from its specification, every head is signed, and the store is written
by the node's own code.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from skerry.node.folder import Folder
from skerry.node.keys import Keyring, initialise
from skerry.node.limits import SEARCH_CANDIDATES
from skerry.node.storage.store import Store
from skerry.package.hashtree import HashTree
from skerry.protocol import effects
from skerry.protocol.card import CARD, Blob, Card, by_hash, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.head import make_head
from skerry.spec import Column, Features, Island, Rkme, Scale, SemanticSpec, Specification
from skerry.spec.index import SketchIndex
from skerry.spec.sketch import sketch_of

COLUMNS = tuple(Column(f"column {at}") for at in range(10))
POINTS = 20
SPECIFICATIONS_MAX = 5_000
OWNER_CARDS_MAX = 20_000
TOPICS = ("heart", "lung", "kidney", "price", "traffic", "energy", "wind", "water", "steel", "wheat")
PLACE = b"aaa-aaa"
OWNER_PLACE = b"o" * 32
ROOT_PLACE = b"s" * 32


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
            description=f"A synthetic learnware, {PLACE.decode()}",
            input=Features(len(COLUMNS), {str(at): column.name for at, column in enumerate(COLUMNS)}),
            output=Features(1, {"0": "target"}),
        )

    def rkme(self) -> Rkme:
        """Return a specification around a random centre."""
        centre = self._rng.normal(0.0, self._spread, len(COLUMNS))
        points = self._rng.normal(centre, 1.0, (POINTS, len(COLUMNS))).astype(np.float32)
        return Rkme(points, np.full(POINTS, 1 / POINTS), self._island)

    def template(self) -> Template:
        """Return a specification, and the card and blob that others are made of."""
        rkme = self.rkme()
        blob = Specification(self._semantic, rkme).to_bytes()
        version, vector, means, spreads = sketch_of(rkme).to_bytes()
        first, second = (TOPICS[int(at)] for at in self._rng.integers(0, len(TOPICS), 2))
        card = Card(
            owner=OWNER_PLACE,
            slug=f"model-{PLACE.decode()}",
            version=1,
            name=f"{first.capitalize()} and {second} model",
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
            specification=Blob(ROOT_PLACE, len(blob)),
            package=Blob(b"p" * 32, 1000),
            lane="skops",
            published=int(time.time()),
        )
        return Template(rkme, blob, CARD.encode(card))


@dataclass(frozen=True)
class Template:
    """A specification as a blob, and a card, both with places that are filled for every learnware anew.

    Making a card anew takes ten times as long as filling in the places of one that is encoded.
    """

    rkme: Rkme
    blob: bytes
    card: bytes

    def blob_of(self, number: int) -> bytes:
        """Return the specification of the learnware with a number: its description says the number."""
        return self.blob.replace(PLACE, _letters(number))

    def card_of(self, number: int, owner: bytes, *, shared: bool) -> bytes:
        """Return a card; one with a ``shared`` specification names that of number 0."""
        root = self._shared_root if shared else HashTree.of(self.blob_of(number)).root
        filled = self.card.replace(PLACE, _letters(number)).replace(OWNER_PLACE, owner)
        return filled.replace(ROOT_PLACE, root)

    @cached_property
    def _shared_root(self) -> bytes:
        return HashTree.of(self.blob_of(0)).root


def _letters(number: int) -> bytes:
    """Return a number below 26^6 as two words of three letters: many cards shall have few different words."""
    digits = []
    for _ in range(6):
        number, digit = divmod(number, 26)
        digits.append(97 + digit)
    return bytes([*digits[:2:-1], ord("-"), *digits[2::-1]])


def write_blobs(folder: Path, blobs: Iterable[bytes]) -> None:
    """Write blobs where a blob store keeps them, without waiting for the disk."""
    for data in blobs:
        name = HashTree.of(data).root.hex()
        path = folder / name[:2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def cards_of(
    templates: Sequence[Template], owner: bytes, numbers: range, *, shared: bool = False
) -> Iterator[bytes]:
    """Yield the cards of one owner: number n is made of template n modulo their count."""
    for number in numbers:
        yield templates[number % len(templates)].card_of(number, owner, shared=shared)


def blobs_near(templates: Sequence[Template], cards: int, queries: Sequence[Rkme]) -> Iterator[bytes]:
    """Yield the specifications of all cards that a search for one of the queries may compare."""
    each = -(-cards // len(templates))
    count = min(len(templates), 2 * -(-SEARCH_CANDIDATES // each) + 8)
    with tempfile.TemporaryFile() as file:
        index = SketchIndex(file)  # type: ignore[arg-type] # a binary file
        names = [at.to_bytes(32, "big") for at in range(len(templates))]
        island = queries[0].island.id
        index.add(island, names, [sketch_of(template.rkme) for template in templates])
        near = [index.search(sketch_of(one), Scale.of(one), island, count=count) for one in queries]
        del index
    for at in sorted({int.from_bytes(name, "big") for found in near for name in found}):
        for number in range(at, cards, len(templates)):
            yield templates[at].blob_of(number)


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


def write_market(
    folder: Folder,
    rng: np.random.Generator,
    cards: int,
    *,
    owners_folder: Path,
    queries: int = 0,
) -> tuple[Market, list[Rkme]]:
    """Make a node that holds ``cards`` cards of others, and return what to search for.

    Each card has a specification of its own, and the cache holds those that the queries need. Without queries
    ``SPECIFICATIONS_MAX`` specifications are shared, and the cache holds them all.
    """
    initialise(folder, "Searcher")
    market = Market(rng)
    templates = [market.template() for _ in range(min(cards, SPECIFICATIONS_MAX))]
    asked = [market.rkme() for _ in range(queries)]
    if asked:
        write_blobs(folder.cache, blobs_near(templates, cards, asked))
    else:
        write_blobs(folder.cache, (template.blob_of(0) for template in templates))
    store = Store(folder.database)
    for first in range(0, cards, OWNER_CARDS_MAX):
        keyring = initialise(Folder(owners_folder / str(first)), f"Owner {first // OWNER_CARDS_MAX}")
        numbers = range(first, min(first + OWNER_CARDS_MAX, cards))
        raws = tuple(cards_of(templates, keyring.owner, numbers, shared=not asked))
        store.write_now(catalogue_of(keyring, raws))
    store.take_in_all_words()
    store.close()
    return market, asked
