"""Cards by number, what a search needs of them, and descriptions of islands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WORDS = (
    "CREATE VIRTUAL TABLE card_words USING fts5(name, tags, summary, content='', detail=column)",
    "CREATE TABLE vocabulary (number INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE)",
    "CREATE VIRTUAL TABLE vocabulary_trigrams USING fts5(word, content='', tokenize='trigram')",
)


def upgrade() -> None:
    """Give catalogues and cards numbers; what is derived from cards follows when the store opens."""
    _make_tables()
    connection = op.get_bind()
    connection.exec_driver_sql(
        "INSERT INTO numbered (scope, node_key, head, other, shown) "
        "SELECT scope, node_key, head, other, shown FROM catalogues"
    )
    connection.exec_driver_sql(
        "INSERT INTO numbered_cards (place, hash, pending, card) "
        "SELECT place, hash, pending, card FROM cards JOIN numbered USING (scope, node_key)"
    )
    op.drop_table("cards")
    op.drop_table("catalogues")
    op.rename_table("numbered", "catalogues")
    op.rename_table("numbered_cards", "cards")
    op.create_index("cards_by_place", "cards", ["place"])


def _make_tables() -> None:
    op.create_table(
        "numbered",
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("scope", sa.LargeBinary(32), nullable=False),
        sa.Column("node_key", sa.LargeBinary(32), nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("other", sa.LargeBinary, nullable=False),
        sa.Column("shown", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("scope", "node_key"),
    )
    op.create_table(
        "numbered_cards",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("pending", sa.Boolean, nullable=False),
        sa.Column("card", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("hash", "place", "pending"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "facts",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("facts", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "scenarios",
        sa.Column("code", sa.LargeBinary(8), primary_key=True),
        sa.Column("words", sa.String, nullable=False),
    )
    op.create_table(
        "islands",
        sa.Column("island", sa.LargeBinary(32), primary_key=True),
        sa.Column("description", sa.LargeBinary, nullable=False),
    )
    for statement in WORDS:
        op.execute(statement)
