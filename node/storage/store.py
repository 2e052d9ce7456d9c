"""The node's store: what must survive a restart, in one SQLite database.

Theory of operation. The state machine says what the disk shall hold (:mod:`skerry.protocol.effects`), and
this file writes it. There is one writer, a thread of its own, and whole batches are one transaction: after
a crash the database holds a batch whole or not at all.

Rules of this file:

1. A batch with a head or a record of this node's own is synced to the disk before it counts as written
   (``synchronous=FULL``). What others signed can be had again from them, and waits for the next sync.
2. Every operation is idempotent: the same batch twice leaves the same database.
3. The store verifies nothing and decides nothing.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from sqlalchemy import bindparam, create_engine, delete, event, insert, inspect, select, text
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DatabaseError

from skerry.errors import StorageError
from skerry.node.folder import folder_error
from skerry.protocol import effects
from skerry.protocol.card import card_hash
from skerry.protocol.snapshot import Snapshot, StoredCatalogue

from .schema import REVISION, anchors, cards, catalogues, charters, checks, groups, node_records, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Table

Result = TypeVar("Result")

CHAINS: Final = tuple[tuple[bytes, ...], ...]
BUSY_MILLISECONDS: Final = 5000
"""How long a write waits for a backup that reads the database."""


class Store:
    """The database of one node.

    Parameters
    ----------
    path
        The database's file; made, and brought to the newest schema, when needed.

    Raises
    ------
    StorageError
        ``E-STORAGE-DATABASE`` when the file is damaged, not a database, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _prepare)
        with _database_errors(path):
            path.touch(mode=0o600)
            with self._engine.connect() as connection:
                _migrate(connection, path)

    async def write(self, operations: Sequence[effects.StoreOperation]) -> None:
        """Apply `operations` in one transaction; own heads among them are synced when this returns."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self.write_now, operations)

    def write_now(self, operations: Sequence[effects.StoreOperation]) -> None:
        """Do what :meth:`write` does, in the calling thread."""
        own = any(
            isinstance(item, effects.PutCatalogue | effects.PutRecord) and item.own for item in operations
        )
        with _database_errors(self._path), self._engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if own else 'NORMAL'}")
            connection.commit()
            for operation in operations:
                _apply(connection, operation)
            connection.commit()

    async def put_checks(self, card: bytes, slug: str, report: bytes) -> None:
        """Keep what the checks of an own learnware found, by the hash of its card."""

        def put(connection: Connection) -> None:
            _put(connection, checks, card=card, slug=slug, report=report)

        await self._run(put)

    async def drop_checks(self, slug: str, *, but: bytes = b"") -> None:
        """Forget what the checks of all versions of a learnware found, `but` those of one card."""

        def drop(connection: Connection) -> None:
            connection.execute(delete(checks).where(checks.c.slug == slug, checks.c.card != but))

        await self._run(drop)

    async def checks_of(self, card: bytes) -> bytes | None:
        """Return what the checks of an own learnware found, by the hash of its card."""

        def read(connection: Connection) -> bytes | None:
            return connection.scalar(select(checks.c.report).where(checks.c.card == card))

        return await self._run(read)

    async def transact(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a transaction of the one writer, synced to the disk when this returns."""

        def run() -> Result:
            with _database_errors(self._path), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA synchronous=FULL")
                connection.commit()
                with connection.begin():
                    return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._writer, run)

    async def _run(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a transaction of the writer's thread."""

        def transaction() -> Result:
            with _database_errors(self._path), self._engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._writer, transaction)

    def read(self) -> Snapshot:
        """Return all that the database holds."""
        with _database_errors(self._path), self._engine.connect() as connection:
            return _snapshot(connection)

    def close(self) -> None:
        """Finish what is being written and close the database."""
        self._writer.shutdown(wait=True)
        self._engine.dispose()


def _prepare(connection: Any, _record: Any) -> None:
    """Set up a new connection to SQLite."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    cursor.close()


def _migrate(connection: Connection, path: Path) -> None:
    """Bring the database to the newest schema; alembic is imported only when there is something to do."""
    if inspect(connection).has_table("alembic_version"):
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
        if found == REVISION:
            return
    _run_migrations(connection, path)
    connection.commit()


def _run_migrations(connection: Connection, path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StorageError(
            "The database was written by another version of Skerry",
            where=str(path),
            why=str(error),
            todo="Run the version that wrote it, or a newer one.",
            code="E-STORAGE-DATABASE",
        ) from error


def _apply(connection: Connection, operation: effects.StoreOperation) -> None:
    """Make the database hold what `operation` says."""
    match operation:
        case effects.PutCharters(owner, chains):
            _put(connection, charters, owner=owner, chains=msgspec.msgpack.encode(chains))
        case effects.PutHead(scope, node_key, head, other):
            _put_heads(connection, scope, node_key, head=head, other=other)
        case effects.PutCatalogue():
            _put_catalogue(connection, operation)
        case effects.PutPendingCards(scope, node_key, added):
            _put_heads(connection, scope, node_key)
            _put_cards(connection, scope, node_key, added, pending=True)
        case effects.DropCatalogue(scope, node_key):
            for table in (catalogues, cards):
                place = (table.c.scope == scope) & (table.c.node_key == node_key)
                connection.execute(delete(table).where(place))
        case effects.PutNodeRecord(node_key, record):
            _put(connection, node_records, node_key=node_key, record=record)
        case effects.DropNodeRecord(node_key):
            connection.execute(delete(node_records).where(node_records.c.node_key == node_key))
        case effects.PutAnchors(node_keys):
            _put_anchors(connection, node_keys)
        case effects.PutRecord() | effects.DropRecord() | effects.PutGroup() | effects.DropGroup():
            _apply_to_records(connection, operation)


def _apply_to_records(
    connection: Connection,
    operation: effects.PutRecord | effects.DropRecord | effects.PutGroup | effects.DropGroup,
) -> None:
    match operation:
        case effects.PutRecord(scope, digest, envelope):
            _put(connection, records, scope=scope, hash=digest, envelope=envelope)
        case effects.DropRecord(scope, digest):
            place = (records.c.scope == scope) & (records.c.hash == digest)
            connection.execute(delete(records).where(place))
        case effects.PutGroup(scope, refreshed):
            _put(connection, groups, scope=scope, refreshed=refreshed)
        case effects.DropGroup(scope):
            for table in (groups, records):
                connection.execute(delete(table).where(table.c.scope == scope))


def _put_catalogue(connection: Connection, operation: effects.PutCatalogue) -> None:
    scope, node_key = operation.scope, operation.node_key
    _put_heads(connection, scope, node_key, head=operation.head, shown=operation.head)
    held = delete(cards).where(cards.c.scope == scope, cards.c.node_key == node_key)
    if operation.removed:
        gone = held.where(~cards.c.pending, cards.c.hash == bindparam("gone"))
        connection.execute(gone, [{"gone": removed} for removed in operation.removed])
    _put_cards(connection, scope, node_key, operation.added, pending=False)
    connection.execute(held.where(cards.c.pending))


def _put_heads(connection: Connection, scope: bytes, node_key: bytes, **changes: bytes) -> None:
    """Change some of a catalogue's heads; those of a new catalogue are empty."""
    row = {"head": b"", "other": b"", "shown": b""} | changes
    statement = upsert(catalogues).values(scope=scope, node_key=node_key, **row)
    keys = [column.name for column in catalogues.primary_key]
    if changes:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changes)
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement)


def _put_anchors(connection: Connection, node_keys: tuple[bytes, ...]) -> None:
    connection.execute(delete(anchors))
    if node_keys:
        rows = [{"position": index, "node_key": key} for index, key in enumerate(node_keys)]
        connection.execute(insert(anchors), rows)


def _put(connection: Connection, table: Table, **values: object) -> None:
    statement = upsert(table).values(**values)
    keys = [column.name for column in table.primary_key]
    changes = {name: statement.excluded[name] for name in values if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes))


def _put_cards(
    connection: Connection, scope: bytes, node_key: bytes, added: Sequence[bytes], *, pending: bool
) -> None:
    if added:
        rows = [
            {"scope": scope, "node_key": node_key, "hash": card_hash(card), "pending": pending, "card": card}
            for card in added
        ]
        connection.execute(upsert(cards).on_conflict_do_nothing(), rows)


def _snapshot(connection: Connection) -> Snapshot:
    """Return what the tables hold."""
    snapshot = Snapshot()
    for row in connection.execute(select(charters)):
        snapshot.chains[row.owner] = msgspec.msgpack.decode(row.chains, type=CHAINS)
    for row in connection.execute(select(catalogues)):
        held = StoredCatalogue(row.head, row.other, row.shown)
        snapshot.catalogues[row.scope, row.node_key] = held
    for row in connection.execute(select(cards)):
        held = snapshot.catalogues[row.scope, row.node_key]
        (held.pending if row.pending else held.cards)[row.hash] = row.card
    for row in connection.execute(select(node_records)):
        snapshot.node_records[row.node_key] = row.record
    for row in connection.execute(select(records)):
        snapshot.records[row.scope, row.hash] = row.envelope
    for row in connection.execute(select(groups)):
        snapshot.groups[row.scope] = row.refreshed
    kept = connection.execute(select(anchors.c.node_key).order_by(anchors.c.position))
    snapshot.anchors = tuple(row.node_key for row in kept)
    return snapshot


@contextmanager
def _database_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise StorageError(
            "The node's database cannot be used",
            where=str(path),
            why=str(error.orig),
            todo="Check the free space; if the file is damaged, restore a backup.",
            code="E-STORAGE-DATABASE",
        ) from error
    except OSError as error:
        raise folder_error(path, error) from error
