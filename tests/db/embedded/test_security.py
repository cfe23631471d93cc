"""Who may log in to the embedded PostgreSQL, what they may do, and what is seen from outside."""

import asyncio
import os
import signal
import time
from itertools import product
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from kyrochat.db.embedded import running
from tests.db.embedded.processes import (
    DEADLINE_S,
    refused,
    rows,
    socket_dir_of,
)


async def test_no_role_that_logs_in_is_above_row_level_security(data_dir: Path) -> None:
    with running(data_dir) as urls:
        attributes = await rows(
            urls.app,
            "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication FROM pg_roles"
            " WHERE rolname LIKE 'kyrochat%' ORDER BY 1",
        )
        databases = await rows(
            urls.app,
            "SELECT pg_get_userbyid(datdba), has_database_privilege('public', oid, 'CONNECT, TEMP, CREATE')"
            " FROM pg_database WHERE datname = current_database()",
        )
        away = make_url(urls.app).set(database="postgres").render_as_string(hide_password=False)
        assert "permission denied for database" in await refused(away, "SELECT 1")

    nothing = (False, False, False, False, False)
    assert attributes == [(role, *nothing) for role in ("kyrochat_app", "kyrochat_owner", "kyrochat_worker")]
    assert databases == [("kyrochat_owner", False)]


@pytest.mark.parametrize("role", ["app", "worker"])
async def test_what_the_owner_makes_is_usable_and_nothing_else(data_dir: Path, role: str) -> None:
    with running(data_dir, durable=False) as urls:
        await rows(
            urls.owner,
            f"CREATE TABLE {role}_item (id bigserial PRIMARY KEY, place vector(2))",
            f"CREATE FUNCTION {role}_twice(n int) RETURNS int LANGUAGE sql RETURN n * 2",
        )
        url: str = getattr(urls, role)

        found = await rows(
            url,
            f"INSERT INTO {role}_item (place) VALUES ('[1,2]'), ('[3,4]')",
            f"UPDATE {role}_item SET place = '[5,6]' WHERE id = 2",
            f"DELETE FROM {role}_item WHERE id = 1",
            f"SELECT id, place::text, {role}_twice(id::int) FROM {role}_item",
        )

        assert found == [(2, "[5,6]", 4)]
        assert "permission denied for schema public" in await refused(url, "CREATE TABLE mine (id int)")
        assert "permission denied to create temporary tables" in await refused(url, "CREATE TEMP TABLE mine (id int)")
        assert "must be owner of table" in await refused(url, f"DROP TABLE {role}_item")
        assert "must be owner of table" in await refused(url, f"ALTER TABLE {role}_item DISABLE ROW LEVEL SECURITY")
        assert "permission denied" in await refused(url, f"TRUNCATE {role}_item")
        assert "permission denied to set role" in await refused(url, "SET ROLE kyrochat_owner")


async def test_nobody_is_let_in_without_the_password(data_dir: Path) -> None:
    roles = ("kyrochat_owner", "kyrochat_app", "kyrochat_worker", "postgres", "pgserver", "root")
    with running(data_dir, durable=False) as urls:
        socket_dir = str(socket_dir_of(urls.app))
        for role, password, database in product(roles, ("", "wrong"), ("kyrochat", "postgres", "template1")):
            with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
                await asyncpg.connect(host=socket_dir, port=5432, user=role, password=password, database=database)


async def test_files_and_socket_are_private_and_no_port_is_open(data_dir: Path) -> None:
    with running(data_dir, durable=False) as urls:
        socket_dir = socket_dir_of(urls.owner)
        modes = [
            path.stat().st_mode & 0o777 for path in (data_dir / "postgres.json", data_dir / "postgres", socket_dir)
        ]
        listening = await rows(urls.owner, "SHOW listen_addresses")

        assert modes == [0o600, 0o700, 0o700]
        assert listening == [("",)]
        assert repr(urls) == "DatabaseUrls()"


async def test_document_text_never_reaches_the_log(data_dir: Path) -> None:
    secret = "Top secret paragraph"
    with running(data_dir, durable=False) as urls:
        await rows(urls.owner, "CREATE TABLE note (said text PRIMARY KEY)", f"INSERT INTO note VALUES ('{secret}')")
        await refused(urls.app, f"SELECT '{secret}'::int")
        await refused(urls.app, f"SELECT '{secret}'::jsonb")
        await refused(urls.app, f"INSERT INTO note VALUES ('{secret}')")
        await refused(urls.app, f"SELECT * FROM nothing WHERE said = '{secret}'")
        # PostgreSQL reports what a crashed process was doing.
        crashing = asyncio.create_task(refused(urls.app, f"SELECT pg_sleep(60), '{secret}'"))
        os.kill(await process_that_sleeps(urls.app), signal.SIGKILL)
        await crashing

    written = all_text(data_dir / "postgres" / "log")
    assert "was terminated by signal 9" in written
    assert "secret" not in written


async def process_that_sleeps(url: str) -> int:
    deadline = time.monotonic() + DEADLINE_S
    while not (found := await rows(url, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'")):
        assert time.monotonic() < deadline, "no process sleeps"
    return int(found[0].pid)


def all_text(directory: Path) -> str:
    return "".join(path.read_text() for path in directory.iterdir())


async def test_only_a_server_for_tests_lets_its_owner_copy_databases(data_dir: Path) -> None:
    with running(data_dir, durable=False) as urls:
        await _copy_database(urls.owner)
    with running(data_dir, durable=True) as urls, pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _copy_database(urls.owner)


async def _copy_database(owner_url: str) -> None:
    url = make_url(owner_url)
    connection = await asyncpg.connect(
        host=str(url.query["host"]), port=5432, user=url.username, password=url.password, database="postgres"
    )
    try:
        await connection.execute("CREATE DATABASE copied TEMPLATE kyrochat")
        await connection.execute("DROP DATABASE copied")
    finally:
        await connection.close()


async def test_a_link_in_the_place_of_the_last_socket_is_not_followed_and_does_not_stop_the_start(
    data_dir: Path,
) -> None:
    with running(data_dir) as urls:
        first = socket_dir_of(urls.app)
    # Anybody may make one where temporary files are.
    first.symlink_to(data_dir / "nothing")

    try:
        with running(data_dir) as urls:
            second = socket_dir_of(urls.app)
            assert await rows(urls.app, "SELECT 1") == [(1,)]
    finally:
        first.unlink()

    assert second != first
    assert not (data_dir / "nothing").exists()
