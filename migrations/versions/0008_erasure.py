"""How the worker, which may not touch accounts, removes one that has ended, and no other."""

from alembic import op

revision = "0008"
down_revision = "0007"

# With the rights of who owns the tables. What it may do with them is in the condition: `accounts/erasure.py` ends an
# account this way, and nobody else gets such an address.
ERASE = """
CREATE FUNCTION erase_ended_account(ended UUID) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM users WHERE id = ended AND email = ended || '@deleted.invalid';
    SELECT NOT EXISTS (SELECT FROM users WHERE id = ended);
$$
"""


def upgrade() -> None:
    op.execute(ERASE)


def downgrade() -> None:
    op.execute("DROP FUNCTION erase_ended_account(UUID)")
