"""The store gives back what it was told, however often it is told, and is at the newest schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.errors import StorageError
from skerry.node.storage.facts import FACTS
from skerry.node.storage.schema import REVISION, metadata
from skerry.node.storage.store import Store
from skerry.protocol import effects
from skerry.protocol.card import Blob, by_hash, card_hash
from skerry.protocol.snapshot import Snapshot
from tests.node.search.market import card_of, new_store, small_rkme

KEY, OTHER = b"k" * 32, b"o" * 32
RKME = small_rkme(np.random.default_rng(1), 0.0)
CARDS = tuple(
    card_of(f"model-{number}", RKME, Blob(bytes([number]) * 32, 1)).to_bytes() for number in range(4)
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.sqlite")


def _fold(operations: Sequence[effects.StoreOperation]) -> Snapshot:
    snapshot = Snapshot()
    for operation in operations:
        snapshot.apply(operation)
    return snapshot


def test_an_empty_store_gives_nothing(store: Store) -> None:
    assert store.read() == Snapshot()


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    written: list[effects.StoreOperation] = [
        effects.PutCharters(b"w" * 32, ((b"first", b"second"), (b"first", b"rival"))),
        effects.PutNodeRecord(KEY, b"record"),
        effects.PutHead(b"", KEY, b"head 2"),
        effects.PutCatalogue(b"", KEY, b"head 1", by_hash(CARDS[:1]), (), own=True),
        effects.PutPendingCards(b"", KEY, by_hash(CARDS[:2])),
        effects.PutAnchors((OTHER, KEY)),
        effects.PutRecord(b"g" * 32, b"h" * 32, b"roster", own=True),
        effects.PutGroup(b"g" * 32, 1_790_000_000),
    ]
    store = Store(tmp_path / "store.sqlite")
    await store.write(written)
    await store.write(written)
    store.close()
    assert Store(tmp_path / "store.sqlite").read() == _fold(written)


keys = st.sampled_from([KEY, OTHER])
bodies = st.sampled_from([b"a", b"b", b"c", b"d"])
cards = st.lists(st.sampled_from(CARDS), unique=True, max_size=3).map(tuple)
several = st.lists(bodies, unique=True, max_size=3).map(tuple)
hashes = cards.map(lambda cards: tuple(map(card_hash, cards)))
scopes = st.just(b"")
operations = st.one_of(
    st.builds(effects.PutCharters, keys, st.lists(several, min_size=1, max_size=2).map(tuple)),
    st.builds(effects.PutHead, scopes, keys, bodies, bodies),
    st.builds(effects.PutCatalogue, scopes, keys, bodies, cards.map(by_hash), hashes),
    st.builds(effects.PutPendingCards, scopes, keys, cards.map(by_hash)),
    st.builds(effects.DropCatalogue, scopes, keys),
    st.builds(effects.PutNodeRecord, keys, bodies),
    st.builds(effects.DropNodeRecord, keys),
    st.builds(effects.DropCharters, keys),
    st.builds(effects.PutRecord, keys, keys, bodies),
    st.builds(effects.DropRecord, keys, keys),
    st.builds(effects.PutGroup, keys, st.integers(0, 2**53 - 1)),
    st.builds(effects.DropGroup, keys),
    st.builds(effects.PutAnchors, st.lists(keys, unique=True).map(tuple)),
)


@given(st.lists(operations, max_size=20))
@settings(max_examples=40, deadline=None)
def test_the_store_is_the_fold_of_its_operations(
    tmp_path_factory: pytest.TempPathFactory, written: list[effects.StoreOperation]
) -> None:
    store = new_store(tmp_path_factory.mktemp("store"))
    for operation in written:
        store.write_now([operation])
    assert store.read() == _fold(written)
    store.close()


async def test_checks_are_kept_by_card_and_dropped_by_slug(store: Store) -> None:
    old, new, other = (bytes([number]) * 32 for number in range(3))
    await store.put_checks(old, "ward", b"found")
    await store.put_checks(new, "ward", b"found")
    await store.put_checks(new, "ward", b"found again")
    await store.put_checks(other, "price", b"found")
    await store.drop_checks("ward", but=new)
    assert [await store.checks_of(card) for card in (old, new, other)] == [None, b"found again", b"found"]
    await store.drop_checks("ward")
    assert [await store.checks_of(card) for card in (new, other)] == [None, b"found"]


def test_the_newest_migration_is_the_one_the_code_expects(tmp_path: Path) -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    import skerry.node.storage

    config = Config()
    config.set_main_option("script_location", str(Path(skerry.node.storage.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


FULL_TEXT = ("card_words", "vocabulary")
"""Virtual tables of SQLite, and those that they make: SQLAlchemy does not know them."""


def test_migrations_lead_to_the_tables_of_the_code(tmp_path: Path, store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine

    with create_engine(f"sqlite:///{tmp_path}/store.sqlite").connect() as connection:
        options = {"include_name": lambda name, kind, _: kind != "table" or not name.startswith(FULL_TEXT)}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_a_damaged_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StorageError) as caught:
        Store(tmp_path / "store.sqlite")
    assert caught.value.code == "E-STORAGE-DATABASE"


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path, store: Store) -> None:
    store.close()
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StorageError) as caught:
        Store(tmp_path / "store.sqlite")
    assert caught.value.code == "E-STORAGE-DATABASE"


@pytest.mark.parametrize("derived_between", [False, True])
async def test_pending_cards_are_found_once_their_catalogue_is_whole(
    store: Store, *, derived_between: bool
) -> None:
    """Also when facts and words of cards that were stored later are there already."""
    cards = by_hash(CARDS)
    hashes = list(cards)
    some, others = by_hash(CARDS[:2]), by_hash(CARDS[2:])
    store.write_now([effects.PutPendingCards(b"", KEY, some)])
    store.write_now([effects.PutCatalogue(b"", OTHER, b"head", others, ())])
    if derived_between:
        store.take_in_all_words()
    assert not set(await store.find_words("model")) & set(hashes[:2])
    store.write_now([effects.PutCatalogue(b"", KEY, b"head", by_hash(CARDS[:3]), ())])
    store.take_in_all_words()
    assert set(await store.find_words("model")) == set(hashes)
    rows = b"".join(store.read_facts())
    assert sorted(rows[at : at + 32] for at in range(0, len(rows), FACTS.size)) == sorted(
        [*hashes[:3], *hashes[2:]]
    )
    held = store.read().catalogues[b"", KEY]
    assert (dict(held.cards), held.pending) == (by_hash(CARDS[:3]), {})
    assert held.cards.many([hashes[3], hashes[1], hashes[0]]) == [CARDS[1], CARDS[0]]  # type: ignore[attr-defined]
    store.close()
