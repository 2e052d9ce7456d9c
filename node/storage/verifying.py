"""``skerry store verify``: everything that a running node takes for granted about its disk, checked.

Each check says what must be so, how much it looked at, and what is wrong. It reads only, beside a running
node too; the file of sketches, which has one user at a time, is checked when no daemon holds the folder.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from skerry.errors import SkerryError, StorageError
from skerry.package.blobs import BlobStore
from skerry.protocol.api import StoreCheck, StoreReport
from skerry.protocol.card import CARD, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.envelope import open_envelope
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.head import HEAD

from .facts import facts_of
from .failures import database_errors

if TYPE_CHECKING:
    from skerry.node.folder import Folder

WRONG_SHOWN_MAX: Final = 20
"""Things that one check names; the count is whole."""


def verify(folder: Folder) -> StoreReport:
    """Check database, cards, catalogues, blobs and sketches of a node.

    Raises
    ------
    ConfigError
        ``E-CONFIG-FOLDER`` when there is no node in the folder.
    StorageError
        ``E-STORAGE-DATABASE`` when the database cannot be read at all.
    """
    folder.require()
    if not folder.database.exists():
        raise StorageError(
            "The node has no database yet",
            where=str(folder.database),
            why="it is made when the node first serves",
            todo="Run `skerry serve`; if the node has served before, restore a backup.",
            code="E-STORAGE-DATABASE",
        )
    checks: list[StoreCheck] = []
    uri = f"file:{folder.database}?mode=ro"
    with database_errors(folder.database), closing(sqlite3.connect(uri, uri=True)) as connection:
        checks.append(_pages(connection))
        if not checks[0].wrong:
            checks += [_cards(connection), _facts(connection), _catalogues(connection)]
            checks += [_own_blobs(connection, folder), _sketches(connection, folder)]
    checks += [_blobs("blobs", folder), _blobs("cache", folder)]
    return StoreReport(checks, sound=not any(check.wrong for check in checks))


def _pages(connection: sqlite3.Connection) -> StoreCheck:
    pages = 0
    try:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({WRONG_SHOWN_MAX})")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    wrong = [text for text in found if text != "ok"]
    todo = "Stop the node and restore a backup; peers give the rest."
    return _check("database", "The database's pages and indexes agree.", pages, wrong, todo)


def _cards(connection: sqlite3.Connection) -> StoreCheck:
    wrong, count = [], 0
    for digest, raw in connection.execute("SELECT hash, card FROM cards"):
        count += 1
        if card_hash(raw) != digest or not _is_card(raw):
            wrong.append(digest.hex())
    todo = "Stop the node and restore a backup; until then these cards are not served."
    return _check("cards", "Every card has its hash.", count, wrong, todo)


def _facts(connection: sqlite3.Connection) -> StoreCheck:
    wrong, count = [], 0
    query = """SELECT cards.number, hash, place, card, facts FROM cards
        LEFT JOIN facts ON facts.number = cards.number WHERE NOT pending AND (facts IS NOT NULL
        OR cards.number <= (SELECT CAST(value AS INTEGER) FROM store_marks WHERE name = 'words'))"""
    for number, digest, place, raw, facts in connection.execute(query):
        count += 1
        if _is_card(raw) and facts != facts_of(CARD.decode(raw), digest, place):
            wrong.append(str(number))
    return _check("facts", "What a search filters by follows from the cards.", count, wrong, _MAKE_AGAIN)


_MAKE_AGAIN: Final = (
    "Stop the node, run `sqlite3 store.sqlite \"DELETE FROM store_marks WHERE name = 'facts'\"` "
    "in its folder, and start it: they are made again."
)


def _catalogues(connection: sqlite3.Connection) -> StoreCheck:
    wrong, count = [], 0
    query = "SELECT place, node_key, shown FROM catalogues WHERE shown != x''"
    for place, node_key, shown in connection.execute(query).fetchall():
        count += 1
        cards = connection.execute("SELECT hash, card FROM cards WHERE NOT pending AND place = ?", (place,))
        entries = [
            Entry((card := CARD.decode(raw)).id, card.island, digest)
            for digest, raw in cards
            if _is_card(raw)
        ]
        head = HEAD.decode(open_envelope(shown).body)
        try:
            whole = Catalogue.build(entries).matches(head)
        except RemoteProtocolError:
            whole = False
        if not whole:
            wrong.append(f"of node {node_key.hex()}: {len(entries)} of {head.count} cards")
    todo = "Stop the node and restore a backup; a newer head of that node is fetched whole in any case."
    return _check("catalogues", "Every catalogue is the one that its head signs.", count, wrong, todo)


def _own_blobs(connection: sqlite3.Connection, folder: Folder) -> StoreCheck:
    """Look for the blobs that this node's own cards name."""
    from skerry.node.keys import read_keyring

    store, wrong, count = BlobStore(folder.blobs), [], 0
    query = """SELECT card FROM cards JOIN catalogues USING (place)
        WHERE NOT pending AND node_key = ?"""
    for (raw,) in connection.execute(query, (read_keyring(folder).signer.public_key,)):
        card = CARD.decode(raw)
        count += 1
        wrong += [
            f"{card.slug}: {name} {blob.root.hex()}"
            for name, blob in (("specification", card.specification), ("package", card.package))
            if not store.exists(blob.root)
        ]
    todo = "Publish these learnwares again with --update, or withdraw them."
    return _check("own blobs", "The blobs of the node's own learnwares are here.", count, wrong, todo)


def _blobs(name: str, folder: Folder) -> StoreCheck:
    store = BlobStore(folder.blobs if name == "blobs" else folder.cache)
    wrong = [root.hex() for root in store.verify()]
    todo = (
        "Delete these files: they are fetched again."
        if name == "cache"
        else "Publish what they belong to again."
    )
    return _check(
        name, "Every blob has the bytes that it is named by.", len(list(store.roots())), wrong, todo
    )


def _sketches(connection: sqlite3.Connection, folder: Folder) -> StoreCheck:
    """Compare the file of sketches with the cards, unless a daemon uses it."""
    name, sentence = "sketches", "Every sketch in the file is that of its card."
    try:
        with folder.lock():
            return _check(
                name, sentence, *_compare_sketches(connection, folder), "Delete the file `sketches`."
            )
    except StorageError as error:
        if error.code != "E-STORAGE-LOCKED":
            raise
        return StoreCheck(name, sentence, 0, 0, skipped="a daemon uses the file; stop it to check this")


def _compare_sketches(connection: sqlite3.Connection, folder: Folder) -> tuple[int, list[str]]:
    from skerry.spec.index import SketchIndex
    from skerry.spec.sketch import Sketch

    if not folder.sketches.exists():
        return 0, []
    with folder.sketches.open("r+b") as file:
        index, wrong, count = SketchIndex(file), [], 0
        for digest, raw in connection.execute("SELECT hash, card FROM cards"):
            if not _is_card(raw) or digest not in index:
                continue
            count += 1
            card = CARD.decode(raw)
            try:
                sketch = Sketch.from_bytes(card.sketch_version, card.sketch, card.means, card.spreads)
            except SkerryError:
                continue
            if not index.holds(digest, card.island, sketch):
                wrong.append(digest.hex())
        del index
    return count, wrong


def _is_card(raw: bytes) -> bool:
    try:
        CARD.decode(raw)
    except RemoteProtocolError:
        return False
    return True


def _check(name: str, sentence: str, looked_at: int, wrong: list[str], todo: str) -> StoreCheck:
    return StoreCheck(name, sentence, looked_at, len(wrong), wrong[:WRONG_SHOWN_MAX], todo if wrong else "")
