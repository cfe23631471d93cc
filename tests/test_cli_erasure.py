"""`kyrochat users export` and `delete`, beside a running server."""

import asyncio
import subprocess
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.graphql_client import GraphQLClient, Refused, register, visiting
from tests.journey.steps import ADD_TEXT, new_bot, until_read
from tests.server_process import Server, serving
from tests.test_cli import fails_with_one_line, run

TEXT = "The tower clock is wound on Mondays."


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server, None]:
    async with serving(tmp_path / "data") as server:
        yield server
        assert server.faults() == []


@pytest.fixture
async def ada(server: Server) -> AsyncGenerator[GraphQLClient, None]:
    """Somebody with a document, on a server that somebody else administers."""
    async with visiting(server.graphql_url) as visitor:
        await register(visitor)
        ada = await register(visitor)
        document = await ada.run(ADD_TEXT, bot=await new_bot(ada), title="Clock", text=TEXT)
        await until_read(ada, document["id"])
        yield ada


async def users(server: Server, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(run, "users", *arguments, "--data-dir", server.data_dir)


async def test_an_archive_is_written_for_its_owner_only_and_over_nothing(
    server: Server, ada: GraphQLClient, tmp_path: Path
) -> None:
    email = (await ada.run("{ me { email } }"))["email"]
    path = tmp_path / "ada.zip"

    done = await users(server, "export", email.upper(), path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}: all data of {email}, {path.stat().st_size:,} bytes.\n"
    assert path.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path) as zipped:
        assert zipped.testzip() is None
        [original] = [name for name in zipped.namelist() if "original" in name]
        assert zipped.read(original).decode() == TEXT
    before = path.read_bytes()
    assert "File exists" in fails_with_one_line(await users(server, "export", email, path))
    assert "nobody@example.org" in fails_with_one_line(await users(server, "export", "nobody@example.org", "x.zip"))
    assert path.read_bytes() == before


async def test_deleting_asks_first_and_returns_when_nothing_is_left(server: Server, ada: GraphQLClient) -> None:
    email = (await ada.run("{ me { email } }"))["email"]
    files = server.data_dir / "files"
    assert [path for path in files.rglob("*") if path.is_file()]

    asked = await users(server, "delete", email)  # nobody answers
    assert asked.returncode == 1
    assert "can be brought back" in asked.stdout
    assert (await ada.run("{ me { email } }"))["email"] == email
    done = await users(server, "delete", email, "--yes")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "Removed: rows, files and vectors."
    assert [path for path in files.rglob("*") if path.is_file()] == []
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        await ada.run("{ me { email } }")
    assert email not in (await users(server, "list")).stdout
    assert "There is no such account" in fails_with_one_line(await users(server, "delete", email, "--yes"))


async def test_the_last_administrator_is_not_deleted_while_there_are_others(server: Server, ada: GraphQLClient) -> None:
    admin = (await users(server, "list")).stdout.splitlines()[-1].split("  ")[0]

    done = await users(server, "delete", admin, "--yes")

    assert "the last administrator" in fails_with_one_line(done)
