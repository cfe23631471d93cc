"""What answers tell of how they were made: why the model stopped, and what was left out."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE messages
            ADD COLUMN finish_reason VARCHAR(16),
            ADD COLUMN history_trimmed BOOLEAN,
            ADD COLUMN removed_citations INTEGER
        """
    )


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE messages
            DROP COLUMN removed_citations,
            DROP COLUMN history_trimmed,
            DROP COLUMN finish_reason
        """
    )
