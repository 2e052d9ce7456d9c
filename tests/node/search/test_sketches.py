"""The file of sketches: a cache that is mended and made anew from the cards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skerry.node.search.columns import Columns
from skerry.node.search.sketches import Change, Sketches
from skerry.node.storage.facts import facts_of
from skerry.protocol.card import Blob, card_hash
from skerry.spec import Rkme, Scale
from skerry.spec.sketch import sketch_of

from .market import card_of, small_rkme

RKME = small_rkme(np.random.default_rng(10), 0.0)
CARD = card_of("model", RKME, Blob(b"s" * 32, 1))
RAW = CARD.to_bytes()
ALL = np.ones(10, np.bool_)


async def nearest(sketches: Sketches, rkme: Rkme, among: np.ndarray = ALL) -> list[bytes]:
    return await sketches.nearest(lambda: (sketch_of(rkme), Scale.of(rkme)), rkme.island.id, 5, among)


async def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "sketches"
    path.write_bytes(b"this is no index" * 1000)
    sketches = Sketches(path)
    sketches.submit({card_hash(RAW): Change(3, CARD)})
    assert await nearest(sketches, RKME) == [card_hash(RAW)]
    assert await nearest(sketches, RKME, np.arange(10) != 3) == []
    sketches.close()


async def test_after_a_crash_the_file_is_what_the_cards_say(tmp_path: Path) -> None:
    path = tmp_path / "sketches"
    before = Sketches(path)
    before.submit({b"x" * 32: Change(0, card_of("gone", RKME, Blob(b"t" * 32, 1)))})
    before.close()
    columns = Columns()
    columns.add(facts_of(CARD, card_hash(RAW), 0))
    after = Sketches(path)
    after.mend(columns, lambda hashes: {digest: RAW for digest in hashes if digest == card_hash(RAW)})
    assert await nearest(after, RKME, ALL[:1]) == [card_hash(RAW)]
    columns.remove(0)
    after.mend(columns, lambda _: {})
    assert await nearest(after, RKME) == []
    after.close()


async def test_two_scans_beside_each_other_find_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(11)
    cards = {at: card_of(f"m-{at}", small_rkme(rng, at), Blob(b"s" * 32, 1)) for at in range(10)}
    sketches = Sketches(tmp_path / "sketches")
    sketches.submit({card_hash(card.to_bytes()): Change(at, card) for at, card in cards.items()})
    alone = await nearest(sketches, RKME)
    monkeypatch.setattr("skerry.node.search.sketches.SCANS_BESIDE_CARDS_MIN", 0)
    assert await nearest(sketches, RKME) == alone
    assert len(alone) == 5
    sketches.close()
