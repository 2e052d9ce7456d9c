"""The search service: what the exact comparison says, whatever the filter before it, and nothing from
liars."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from skerry.errors import Unavailable
from skerry.node.api.problems import BadRequest
from skerry.node.directory import Directory
from skerry.node.keys import Keyring
from skerry.node.search.index import CardIndex, OwnBlobs
from skerry.node.search.service import RkmeCache, SearchService
from skerry.node.search.sketches import Sketches
from skerry.node.transfer.fetching import SpecificationCache
from skerry.node.view import NodeView
from skerry.package.blobs import BlobStore
from skerry.protocol import events
from skerry.protocol.api import SearchRequest
from skerry.protocol.card import Blob, Card, card_hash
from skerry.protocol.effects import CardsChanged
from skerry.protocol.signing import Signer
from skerry.spec import Features, Island, Rkme, Scale, SemanticSpec, Specification, mmd2
from skerry.spec.sketch import sketch_of

OWNER, NODE = b"o" * 32, b"n" * 32
COLUMNS = 3


def small_rkme(rng: np.random.Generator, shift: float) -> Rkme:
    points = rng.normal(shift, 1.0, (8, COLUMNS)).astype(np.float32)
    return Rkme(points, np.full(8, 1 / 8), Island("table", None, COLUMNS))


def whole(rkme: Rkme) -> bytes:
    described = {str(index): f"column {index}" for index in range(COLUMNS)}
    semantic = SemanticSpec(
        data="Table",
        task="Feature Extraction",
        library="Scikit-learn",
        scenario=("Health",),
        license="MIT",
        name="Model",
        description="A model",
        input=Features(COLUMNS, described),
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
        dimension=COLUMNS,
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
    index: CardIndex
    sketches: Sketches
    blobs: BlobStore
    posts: Posts
    rkmes: dict[str, Rkme] = field(default_factory=dict)

    def add(self, rkmes: dict[str, Rkme], **changes: Any) -> None:
        cards = []
        for slug, rkme in rkmes.items():
            tree = self.blobs.put_bytes(whole(rkme))
            cards.append(replace(card_of(slug, rkme, Blob(tree.root, tree.size)), **changes).to_bytes())
        self.show(*cards)
        self.rkmes.update(rkmes)

    def show(self, *cards: bytes, **flags: bool) -> None:
        self.sketches.submit(self.index.apply(CardsChanged(b"", NODE, OWNER, b"h", cards, (), **flags)))

    def nearest(self, requirement: Rkme, count: int) -> list[str]:
        """Return the truth: slugs by exact distance."""
        return sorted(self.rkmes, key=lambda slug: mmd2(requirement, self.rkmes[slug]))[:count]


@pytest.fixture
async def market(tmp_path: Path) -> Any:
    blobs, index, directory = BlobStore(tmp_path / "blobs"), CardIndex(), Directory()
    sketches, posts = Sketches(tmp_path / "sketches"), Posts()
    keyring = Keyring(OWNER, Signer.generate(), (), b"c" * 32)
    view = NodeView(keyring, None, index, directory, Nothing(), "127.0.0.1:1")  # type: ignore[arg-type]
    cache = SpecificationCache(blobs, BlobStore(tmp_path / "cache"), index, directory)
    service = SearchService(OWNER, index, sketches, directory, view, cache, posts)  # type: ignore[arg-type]
    yield Market(service, index, sketches, blobs, posts)
    await cache.close()
    sketches.close()


def request(requirement: Rkme | None = None, **fields: Any) -> SearchRequest:
    blob = b"" if requirement is None else requirement.to_bytes()
    return SearchRequest(requirement=blob, timeout_seconds=30, **fields)


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_prefilter_loses_none_of_the_nearest(
    market: Market, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skerry.node.search.service.SEARCH_CANDIDATES", 40)
    rng = np.random.default_rng(seed)
    market.add({f"m-{at}": small_rkme(rng, shift) for at, shift in enumerate(rng.uniform(-20, 20, 120))})
    requirement = small_rkme(rng, 3.0)
    answer = await market.service.search(request(requirement, k=10))
    assert [hit.card.slug for hit in answer.hits[:10]] == market.nearest(requirement, 10)
    assert (answer.coverage.cards, answer.coverage.candidates, answer.coverage.compared) == (120, 120, 40)
    distances = [hit.mmd2 for hit in answer.hits]
    assert distances == sorted(distances)  # type: ignore[type-var]
    again = await market.service.search(request(requirement, k=10))
    assert again == replace(answer, coverage=again.coverage)


async def test_the_mix_names_hits_beyond_the_first_k(market: Market) -> None:
    rng = np.random.default_rng(3)
    market.add({"left": small_rkme(rng, -5.0), "right": small_rkme(rng, 5.0), "far": small_rkme(rng, 90.0)})
    both = np.concatenate([market.rkmes["left"].points, market.rkmes["right"].points])
    requirement = Rkme(both, np.full(16, 1 / 16), Island("table", None, COLUMNS))
    answer = await market.service.search(request(requirement, k=1))
    assert answer.mix is not None
    assert {answer.hits[at].card.slug for at in answer.mix.members} == {"left", "right"}
    assert answer.mix.mmd2 < answer.mix.single_mmd2 / 2
    assert sum(answer.mix.weights) == pytest.approx(1)
    without = await market.service.search(request(requirement, mix_size=0))
    assert without.mix is None
    assert len(without.hits) == 3


async def test_only_the_nearest_are_mixed(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.node.search.service.MIX_CANDIDATES_MAX", 2)
    rng = np.random.default_rng(3)
    market.add({f"m-{at}": small_rkme(rng, shift) for at, shift in enumerate((-5.0, 2.0, 2.5, 5.0))})
    both = np.concatenate([market.rkmes["m-0"].points, market.rkmes["m-3"].points])
    requirement = Rkme(both, np.full(16, 1 / 16), Island("table", None, COLUMNS))
    answer = await market.service.search(request(requirement))
    assert answer.mix is not None
    assert max(answer.mix.members) < 2


async def test_a_card_that_does_not_follow_from_its_specification_is_left_out(market: Market) -> None:
    rng = np.random.default_rng(4)
    truth, claim = small_rkme(rng, 50.0), small_rkme(rng, 0.0)
    market.add({"honest": small_rkme(rng, 1.0)})
    tree = market.blobs.put_bytes(whole(truth))
    market.show(card_of("liar", claim, Blob(tree.root, tree.size)).to_bytes())
    stranger = market.blobs.put_bytes(b"no specification at all")
    market.show(card_of("noise", claim, Blob(stranger.root, stranger.size)).to_bytes())
    answer = await market.service.search(request(claim))
    assert [hit.card.slug for hit in answer.hits] == ["honest"]
    blamed = [event for event in market.posts.posted if isinstance(event, events.SketchVerdict)]
    assert [(event.node_key, event.honest) for event in blamed] == [(NODE, False)] * 2


async def test_a_disputed_card_is_marked_and_never_recommended(market: Market) -> None:
    rng = np.random.default_rng(5)
    disputed = small_rkme(rng, 0.0)
    tree = market.blobs.put_bytes(whole(disputed))
    market.show(card_of("disputed", disputed, Blob(tree.root, tree.size)).to_bytes(), disputed=True)
    answer = await market.service.search(request(disputed))
    assert [hit.card.disputed for hit in answer.hits] == [True]
    assert answer.mix is None


async def test_too_many_searches_are_turned_away(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.node.search.service.SEARCHES_WAITING_MAX", 3)
    rng = np.random.default_rng(11)
    market.add({"model": small_rkme(rng, 0.0)})
    asked = [market.service.search(request(small_rkme(rng, 0.0))) for _ in range(5)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(answer, Unavailable) for answer in answers] == [False] * 3 + [True] * 2
    assert (await market.service.search(request(small_rkme(rng, 0.0)))).hits


async def test_what_cannot_be_had_is_counted(market: Market) -> None:
    rng = np.random.default_rng(6)
    market.add({"here": small_rkme(rng, 0.0)})
    elsewhere = small_rkme(rng, 0.1)
    market.show(card_of("elsewhere", elsewhere, Blob(b"e" * 32, 500)).to_bytes())
    answer = await market.service.search(request(elsewhere))
    assert [hit.card.slug for hit in answer.hits] == ["here"]
    assert (answer.coverage.candidates, answer.coverage.compared) == (2, 1)
    assert answer.coverage.unreachable == [OWNER.hex()]


@pytest.mark.parametrize("fields", [{"k": 0}, {"k": 1001}, {"mix_size": -1}, {"mix_size": 6}])
async def test_numbers_out_of_range_are_refused(market: Market, fields: dict[str, int]) -> None:
    with pytest.raises(BadRequest) as caught:
        await market.service.search(request(**fields))
    assert caught.value.where in fields


def test_the_cache_is_bounded_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    one = small_rkme(rng, 0.0)
    size = one.points.nbytes + one.weights.nbytes
    monkeypatch.setattr("skerry.node.search.service.RKMES_CACHED_BYTES_MAX", 3 * size)
    cache = RkmeCache()
    for key in (b"a", b"b", b"c"):
        cache.put(key, one)
    assert cache.get(b"a") is one  # used last now
    cache.put(b"d", one)
    assert [cache.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


def test_a_card_stands_as_long_as_a_catalogue_holds_it() -> None:
    card = card_of("model", small_rkme(np.random.default_rng(8), 0.0), Blob(b"s" * 32, 1))
    raw, newer = card.to_bytes(), replace(card, version=2).to_bytes()
    index = CardIndex()
    other = b"m" * 32
    assert set(index.apply(CardsChanged(b"", NODE, OWNER, b"h", (raw,), ()))) == {card_hash(raw)}
    assert index.apply(CardsChanged(b"", other, OWNER, b"h", (raw,), ())) == {}
    assert index.apply(CardsChanged(b"", NODE, OWNER, b"h", (newer,), (card_hash(raw),))) == {
        card_hash(newer): replace(card, version=2)
    }
    assert [entry.card.version for entry in index.shown()] == [2]
    index.apply(CardsChanged(b"", NODE, OWNER, b"h", (), (card_hash(newer),)))
    assert [entry.card.version for entry in index.shown()] == [1]
    assert index.apply(CardsChanged(b"", other, OWNER, b"h", (), (card_hash(raw),))) == {card_hash(raw): None}
    assert index.shown() == []
    assert index.by_specification(b"s" * 32) is None


def test_only_what_a_live_own_card_names_is_served() -> None:
    rkme = small_rkme(np.random.default_rng(9), 0.0)
    first = card_of("one", rkme, Blob(b"s" * 32, 1)).to_bytes()
    second = card_of("two", rkme, Blob(b"t" * 32, 1)).to_bytes()
    own = OwnBlobs((b"", NODE))
    own.apply(CardsChanged(b"", NODE, OWNER, b"h", (first, second), ()))
    own.apply(CardsChanged(b"", NODE, OWNER, b"h", (first,), ()))  # told twice
    own.apply(
        CardsChanged(b"", b"m" * 32, OWNER, b"h", (card_of("x", rkme, Blob(b"u" * 32, 1)).to_bytes(),), ())
    )
    assert [root in own for root in (b"s" * 32, b"t" * 32, b"u" * 32, b"p" * 32)] == [True, True, False, True]
    own.apply(CardsChanged(b"", NODE, OWNER, b"h", (), (card_hash(first),)))
    assert [root in own for root in (b"s" * 32, b"t" * 32, b"p" * 32)] == [False, True, True]


async def test_a_damaged_sketch_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "sketches"
    path.write_bytes(b"this is no index" * 1000)
    rkme = small_rkme(np.random.default_rng(10), 0.0)
    card = card_of("model", rkme, Blob(b"s" * 32, 1))
    sketches = Sketches(path)
    sketches.submit({b"h" * 32: card})
    found = await sketches.nearest(sketch_of(rkme), Scale.of(rkme), rkme.island.id, 5, {b"h" * 32})
    assert found == [b"h" * 32]
    sketches.close()
    reopened = Sketches(path)
    reopened.mend({b"other" + b"h" * 27})  # the card is not live any more
    assert await reopened.nearest(sketch_of(rkme), Scale.of(rkme), rkme.island.id, 5, {b"h" * 32}) == []
    reopened.close()
