"""Users come, leave and are killed at any moment; the server follows and loses nothing."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from kyrochat.db.embedded import EmbeddedPostgres, running
from kyrochat.errors import ConfigurationError
from tests.db.embedded.processes import is_alive, postmaster_of, rows, socket_dir_of, unfinished, until, user_of


async def test_a_start_after_the_first_user_was_killed_attaches_and_finds_its_data(data_dir: Path) -> None:
    with user_of(data_dir) as user:
        user.go_on()
        await rows(
            user.hear("postgresql"), "CREATE TABLE left_over (said text)", "INSERT INTO left_over VALUES ('kept')"
        )
        user.kill()
    postmaster = postmaster_of(data_dir)
    assert is_alive(postmaster)

    with running(data_dir, durable=False) as urls:
        assert postmaster_of(data_dir) == postmaster
        assert await rows(urls.app, "SELECT said FROM left_over") == [("kept",)]
    assert not is_alive(postmaster)


@pytest.mark.parametrize("process_id", ["stale", "reused"])
async def test_committed_rows_survive_when_every_process_is_killed(data_dir: Path, process_id: str) -> None:
    with user_of(data_dir, durable=True) as user:
        user.go_on()
        await rows(
            user.hear("postgresql"),
            f"CREATE TABLE {process_id} (said text)",
            f"INSERT INTO {process_id} VALUES ('kept')",
        )
        killed = postmaster_of(data_dir)
        os.kill(killed, signal.SIGKILL)
        user.kill()
    with a_bystander(data_dir / "postgres") as bystander:
        if process_id == "reused":
            pretend_that_the_server_was(bystander.pid, data_dir)

        with running(data_dir) as urls:
            assert await rows(urls.app, f"SELECT said FROM {process_id}") == [("kept",)]
            assert await rows(urls.app, "SHOW fsync") == [("on",)]
            assert postmaster_of(data_dir) not in (killed, bystander.pid)

        assert bystander.poll() is None, "an innocent process was ended"


async def test_a_server_that_dies_is_revived_where_it_was_and_its_rows_are_there(data_dir: Path) -> None:
    postgres = EmbeddedPostgres.start(data_dir)
    try:
        await rows(postgres.urls.owner, "CREATE TABLE dying (said text)", "INSERT INTO dying VALUES ('kept')")
        assert not postgres.is_dead()
        for _ in range(2):
            os.kill(postmaster_of(data_dir), signal.SIGKILL)
            until(postgres.is_dead)
            postgres.revive()

            assert not postgres.is_dead()
            assert await rows(postgres.urls.owner, "SELECT said FROM dying") == [("kept",)]
        last = postmaster_of(data_dir)
    finally:
        postgres.stop()
    assert not is_alive(last)
    assert not postgres.is_dead()


async def test_two_users_who_notice_at_once_start_one_server(data_dir: Path) -> None:
    one, other = EmbeddedPostgres.start(data_dir), EmbeddedPostgres.start(data_dir)
    try:
        os.kill(postmaster_of(data_dir), signal.SIGKILL)
        until(one.is_dead)

        await asyncio.gather(asyncio.to_thread(one.revive), asyncio.to_thread(other.revive))

        assert one.urls == other.urls
        assert await rows(other.urls.app, "SELECT 1") == [(1,)]
    finally:
        one.stop()
        other.stop()


@contextmanager
def a_bystander(cluster: Path) -> Generator[subprocess.Popen[bytes], None, None]:
    """A process of the user that PostgreSQL runs as, which PostgreSQL would take for its own."""
    owner = cluster.stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid, group=owner.st_gid) as process:
        try:
            yield process
        finally:
            process.kill()


def pretend_that_the_server_was(process_id: int, data_dir: Path) -> None:
    file = data_dir / "postgres" / "postmaster.pid"
    file.write_text("\n".join([str(process_id), *file.read_text().splitlines()[1:]]) + "\n")


async def test_two_processes_race_on_an_empty_directory_and_the_last_one_out_stops_it(empty_dir: Path) -> None:
    with user_of(empty_dir) as one, user_of(empty_dir) as other:
        one.go_on()
        other.go_on()
        first_url, second_url = one.hear("postgresql"), other.hear("postgresql")
        postmaster = postmaster_of(empty_dir)
        await rows(first_url, "CREATE TABLE note (said text)")
        assert await rows(second_url, "SELECT * FROM note") == []

        one.go_on()
        one.hear("left")
        assert is_alive(postmaster)
        assert await rows(second_url, "SELECT 1") == [(1,)]

        other.go_on()
        other.hear("left")
        assert not is_alive(postmaster)
    assert not (empty_dir / "postgres" / "postmaster.pid").exists()
    assert not socket_dir_of(first_url).exists()


async def test_threads_of_one_process_share_the_server(data_dir: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(lambda _: EmbeddedPostgres.start(data_dir, durable=False), range(4)))
    postmaster = postmaster_of(data_dir)

    for share in shares[:-1]:
        share.stop()
        share.stop()
    assert await rows(shares[-1].urls.app, "SELECT 1") == [(1,)]

    shares[-1].stop()
    assert not is_alive(postmaster)


# Each is something that initdb, or one of the two steps after it, has just written.
@pytest.mark.parametrize("written", ["PG_VERSION", "base/16*", "kyrochat.roles"])
async def test_a_first_start_that_was_killed_at_any_step_is_made_good(empty_dir: Path, written: str) -> None:
    with user_of(empty_dir) as user:
        user.go_on()
        until(lambda: unfinished(empty_dir, written) or (empty_dir / "postgres").exists())
        user.kill()

    with running(empty_dir, durable=False) as urls:
        assert await rows(urls.app, "SELECT count(*)::int FROM pg_extension WHERE extname = 'vector'") == [(1,)]
        assert await rows(urls.worker, "SELECT 1") == [(1,)]
    assert unfinished(empty_dir) == []


def test_remains_of_a_first_start_are_removed(empty_dir: Path) -> None:
    (empty_dir / ".postgres-unfinished-abc" / "base").mkdir(parents=True)
    (empty_dir / "postgres").mkdir()

    with running(empty_dir, durable=False):
        pass

    assert unfinished(empty_dir) == []


async def test_lost_passwords_are_renewed_once_nobody_uses_the_old_ones(data_dir: Path) -> None:
    lost = EmbeddedPostgres.start(data_dir, durable=False)
    (data_dir / "postgres.json").write_text("{}")

    with pytest.raises(ConfigurationError, match=r"postgres\.json is missing or damaged, and the database is in use"):
        EmbeddedPostgres.start(data_dir, durable=False)
    assert await rows(lost.urls.app, "SELECT 1") == [(1,)]

    lost.stop()
    with running(data_dir, durable=False) as urls:
        assert urls != lost.urls
        for url in (urls.owner, urls.app, urls.worker):
            assert await rows(url, "SELECT 1") == [(1,)]


async def test_lost_passwords_are_renewed_when_a_killed_user_left_the_server_running(data_dir: Path) -> None:
    with user_of(data_dir) as user:
        user.go_on()
        user.hear("postgresql")
        user.kill()
    (data_dir / "postgres.json").unlink()

    with running(data_dir, durable=False) as urls:
        assert await rows(urls.app, "SELECT 1") == [(1,)]
