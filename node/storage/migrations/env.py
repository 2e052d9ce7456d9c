"""Run by alembic: applies the migrations over the connection that the store hands in."""

from __future__ import annotations

from alembic import context

from skerry.node.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
