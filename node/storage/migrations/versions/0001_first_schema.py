"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _catalogue_key() -> list[sa.Column[bytes]]:
    return [
        sa.Column("scope", sa.LargeBinary(32), primary_key=True),
        sa.Column("node_key", sa.LargeBinary(32), primary_key=True),
    ]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "charters",
        sa.Column("owner", sa.LargeBinary(32), primary_key=True),
        sa.Column("chains", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "catalogues",
        *_catalogue_key(),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("other", sa.LargeBinary, nullable=False),
        sa.Column("shown", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "cards",
        *_catalogue_key(),
        sa.Column("hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("pending", sa.Boolean, primary_key=True),
        sa.Column("card", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "node_records",
        sa.Column("node_key", sa.LargeBinary(32), primary_key=True),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "anchors",
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("node_key", sa.LargeBinary(32), nullable=False),
    )
