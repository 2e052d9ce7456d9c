"""How the operations of the state machine become rows, and rows a snapshot again.

Rules of this file:

1. A card has one row as part of the catalogue that is shown, and one while it is pending. The facts and words
   that search needs exist for the former alone, and follow soon after: a catalogue is on the disk first.
2. Names of tables are constants; values are parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from skerry.node.limits import CARDS_PER_STATEMENT, FACTS_PORTION, SUPERSEDED_SECONDS
from skerry.protocol import effects
from skerry.protocol.card import CARD
from skerry.protocol.snapshot import Snapshot, StoredCatalogue

from . import words
from .facts import facts_of, scenario_words, word_code
from .schema import anchors, audiences, cards, catalogues, charters, groups, node_records, records, superseded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Protocol

    from sqlalchemy import Connection, Table

    from skerry.protocol.card import Card

    from .disk_cards import DiskCards

    class OpenCards(Protocol):
        """Returns where the cards of a (scope, node key) are kept, whether some are stored or not yet."""

        def __call__(self, scope: bytes, node_key: bytes, *, stored: bool = False) -> DiskCards:
            """Return the cards of one catalogue."""
            ...


CHAINS: Final = tuple[tuple[bytes, ...], ...]

FACTS_VERSION: Final = "1"
"""Counted up when ``facts.py`` changes: facts of another version are made again."""

_MARK: Final = "facts"
_PUT_CARDS: Final = "INSERT OR IGNORE INTO cards (place, hash, pending, card) VALUES "
_PROMOTE: Final = "UPDATE OR IGNORE cards SET pending = 0 WHERE place = ? AND pending AND number > ?"
_PROMOTE_ANEW: Final = """INSERT OR IGNORE INTO cards (place, hash, pending, card)
    SELECT place, hash, 0, card FROM cards WHERE place = ? AND pending AND number <= ?"""
_PUT_FACTS: Final = "INSERT OR REPLACE INTO facts (number, facts) VALUES "
_UNDERIVED: Final = """SELECT number, hash, place, card FROM cards
    WHERE number > ? AND NOT pending ORDER BY number LIMIT ?"""
_NUMBERED: Final = "SELECT number, hash, card FROM cards WHERE NOT pending AND place = ?"


def apply(connection: Connection, operation: effects.StoreOperation) -> None:
    """Make the database hold what `operation` says."""
    match operation:
        case effects.PutCharters(owner, chains):
            _put(connection, charters, owner=owner, chains=msgspec.msgpack.encode(chains))
        case effects.DropCharters(owner):
            connection.execute(delete(charters).where(charters.c.owner == owner))
        case effects.PutHead(scope, node_key, head, other):
            _put_heads(connection, scope, node_key, head=head, other=other)
        case effects.PutCatalogue():
            _put_catalogue(connection, operation)
        case effects.PutPendingCards(scope, node_key, added):
            place = _put_heads(connection, scope, node_key)
            _put_cards(connection, place, added, pending=True)
        case effects.DropCatalogue(scope, node_key):
            _drop_catalogue(connection, scope, node_key)
        case effects.PutNodeRecord(node_key, record):
            _put(connection, node_records, node_key=node_key, record=record)
        case effects.DropNodeRecord(node_key):
            connection.execute(delete(node_records).where(node_records.c.node_key == node_key))
        case effects.PutAnchors(node_keys):
            _put_anchors(connection, node_keys)
        case effects.PutRecord() | effects.DropRecord() | effects.PutGroup() | effects.DropGroup():
            _apply_to_records(connection, operation)


def snapshot(connection: Connection, open_cards: OpenCards) -> Snapshot:
    """Return what the tables hold; the cards of whole catalogues stay on the disk."""
    found = Snapshot(open_cards=open_cards)
    for row in connection.execute(select(charters)):
        found.chains[row.owner] = msgspec.msgpack.decode(row.chains, type=CHAINS)
    places: dict[int, StoredCatalogue] = {}
    for row in connection.execute(select(catalogues)):
        place = (row.scope, row.node_key)
        held = StoredCatalogue(row.head, row.other, row.shown, cards=open_cards(*place, stored=True))
        places[row.place] = found.catalogues[place] = held
    # Read from the index on hash, place and pending alone: a million cards are a gigabyte.
    for place in set(connection.scalars(select(cards.c.place).where(cards.c.pending))):
        for row in connection.execute(select(cards).where(cards.c.place == place, cards.c.pending)):
            places[place].pending[row.hash] = row.card
    for row in connection.execute(select(node_records)):
        found.node_records[row.node_key] = row.record
    for row in connection.execute(select(records)):
        found.records[row.scope, row.hash] = row.envelope
    for row in connection.execute(select(groups)):
        found.groups[row.scope] = row.refreshed
    kept = connection.execute(select(anchors.c.node_key).order_by(anchors.c.position))
    found.anchors = tuple(row.node_key for row in kept)
    return found


def derive_facts(connection: Connection) -> None:
    """Make the facts of all cards again when they are those of another version, or of none."""
    version = connection.exec_driver_sql("SELECT value FROM store_marks WHERE name = ?", (_MARK,)).scalar()
    if version == FACTS_VERSION:
        return
    connection.exec_driver_sql("DELETE FROM facts")
    query = f"{_NUMBERED} AND number > ? ORDER BY number LIMIT ?"
    for place in connection.scalars(select(catalogues.c.place)).all():
        last = 0
        while rows := connection.exec_driver_sql(query, (place, last, FACTS_PORTION)).all():
            _put_facts(connection, [(row.number, row.hash, place, CARD.decode(row.card)) for row in rows])
            last = rows[-1].number
    connection.exec_driver_sql(
        "INSERT OR REPLACE INTO store_marks (name, value) VALUES (?, ?)", (_MARK, FACTS_VERSION)
    )
    connection.commit()


def _put_catalogue(connection: Connection, operation: effects.PutCatalogue) -> None:
    head = operation.head
    place = _put_heads(connection, operation.scope, operation.node_key, head=head, shown=head)
    if operation.own:
        _supersede(connection, place, operation)
    _drop_cards(connection, place, operation.removed)
    if operation.added:
        added = operation.added
        came = _keep_pending(connection, place, added)
        # What is derived follows in the order of numbers: a card that it has passed gets a new one.
        derived = words.mark(connection)
        connection.exec_driver_sql(_PROMOTE_ANEW, (place, derived))
        connection.exec_driver_sql(_PROMOTE, (place, derived))
        rest = {digest: card for digest, card in added.items() if digest not in came}
        _put_cards(connection, place, rest, pending=False)
    connection.execute(delete(cards).where(cards.c.place == place, cards.c.pending))


def _put_cards(connection: Connection, place: int, raws: Mapping[bytes, bytes], *, pending: bool) -> None:
    """Insert cards by hash."""
    values = [value for digest, card in raws.items() for value in (place, digest, pending, card)]
    _insert(connection, _PUT_CARDS, values, 4)


def _insert(connection: Connection, into: str, values: Sequence[object], columns: int) -> None:
    """Insert rows, given as all their values, many a statement."""
    row, step = f"({', '.join('?' * columns)})", columns * CARDS_PER_STATEMENT
    for start in range(0, len(values), step):
        part = tuple(values[start : start + step])
        connection.exec_driver_sql(into + ", ".join([row] * (len(part) // columns)), part)


def _keep_pending(connection: Connection, place: int, wanted: Collection[bytes]) -> set[bytes]:
    """Forget the pending cards of a catalogue that are not wanted, and return the hashes of the others."""
    query = "SELECT hash FROM cards WHERE place = ? AND pending"
    found = set(connection.exec_driver_sql(query, (place,)).scalars())
    if gone := [(place, digest) for digest in found if digest not in wanted]:
        connection.exec_driver_sql("DELETE FROM cards WHERE place = ? AND pending AND hash = ?", gone)
    return found.intersection(wanted)


def derive(connection: Connection, count: int, *, with_words: bool) -> int:
    """Derive what search needs of the next cards that lack it, and return how many those were.

    Without words only the facts are made, of all that lack them, and the words follow as if nothing was done.
    """
    last, done = words.mark(connection), 0
    while rows := connection.exec_driver_sql(_UNDERIVED, (last, count)).all():
        decoded = [(row.number, row.hash, row.place, CARD.decode(row.card)) for row in rows]
        _put_facts(connection, decoded)
        last, done = rows[-1].number, done + len(rows)
        if with_words:
            words.put_words(connection, [(number, card) for number, _, _, card in decoded])
            break
    return done


def _put_facts(connection: Connection, decoded: Sequence[tuple[int, bytes, int, Card]]) -> None:
    """Store what a search filters by, of cards: number, hash, catalogue, card."""
    facts = [
        value for number, digest, place, card in decoded for value in (number, facts_of(card, digest, place))
    ]
    _insert(connection, _PUT_FACTS, facts, 2)
    sets = {scenario_words(card.scenarios) for *_, card in decoded}
    connection.exec_driver_sql(
        "INSERT OR IGNORE INTO scenarios (code, words) VALUES (?, ?)",
        [(word_code(text), text) for text in sorted(sets)],
    )


def _supersede(connection: Connection, place: int, operation: effects.PutCatalogue) -> None:
    """Note until when the blobs of replaced versions are served; those of what was withdrawn are not."""
    new = {card.id: card for card in map(CARD.decode, operation.added.values())}
    for digest in operation.removed:
        for row in connection.exec_driver_sql(f"{_NUMBERED} AND hash = ?", (place, digest)):
            old = CARD.decode(row.card)
            if old.id not in new:
                connection.execute(delete(superseded).where(superseded.c.card == old.id))
                continue
            until = new[old.id].published + SUPERSEDED_SECONDS
            kept = connection.scalars(select(audiences.c.scope).where(audiences.c.slug == old.slug)).all()
            readers = [(old.specification.root, operation.scope)]
            readers += [(old.package.root, scope) for scope in kept or (operation.scope,)]
            for root, scope in readers:
                _put(connection, superseded, root=root, scope=scope, card=old.id, until=until)


def _drop_cards(connection: Connection, place: int, hashes: Iterable[bytes]) -> None:
    """Take cards out of a catalogue, and with them what was derived."""
    found = [
        (row.number, row.card)
        for digest in hashes
        for row in connection.exec_driver_sql(f"{_NUMBERED} AND hash = ?", (place, digest))
    ]
    _forget(connection, found)


def _forget(connection: Connection, numbered: Sequence[tuple[int, bytes]]) -> None:
    if numbered:
        words.drop_words(connection, numbered)
        numbers = [(number,) for number, _ in numbered]
        for table in ("facts", "cards"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE number = ?", numbers)  # noqa: S608 - constants


def _drop_catalogue(connection: Connection, scope: bytes, node_key: bytes) -> None:
    where = (catalogues.c.scope == scope) & (catalogues.c.node_key == node_key)
    place = connection.scalar(select(catalogues.c.place).where(where))
    if place is None:
        return
    while rows := connection.exec_driver_sql(f"{_NUMBERED} LIMIT ?", (place, FACTS_PORTION)).all():
        _forget(connection, [(row.number, row.card) for row in rows])
    connection.execute(delete(cards).where(cards.c.place == place))
    connection.execute(delete(catalogues).where(catalogues.c.place == place))


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


def _put_heads(connection: Connection, scope: bytes, node_key: bytes, **changes: bytes) -> int:
    """Change some of a catalogue's heads, those of a new catalogue are empty; return its number."""
    row = {"head": b"", "other": b"", "shown": b""} | changes
    statement = upsert(catalogues).values(scope=scope, node_key=node_key, **row)
    keys = ["scope", "node_key"]
    if changes:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changes)
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement)
    where = (catalogues.c.scope == scope) & (catalogues.c.node_key == node_key)
    return int(connection.execute(select(catalogues.c.place).where(where)).scalar_one())


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
