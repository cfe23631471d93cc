"""What documents are found by beside their words, how bots search, and a count of what can be found."""

from alembic import op

revision = "0020"
down_revision = "0019"

UPGRADE = """
ALTER TABLE documents ADD COLUMN tags TEXT[] DEFAULT '{}' NOT NULL;
ALTER TABLE documents ADD COLUMN attributes JSONB DEFAULT '{}' NOT NULL;
ALTER TABLE crawls ADD COLUMN tags TEXT[] DEFAULT '{}' NOT NULL;
ALTER TABLE crawls ADD COLUMN attributes JSONB DEFAULT '{}' NOT NULL;

ALTER TABLE bots ADD COLUMN min_score DOUBLE PRECISION DEFAULT 0 NOT NULL;
ALTER TABLE bots ADD COLUMN alpha DOUBLE PRECISION;
ALTER TABLE bots ADD CONSTRAINT bots_min_score_check CHECK (min_score BETWEEN 0 AND 1);
ALTER TABLE bots ADD CONSTRAINT bots_alpha_check CHECK (alpha BETWEEN 0 AND 1);

ALTER TABLE messages ADD COLUMN document_filter JSONB;

CREATE TABLE document_tags (
    document_id UUID NOT NULL,
    tag TEXT NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    PRIMARY KEY (document_id, tag),
    CONSTRAINT document_tags_document_fkey FOREIGN KEY(document_id, workspace_id) REFERENCES documents (id, workspace_id) ON DELETE CASCADE
);
CREATE INDEX document_tags_bot_id_tag_idx ON document_tags (bot_id, tag, document_id);

CREATE TABLE search_versions (
    bot_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    version BIGINT DEFAULT 1 NOT NULL,
    changed_by BIGINT NOT NULL,
    PRIMARY KEY (bot_id),
    CONSTRAINT search_versions_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE
);
"""

# `documents.tags` is the truth, and this table the index on it: indexes on arrays are closed to roles that row-level
# security confines, since the operators are not leakproof.
INDEX_TAGS = """
CREATE FUNCTION index_document_tags() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM document_tags WHERE document_id = NEW.id;
    END IF;
    INSERT INTO document_tags (document_id, tag, workspace_id, bot_id)
    SELECT DISTINCT NEW.id, tag, NEW.workspace_id, NEW.bot_id FROM unnest(NEW.tags) AS tag;
    RETURN NULL;
END $$
"""

# At the end of the transaction, when it waits for nothing else any more, and once: so two that ingest into the same
# bot wait for each other's commit only, and never in a circle.
COUNT_CHANGE = """
CREATE FUNCTION count_search_change() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO search_versions AS counted (bot_id, workspace_id, changed_by)
    SELECT id, workspace_id, txid_current() FROM bots WHERE id = NEW.bot_id AND workspace_id = NEW.workspace_id
    ON CONFLICT (bot_id) DO UPDATE SET version = counted.version + 1, changed_by = excluded.changed_by
    WHERE counted.changed_by <> excluded.changed_by;
    RETURN NULL;
END $$
"""

TRIGGERS = """
CREATE TRIGGER documents_tagged AFTER INSERT ON documents
    FOR EACH ROW WHEN (NEW.tags <> '{}') EXECUTE FUNCTION index_document_tags();
CREATE TRIGGER documents_retagged AFTER UPDATE ON documents
    FOR EACH ROW WHEN (NEW.tags IS DISTINCT FROM OLD.tags) EXECUTE FUNCTION index_document_tags();
CREATE CONSTRAINT TRIGGER documents_searched AFTER INSERT ON documents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.live_version IS NOT NULL) EXECUTE FUNCTION count_search_change();
CREATE CONSTRAINT TRIGGER documents_searched_otherwise AFTER UPDATE ON documents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (
        (NEW.live_version IS NOT NULL OR OLD.live_version IS NOT NULL) AND (
            (NEW.live_version, NEW.title, NEW.source, NEW.tags, NEW.attributes, NEW.deleted_at)
            IS DISTINCT FROM (OLD.live_version, OLD.title, OLD.source, OLD.tags, OLD.attributes, OLD.deleted_at)
        )
    ) EXECUTE FUNCTION count_search_change()
"""

# See 0001 for the form: an array that is read once a statement, and no rows when it is unset.
POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY {table}_of_workspace ON {table}
    USING (workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[]))
"""

DOWNGRADE = """
DROP TRIGGER documents_searched_otherwise ON documents;
DROP TRIGGER documents_searched ON documents;
DROP TRIGGER documents_retagged ON documents;
DROP TRIGGER documents_tagged ON documents;
DROP FUNCTION count_search_change();
DROP FUNCTION index_document_tags();
DROP TABLE search_versions, document_tags;
ALTER TABLE messages DROP COLUMN document_filter;
ALTER TABLE bots DROP COLUMN alpha, DROP COLUMN min_score;
ALTER TABLE crawls DROP COLUMN attributes, DROP COLUMN tags;
ALTER TABLE documents DROP COLUMN attributes, DROP COLUMN tags
"""


def upgrade() -> None:
    _execute(UPGRADE)
    op.execute(INDEX_TAGS)
    op.execute(COUNT_CHANGE)
    _execute(TRIGGERS)
    for table in ("document_tags", "search_versions"):
        _execute(POLICY.format(table=table))


def downgrade() -> None:
    _execute(DOWNGRADE)


def _execute(statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            op.execute(statement)
