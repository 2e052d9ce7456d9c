"""Rosters, admissions, reports and records of later types, and how fresh a group's rosters are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "records",
        sa.Column("scope", sa.LargeBinary(32), primary_key=True),
        sa.Column("hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "groups",
        sa.Column("scope", sa.LargeBinary(32), primary_key=True),
        sa.Column("refreshed", sa.BigInteger, nullable=False),
    )
