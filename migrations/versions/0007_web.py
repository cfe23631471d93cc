"""Documents from the web, which are read again, and crawls of sites."""

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = """
ALTER TABLE documents ADD COLUMN titled_by_content BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE documents ALTER COLUMN titled_by_content DROP DEFAULT;

CREATE TABLE web_pages (
    document_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    address TEXT NOT NULL,
    refresh_every_s INTEGER,
    next_refresh_at TIMESTAMP WITH TIME ZONE,
    refreshed_at TIMESTAMP WITH TIME ZONE,
    refresh_failure TEXT,
    etag TEXT,
    last_modified TEXT,
    validated_address TEXT,
    PRIMARY KEY (document_id),
    CONSTRAINT web_pages_bot_id_address_key UNIQUE (bot_id, address),
    CONSTRAINT web_pages_document_fkey FOREIGN KEY(document_id, workspace_id) REFERENCES documents (id, workspace_id) ON DELETE CASCADE
);

CREATE TABLE crawls (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    url TEXT NOT NULL,
    site TEXT,
    is_mapped BOOLEAN NOT NULL,
    max_pages INTEGER NOT NULL,
    max_depth INTEGER NOT NULL,
    refresh_every_s INTEGER,
    status VARCHAR(16) NOT NULL,
    failure TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT crawls_id_workspace_id_key UNIQUE (id, workspace_id),
    CONSTRAINT crawls_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX crawls_bot_id_url_key ON crawls (bot_id, url) WHERE status = 'RUNNING';
CREATE INDEX crawls_bot_id_id_idx ON crawls (bot_id, id);

CREATE TABLE crawl_pages (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    crawl_id UUID NOT NULL,
    address TEXT NOT NULL,
    depth INTEGER NOT NULL,
    state VARCHAR(16) NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL,
    reserved_id UUID,
    document_id UUID,
    PRIMARY KEY (id),
    CONSTRAINT crawl_pages_crawl_id_address_key UNIQUE (crawl_id, address),
    CONSTRAINT crawl_pages_crawl_fkey FOREIGN KEY(crawl_id, workspace_id) REFERENCES crawls (id, workspace_id) ON DELETE CASCADE,
    CONSTRAINT crawl_pages_document_fkey FOREIGN KEY(document_id, workspace_id) REFERENCES documents (id, workspace_id) ON DELETE SET NULL (document_id)
);

CREATE INDEX crawl_pages_crawl_id_id_idx ON crawl_pages (crawl_id, id);
CREATE INDEX crawl_pages_document_id_idx ON crawl_pages (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX crawl_pages_waiting_idx ON crawl_pages (crawl_id, attempts, depth, id) WHERE state = 'WAITING';
"""

# See 0001 for the form: an array that is read once a statement, and no rows when it is unset.
POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY {table}_of_workspace ON {table}
    USING (workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[]));
"""


def upgrade() -> None:
    _execute(TABLES)
    for table in ("web_pages", "crawls", "crawl_pages"):
        _execute(POLICY.format(table=table))


def downgrade() -> None:
    op.execute("DROP TABLE crawl_pages, crawls, web_pages")
    op.execute("ALTER TABLE documents DROP COLUMN titled_by_content")


def _execute(statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            op.execute(statement)
