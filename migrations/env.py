"""Alembic's entry: KyroChat hands over an open connection and owns the transaction."""

from alembic import context
from sqlmodel import SQLModel

import kyrochat.db.models  # noqa: F401  (fills the metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    compare_server_default=False,
    transactional_ddl=True,
)
context.run_migrations()
