"""The node's store: what must survive a restart, in one SQLite database.

Theory of operation. The state machine says what the disk shall hold (:mod:`skerry.protocol.effects`), and
this file writes it. There is one writer, a thread of its own, and whole batches are one transaction: after
a crash the database holds a batch whole or not at all. What is derived from cards (``facts.py``,
``words.py``) is written by the writer when no more cards come.

Rules of this file:

1. A batch with a head or a record of this node's own is synced to the disk before it counts as written
   (``synchronous=FULL``). What others signed can be had again from them, and waits for the next sync.
2. Every operation is idempotent: the same batch twice leaves the same database.
3. The store verifies nothing and decides nothing. What it holds was verified before (ADR 45).
4. Queries of the event loop are short and go over one connection of its own; others run in threads.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import create_engine, delete, event, insert, inspect, select, text
from sqlalchemy.dialects.sqlite import insert as upsert

from skerry.errors import StorageError
from skerry.node.limits import (
    CHECKPOINT_PAGES,
    DATABASE_CACHE_KIB,
    FACTS_PORTION,
    WORDS_PAUSE_SECONDS,
    WORDS_PAUSE_SECONDS_MAX,
    WORDS_PORTION,
)
from skerry.protocol import effects

from . import words
from .disk_cards import DiskCards
from .failures import database_errors
from .schema import REVISION, REVISIONS, WORDS, audiences, checks, islands, metadata
from .writing import apply, derive, derive_facts, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from skerry.protocol.snapshot import Snapshot

Result = TypeVar("Result")

BUSY_MILLISECONDS: Final = 5000
"""How long a write waits for a backup that reads the database."""
PARAMETERS_MAX: Final = 900
"""Parameters of one query; SQLite has allowed 999 always."""
WORDS_SECONDS_MAX: Final = 0.25
"""How long a search by words waits for what is being written."""


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
        self._closing = False
        self._words_due: asyncio.TimerHandle | None = None
        """When words are taken in; until then no portion follows another."""
        self._words_late = 0.0
        """When that happens whatever comes, in the loop's time."""
        self._engine = create_engine(f"sqlite:///{path}")
        self._unsettled: dict[int, DiskCards] = {}
        event.listen(self._engine, "connect", _prepare)
        with database_errors(path):
            path.touch(mode=0o600)
            with self._engine.connect() as connection:
                _migrate(connection, path)
                derive_facts(connection)
            self._loop_connection = self._engine.raw_connection()
        self._writer.submit(self._take_in_words)

    async def write(self, operations: Sequence[effects.StoreOperation]) -> None:
        """Apply `operations` in one transaction; own heads among them are synced when this returns."""
        await self.begin(operations)
        self.settle()

    def begin(self, operations: Sequence[effects.StoreOperation]) -> asyncio.Future[None]:
        """Begin to apply `operations`, after what was begun before; the future is done when they are."""
        loop = asyncio.get_running_loop()
        if any(_brings_cards(item) for item in operations):
            self._delay_words(loop)
        return loop.run_in_executor(self._writer, self.write_now, operations)

    def write_now(self, operations: Sequence[effects.StoreOperation]) -> None:
        """Do what :meth:`write` does, in the calling thread."""
        own = any(
            isinstance(item, effects.PutCatalogue | effects.PutRecord) and item.own for item in operations
        )
        with database_errors(self._path), self._engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if own else 'NORMAL'}")
            connection.commit()
            for operation in operations:
                apply(connection, operation)
            connection.commit()

    def settle(self) -> None:
        """Forget what the state machine's cards kept in memory, since it is on the disk."""
        for held in self._unsettled.values():
            held.settle()
        self._unsettled.clear()

    async def put_checks(self, card: bytes, slug: str, report: bytes) -> None:
        """Keep what the checks of an own learnware found, by the hash of its card."""

        def put(connection: Connection) -> None:
            row = upsert(checks).values(card=card, slug=slug, report=report)
            changes = {name: row.excluded[name] for name in ("slug", "report")}
            connection.execute(row.on_conflict_do_update(index_elements=["card"], set_=changes))

        await self._run(put)

    async def drop_checks(self, slug: str, *, but: bytes = b"") -> None:
        """Forget what the checks of all versions of a learnware found, `but` those of one card."""

        def drop(connection: Connection) -> None:
            connection.execute(delete(checks).where(checks.c.slug == slug, checks.c.card != but))

        await self._run(drop)

    async def put_audience(self, slug: str, scopes: frozenset[bytes]) -> None:
        """Keep the groups for which a learnware's package is; none when it goes with its card."""

        def put(connection: Connection) -> None:
            connection.execute(delete(audiences).where(audiences.c.slug == slug))
            for scope in sorted(scopes):
                connection.execute(insert(audiences).values(slug=slug, scope=scope))

        await self.transact(put)

    def audiences(self) -> dict[str, frozenset[bytes]]:
        """Return by slug the groups for which packages are kept."""
        kept: dict[str, set[bytes]] = {}
        with database_errors(self._path), self._engine.connect() as connection:
            for row in connection.execute(select(audiences)):
                kept.setdefault(row.slug, set()).add(row.scope)
        return {slug: frozenset(scopes) for slug, scopes in kept.items()}

    async def checks_of(self, card: bytes) -> bytes | None:
        """Return what the checks of an own learnware found, by the hash of its card."""

        def read(connection: Connection) -> bytes | None:
            return connection.scalar(select(checks.c.report).where(checks.c.card == card))

        return await self._run(read)

    async def put_islands(self, descriptions: dict[bytes, bytes]) -> None:
        """Keep descriptions of islands by their ids."""

        def put(connection: Connection) -> None:
            rows = [{"island": island, "description": text} for island, text in descriptions.items()]
            connection.execute(upsert(islands).on_conflict_do_nothing(), rows)

        await self._run(put)

    async def find_words(self, text: str) -> dict[bytes, float]:
        """Return the hashes of the cards with all words of `text`, each with its rank, lower is better.

        Cards that were stored just now are among them, unless they are very many.
        """
        settled = asyncio.wrap_future(self._writer.submit(self._take_in_words))
        await asyncio.wait([settled], timeout=WORDS_SECONDS_MAX)
        return await asyncio.to_thread(self._find_words, text)

    def read(self) -> Snapshot:
        """Return all that the database holds, the cards as mappings that read them when they are needed."""
        with database_errors(self._path), self._engine.connect() as connection:
            return snapshot(connection, self._open_cards)

    def read_facts(self) -> Iterator[bytes]:
        """Yield the facts of all cards that are not pending, many rows at a time (see ``facts.py``)."""
        with database_errors(self._path), self._engine.connect() as connection:
            derive(connection, FACTS_PORTION, with_words=False)
            connection.commit()
            # By the driver itself: a start reads a million rows, and SQLAlchemy's cost five times as much.
            cursor = connection.connection.cursor()
            cursor.execute("SELECT facts FROM facts")
            while part := cursor.fetchmany(FACTS_PORTION):
                yield b"".join([row[0] for row in part])
            cursor.close()

    def read_places(self) -> dict[int, tuple[bytes, bytes]]:
        """Return (scope, node key) of each catalogue by the number that facts give it."""
        return {place: (scope, key) for place, scope, key in self._query(_PLACES)}

    def read_scenarios(self) -> dict[bytes, str]:
        """Return the sets of scenarios by the code that facts give them."""
        return dict(self._query("SELECT code, words FROM scenarios"))

    def read_superseded(self) -> list[tuple[bytes, bytes, bytes, int]]:
        """Return (root, scope, card id, until) of the blobs of replaced versions of own learnwares."""
        return self._query("SELECT root, scope, card, until FROM superseded")

    def read_islands(self) -> dict[bytes, bytes]:
        """Return the descriptions of islands by their ids."""
        return dict(self._query("SELECT island, description FROM islands"))

    def cards(self, hashes: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return those of the cards that are here, by hash; for the event loop."""
        found: dict[bytes, bytes] = {}
        wanted = list(hashes)
        for start in range(0, len(wanted), PARAMETERS_MAX):
            part = wanted[start : start + PARAMETERS_MAX]
            found.update(self._query(_cards_query(part), *part))
        return found

    def read_cards(self, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        """Do what :meth:`cards` does, in any thread."""
        with database_errors(self._path), self._engine.connect() as connection:
            parts = [
                tuple(hashes[start : start + PARAMETERS_MAX])
                for start in range(0, len(hashes), PARAMETERS_MAX)
            ]
            found = [connection.exec_driver_sql(_cards_query(part), part) for part in parts]
            return {row[0]: row[1] for rows in found for row in rows}

    def close(self) -> None:
        """Finish what is being written and close the database."""
        self._closing = True
        if self._words_due is not None:
            self._words_due.cancel()
        self._writer.shutdown(wait=True)
        self._loop_connection.close()
        self._engine.dispose()

    def take_in_all_words(self) -> None:
        """Return when the words of all cards can be found."""
        while self._writer.submit(self._take_in_words).result() == WORDS_PORTION:
            pass

    def _query(self, statement: str, *parameters: object) -> list[Any]:
        with database_errors(self._path):
            cursor = self._loop_connection.cursor()
            try:
                rows: list[Any] = cursor.execute(statement, parameters).fetchall()
                return rows
            finally:
                cursor.close()

    def _open_cards(self, scope: bytes, node_key: bytes, *, stored: bool = False) -> DiskCards:
        return DiskCards(self._query, scope, node_key, self._changed, stored=stored)

    def _changed(self, held: DiskCards) -> None:
        self._unsettled[id(held)] = held

    def _find_words(self, text: str) -> dict[bytes, float]:
        with database_errors(self._path), self._engine.connect() as connection:
            return words.find(connection, text)

    def _delay_words(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take in words when cards have stopped coming for a while, or have come for long."""
        now = loop.time()
        if self._words_due is None:
            self._words_late = now + WORDS_PAUSE_SECONDS_MAX
        else:
            self._words_due.cancel()
        at = min(now + WORDS_PAUSE_SECONDS, self._words_late)
        self._words_due = loop.call_at(at, self._begin_words)

    def _begin_words(self) -> None:
        self._words_due = None
        self._writer.submit(self._take_in_words)

    def _take_in_words(self) -> int:
        """Take in the words of some cards, and see to it that the rest follows; runs in the writer."""
        with database_errors(self._path), self._engine.begin() as connection:
            done = derive(connection, WORDS_PORTION, with_words=True)
        if done == WORDS_PORTION and self._words_due is None and not self._closing:
            self._writer.submit(self._take_in_words)
        return done

    async def transact(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a transaction of the one writer, synced to the disk when this returns."""

        def run() -> Result:
            with database_errors(self._path), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA synchronous=FULL")
                connection.commit()
                with connection.begin():
                    return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._writer, run)

    async def _run(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a transaction of the writer's thread."""

        def transaction() -> Result:
            with database_errors(self._path), self._engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._writer, transaction)


_PLACES: Final = "SELECT place, scope, node_key FROM catalogues"


def _cards_query(hashes: Sequence[bytes]) -> str:
    return f"SELECT hash, card FROM cards WHERE hash IN ({','.join('?' * len(hashes))})"  # noqa: S608 - marks


def _brings_cards(operation: effects.StoreOperation) -> bool:
    match operation:
        case effects.PutCatalogue(added=cards) | effects.PutPendingCards(cards=cards):
            return bool(cards)
        case _:
            return False


def _prepare(connection: Any, _record: Any) -> None:
    """Set up a new connection to SQLite."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    cursor.execute(f"PRAGMA cache_size=-{DATABASE_CACHE_KIB}")
    cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    cursor.close()


def _migrate(connection: Connection, path: Path) -> None:
    """Bring the database to the newest schema; alembic is imported only when something is to migrate."""
    tables = inspect(connection).get_table_names()
    if not tables:
        _create(connection)
    elif (
        "alembic_version" not in tables
        or connection.scalar(text("SELECT version_num FROM alembic_version")) != REVISION
    ):
        _run_migrations(connection, path)
    connection.commit()


def _create(connection: Connection) -> None:
    """Make what all migrations together make, for a new node that shall not wait for them."""
    metadata.create_all(connection)
    for statement in (*WORDS, *REVISIONS):
        connection.exec_driver_sql(statement)


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
