"""What one could ask next: whether a bot suggests that, and what it has suggested after an answer."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.execute("ALTER TABLE bots ADD COLUMN suggests_follow_ups BOOLEAN DEFAULT false NOT NULL")
    op.execute("ALTER TABLE messages ADD COLUMN follow_ups JSONB DEFAULT '[]' NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE messages DROP COLUMN follow_ups")
    op.execute("ALTER TABLE bots DROP COLUMN suggests_follow_ups")
