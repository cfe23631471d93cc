"""API keys, invitations, password resets, the audit log, and what all processes of a database agree on."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
ALTER TABLE users ADD COLUMN disabled_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE user_sessions ADD COLUMN refreshed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;
ALTER TABLE user_sessions ADD COLUMN address TEXT DEFAULT '' NOT NULL;
ALTER TABLE user_sessions ADD COLUMN user_agent TEXT DEFAULT '' NOT NULL;
ALTER TABLE user_sessions ALTER COLUMN address DROP DEFAULT;
ALTER TABLE user_sessions ALTER COLUMN user_agent DROP DEFAULT;

ALTER TABLE used_refresh_tokens ADD COLUMN used_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;

ALTER TABLE workspace_members ADD COLUMN created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;

ALTER TABLE document_deletions ADD COLUMN bot_id UUID;

CREATE TABLE installation (
    name VARCHAR NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE password_resets (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT password_resets_token_hash_key UNIQUE (token_hash),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX password_resets_user_id_idx ON password_resets (user_id);

CREATE TABLE api_keys (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    created_by UUID NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    scopes JSONB DEFAULT '[]' NOT NULL,
    bot_id UUID,
    allowed_origins JSONB DEFAULT '[]' NOT NULL,
    daily_token_budget BIGINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    last_used_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT api_keys_id_workspace_id_key UNIQUE (id, workspace_id),
    CONSTRAINT api_keys_secret_hash_key UNIQUE (secret_hash),
    CONSTRAINT api_keys_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE,
    FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE,
    FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX api_keys_workspace_id_id_idx ON api_keys (workspace_id, id);
CREATE INDEX api_keys_created_by_idx ON api_keys (created_by);

CREATE TABLE api_key_usage (
    api_key_id UUID NOT NULL,
    day DATE NOT NULL,
    workspace_id UUID NOT NULL,
    tokens BIGINT NOT NULL,
    PRIMARY KEY (api_key_id, day),
    CONSTRAINT api_key_usage_api_key_fkey FOREIGN KEY(api_key_id, workspace_id) REFERENCES api_keys (id, workspace_id) ON DELETE CASCADE
);

CREATE TABLE invitations (
    id UUID NOT NULL,
    workspace_id UUID,
    role VARCHAR(16) NOT NULL,
    email TEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    created_by UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    accepted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT invitations_token_hash_key UNIQUE (token_hash),
    FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE,
    FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX invitations_workspace_id_id_idx ON invitations (workspace_id, id);
CREATE INDEX invitations_created_by_idx ON invitations (created_by);

CREATE TABLE audit_entries (
    id UUID NOT NULL,
    workspace_id UUID,
    act TEXT NOT NULL,
    actor_id UUID,
    api_key_id UUID,
    subject_id UUID,
    object_type TEXT,
    object_id UUID,
    address TEXT,
    details JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT audit_entries_actor_fkey FOREIGN KEY(actor_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT audit_entries_subject_fkey FOREIGN KEY(subject_id) REFERENCES users (id) ON DELETE SET NULL,
    FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);

CREATE INDEX audit_entries_workspace_id_id_idx ON audit_entries (workspace_id, id);
CREATE INDEX audit_entries_actor_id_idx ON audit_entries (actor_id);
CREATE INDEX audit_entries_subject_id_idx ON audit_entries (subject_id);

ALTER TABLE conversations ADD COLUMN is_public BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE conversations ALTER COLUMN is_public DROP DEFAULT;
CREATE INDEX conversations_user_id_idx ON conversations (user_id);

ALTER TABLE messages ADD COLUMN api_key_id UUID;
ALTER TABLE messages ADD CONSTRAINT messages_api_key_fkey
    FOREIGN KEY(api_key_id, workspace_id) REFERENCES api_keys (id, workspace_id) ON DELETE SET NULL (api_key_id);
CREATE INDEX messages_api_key_id_idx ON messages (api_key_id) WHERE api_key_id IS NOT NULL;
"""

# See 0001 for the form: an array that is read once a statement, and no rows when it is unset.
WORKSPACE = "workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[])"
# Whoever brings the secret finds the one row that is its own before any workspace is known.
CREDENTIAL = "(SELECT decode(nullif(current_setting('kyrochat.credential', true), ''), 'hex'))"
# What belongs to the site rather than to a workspace is for its administrators.
ADMINISTERS = "(SELECT current_setting('kyrochat.administers', true) = 'on')"

POLICIES = f"""
CREATE POLICY api_keys_of_workspace ON api_keys USING ({WORKSPACE});
CREATE POLICY api_keys_by_secret ON api_keys FOR SELECT USING (secret_hash = {CREDENTIAL});

CREATE POLICY api_key_usage_of_workspace ON api_key_usage USING ({WORKSPACE});

CREATE POLICY invitations_of_workspace ON invitations USING ({WORKSPACE});
CREATE POLICY invitations_by_token ON invitations USING (token_hash = {CREDENTIAL});
CREATE POLICY invitations_of_site ON invitations USING (workspace_id IS NULL AND {ADMINISTERS});

CREATE POLICY audit_entries_of_workspace ON audit_entries USING ({WORKSPACE});
CREATE POLICY audit_entries_for_site ON audit_entries FOR SELECT USING ({ADMINISTERS});
CREATE POLICY audit_entries_of_site ON audit_entries FOR INSERT WITH CHECK (workspace_id IS NULL);
"""

# Foreign keys act from inside a trigger of their own: at depth 2 it is a deletion of the workspace or the person.
APPEND_ONLY = """
CREATE FUNCTION keep_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'The audit log is append-only.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF OLD.actor_id IS NOT NULL AND NEW.actor_id IS NULL THEN
        NEW.address := NULL;
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    for statement in TABLES.split(";"):
        if statement.strip():
            op.execute(statement)
    for table in ("api_keys", "api_key_usage", "invitations", "audit_entries"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for statement in POLICIES.split(";"):
        if statement.strip():
            op.execute(statement)
    op.execute(APPEND_ONLY)
    op.execute(
        "CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE ON audit_entries"
        " FOR EACH ROW EXECUTE FUNCTION keep_audit_entry()"
    )
    op.execute(
        "CREATE TRIGGER audit_entries_no_truncate BEFORE TRUNCATE ON audit_entries"
        " FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_entry()"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE messages DROP COLUMN api_key_id")
    op.execute("DROP INDEX conversations_user_id_idx")
    op.execute("ALTER TABLE conversations DROP COLUMN is_public")
    op.execute("DROP TABLE audit_entries, invitations, api_key_usage, api_keys, password_resets, installation")
    op.execute("DROP FUNCTION keep_audit_entry()")
    op.execute("ALTER TABLE document_deletions DROP COLUMN bot_id")
    op.execute("ALTER TABLE workspace_members DROP COLUMN created_at")
    op.execute("ALTER TABLE used_refresh_tokens DROP COLUMN used_at")
    op.execute("ALTER TABLE user_sessions DROP COLUMN user_agent, DROP COLUMN address, DROP COLUMN refreshed_at")
    op.execute("ALTER TABLE users DROP COLUMN disabled_at")
