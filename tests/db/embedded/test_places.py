"""Strange, foreign, copied and broken data directories work, or are refused in words that help."""

import shutil
import tempfile
from pathlib import Path

import pytest

from kyrochat.db.embedded import EmbeddedPostgres, running
from kyrochat.errors import ConfigurationError
from tests.db.embedded.processes import copy, rows


async def test_a_long_path_with_spaces_and_quotes_works(tmp_path: Path) -> None:
    strange = tmp_path / "my 'data' \"here\" $HOME %s # ü" / ("x" * 150) / "data"
    strange.mkdir(parents=True)
    strange.chmod(0o700)

    with running(strange, durable=False) as urls:
        assert await rows(urls.worker, "SELECT current_user") == [("kyrochat_worker",)]

    assert (strange / "postgres" / "PG_VERSION").exists()


async def test_a_copied_data_directory_does_not_attach_to_the_server_of_the_original(
    data_dir: Path, tmp_path: Path
) -> None:
    with running(data_dir, durable=False) as urls:
        await rows(urls.owner, "CREATE TABLE original (id int)")
        copy(data_dir, tmp_path / "copy")

        with running(tmp_path / "copy", durable=False) as copied_urls:
            await rows(copied_urls.owner, "CREATE TABLE copied (id int)")

        found = await rows(urls.owner, "SELECT to_regclass('original')::text, to_regclass('copied')::text")
    assert found == [("original", None)]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"letter.txt": "dear"}, "holds files, but no PostgreSQL cluster"),
        ({"PG_VERSION": "15\n"}, "was made by PostgreSQL 15"),
        ({"PG_VERSION": "18\n"}, "that KyroChat did not make"),
    ],
)
def test_a_directory_of_somebody_else_is_refused_and_left_alone(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    cluster = tmp_path / "postgres"
    cluster.mkdir()
    for name, content in files.items():
        (cluster / name).write_text(content)
    owner = cluster.stat().st_uid

    with pytest.raises(ConfigurationError, match=words) as caught:
        EmbeddedPostgres.start(tmp_path)

    assert "KYROCHAT_DATA_DIR" in caught.value.message
    assert {path.name: path.read_text() for path in cluster.iterdir()} == files
    assert cluster.stat().st_uid == owner


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=r"file/data cannot be used: Not a directory.*KYROCHAT_DATA_DIR"):
        EmbeddedPostgres.start(tmp_path / "file" / "data")


async def test_why_postgresql_did_not_start_is_told_and_can_be_mended(data_dir: Path) -> None:
    local = data_dir / "postgres" / "postgresql.local.conf"
    local.write_text("max_connections = 40\nshared_preload_libraries = 'no_such_library'\n")
    local.chmod(0o644)

    with pytest.raises(ConfigurationError, match=r"PostgreSQL did not start: .*no_such_library"):
        EmbeddedPostgres.start(data_dir, durable=False)

    local.write_text("max_connections = 40\nlisten_addresses = '*'\nlog_statement = all\n")
    with running(data_dir, durable=False) as urls:
        assert await rows(urls.app, "SHOW max_connections") == [("40",)]
        assert await rows(urls.app, "SHOW listen_addresses") == [("",)]
        assert await rows(urls.app, "SHOW log_statement") == [("none",)]
    local.unlink()


async def test_the_socket_moves_to_tmp_when_the_temporary_directory_is_too_long(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("t" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setenv("PGPORT", "1")

    with running(data_dir, durable=False) as urls:
        assert await rows(urls.app, "SELECT 1") == [(1,)]
        assert list(long.iterdir()) == []


async def test_a_cluster_restored_as_root_is_handed_to_the_user_that_runs_it(data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(data_dir, tmp_path / "restored")

    with running(tmp_path / "restored", durable=False) as urls:
        assert await rows(urls.app, "SELECT 1") == [(1,)]
