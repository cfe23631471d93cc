"""`kyrochat index …` against a real database and a server that makes embeddings; killed in the middle and run again."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.documents.storage import open_store
from tests.documents.scene import Library, essay
from tests.factories import make_bot, make_viewer
from tests.fakes.embedding_server import Answer, EmbeddingServer, Hang, HttpError, running_embedding_server
from tests.jobs.scene import until
from tests.retrieval.dense.scene import Words, inside
from tests.server_process import environment, kyrochat


@pytest.fixture
async def embedding() -> AsyncGenerator[EmbeddingServer, None]:
    async with running_embedding_server() as fake:
        yield fake


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database)


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    return await make_bot(database, ada)


@pytest.fixture
def library(database: Database, worker_database: Database, changes: Changes, tmp_path: Path) -> Library:
    """A library whose bots have vectors of a model that the commands do not have."""
    directory = tmp_path / "files"
    return Library(database, worker_database, changes, open_store(directory), directory, setup=inside(Words()))


@pytest.fixture
def settings(urls: DatabaseUrls, embedding: EmbeddingServer, tmp_path: Path) -> dict[str, str]:
    return environment(
        KYROCHAT_DATABASE_URL=urls.owner,
        KYROCHAT_DATA_DIR=str(tmp_path / "data"),
        KYROCHAT_EMBEDDING_BASE_URL=f"{embedding.url}/v1",
        KYROCHAT_EMBEDDING_MODEL="tiny",
        NO_PROXY="127.0.0.1,localhost",
    )


async def start(settings: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *kyrochat("index", *arguments),
        env=settings,
        cwd="/",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(settings: dict[str, str], *arguments: str) -> tuple[int | None, str, str]:
    process = await start(settings, *arguments)
    out, err = await process.communicate()
    assert b"Traceback" not in out + err
    return process.returncode, out.decode(), err.decode()


async def test_a_rebuild_that_is_killed_goes_on_where_it_was_and_the_status_says_how_things_stand(
    library: Library, ada: Viewer, bot: Bot, settings: dict[str, str], embedding: EmbeddingServer
) -> None:
    await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 500))
    await library.work()
    [(total,)] = await library.run("SELECT count(*) FROM chunks", bot.workspace_id)
    before = await run(settings, "status")

    # A hundred texts take two requests; the third never ends.
    embedding.script(Answer(), Answer(), Hang())
    process = await start(settings, "rebuild")
    await until(lambda: len(embedding.requests) == 3, timeout_s=60)
    in_between = await run(settings, "status")
    process.kill()
    await process.communicate()
    sent = len(embedding.texts)
    code, out, err = await run(settings, "rebuild", "--bot", bot.name.upper())
    after = await run(settings, "status", "--bot", str(bot.id))

    assert before[0] == 1
    assert "New bots get vectors of openai/tiny/own/plain in PostgreSQL." in before[1]
    assert f"searched by: words/64 in PostgreSQL, {total} of {total} passages, which is not set up here" in before[1]
    assert "searched by words only" in before[1]
    assert "kyrochat index rebuild" in before[2]
    assert f"being built: openai/tiny/own/plain in PostgreSQL, 100 of {total} passages\n" in in_between[1]
    assert (code, err) == (0, "")
    assert f"{bot.name}: 100 of {total} passages" in out
    assert f"{bot.name}: {total} of {total} passages" in out
    assert len(embedding.texts) - sent == total - 100
    assert after[0] == 0
    assert f"searched by: openai/tiny/own/plain in PostgreSQL, {total} of {total} passages\n" in after[1]
    assert "words/64" not in after[1]


async def test_a_bot_whose_passages_the_model_refuses_does_not_keep_the_others_where_they_are(
    library: Library, database: Database, ada: Viewer, bot: Bot, settings: dict[str, str], embedding: EmbeddingServer
) -> None:
    other = await make_bot(database, ada, "Other")
    for each in (bot, other):
        await library.documents.add_text(ada, each.id, "Essay", essay("Rhine", 3))
    await library.work()
    embedding.script(HttpError(400))

    code, out, err = await run(settings, "rebuild")

    lines = out.splitlines()
    refused = [line for line in lines if "did not accept the request" in line]
    moved = [line for line in lines if line.endswith("searched by the new vectors")]
    assert (code, len(refused), len(moved)) == (1, 1, 1)
    assert {line.partition(":")[0] for line in (*refused, *moved)} == {bot.name, other.name}
    assert err.splitlines()[-1] == "Error: 1 bots were left as they are. See: kyrochat index status"


async def test_what_cannot_be_done_is_one_line(
    settings: dict[str, str], library: Library, ada: Viewer, bot: Bot
) -> None:
    unknown = await run(settings, "rebuild", "--bot", "Nobody")
    no_key = await run(settings, "rebuild", "--store", "pinecone")
    settings.pop("KYROCHAT_EMBEDDING_BASE_URL")
    nothing = await run(settings, "rebuild")
    status = await run(settings, "status")

    for code, out, err in (unknown, no_key, nothing):
        assert (code, out.count("\n") <= 1, len(err.splitlines())) == (1, True, 1)
    assert "no such bot as 'Nobody'" in unknown[2]
    assert "KYROCHAT_PINECONE_API_KEY" in no_key[2]
    assert "KYROCHAT_EMBEDDING_BASE_URL" in nothing[2]
    assert status[0] == 0
    assert "bots are searched by words" in status[1]
