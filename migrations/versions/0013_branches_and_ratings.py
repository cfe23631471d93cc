"""Branches of conversations, and what users think of answers."""

from alembic import op

revision = "0013"
down_revision = "0012"

TABLES = """
ALTER TABLE conversations ADD COLUMN active_leaf_id UUID;
CREATE INDEX messages_first_idx ON messages (conversation_id) WHERE parent_id IS NULL;

CREATE TABLE answer_ratings (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    message_id UUID NOT NULL,
    user_id UUID NOT NULL,
    rating VARCHAR(16) NOT NULL,
    comment TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT answer_ratings_message_id_user_id_key UNIQUE (message_id, user_id),
    CONSTRAINT answer_ratings_message_fkey FOREIGN KEY(message_id, workspace_id) REFERENCES messages (id, workspace_id) ON DELETE CASCADE,
    CONSTRAINT answer_ratings_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE,
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX answer_ratings_bot_id_id_idx ON answer_ratings (bot_id, id);
CREATE INDEX answer_ratings_user_id_idx ON answer_ratings (user_id);

ALTER TABLE answer_ratings ENABLE ROW LEVEL SECURITY;
ALTER TABLE answer_ratings FORCE ROW LEVEL SECURITY;
CREATE POLICY answer_ratings_of_workspace ON answer_ratings
    USING (workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[]));
"""


def upgrade() -> None:
    for statement in TABLES.split(";"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE answer_ratings")
    op.execute("DROP INDEX messages_first_idx")
    op.execute("ALTER TABLE conversations DROP COLUMN active_leaf_id")
