"""The audit log is read by person, object and act, newest first."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("CREATE INDEX audit_entries_actor_id_id_idx ON audit_entries (actor_id, id)")
    op.execute("CREATE INDEX audit_entries_subject_id_id_idx ON audit_entries (subject_id, id)")
    op.execute("CREATE INDEX audit_entries_object_id_id_idx ON audit_entries (object_id, id)")
    op.execute("CREATE INDEX audit_entries_act_id_idx ON audit_entries (act, id)")
    op.execute("DROP INDEX audit_entries_actor_id_idx, audit_entries_subject_id_idx")


def downgrade() -> None:
    op.execute("CREATE INDEX audit_entries_actor_id_idx ON audit_entries (actor_id)")
    op.execute("CREATE INDEX audit_entries_subject_id_idx ON audit_entries (subject_id)")
    op.execute("DROP INDEX audit_entries_act_id_idx, audit_entries_object_id_id_idx")
    op.execute("DROP INDEX audit_entries_subject_id_id_idx, audit_entries_actor_id_id_idx")
