"""Bots whose model may search again while it answers."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute("ALTER TABLE bots ADD COLUMN agentic BOOLEAN DEFAULT false NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE bots DROP COLUMN agentic")
