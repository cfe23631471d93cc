"""Jobs outlive the workspace that they remove, and an invitation ends with its acceptance."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE jobs DROP CONSTRAINT jobs_workspace_id_fkey")
    # No row has it set: nothing could accept an invitation so far.
    op.execute("ALTER TABLE invitations DROP COLUMN accepted_at")


def downgrade() -> None:
    op.execute("ALTER TABLE invitations ADD COLUMN accepted_at TIMESTAMP WITH TIME ZONE")
    op.execute("DELETE FROM jobs WHERE NOT EXISTS (SELECT FROM workspaces WHERE workspaces.id = jobs.workspace_id)")
    op.execute(
        "ALTER TABLE jobs ADD CONSTRAINT jobs_workspace_id_fkey"
        " FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE"
    )
