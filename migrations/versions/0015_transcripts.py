"""What clients that keep the history themselves are told by."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("ALTER TABLE messages ADD COLUMN transcript BYTEA")
    op.execute("CREATE INDEX messages_transcript_idx ON messages (transcript) WHERE transcript IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX messages_transcript_idx")
    op.execute("ALTER TABLE messages DROP COLUMN transcript")
