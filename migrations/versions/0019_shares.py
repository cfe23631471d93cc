"""Links by which users show a conversation as it was."""

from alembic import op

revision = "0019"
down_revision = "0018"

TABLE = """
CREATE TABLE conversation_shares (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    leaf_id UUID NOT NULL,
    title TEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT conversation_shares_token_hash_key UNIQUE (token_hash),
    CONSTRAINT conversation_shares_conversation_fkey FOREIGN KEY(conversation_id, workspace_id) REFERENCES conversations (id, workspace_id) ON DELETE CASCADE,
    CONSTRAINT conversation_shares_leaf_fkey FOREIGN KEY(leaf_id, workspace_id) REFERENCES messages (id, workspace_id) ON DELETE CASCADE
);
CREATE INDEX conversation_shares_conversation_id_id_idx ON conversation_shares (conversation_id, id);
CREATE INDEX conversation_shares_leaf_id_idx ON conversation_shares (leaf_id);
ALTER TABLE conversation_shares ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_shares FORCE ROW LEVEL SECURITY;
CREATE POLICY conversation_shares_of_workspace ON conversation_shares
    USING (workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[]));
CREATE POLICY conversation_shares_by_secret ON conversation_shares FOR SELECT
    USING (token_hash = (SELECT decode(nullif(current_setting('kyrochat.credential', true), ''), 'hex')));
"""


def upgrade() -> None:
    for statement in TABLE.split(";"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE conversation_shares")
