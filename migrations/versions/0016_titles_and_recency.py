"""Who gave a conversation its title, and when something was asked in it last."""

from alembic import op

from kyrochat.db.migrate import all_rows

revision = "0016"
down_revision = "0015"

ADD = """
ALTER TABLE conversations
    ADD COLUMN title_origin VARCHAR(16) DEFAULT 'DERIVED' NOT NULL,
    ADD COLUMN recency UUID DEFAULT gen_random_uuid() NOT NULL
"""
# Whoever gave a title that is there is not known: it could be the user, so it stays. Of the time a UUIDv7 is made, with
# the rest of its bits from the id.
FILL = """
UPDATE conversations SET
    title_origin = CASE WHEN title = '' THEN 'DERIVED' ELSE 'USER' END,
    recency = (lpad(to_hex((extract(epoch FROM updated_at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(id::text), 1, 19))::uuid
"""


def upgrade() -> None:
    op.execute(ADD)
    with all_rows(op.get_bind(), "conversations"):
        op.execute(FILL)
    op.execute("DROP INDEX conversations_user_id_idx")
    op.execute("CREATE INDEX conversations_user_id_recency_idx ON conversations (user_id, recency)")


def downgrade() -> None:
    op.execute("DROP INDEX conversations_user_id_recency_idx")
    op.execute("CREATE INDEX conversations_user_id_idx ON conversations (user_id)")
    op.execute("ALTER TABLE conversations DROP COLUMN recency, DROP COLUMN title_origin")
