"""The three roles that may log in to the embedded PostgreSQL, and what each of them may do."""

import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from kyrochat.db.private_file import write_private

DATABASE = "kyrochat"
OWNER = "kyrochat_owner"
APP = "kyrochat_app"
WORKER = "kyrochat_worker"
# What ingesting and purging need. Whatever else is there is closed to the worker: it parses strangers' files, and has
# no business with passwords, tokens, keys, invitations, the audit log and what is said in answers.
WORKER_TABLES = (
    "jobs",
    "workspaces",
    "bots",
    "bot_lexicons",
    "search_versions",
    "documents",
    "document_versions",
    "document_tags",
    "document_deletions",
    "web_pages",
    "crawls",
    "crawl_pages",
    "chunks",
    "chunk_lex",
    "chunk_salts",
    "vector_sets",
    "chunk_vec",
    "conversations",
    "messages",
    "answer_leases",
    "question_sets",
    "evaluation_questions",
    "evaluations",
    "evaluation_results",
)

_PASSWORD_BYTES = 32
_RESTRICTED = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION"
# Stretching makes guessing a weak password slow; 256 random bits cannot be guessed, and every connection pays for it.
_SCRAM_ITERATIONS = 1


@dataclass(frozen=True, slots=True)
class Passwords:
    """One random password per role, in URL-safe letters."""

    owner: str = field(repr=False)
    app: str = field(repr=False)
    worker: str = field(repr=False)


def read_passwords(path: Path) -> Passwords | None:
    """Return the passwords in `path`, or None when the file is missing or damaged."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        values = [stored[each.name] for each in fields(Passwords)]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    # The passwords are written between quotes in SQL: take nothing that we could not have written.
    if all(isinstance(value, str) and value.replace("-", "").replace("_", "").isalnum() for value in values):
        return Passwords(*values)
    return None


def make_passwords(path: Path) -> Passwords:
    """Store new passwords in `path`, readable by its owner only, and return them."""
    passwords = Passwords(*(secrets.token_urlsafe(_PASSWORD_BYTES) for _ in fields(Passwords)))
    write_private(path, json.dumps(asdict(passwords), indent=2) + "\n")
    return passwords


def role_statements(passwords: Passwords, *, owner_may_create_databases: bool) -> list[str]:
    """Return the statements that give roles, passwords and rights the state they should have, whatever it was.

    To be run by the superuser in `DATABASE`, in this order.
    """
    users = f"{APP}, {WORKER}"
    by_owner = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER}"
    statements = [f"SET scram_iterations = {_SCRAM_ITERATIONS}"]
    for role, password in ((OWNER, passwords.owner), (APP, passwords.app), (WORKER, passwords.worker)):
        databases = "CREATEDB" if role == OWNER and owner_may_create_databases else "NOCREATEDB"
        statements += [
            # No exception handler: in the mode we run in, even a handled error ends the program.
            f"DO $$ BEGIN IF to_regrole('{role}') IS NULL THEN CREATE ROLE {role}; END IF; END $$",
            f"ALTER ROLE {role} {_RESTRICTED} {databases} PASSWORD '{password}'",
        ]
    statements += [
        "CREATE EXTENSION IF NOT EXISTS vector",
        "ALTER EXTENSION vector UPDATE",
        f"ALTER DATABASE {DATABASE} OWNER TO {OWNER}",
        f"REVOKE ALL ON DATABASE {DATABASE}, postgres, template1 FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {DATABASE} TO {users}",
        # A database is created from a connection to another one.
        f"GRANT CONNECT ON DATABASE postgres TO {OWNER}"
        if owner_may_create_databases
        else f"REVOKE CONNECT ON DATABASE postgres FROM {OWNER}",
        f"ALTER SCHEMA public OWNER TO {OWNER}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {users}",
        f"{by_owner} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {users}",
        f"{by_owner} GRANT USAGE ON SEQUENCES TO {users}",
        f"{by_owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        f"{by_owner} GRANT EXECUTE ON FUNCTIONS TO {users}",
    ]
    return statements


# Run by the tables' owner after each migration, since what is granted by default opens new tables to both.
CLOSE_TO_WORKER = f"""
DO $$ DECLARE closed text; BEGIN
    IF to_regrole('{WORKER}') IS NULL THEN RETURN; END IF;
    FOR closed IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
          AND relname NOT IN ({", ".join(f"'{table}'" for table in WORKER_TABLES)})
          AND has_table_privilege('{WORKER}', oid, 'SELECT, INSERT, UPDATE, DELETE')
    LOOP
        EXECUTE format('REVOKE ALL ON TABLE %I FROM {WORKER}', closed);
    END LOOP;
END $$
"""  # noqa: S608 (constants; a DO block takes no parameters)
