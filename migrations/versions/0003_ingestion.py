"""How far an ingestion is, when it goes on, and bots whose ingestion is paused."""

from alembic import op

from kyrochat.db.migrate import all_rows

revision = "0003"
down_revision = "0002"

UPGRADE = """
ALTER TABLE bots ADD COLUMN ingestion_paused BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE bots ALTER COLUMN ingestion_paused DROP DEFAULT;

ALTER TABLE documents ADD COLUMN stage VARCHAR(16) DEFAULT 'WAITING' NOT NULL;
ALTER TABLE documents ALTER COLUMN stage DROP DEFAULT;
ALTER TABLE documents ADD COLUMN attempts INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE documents ALTER COLUMN attempts DROP DEFAULT;
ALTER TABLE documents ADD COLUMN stale_files JSONB DEFAULT '[]' NOT NULL;
ALTER TABLE documents ADD COLUMN next_attempt_at TIMESTAMP WITH TIME ZONE;
"""

DONE = "UPDATE documents SET stage = 'DONE', attempts = 1 WHERE status IN ('READY', 'DELETING')"


def upgrade() -> None:
    for statement in UPGRADE.split(";"):
        if statement.strip():
            op.execute(statement)
    with all_rows(op.get_bind(), "documents"):
        op.execute(DONE)


def downgrade() -> None:
    op.execute(
        "ALTER TABLE documents DROP COLUMN next_attempt_at, DROP COLUMN stale_files, DROP COLUMN attempts, DROP COLUMN stage"
    )
    op.execute("ALTER TABLE bots DROP COLUMN ingestion_paused")
