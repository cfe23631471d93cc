"""Vectors of two encodings beside each other, and the terms of large bots in an index."""

from alembic import op

from kyrochat.db.migrate import all_rows

revision = "0017"
down_revision = "0016"

# 1024 is version 1 of the encoder with the language guessed, which is what all rows are.
UPGRADE = """
ALTER TABLE bots ADD COLUMN encoding INTEGER DEFAULT 1024 NOT NULL;

ALTER TABLE chunk_lex ADD COLUMN encoding INTEGER DEFAULT 1024 NOT NULL;
ALTER TABLE chunk_lex ALTER COLUMN encoding DROP DEFAULT;
ALTER TABLE chunk_lex DROP CONSTRAINT chunk_lex_pkey;
ALTER TABLE chunk_lex ADD PRIMARY KEY (chunk_id, encoding);
ALTER TABLE chunk_lex DROP COLUMN encoder_version;
DROP INDEX chunk_lex_bot_id_idx;
CREATE INDEX chunk_lex_bot_id_encoding_idx ON chunk_lex (bot_id, encoding);

CREATE TABLE chunk_salts (
    chunk_id UUID NOT NULL,
    encoding INTEGER NOT NULL,
    workspace_id UUID NOT NULL,
    salts INTEGER[] NOT NULL,
    PRIMARY KEY (chunk_id, encoding),
    CONSTRAINT chunk_salts_chunk_fkey FOREIGN KEY(chunk_id, encoding) REFERENCES chunk_lex (chunk_id, encoding) ON DELETE CASCADE
);

CREATE INDEX chunk_salts_salts_idx ON chunk_salts USING gin (salts);
"""

# The second policy is how the index comes to be used at all. What a query asks for is checked after a table's policies,
# unless its operator is leakproof, and && of arrays is not: the index of the terms would stay closed to it. As a
# policy, "only rows with one of the terms that the transaction has named" comes before everything else.
POLICIES = """
ALTER TABLE chunk_salts ENABLE ROW LEVEL SECURITY;
ALTER TABLE chunk_salts FORCE ROW LEVEL SECURITY;
CREATE POLICY chunk_salts_of_workspace ON chunk_salts
    USING (workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[]));
CREATE POLICY chunk_salts_named ON chunk_salts AS RESTRICTIVE FOR SELECT
    USING (salts && (SELECT nullif(current_setting('kyrochat.salts', true), '')::integer[])::integer[]);
"""

DOWNGRADE = """
DELETE FROM chunk_lex USING bots WHERE bots.id = chunk_lex.bot_id AND bots.encoding <> chunk_lex.encoding;
DROP TABLE chunk_salts;
DROP INDEX chunk_lex_bot_id_encoding_idx;
CREATE INDEX chunk_lex_bot_id_idx ON chunk_lex (bot_id);
ALTER TABLE chunk_lex ADD COLUMN encoder_version INTEGER;
UPDATE chunk_lex SET encoder_version = encoding / 1024;
ALTER TABLE chunk_lex ALTER COLUMN encoder_version SET NOT NULL;
ALTER TABLE chunk_lex DROP CONSTRAINT chunk_lex_pkey;
ALTER TABLE chunk_lex ADD PRIMARY KEY (chunk_id);
ALTER TABLE chunk_lex DROP COLUMN encoding;
ALTER TABLE bots DROP COLUMN encoding;
"""


def upgrade() -> None:
    _execute(UPGRADE + POLICIES)


def downgrade() -> None:
    with all_rows(op.get_bind(), "chunk_lex", "bots"):
        _execute(DOWNGRADE)


def _execute(statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            op.execute(statement)
