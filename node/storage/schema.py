"""The tables of the node's store, as SQLAlchemy sees them; ``migrations/`` brings a database up to here.

Records are kept as the bytes that were signed. The columns beside them only say where a record belongs:
whatever else they hold is read from the bytes again, so that the two can never disagree. Three tables are
derived from the cards soon after these are stored: ``facts`` (what a search filters
by), ``scenarios``, and the full-text tables of ``words.py``. They can be made again at any time.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

REVISION: Final = "0008"
"""The newest migration; a database at this revision needs none."""

metadata: Final = MetaData()

WORDS: Final = (
    "CREATE VIRTUAL TABLE card_words USING fts5(name, tags, summary, content='', detail=column)",
    "CREATE TABLE vocabulary (number INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE)",
    "CREATE VIRTUAL TABLE vocabulary_trigrams USING fts5(word, content='', tokenize='trigram')",
)
"""The tables of :mod:`.words`, which SQLAlchemy has no words for."""
REVISIONS: Final = (
    "CREATE TABLE alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
    f"INSERT INTO alembic_version (version_num) VALUES ('{REVISION}')",  # noqa: S608 - a constant
)
"""How alembic notes the schema of a database."""

charters: Final = Table(
    "charters",
    metadata,
    Column("owner", LargeBinary(32), primary_key=True),
    Column("chains", LargeBinary, nullable=False, comment="MessagePack: chains of charter envelopes"),
)

catalogues: Final = Table(
    "catalogues",
    metadata,
    Column("place", Integer, primary_key=True),
    Column("scope", LargeBinary(32), nullable=False),
    Column("node_key", LargeBinary(32), nullable=False),
    Column("head", LargeBinary, nullable=False, comment="the newest head"),
    Column("other", LargeBinary, nullable=False, comment="the second envelope of an equivocation, or empty"),
    Column(
        "shown", LargeBinary, nullable=False, comment="the head under which the cards are whole, or empty"
    ),
    UniqueConstraint("scope", "node_key"),
)

cards: Final = Table(
    "cards",
    metadata,
    Column("number", Integer, primary_key=True, comment="never used twice"),
    Column("place", Integer, nullable=False, comment="the catalogue"),
    Column("hash", LargeBinary(32), nullable=False),
    Column("pending", Boolean, nullable=False, comment="verified, but its catalogue is not whole yet"),
    Column("card", LargeBinary, nullable=False),
    UniqueConstraint("hash", "place", "pending"),
    Index("cards_by_place", "place"),
    sqlite_autoincrement=True,
)

facts: Final = Table(
    "facts",
    metadata,
    Column("number", Integer, primary_key=True, comment="of a card that is not pending"),
    Column("facts", LargeBinary, nullable=False, comment="see facts.py"),
)

scenarios: Final = Table(
    "scenarios",
    metadata,
    Column("code", LargeBinary(8), primary_key=True),
    Column("words", String, nullable=False, comment="as in facts.py"),
)

superseded: Final = Table(
    "superseded",
    metadata,
    Column("root", LargeBinary(32), primary_key=True, comment="of a blob of a version that was replaced"),
    Column("scope", LargeBinary(32), primary_key=True, comment="whose members may have it"),
    Column("card", LargeBinary(32), nullable=False, comment="the id of this node's own card"),
    Column("until", BigInteger, nullable=False, comment="seconds since 1970 UTC; served until then"),
)

islands: Final = Table(
    "islands",
    metadata,
    Column("island", LargeBinary(32), primary_key=True),
    Column("description", LargeBinary, nullable=False, comment="the written form that the id is a hash of"),
)

node_records: Final = Table(
    "node_records",
    metadata,
    Column("node_key", LargeBinary(32), primary_key=True),
    Column("record", LargeBinary, nullable=False),
)

anchors: Final = Table(
    "anchors",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("node_key", LargeBinary(32), nullable=False),
)

records: Final = Table(
    "records",
    metadata,
    Column("scope", LargeBinary(32), primary_key=True),
    Column("hash", LargeBinary(32), primary_key=True),
    Column("envelope", LargeBinary, nullable=False, comment="a roster, admission, report, or later type"),
)

groups: Final = Table(
    "groups",
    metadata,
    Column("scope", LargeBinary(32), primary_key=True),
    Column("refreshed", BigInteger, nullable=False, comment="seconds since 1970 UTC"),
)

checks: Final = Table(
    "checks",
    metadata,
    Column("card", LargeBinary(32), primary_key=True, comment="hash of a card of this node's own"),
    Column("slug", String, nullable=False),
    Column("report", LargeBinary, nullable=False, comment="JSON: what its owner's checks found"),
)

group_keys: Final = Table(
    "group_keys",
    metadata,
    Column("scope", LargeBinary(32), primary_key=True),
    Column("key", LargeBinary(32), primary_key=True, comment="public key"),
    Column("seed", LargeBinary(32), nullable=False, comment="private key that signs the group's rosters"),
)

invites: Final = Table(
    "invites",
    metadata,
    Column("id", LargeBinary(32), primary_key=True, comment="hash of the secret"),
    Column("scope", LargeBinary(32), nullable=False, index=True),
    Column("role", String, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    Column("expires", BigInteger, nullable=False, comment="seconds since 1970 UTC"),
    Column("created", BigInteger, nullable=False, comment="seconds since 1970 UTC"),
    Column("version", Integer, nullable=False, comment="of the group's rosters when it was made"),
    Column("void", Boolean, nullable=False),
)

redemptions: Final = Table(
    "redemptions",
    metadata,
    Column("invite", LargeBinary(32), primary_key=True),
    Column("owner", LargeBinary(32), primary_key=True),
    Column("version", Integer, nullable=False, comment="of the group's rosters when the owner came"),
    Column("at", BigInteger, nullable=False, comment="seconds since 1970 UTC"),
)

store_marks: Final = Table(
    "store_marks",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

audiences: Final = Table(
    "audiences",
    metadata,
    Column("slug", String, primary_key=True),
    Column("scope", LargeBinary(32), primary_key=True, comment="a group for which the package is kept"),
)

opinions: Final = Table(
    "opinions",
    metadata,
    Column("subject", String, primary_key=True, comment="id of an owner or a card, hexadecimal"),
    Column("vouched", Boolean, nullable=False),
    Column("blocked", Boolean, nullable=False),
    Column("nickname", String, nullable=False),
)
