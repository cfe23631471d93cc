"""What was searched for an answer, and how: the traces, in a table of their own that no list of messages reads."""

from alembic import op

revision = "0009"
down_revision = "0008"

TABLE = """
CREATE TABLE answer_searches (
    message_id UUID NOT NULL,
    sequence INTEGER NOT NULL,
    place INTEGER NOT NULL,
    workspace_id UUID NOT NULL,
    trace JSONB NOT NULL,
    PRIMARY KEY (message_id, sequence, place),
    CONSTRAINT answer_searches_message_fkey FOREIGN KEY(message_id, workspace_id) REFERENCES messages (id, workspace_id) ON DELETE CASCADE
)
"""

# See 0001 for the form: an array that is read once a statement, and no rows when it is unset.
POLICY = """
CREATE POLICY answer_searches_of_workspace ON answer_searches
    USING (workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[]))
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("ALTER TABLE answer_searches ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE answer_searches FORCE ROW LEVEL SECURITY")
    op.execute(POLICY)


def downgrade() -> None:
    op.execute("DROP TABLE answer_searches")
