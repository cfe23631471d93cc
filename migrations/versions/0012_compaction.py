"""When the log of a finished answer is compacted."""

from alembic import op

from kyrochat.db.migrate import all_rows

revision = "0012"
down_revision = "0011"

FINISHED = "UPDATE messages SET compact_log_at = now() WHERE role = 'ASSISTANT' AND status <> 'STREAMING'"

# Back to a row for each event, as they were: who has read some of them goes on from there.
EXPAND = """
INSERT INTO answer_events (message_id, workspace_id, sequence, kind, data)
SELECT message_id, workspace_id, sequence, 'text', jsonb_build_object('text', substr(body, at + 1, length))
FROM (
    SELECT event.message_id, event.workspace_id, event.data->>'text' AS body, each.value::int AS length,
        (event.data->>'first')::int + each.place::int - 1 AS sequence,
        sum(each.value::int) OVER (PARTITION BY event.message_id, event.sequence ORDER BY each.place)::int
            - each.value::int AS at
    FROM answer_events AS event,
        jsonb_array_elements_text(event.data->'lengths') WITH ORDINALITY AS each (value, place)
    WHERE event.kind = 'text' AND event.data ? 'first'
) AS parts
ON CONFLICT (message_id, sequence) DO UPDATE SET data = excluded.data
"""


def upgrade() -> None:
    op.execute("ALTER TABLE messages ADD COLUMN compact_log_at TIMESTAMP WITH TIME ZONE")
    op.execute("CREATE INDEX messages_compact_log_at_idx ON messages (compact_log_at) WHERE compact_log_at IS NOT NULL")
    with all_rows(op.get_bind(), "messages"):
        op.execute(FINISHED)


def downgrade() -> None:
    with all_rows(op.get_bind(), "answer_events"):
        op.execute(EXPAND)
    op.execute("ALTER TABLE messages DROP COLUMN compact_log_at")
