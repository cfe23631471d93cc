"""`kyrochat serve` on an operator's PostgreSQL: it serves behind row-level security, or it does not serve."""

import subprocess
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.db.engine import asyncpg_url
from kyrochat.db.roles import WORKER_TABLES
from tests.graphql_client import register, visiting
from tests.journey.steps import ADD_TEXT, new_bot, until_read
from tests.server_process import environment, kyrochat, serving

TIMEOUT_S = 60


async def ask(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements, each on its own, and return the last one's rows."""
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    rows: list[tuple[object, ...]] = []
    async with engine.connect() as connection:
        for statement in statements:
            result = await connection.execute(text(statement))
            rows = [tuple(row) for row in result] if result.returns_rows else []
    await engine.dispose()
    return rows


async def made(superuser_url: str, role: str, rights: str) -> str:
    """Make a role and a database of its own, with pgvector in it, and return its URL."""
    await ask(superuser_url, f"CREATE ROLE {role} LOGIN {rights}", f"CREATE DATABASE {role} OWNER {role}")
    as_superuser = make_url(superuser_url).set(database=role)
    await ask(as_superuser.render_as_string(), "CREATE EXTENSION vector")
    return as_superuser.set(username=role).render_as_string()


def start(directory: Path, url: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command until it ends by itself."""
    return subprocess.run(
        kyrochat(*command, "--data-dir", directory),
        env=environment(KYROCHAT_DATABASE_URL=url),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",)], ids=["serve", "worker"])
async def test_a_role_that_bypasses_row_level_security_is_not_served(
    superuser_url: str, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """And it may not make roles that do not, so only another URL helps, which the one line on the terminal says."""
    name = f"sly_{command[0]}"
    url = await made(superuser_url, name, "NOSUPERUSER BYPASSRLS")

    ended = start(tmp_path, url, *command)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "bypasses row-level security and may not make roles that do not" in ended.stderr
    assert "Use a role without SUPERUSER and BYPASSRLS" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert await ask(url, f"SELECT usename FROM pg_stat_activity WHERE usename = '{name}'") == [(name,)]


async def test_a_superuser_is_served_under_roles_that_row_level_security_binds(
    superuser_url: str, tmp_path: Path
) -> None:
    await ask(superuser_url, "CREATE DATABASE bossy")
    url = make_url(superuser_url).set(database="bossy").render_as_string()

    async with serving(tmp_path / "data", KYROCHAT_DATABASE_URL=url) as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        document = await user.run(ADD_TEXT, bot=bot_id, title="Clock", text="The tower clock is wound on Mondays.")
        last = (await until_read(user, document["id"]))[-1]
        assert last["status"] == "READY"
        assert server.faults() == []

    # Whoever serves, and whoever works, sees nothing of that without naming the workspace; the superuser does.
    for role, table in (("kyrochat_app", "chunks"), ("kyrochat_worker", "chunks")):
        assert await ask(url, f"SET ROLE {role}", f"SELECT count(*) FROM {table}") == [(0,)]
    assert await ask(url, "SELECT count(*) > 0 FROM chunks") == [(True,)]
    granted = await ask(
        url,
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND has_table_privilege('kyrochat_worker', oid, 'SELECT, INSERT, UPDATE, DELETE')",
    )
    assert {name for (name,) in granted} == set(WORKER_TABLES)
