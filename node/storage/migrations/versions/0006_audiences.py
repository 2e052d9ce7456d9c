"""For which groups the packages of this node's own learnwares are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "audiences",
        sa.Column("slug", sa.String, primary_key=True),
        sa.Column("scope", sa.LargeBinary(32), primary_key=True),
    )
