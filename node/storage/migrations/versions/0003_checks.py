"""What the checks of this node's own learnwares found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "checks",
        sa.Column("card", sa.LargeBinary(32), primary_key=True),
        sa.Column("slug", sa.String, nullable=False),
        sa.Column("report", sa.LargeBinary, nullable=False),
    )
