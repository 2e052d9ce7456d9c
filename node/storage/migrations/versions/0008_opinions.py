"""What this node's people think of owners and learnwares."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "opinions",
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column("vouched", sa.Boolean, nullable=False),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("nickname", sa.String, nullable=False),
    )
