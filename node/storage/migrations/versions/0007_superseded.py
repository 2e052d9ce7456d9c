"""Blobs of own learnwares whose version was replaced, and until when they are served."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "superseded",
        sa.Column("root", sa.LargeBinary(32), primary_key=True),
        sa.Column("scope", sa.LargeBinary(32), primary_key=True),
        sa.Column("card", sa.LargeBinary(32), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
