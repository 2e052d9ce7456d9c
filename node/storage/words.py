"""Full-text search over the cards: ranked, and forgiving about typos.

Theory of operation. Two full-text tables of SQLite (FTS5). ``card_words`` holds what each card says about
itself, word by word. ``vocabulary_trigrams`` holds every different word once, by groups of three characters,
and is small however many cards there are. A word of a search is looked up there first: the words that
contain it, or else those that share most groups with it. Then ``card_words`` finds the cards that hold one of
these for every word of the search, and ranks them by BM25, names before tags before summaries.

Rules of this file:

1. A card's words are a function of the card alone, so what was put in can be taken out exactly.
2. ``words`` among the marks is the number of the last card that is in, with its facts: the cards behind it
   follow in portions, so that a large catalogue is on the disk before its words are.
3. Text of a search reaches SQLite quoted and as a parameter.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from skerry.node.limits import (
    SEARCH_WORDS_MAX,
    WORD_CHARACTERS_INDEXED_MAX,
    WORD_VARIANTS_MAX,
    WORDS_LIKENESS_MIN,
)
from skerry.protocol.card import CARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from skerry.protocol.card import Card

MARK: Final = "words"
_WEIGHTS: Final = "4.0, 2.0, 1.0"
"""What a word counts in name, tags and summary."""

_WORD: Final = re.compile(r"[^\W_]+")

Texts = tuple[str, str, str]


def words_of(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits in lower case, without accents."""
    bare = text.casefold()
    if not bare.isascii():
        plain = unicodedata.normalize("NFKD", bare)
        bare = "".join(character for character in plain if not unicodedata.combining(character))
    return [word[:WORD_CHARACTERS_INDEXED_MAX] for word in _WORD.findall(bare)]


def texts_of(card: Card) -> Texts:
    """Return what a card says about itself, column by column."""
    parts = (f"{card.name} {card.slug}", " ".join((*card.tags, *card.scenarios)), card.summary)
    name, tags, summary = (" ".join(words_of(part)) for part in parts)
    return name, tags, summary


def put_words(connection: Connection, cards: Sequence[tuple[int, Card]]) -> None:
    """Take in cards by number, in ascending order."""
    rows = [(number, *texts_of(card)) for number, card in cards]
    if not rows:
        return
    statement = "INSERT INTO card_words (rowid, name, tags, summary) VALUES (?, ?, ?, ?)"
    connection.exec_driver_sql(statement, rows)
    _put_vocabulary(connection, {word for _, *texts in rows for text in texts for word in text.split()})
    _set_mark(connection, rows[-1][0])


def drop_words(connection: Connection, cards: Sequence[tuple[int, bytes]]) -> None:
    """Take out cards by number."""
    until = mark(connection)
    rows = [(number, *texts_of(CARD.decode(raw))) for number, raw in sorted(cards) if number <= until]
    if rows:
        columns = "card_words, rowid, name, tags, summary"
        connection.exec_driver_sql(
            f"INSERT INTO card_words ({columns}) VALUES ('delete', ?, ?, ?, ?)",  # noqa: S608 - constants
            rows,
        )


def mark(connection: Connection) -> int:
    """Return the number of the last card whose words are in."""
    found = connection.exec_driver_sql("SELECT value FROM store_marks WHERE name = ?", (MARK,)).scalar()
    return 0 if found is None else int(found)


def find(connection: Connection, text: str) -> dict[bytes, float]:
    """Return the hashes of the cards that hold every word of a text, each with its rank, lower is better.

    Of a search by several words of which no card holds all, those that hold some are the answer.
    """
    wanted = list(dict.fromkeys(words_of(text)))[:SEARCH_WORDS_MAX]
    variants = [group for group in (_variants(connection, word) for word in wanted) if group]
    if len(variants) == len(wanted):
        found = _matching(connection, " AND ".join(map(_any_of, variants)))
        if found:
            return found
    return _matching(connection, " OR ".join(map(_any_of, variants))) if variants else {}


def _matching(connection: Connection, expression: str) -> dict[bytes, float]:
    query = f"""SELECT cards.hash, bm25(card_words, {_WEIGHTS}) FROM card_words
        JOIN cards ON cards.number = card_words.rowid WHERE card_words MATCH ?"""  # noqa: S608 - constants
    return {row[0]: row[1] for row in connection.exec_driver_sql(query, (expression,))}


def _any_of(words: Iterable[str]) -> str:
    return "(" + " OR ".join(map(_quoted, words)) + ")"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _variants(connection: Connection, word: str) -> list[str]:
    """Return the words of the cards that contain a word, or else those that are most like it."""
    if containing := _containing(connection, word):
        return containing
    groups = _trigrams(word)
    likeness = {other: _likeness(groups, _trigrams(other)) for other in _sharing(connection, groups)}
    alike = [other for other, share in likeness.items() if share >= WORDS_LIKENESS_MIN]
    return sorted(alike, key=lambda other: (-likeness[other], other))[:WORD_VARIANTS_MAX]


def _containing(connection: Connection, word: str) -> list[str]:
    """Return words that begin with a word, shortest first, and if there are none, that contain it."""
    begins = connection.exec_driver_sql(
        "SELECT word FROM vocabulary WHERE word >= ? AND word < ? ORDER BY length(word) LIMIT ?",
        (word, word + "\U0010ffff", WORD_VARIANTS_MAX),
    )
    found = list(begins.scalars())
    if found or len(word) < 3:
        return found
    return _vocabulary_matching(connection, _quoted(word))


def _sharing(connection: Connection, groups: set[str]) -> list[str]:
    """Return the words that share groups of three characters with a word, best first."""
    return _vocabulary_matching(connection, " OR ".join(map(_quoted, sorted(groups))))


def _vocabulary_matching(connection: Connection, expression: str) -> list[str]:
    found = connection.exec_driver_sql(
        """SELECT vocabulary.word FROM vocabulary_trigrams
        JOIN vocabulary ON vocabulary.number = vocabulary_trigrams.rowid
        WHERE vocabulary_trigrams MATCH ? ORDER BY bm25(vocabulary_trigrams) LIMIT ?""",
        (expression, 4 * WORD_VARIANTS_MAX),
    )
    return list(found.scalars())


def _put_vocabulary(connection: Connection, words: set[str]) -> None:
    if not words:
        return
    before = connection.exec_driver_sql("SELECT coalesce(max(number), 0) FROM vocabulary").scalar_one()
    connection.exec_driver_sql(
        "INSERT OR IGNORE INTO vocabulary (word) VALUES (?)", [(word,) for word in sorted(words)]
    )
    new = connection.exec_driver_sql("SELECT number, word FROM vocabulary WHERE number > ?", (before,))
    rows = [(number, _padded(word)) for number, word in new]
    if rows:
        connection.exec_driver_sql("INSERT INTO vocabulary_trigrams (rowid, word) VALUES (?, ?)", rows)


def _set_mark(connection: Connection, value: int) -> None:
    connection.exec_driver_sql(
        "INSERT OR REPLACE INTO store_marks (name, value) VALUES (?, ?)", (MARK, str(value))
    )


def _padded(word: str) -> str:
    """Return a word with its edges, which count in its groups: most typos leave the first letter alone."""
    return f"  {word} "


def _trigrams(word: str) -> set[str]:
    text = _padded(word)
    return {text[at : at + 3] for at in range(len(text) - 2)}


def _likeness(first: set[str], second: set[str]) -> float:
    """Return the share of groups that two words have in common, in [0, 1] (Dice's coefficient)."""
    return 2 * len(first & second) / (len(first) + len(second))
