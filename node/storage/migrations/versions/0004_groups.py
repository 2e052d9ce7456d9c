"""A node's own knowledge of groups: admin keys, invites, who came by them, and a mark against old copies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "group_keys",
        sa.Column("scope", sa.LargeBinary(32), primary_key=True),
        sa.Column("key", sa.LargeBinary(32), primary_key=True),
        sa.Column("seed", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "invites",
        sa.Column("id", sa.LargeBinary(32), primary_key=True),
        sa.Column("scope", sa.LargeBinary(32), nullable=False, index=True),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("used", sa.Integer, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("void", sa.Boolean, nullable=False),
    )
    op.create_table(
        "redemptions",
        sa.Column("invite", sa.LargeBinary(32), primary_key=True),
        sa.Column("owner", sa.LargeBinary(32), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "store_marks",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )
