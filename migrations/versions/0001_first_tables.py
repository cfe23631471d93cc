"""The first tables, and row-level security on all that hold a tenant's content."""

from alembic import op

revision = "0001"
down_revision = None

# Accounts, memberships, jobs and leases have none: they are read before a workspace is known, or across
# workspaces by the sweeps, and hold ids only (docs/decisions/0004-workspaces-and-row-level-security.md).
TENANT_TABLES = (
    "bots",
    "documents",
    "document_versions",
    "document_deletions",
    "chunks",
    "chunk_lex",
    "bot_lexicons",
    "conversations",
    "messages",
    "answer_events",
    "citations",
)

TABLES = """
CREATE TABLE users (
    id UUID NOT NULL,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_admin BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT users_email_key UNIQUE (email)
);

CREATE TABLE workspaces (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE bots (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    instructions TEXT NOT NULL,
    model TEXT NOT NULL,
    temperature DOUBLE PRECISION NOT NULL,
    top_k INTEGER NOT NULL,
    greeting TEXT NOT NULL,
    suggested_questions JSONB DEFAULT '[]' NOT NULL,
    language TEXT DEFAULT 'auto' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT bots_id_workspace_id_key UNIQUE (id, workspace_id),
    CONSTRAINT bots_top_k_check CHECK (top_k BETWEEN 1 AND 50),
    FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);

CREATE INDEX bots_workspace_id_id_idx ON bots (workspace_id, id);
CREATE UNIQUE INDEX bots_workspace_id_name_key ON bots (workspace_id, lower(name)) WHERE deleted_at IS NULL;

CREATE TABLE document_deletions (
    document_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    status VARCHAR(16) NOT NULL,
    chunks_deleted INTEGER NOT NULL,
    vectors_deleted INTEGER NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    verified_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (document_id),
    FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);

CREATE TABLE jobs (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    kind TEXT NOT NULL,
    payload JSONB NOT NULL,
    state VARCHAR(16) NOT NULL,
    priority INTEGER NOT NULL,
    run_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    attempts INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    lease_token UUID,
    leased_until TIMESTAMP WITH TIME ZONE,
    dedupe_key TEXT,
    last_error TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX jobs_dedupe_key ON jobs (dedupe_key) WHERE state IN ('QUEUED', 'RUNNING');
CREATE INDEX jobs_queued_idx ON jobs (workspace_id, priority DESC, id) WHERE state = 'QUEUED';
CREATE INDEX jobs_running_idx ON jobs (leased_until) WHERE state = 'RUNNING';

CREATE TABLE user_sessions (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    refresh_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT user_sessions_refresh_hash_key UNIQUE (refresh_hash),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX user_sessions_user_id_idx ON user_sessions (user_id);

CREATE TABLE used_refresh_tokens (
    token_hash BYTEA NOT NULL,
    session_id UUID NOT NULL,
    PRIMARY KEY (token_hash),
    FOREIGN KEY(session_id) REFERENCES user_sessions (id) ON DELETE CASCADE
);

CREATE INDEX used_refresh_tokens_session_id_idx ON used_refresh_tokens (session_id);

CREATE TABLE workspace_members (
    workspace_id UUID NOT NULL,
    user_id UUID NOT NULL,
    role VARCHAR(16) NOT NULL,
    is_personal BOOLEAN NOT NULL,
    PRIMARY KEY (workspace_id, user_id),
    FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE,
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX workspace_members_user_id_idx ON workspace_members (user_id);

CREATE TABLE bot_lexicons (
    bot_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    version INTEGER NOT NULL,
    chunk_count INTEGER NOT NULL,
    frequencies BYTEA NOT NULL,
    PRIMARY KEY (bot_id),
    CONSTRAINT bot_lexicons_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE
);

CREATE TABLE conversations (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    user_id UUID NOT NULL,
    title TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT conversations_id_workspace_id_key UNIQUE (id, workspace_id),
    CONSTRAINT conversations_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE,
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX conversations_bot_id_user_id_id_idx ON conversations (bot_id, user_id, id);

CREATE TABLE documents (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    title TEXT NOT NULL,
    source VARCHAR(16) NOT NULL,
    url TEXT,
    media_type TEXT NOT NULL,
    byte_size BIGINT NOT NULL,
    content_hash BYTEA NOT NULL,
    storage_key TEXT NOT NULL,
    status VARCHAR(16) NOT NULL,
    progress DOUBLE PRECISION NOT NULL,
    failure TEXT,
    version INTEGER NOT NULL,
    live_version INTEGER,
    chunk_count INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT documents_id_workspace_id_key UNIQUE (id, workspace_id),
    CONSTRAINT documents_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE,
    CONSTRAINT documents_progress_check CHECK (progress BETWEEN 0 AND 1)
);

CREATE UNIQUE INDEX documents_bot_id_content_hash_key ON documents (bot_id, content_hash) WHERE deleted_at IS NULL;
CREATE INDEX documents_bot_id_id_idx ON documents (bot_id, id);
CREATE INDEX documents_workspace_id_idx ON documents (workspace_id);

CREATE TABLE chunks (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    document_id UUID NOT NULL,
    version INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    text TEXT NOT NULL,
    heading TEXT,
    page INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT chunks_document_fkey FOREIGN KEY(document_id, workspace_id) REFERENCES documents (id, workspace_id) ON DELETE CASCADE
);

CREATE INDEX chunks_bot_id_idx ON chunks (bot_id);
CREATE INDEX chunks_document_id_version_idx ON chunks (document_id, version);

CREATE TABLE document_versions (
    document_id UUID NOT NULL,
    version INTEGER NOT NULL,
    workspace_id UUID NOT NULL,
    text TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (document_id, version),
    CONSTRAINT document_versions_document_fkey FOREIGN KEY(document_id, workspace_id) REFERENCES documents (id, workspace_id) ON DELETE CASCADE
);

CREATE TABLE messages (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    parent_id UUID,
    position INTEGER NOT NULL,
    role VARCHAR(16) NOT NULL,
    status VARCHAR(16) NOT NULL,
    text TEXT NOT NULL,
    grounded BOOLEAN,
    model TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    idempotency_key TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT messages_id_workspace_id_key UNIQUE (id, workspace_id),
    CONSTRAINT messages_conversation_id_position_key UNIQUE (conversation_id, position),
    CONSTRAINT messages_idempotency_key UNIQUE (conversation_id, idempotency_key),
    CONSTRAINT messages_conversation_fkey FOREIGN KEY(conversation_id, workspace_id) REFERENCES conversations (id, workspace_id) ON DELETE CASCADE,
    CONSTRAINT messages_parent_fkey FOREIGN KEY(parent_id, workspace_id) REFERENCES messages (id, workspace_id) ON DELETE CASCADE
);

CREATE INDEX messages_parent_id_idx ON messages (parent_id);
CREATE INDEX messages_streaming_idx ON messages (conversation_id) WHERE status = 'STREAMING';

CREATE TABLE answer_events (
    message_id UUID NOT NULL,
    sequence INTEGER NOT NULL,
    workspace_id UUID NOT NULL,
    kind VARCHAR(16) NOT NULL,
    data JSONB NOT NULL,
    PRIMARY KEY (message_id, sequence),
    CONSTRAINT answer_events_message_fkey FOREIGN KEY(message_id, workspace_id) REFERENCES messages (id, workspace_id) ON DELETE CASCADE
);

CREATE TABLE answer_leases (
    message_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    token UUID NOT NULL,
    leased_until TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (message_id),
    CONSTRAINT answer_leases_message_fkey FOREIGN KEY(message_id, workspace_id) REFERENCES messages (id, workspace_id) ON DELETE CASCADE
);

CREATE INDEX answer_leases_leased_until_idx ON answer_leases (leased_until);

CREATE TABLE chunk_lex (
    chunk_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    document_id UUID NOT NULL,
    version INTEGER NOT NULL,
    encoder_version INTEGER NOT NULL,
    terms SPARSEVEC(1000000000) NOT NULL,
    PRIMARY KEY (chunk_id),
    FOREIGN KEY(chunk_id) REFERENCES chunks (id) ON DELETE CASCADE
);

CREATE INDEX chunk_lex_bot_id_idx ON chunk_lex (bot_id);

CREATE TABLE citations (
    message_id UUID NOT NULL,
    number INTEGER NOT NULL,
    workspace_id UUID NOT NULL,
    document_id UUID,
    document_title TEXT NOT NULL,
    document_version INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    quote TEXT NOT NULL,
    page INTEGER,
    PRIMARY KEY (message_id, number),
    CONSTRAINT citations_message_fkey FOREIGN KEY(message_id, workspace_id) REFERENCES messages (id, workspace_id) ON DELETE CASCADE,
    CONSTRAINT citations_document_fkey FOREIGN KEY(document_id, workspace_id) REFERENCES documents (id, workspace_id) ON DELETE SET NULL (document_id)
);

CREATE INDEX citations_document_id_idx ON citations (document_id);
"""

# The setting is an array, since a person may belong to several workspaces. The sub-select makes PostgreSQL
# read it once a statement, not once a row; unset it is '' after its first use, hence nullif. Null: no rows.
POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY {table}_of_workspace ON {table}
    USING (workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[]));
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    for statement in TABLES.split(";"):
        if statement.strip():
            op.execute(statement)
    for table in TENANT_TABLES:
        for statement in POLICY.format(table=table).split(";"):
            if statement.strip():
                op.execute(statement)


def downgrade() -> None:
    op.execute(
        "DROP TABLE citations, chunk_lex, answer_leases, answer_events, messages, document_versions, chunks, "
        "documents, conversations, bot_lexicons, workspace_members, used_refresh_tokens, user_sessions, jobs, "
        "document_deletions, bots, workspaces, users"
    )
