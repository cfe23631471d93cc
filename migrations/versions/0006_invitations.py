"""Invitations of the operator, and a log that forgets the address of a deleted person also where only he is named."""

from alembic import op

from kyrochat.db.migrate import all_rows

revision = "0006"
down_revision = "0005"

# As in 0002, and: an entry with a subject and no actor tells of somebody who was not signed in, from his own address.
KEEP = """
CREATE OR REPLACE FUNCTION keep_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'The audit log is append-only.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF {condition} THEN
        NEW.address := NULL;
    END IF;
    RETURN NEW;
END
$$
"""
ACTOR_GONE = "OLD.actor_id IS NOT NULL AND NEW.actor_id IS NULL"
PERSON_GONE = f"({ACTOR_GONE}) OR (NEW.actor_id IS NULL AND OLD.subject_id IS NOT NULL AND NEW.subject_id IS NULL)"


def upgrade() -> None:
    op.execute("ALTER TABLE invitations ALTER COLUMN created_by DROP NOT NULL")
    op.execute(KEEP.format(condition=PERSON_GONE))


def downgrade() -> None:
    op.execute(KEEP.format(condition=ACTOR_GONE))
    with all_rows(op.get_bind(), "invitations"):
        op.execute("DELETE FROM invitations WHERE created_by IS NULL")
    op.execute("ALTER TABLE invitations ALTER COLUMN created_by SET NOT NULL")
