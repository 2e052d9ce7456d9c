"""The card index: what is shown, whatever the order of changes, and the same after a restart."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from skerry.node.search.index import CardIndex
from skerry.node.search.sketches import Change
from skerry.protocol.card import CARD as CARD_FORMAT
from skerry.protocol.card import Blob, Card, by_hash, card_hash
from skerry.protocol.effects import CardsChanged, PutCatalogue

from .market import NODE, OWNER, card_of, new_store, small_rkme

CARD = card_of("model", small_rkme(np.random.default_rng(8), 0.0), Blob(b"s" * 32, 1))
PLACES = [(b"", NODE), (b"", b"m" * 32), (b"g" * 32, NODE)]


def shown(index: CardIndex) -> list[Card]:
    return [entry.card for entry in index.entries(np.flatnonzero(index.shown()))]


def test_a_card_stands_as_long_as_a_catalogue_holds_it() -> None:
    raw, newer = CARD.to_bytes(), replace(CARD, version=2).to_bytes()
    raws: dict[bytes, bytes] = {}
    index = CardIndex(lambda hashes: {digest: raws[digest] for digest in hashes})
    other = b"m" * 32
    raws.update((card_hash(item), item) for item in (raw, newer))
    assert set(index.apply(CardsChanged(b"", NODE, OWNER, b"h", by_hash([raw]), ()))) == {card_hash(raw)}
    assert index.apply(CardsChanged(b"", other, OWNER, b"h", by_hash([raw]), ())) == {}
    (change,) = index.apply(
        CardsChanged(b"", NODE, OWNER, b"h", by_hash([newer]), (card_hash(raw),))
    ).values()
    assert change.card == replace(CARD, version=2)
    assert [card.version for card in shown(index)] == [2]
    index.apply(CardsChanged(b"", NODE, OWNER, b"h", {}, (card_hash(newer),)))
    assert [card.version for card in shown(index)] == [1]
    assert index.apply(CardsChanged(b"", other, OWNER, b"h", {}, (card_hash(raw),))) == {
        card_hash(raw): Change(0, None)
    }
    assert shown(index) == []
    assert index.by_specification(b"s" * 32) is None


changes = st.lists(
    st.tuples(
        st.sampled_from(PLACES),
        st.lists(st.integers(0, 7), max_size=4, unique=True),
        st.lists(st.integers(0, 7), max_size=4, unique=True),
    ),
    max_size=12,
)


@given(changes, st.sampled_from([0, 1000]))
@settings(max_examples=40, deadline=None)
def test_the_index_equals_a_plain_model_and_itself_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
    done: list[tuple[tuple[bytes, bytes], list[int], list[int]]],
    singly_max: int,
) -> None:
    """Cards 0 to 7 are four learnwares in two versions each, in up to three catalogues."""
    cards = [
        replace(CARD, slug=f"m-{number % 4}", version=1 + number // 4, task=f"task {number % 3}").to_bytes()
        for number in range(8)
    ]
    store = new_store(tmp_path_factory.mktemp("store"))
    index = CardIndex(store.cards)
    model: dict[bytes, set[tuple[bytes, bytes]]] = {}
    for place, added, removed in done:
        new = by_hash(cards[number] for number in added)
        gone = tuple(
            card_hash(cards[number])
            for number in removed
            if number not in added and place in model.get(card_hash(cards[number]), set())
        )
        store.write_now([PutCatalogue(*place, b"head", new, gone)])
        with mock.patch("skerry.node.search.index.SETTLED_SINGLY_MAX", singly_max):
            index.apply(CardsChanged(*place, OWNER, b"h", new, gone))
        for digest in new:
            model.setdefault(digest, set()).add(place)
        for digest in gone:
            model[digest].discard(place)
    again = CardIndex(store.cards)
    again.load(store.read_facts(), store.read_places(), store.read_scenarios())
    live = {raw for raw in cards if model.get(card_hash(raw))}
    newest = {card_slug(raw): raw for raw in sorted(live, key=card_version)}
    for one in (index, again):
        entries = one.entries(np.flatnonzero(one.shown()))
        assert {entry.card.to_bytes() for entry in entries} == set(newest.values())
        assert all(entry.places == model[entry.hash] for entry in entries)
        assert one.places() == {place for entry in entries for place in entry.places}
        for task in range(3):
            mask = one.shown() & one.with_word("task", f"TASK {task}")
            assert {entry.card.task for entry in one.entries(np.flatnonzero(mask))} <= {f"task {task}"}
        for place in PLACES:
            held = {entry.hash for entry in one.held_by(place)}
            assert held == {card_hash(raw) for raw in newest.values() if place in model[card_hash(raw)]}
            assert one.count_held_by([place, place]) == len(held)
    assert index.drop(PLACES[0]).keys() == again.drop(PLACES[0]).keys()
    store.close()


def card_slug(raw: bytes) -> str:
    return CARD_FORMAT.decode(raw).slug


def card_version(raw: bytes) -> int:
    return CARD_FORMAT.decode(raw).version
