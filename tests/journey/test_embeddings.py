"""A server whose vectors come from a server like Ollama and lie in the embedded PostgreSQL, killed with all it has."""

import os
import signal
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.db.embedded.processes import is_alive, postmaster_of, stop_what_is_left
from tests.fakes.embedding_server import EmbeddingServer, HttpError, running_embedding_server
from tests.graphql_client import GraphQLClient, register, visiting
from tests.jobs.scene import until
from tests.journey.steps import ADD_TEXT, new_bot, until_read
from tests.server_process import serving

SEARCH = "query ($bot: ID!, $words: String!) { search(botId: $bot, query: $words) { document { title } score } }"
DELETE = "mutation ($id: ID!) { deleteDocument(id: $id) { ... on DocumentDeletion { documentId } } }"
# Nothing but words that the search by words passes over: only their vector leads there.
BY_MEANING = "where do they"


@pytest.fixture
def data_dir(tmp_path: Path) -> Generator[Path, None, None]:
    yield tmp_path / "data"
    stop_what_is_left(tmp_path / "data")


@pytest.fixture
async def embedding() -> AsyncGenerator[EmbeddingServer, None]:
    async with running_embedding_server() as fake:
        yield fake


async def titles(user: GraphQLClient, bot_id: str, query: str) -> list[str]:
    return [found["document"]["title"] for found in await user.run(SEARCH, bot=bot_id, words=query)]


async def test_what_was_embedded_is_found_by_its_meaning_also_after_everything_was_killed(
    data_dir: Path, embedding: EmbeddingServer
) -> None:
    settings = {
        "KYROCHAT_EMBEDDING_BASE_URL": embedding.url,
        "KYROCHAT_EMBEDDING_MODEL": "tiny",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    async with serving(data_dir, **settings) as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        embedding.script(HttpError(503), HttpError(429, retry_after="0"))
        swallows = await user.run(ADD_TEXT, bot=bot_id, title="Swallows", text="Where do they go? South, in autumn.")
        await until_read(user, swallows["id"])
        clock = await user.run(ADD_TEXT, bot=bot_id, title="Clock", text="It is wound on Mondays.")
        await until_read(user, clock["id"])
        before = await titles(user, bot_id, BY_MEANING)
        postmaster = postmaster_of(data_dir)
        await server.kill()
        os.kill(postmaster, signal.SIGKILL)
        await until(lambda: not is_alive(postmaster))
        assert server.faults() == []
    documents = len(embedding.texts)

    async with serving(data_dir, **settings) as server, visiting(server.graphql_url) as visitor:
        user = GraphQLClient(server.graphql_url, visitor.http, user.token)
        after = await titles(user, bot_id, BY_MEANING)
        embedding.script(*[HttpError(500)] * 3)
        without_the_embedder = await titles(user, bot_id, "autumn")
        await user.run(DELETE, id=swallows["id"])
        deleted = await titles(user, bot_id, BY_MEANING)
        assert server.faults() == []

    assert before == after == ["Swallows", "Clock"]
    assert set(embedding.texts[documents:]) == {BY_MEANING, "autumn"}
    assert without_the_embedder == ["Swallows"]
    assert deleted == ["Clock"]
