"""A database of every earlier schema is brought to the newest, and holds what it held.

``schemas/NNNN.sql`` is a database of that schema with rows in every table: two cards that are shown and one
that is pending. Whoever adds a migration adds the dump of the schema before it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from skerry.node.storage.schema import REVISION
from skerry.node.storage.store import Store, _run_migrations
from skerry.node.storage.verifying import _cards, _facts
from skerry.protocol.api import StoreCheck
from skerry.protocol.card import CARD

SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("*.sql"))
KEY = b"k" * 32


def _database(dump: Path, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(dump.read_text(encoding="ascii"))
    connection.close()


@pytest.mark.parametrize("dump", SCHEMAS, ids=lambda dump: dump.stem)
async def test_an_old_database_holds_what_it_held(dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    _database(dump, path)
    store = Store(path)
    snapshot = store.read()
    held = snapshot.catalogues[b"", KEY]
    assert (held.head, held.other, held.shown) == (b"head 2", b"other", b"head 1")
    assert sorted(CARD.decode(raw).slug for raw in held.cards.values()) == ["model-0", "model-1"]
    assert [CARD.decode(raw).slug for raw in held.pending.values()] == ["model-2"]
    assert snapshot.chains == {b"o" * 32: ((b"first", b"second"),)}
    assert (snapshot.node_records, snapshot.anchors) == ({KEY: b"record"}, (KEY,))
    if dump.stem >= "0002":
        assert snapshot.records == {(b"g" * 32, b"h" * 32): b"roster"}
        assert snapshot.groups == {b"g" * 32: 1_790_000_000}
    checked = await store.checks_of(next(d for d, raw in held.cards.items() if b"model-0" in raw))
    assert checked == (b"{}" if dump.stem >= "0003" else None)
    store.take_in_all_words()
    assert set(await store.find_words("kidney")) == set(held.cards)
    store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
        checks: list[StoreCheck] = [_cards(connection), _facts(connection)]
    connection.close()
    assert [(check.looked_at, check.wrong) for check in checks] == [(3, 0), (2, 0)]


def test_a_new_database_is_what_the_migrations_make(tmp_path: Path) -> None:
    Store(tmp_path / "new.sqlite").close()
    empty = tmp_path / "empty.sqlite"
    engine = create_engine(f"sqlite:///{empty}")
    with engine.begin() as connection:
        _run_migrations(connection, empty)
    engine.dispose()
    Store(empty).close()
    assert _schema(tmp_path / "new.sqlite") == _schema(empty)


def _schema(path: Path) -> dict[str, str | None]:
    """All tables and indexes by name; a table that was renamed has quotes around its name."""
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
        found += connection.execute("SELECT 'revision', version_num FROM alembic_version").fetchall()
    connection.close()
    return {name: sql and "".join(sql.replace(f'"{name}"', name, 1).split()) for name, sql in found}


def test_every_schema_but_the_newest_has_a_dump() -> None:
    assert [dump.stem for dump in SCHEMAS] == [f"{number:04}" for number in range(1, int(REVISION))]
