"""The search service: what the exact comparison says, whatever the filter before it, and nothing from
liars."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from skerry.node.api.problems import BadRequest
from skerry.node.limits import RKME_OBJECTS_BYTES
from skerry.node.search.comparing import Compared, Known, KnownCards, compare
from skerry.protocol import events
from skerry.protocol.card import Blob, card_hash
from skerry.protocol.effects import CardsChanged, SketchReported
from skerry.spec import Column, Island, Rkme, Specification, mix, rank
from skerry.spec.limits import MIX_CANDIDATES_MAX

from .market import COLUMNS, NODE, OWNER, Market, card_of, market_in, request, small_rkme, whole


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Market]:
    with market_in(tmp_path) as made:
        yield made
        await made.service.close()
        await made.cache.close()


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
    monkeypatch.setattr("skerry.node.search.comparing.MIX_CANDIDATES_MAX", 2)
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


def test_what_is_known_is_bounded_and_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Known(OWNER, small_rkme(np.random.default_rng(7), 0.0))
    size = one.rkme.points.nbytes + one.rkme.weights.nbytes + RKME_OBJECTS_BYTES
    monkeypatch.setattr("skerry.node.search.comparing.RKMES_CACHED_BYTES_MAX", 3 * size)
    known = KnownCards()
    for key in (b"a", b"b", b"c"):
        known.put(key, one)
    assert known.of([b"a"]) == {b"a": one}  # used last now
    known.put(b"d", one)
    assert set(known.of([b"a", b"b", b"c", b"d"])) == {b"a", b"c", b"d"}
    known.forget([b"a", b"b"])
    known.put(b"e", one)
    assert set(known.of([b"a", b"c", b"d", b"e"])) == {b"c", b"d", b"e"}


def test_what_is_known_takes_about_what_is_counted() -> None:
    rng = np.random.default_rng(8)
    blobs = [whole(small_rkme(rng, 0.0)) for _ in range(200)]
    Specification.rkmes_in(blobs)
    tracemalloc.start()
    rkmes = Specification.rkmes_in(blobs)
    taken = tracemalloc.get_traced_memory()[0] / len(blobs)
    tracemalloc.stop()
    counted = RKME_OBJECTS_BYTES + 8 * (COLUMNS * 4 + 8)
    assert len(rkmes) == 200
    assert counted / 2 < taken < 1.2 * counted


async def test_an_answer_is_what_comparing_one_by_one_gives(market: Market) -> None:
    rng = np.random.default_rng(31)
    market.add({f"m-{at}": small_rkme(rng, shift) for at, shift in enumerate(rng.uniform(-3, 3, 60))})
    slugs = list(market.rkmes)
    for shift in (0.0, 2.5):
        requirement = small_rkme(rng, shift)
        truth = rank(requirement, [market.rkmes[slug] for slug in slugs])
        for _ in range(2):  # as it comes from the disk, and as it is remembered
            answer = await market.service.search(request(requirement, k=60))
            assert [hit.card.slug for hit in answer.hits] == [slugs[at] for at in truth.indices]
            assert [hit.mmd2 for hit in answer.hits] == truth.mmd2.tolist()
            assert [hit.cosine for hit in answer.hits] == truth.cosines.tolist()
            nearest = [market.rkmes[slugs[at]] for at in truth.indices[:MIX_CANDIDATES_MAX]]
            expected = mix(requirement, nearest)
            assert answer.mix is not None
            assert answer.mix.members == expected.indices.tolist()
            assert answer.mix.weights == expected.weights.tolist()
            assert (answer.mix.mmd2, answer.mix.single_mmd2) == (expected.mmd2, expected.single_mmd2)


async def test_a_card_that_goes_while_it_is_compared_is_not_shown(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(32)
    market.add({f"m-{at}": small_rkme(rng, at) for at in range(4)})
    requirement = small_rkme(rng, 0.0)
    before = await market.service.search(request(requirement))
    assert before.hits[0].card.slug == "m-0"

    def withdrawn_meanwhile(*arguments: Any) -> Compared:
        gone = bytes.fromhex(before.hits[0].card.hash)
        market.index.apply(CardsChanged(b"", NODE, OWNER, b"h", {}, (gone,)))
        return compare(*arguments)

    monkeypatch.setattr("skerry.node.search.service.compare", withdrawn_meanwhile)
    after = await market.service.search(request(requirement))
    assert [hit.card.slug for hit in after.hits] == ["m-1", "m-2", "m-3"]
    assert after.mix is not None
    assert max(after.mix.members) < 3


NAMED = (Column("height", "m"), Column("weight", "kg"), Column("age"))


def named_rkme(rng: np.random.Generator, centre: tuple[float, ...], columns: tuple[Column, ...]) -> Rkme:
    """Return a specification around a centre given in the units of ``NAMED``, in other columns and units."""
    units = {"height": (1.7, 0.1), "weight": (70.0, 12.0), "age": (50.0, 15.0), "income": (3e4, 1e4)}
    factors = {"cm": 100.0, "g": 1000.0}
    parts = [
        (rng.normal(centre[at] if at < len(centre) else 0.0, 1.0, 12) * units[column.name][1]
         + units[column.name][0]) * factors.get(column.unit, 1.0)
        for at, column in enumerate(columns)
    ]  # fmt: skip
    points = np.stack(parts, axis=1).astype(np.float32)
    return Rkme(points, np.full(12, 1 / 12), Island("table", columns, len(columns)))


async def test_islands_with_the_columns_in_another_order_or_fewer_are_searched(
    market: Market,
) -> None:
    rng = np.random.default_rng(21)
    height, weight, age = NAMED
    market.add({
        "same": named_rkme(rng, (0.0, 0.0, 0.0), NAMED),
        "far": named_rkme(rng, (4.0, 4.0, 4.0), NAMED),
        "turned": named_rkme(rng, (0.0, 0.0, 0.0), (Column("weight", "g"), age, Column("height", "cm"))),
        "fewer": named_rkme(rng, (0.0, 0.0), (weight, height)),
        "stranger": named_rkme(rng, (0.0,), (Column("income"),)),
    })  # fmt: skip
    answer = await market.service.search(request(named_rkme(rng, (0.0, 0.0, 0.0), NAMED), noise_mmd2=0.5))
    assert [hit.card.slug for hit in answer.hits][2:] == ["far", "fewer"]
    assert {hit.card.slug for hit in answer.hits[:2]} == {"same", "turned"}
    shared = {hit.card.slug: hit.shared for hit in answer.hits}
    assert shared["same"] is None
    assert shared["turned"] is not None
    assert (shared["turned"].columns, shared["turned"].imputed, shared["turned"].unused) == (
        ["height", "weight", "age"], [], [],
    )  # fmt: skip
    assert shared["fewer"] is not None
    assert (shared["fewer"].columns, shared["fewer"].unused) == (["height", "weight"], ["age"])
    by_slug = {hit.card.slug: hit for hit in answer.hits}
    assert by_slug["turned"].within_noise is True
    assert by_slug["fewer"].within_noise is None
    assert abs((by_slug["turned"].mmd2 or 0) - (by_slug["same"].mmd2 or 0)) < 0.2
    assert (answer.coverage.islands, answer.coverage.candidates, answer.coverage.unknown) == (3, 4, 0)
    assert answer.mix is not None
    assert {answer.hits[at].card.slug for at in answer.mix.members} <= {"same", "far"}


async def test_more_columns_than_the_searcher_has_are_said_to_be_imputed(
    market: Market,
) -> None:
    rng = np.random.default_rng(22)
    market.add({"more": named_rkme(rng, (0.0, 0.0, 9.0), NAMED)})
    asked = named_rkme(rng, (0.0, 0.0), NAMED[:2])
    (hit,) = (await market.service.search(request(asked))).hits
    assert hit.shared is not None
    assert (hit.shared.columns, hit.shared.imputed) == (["height", "weight"], ["age"])
    assert hit.mmd2 is not None
    assert hit.mmd2 < 0.3


async def test_of_a_large_island_that_shares_columns_the_nearest_are_compared(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skerry.node.search.service.SEARCH_SHARED", 10)
    rng = np.random.default_rng(23)
    turned = NAMED[::-1]
    shifts = rng.uniform(-5, 5, 40).tolist()
    market.add({f"m-{at}": named_rkme(rng, (shift,) * 3, turned) for at, shift in enumerate(shifts)})
    asked = named_rkme(rng, (1.0, 1.0, 1.0), NAMED)
    answer = await market.service.search(request(asked, k=3))
    assert answer.coverage.compared == 10
    nearest = sorted(range(40), key=lambda at: abs(shifts[at] - 1.0))[:6]
    assert {hit.card.slug for hit in answer.hits} <= {f"m-{at}" for at in nearest}


async def test_an_island_whose_columns_cannot_be_learned_is_counted(market: Market) -> None:
    rng = np.random.default_rng(24)
    turned = named_rkme(rng, (0.0, 0.0, 0.0), NAMED[::-1])
    market.show(card_of("elsewhere", turned, Blob(b"e" * 32, 500)).to_bytes())
    answer = await market.service.search(request(named_rkme(rng, (0.0, 0.0, 0.0), NAMED)))
    assert (answer.hits, answer.coverage.islands, answer.coverage.unknown) == ([], 1, 1)


async def test_words_filter_a_search_by_data_and_rank_one_without(market: Market) -> None:
    rng = np.random.default_rng(25)
    market.add({"heart-one": small_rkme(rng, 0.0)}, name="Heart disease", summary="clinics")
    market.add({"lung": small_rkme(rng, 0.0)}, name="Lung cancer", summary="not the heart")
    market.add({"price": small_rkme(rng, 0.0)}, name="House prices")
    market.take_in_words()
    by_words = await market.service.search(request(text="heart"))
    assert [hit.card.slug for hit in by_words.hits] == ["heart-one", "lung"]
    typo = await market.service.search(request(text="haert desease"))
    assert [hit.card.slug for hit in typo.hits] == ["heart-one"]
    by_data = await market.service.search(request(small_rkme(rng, 0.0), text="prices"))
    assert [hit.card.slug for hit in by_data.hits] == ["price"]
    assert by_data.coverage.candidates == 1


async def test_filters_take_any_case(market: Market) -> None:
    rng = np.random.default_rng(26)
    market.add({"ward": small_rkme(rng, 0.0)}, scenarios=("Health", "Education"), task="Regression")
    market.add({"other": small_rkme(rng, 0.0)})

    async def found(**fields: str) -> list[str]:
        return sorted(hit.card.slug for hit in (await market.service.search(request(**fields))).hits)

    assert await found(scenario="education") == ["ward"]
    assert await found(scenario="HEALTH") == ["other", "ward"]
    assert await found(task="regression", scenario="health") == ["ward"]
    assert await found(owner=OWNER.hex(), license="mit") == ["other", "ward"]
    assert await found(owner="nobody") == []
    assert await found(exclude_own="yes") == []


async def test_the_far_end_of_a_bridge_is_an_island_to_filter_by(market: Market) -> None:
    rng = np.random.default_rng(28)
    here = small_rkme(rng, 0.0)
    columns = tuple(Column(str(number)) for number in range(here.dimension))
    there = Rkme(here.points, here.weights, Island("table", columns, here.dimension))
    market.add({"here": here})
    market.add({"there": there})
    found = await market.service.search(request(island=there.island.id.hex()))
    assert [hit.card.slug for hit in found.hits] == ["there"]
    nowhere = await market.service.search(request(island="00" * 32))
    assert nowhere.hits == []


async def test_a_report_is_judged_by_recomputation(market: Market) -> None:
    rng = np.random.default_rng(27)
    truth, claim = small_rkme(rng, 50.0), small_rkme(rng, 0.0)
    tree = market.blobs.put_bytes(whole(truth))
    honest = card_of("honest", truth, Blob(tree.root, tree.size)).to_bytes()
    liar = card_of("liar", claim, Blob(tree.root, tree.size)).to_bytes()
    market.show(honest, liar)
    for raw in (honest, liar):
        market.service.reported(SketchReported(b"", NODE, raw, b"r" * 32))
    async with asyncio.timeout(10):
        await market.service.judged()
    verdicts = {event.card_id: event.honest for event in market.posts.posted}
    assert list(verdicts.values()) == [True, False]
    assert all(isinstance(event, events.SketchVerdict) for event in market.posts.posted)
    assert card_hash(honest) != card_hash(liar)
