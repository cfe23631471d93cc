"""Documents of clients that are known before they are sent."""

from alembic import op

revision = "0010"
down_revision = "0009"

# No workspace and so no row-level security: they hold a client's questions, never anybody's data.
TABLE = """
CREATE TABLE trusted_documents (
    sha256 BYTEA NOT NULL,
    body TEXT NOT NULL,
    registered_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (sha256)
)
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE trusted_documents")
