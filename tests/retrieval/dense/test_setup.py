"""Which embedders and stores the settings open."""

import logging
from typing import Any

import pytest
from pydantic import SecretStr

from kyrochat.db.states import VectorStore
from kyrochat.errors import ConfigurationError
from kyrochat.retrieval.embedding_pace import PacedEmbedder
from kyrochat.retrieval.providers import open_providers
from kyrochat.setting_values import VectorStoreChoice
from kyrochat.settings import Settings

GEMINI: dict[str, Any] = {"gemini_api_key": SecretStr("g")}
SERVER: dict[str, Any] = {"embedding_base_url": "http://127.0.0.1:9/v1", "embedding_model": "tiny"}
PINECONE: dict[str, Any] = {"pinecone_api_key": SecretStr("p")}


def settings(**values: Any) -> Settings:
    absent: dict[str, Any] = {"gemini_api_key": None, "pinecone_api_key": None, "openai_api_key": None}
    return Settings(_env_file=None, **{**absent, **values})


@pytest.mark.parametrize(
    ("given", "scheme", "store"),
    [
        ({}, None, None),
        (GEMINI, "gemini-embedding-001/768/retrieval", VectorStore.PGVECTOR),
        (SERVER, "openai/tiny/own/plain", VectorStore.PGVECTOR),
        (GEMINI | SERVER, "openai/tiny/own/plain", VectorStore.PGVECTOR),
        (GEMINI | PINECONE, "gemini-embedding-001/768/retrieval", VectorStore.PINECONE),
        (SERVER | PINECONE, "openai/tiny/own/plain", VectorStore.PINECONE),
        (
            GEMINI | PINECONE | {"vector_store": VectorStoreChoice.PGVECTOR},
            "gemini-embedding-001/768/retrieval",
            VectorStore.PGVECTOR,
        ),
        (GEMINI | {"vector_store": VectorStoreChoice.OFF}, "gemini-embedding-001/768/retrieval", None),
        (
            SERVER | {"embedding_dimensions": 64, "embedding_texts_per_minute": 10},
            "openai/tiny/64/plain",
            VectorStore.PGVECTOR,
        ),
    ],
)
async def test_the_settings_say_who_makes_vectors_and_where_they_go(
    given: dict[str, Any], scheme: str | None, store: VectorStore | None
) -> None:
    async with open_providers(settings(**given)) as provided:
        embedders = provided.dense.embedders
        assert (embedders and embedders.current.scheme, provided.dense.store) == (scheme, store)
        assert (provided.dense.pinecone is not None) == ("pinecone_api_key" in given)


async def test_vectors_of_older_models_can_still_be_asked_for_as_long_as_their_provider_is_set_up() -> None:
    budget = {"embedding_texts_per_minute": 10}
    async with open_providers(settings(**GEMINI, **SERVER, **budget)) as provided:
        embedders = provided.dense.embedders
        assert embedders is not None
        for scheme in (
            "gemini-embedding-001/768/retrieval",
            "gemini-embedding-2/1536/search-result",
            "openai/org/older/own/plain",
            "openai/tiny/own/plain",
        ):
            found = embedders.of(scheme)
            assert isinstance(found, PacedEmbedder)
            assert found.scheme == scheme
        for scheme in ("gemini-embedding-2/1536/retrieval", "openai/tiny/own/0123abcd", "cohere/x/1/plain", "words"):
            assert (scheme, embedders.of(scheme)) == (scheme, None)


async def test_pinecone_without_its_key_is_a_mistake_and_a_store_without_an_embedder_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ConfigurationError, match="KYROCHAT_PINECONE_API_KEY"):
        async with open_providers(settings(**GEMINI, vector_store=VectorStoreChoice.PINECONE)):
            raise AssertionError
    with caplog.at_level(logging.WARNING):
        async with open_providers(settings()):
            assert caplog.messages == []
        async with open_providers(settings(**PINECONE)) as provided:
            assert provided.dense.store is None
    [message] = caplog.messages
    assert "KYROCHAT_EMBEDDING_BASE_URL" in message
