"""HTTP tools that a bot's model may use while it answers."""

from alembic import op

revision = "0023"
down_revision = "0022"

TABLE = """
CREATE TABLE bot_tools (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    method TEXT NOT NULL,
    url TEXT NOT NULL,
    parameters JSONB NOT NULL,
    header_names TEXT[] NOT NULL,
    sealed_headers BYTEA NOT NULL,
    timeout_seconds INTEGER NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT bot_tools_bot_id_name_key UNIQUE (bot_id, name),
    CONSTRAINT bot_tools_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE
);
ALTER TABLE bot_tools ENABLE ROW LEVEL SECURITY;
ALTER TABLE bot_tools FORCE ROW LEVEL SECURITY;
CREATE POLICY bot_tools_of_workspace ON bot_tools
    USING (workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[]));
"""


def upgrade() -> None:
    for statement in TABLE.split(";"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE bot_tools")
