"""The embedder for OpenAI's `/v1/embeddings`, against a server on the wire."""

import logging
import math
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.openai_embedding import (
    MAX_TEXTS_PER_REQUEST,
    OpenAIEmbedder,
    Prefixes,
    embeddings_url,
    open_openai_embedder,
)
from kyrochat.retrieval.ports import Embedder
from kyrochat.retrieval.retries import Retries
from tests.fakes.embedding_server import (
    DIMENSIONS,
    Answer,
    Cut,
    EmbeddingServer,
    Hang,
    HttpError,
    Raw,
    running_embedding_server,
)

Open = Callable[..., OpenAIEmbedder]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
async def fake() -> AsyncGenerator[EmbeddingServer, None]:
    async with running_embedding_server() as fake:
        yield fake


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
async def opened(fake: EmbeddingServer, pauses: list[float]) -> AsyncGenerator[Open, None]:
    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with AsyncExitStack() as stack:

        def open_one(model: str = "tiny", api_key: str | None = None, **options: Any) -> OpenAIEmbedder:
            retries = Retries(first_pause_s=1.0, sleep=sleep, jitter=lambda: 1.0)
            options = {"base_url": f"{fake.url}/v1", "retries": retries, **options}
            embedder = open_openai_embedder(api_key=api_key, model=model, **options)
            stack.push_async_callback(embedder.close)
            return embedder

        yield open_one


def dot(left: Any, right: Any) -> float:
    return float(sum(a * b for a, b in zip(left, right, strict=True)))


async def test_texts_that_share_words_are_near_and_all_vectors_have_length_one(opened: Open) -> None:
    embedder: Embedder = opened()

    rhine, clock = await embedder.embed_documents(["The Rhine is long.", "The clock is wound on Mondays."])
    question = await embedder.embed_query("How long is the Rhine?")

    assert [len(vector) for vector in (rhine, clock, question)] == [DIMENSIONS] * 3
    assert [math.hypot(*vector) for vector in (rhine, clock, question)] == pytest.approx([1.0] * 3)
    assert dot(question, rhine) > dot(question, clock)


async def test_many_texts_go_in_bounded_requests_and_come_back_in_order(opened: Open, fake: EmbeddingServer) -> None:
    texts = [f"text number{number}" for number in range(150)]

    vectors = await opened().embed_documents(texts)

    assert [len(request["input"]) for request in fake.requests] == [MAX_TEXTS_PER_REQUEST, MAX_TEXTS_PER_REQUEST, 22]
    assert fake.texts == texts
    assert vectors[149] == (await opened().embed_documents(texts[149:]))[0]
    assert await opened().embed_documents([]) == []


async def test_answers_in_another_order_are_put_back(opened: Open, fake: EmbeddingServer) -> None:
    expected = await opened().embed_documents(["one", "two", "three"])
    fake.script(Answer(lambda body: body["data"].reverse()))

    assert await opened().embed_documents(["one", "two", "three"]) == expected


async def test_prefixes_key_and_dimensions_are_sent_as_set_and_not_otherwise(
    opened: Open, fake: EmbeddingServer
) -> None:
    fake.api_key = "sk-1"
    embedder = opened(api_key="sk-1", dimensions=16, prefixes=Prefixes("query: ", "passage: "))

    [document] = await embedder.embed_documents(["Rhine"])
    await embedder.embed_query("Elbe")

    assert len(document) == 16
    common = {"model": "tiny", "encoding_format": "float", "dimensions": 16}
    assert fake.requests == [{**common, "input": ["passage: Rhine"]}, {**common, "input": ["query: Elbe"]}]
    fake.api_key = None
    await opened().embed_query("Elbe")
    assert fake.requests[-1] == {"model": "tiny", "encoding_format": "float", "input": ["Elbe"]}


def test_a_scheme_tells_apart_what_cannot_be_compared(opened: Open) -> None:
    schemes = [
        opened().scheme,
        opened("wide").scheme,
        opened("library/wide").scheme,
        opened(dimensions=16).scheme,
        opened(prefixes=Prefixes("q: ", "d: ")).scheme,
        opened(prefixes=Prefixes("q: d: ")).scheme,
    ]

    assert schemes[0] == "openai/tiny/own/plain"
    assert len(set(schemes)) == len(schemes)


async def test_the_embedder_of_an_older_scheme_at_the_same_server_can_be_had(
    opened: Open, fake: EmbeddingServer
) -> None:
    embedder = opened("wide")

    older = embedder.of_scheme(opened("org/tiny", dimensions=16).scheme)

    assert isinstance(older, OpenAIEmbedder)
    assert (older.model, older.dimensions, older.scheme) == ("org/tiny", 16, "openai/org/tiny/16/plain")
    for other in (
        "gemini-embedding-001/768/retrieval",
        "openai/tiny/own/1234abcd",  # prefixes that are not set any more
        "openai/tiny/some/plain",
        "openai/tiny",
        "compass",
        "",
    ):
        assert (other, embedder.of_scheme(other)) == (other, None)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://ollama:11434", "http://ollama:11434/v1/embeddings"),
        ("http://ollama:11434/v1/", "http://ollama:11434/v1/embeddings"),
        ("https://gateway/azure/v2beta", "https://gateway/azure/v2beta/embeddings"),
        ("https://gateway/path", "https://gateway/path/v1/embeddings"),
    ],
)
def test_a_base_url_may_name_the_version_or_not(given: str, url: str) -> None:
    assert embeddings_url(given) == url


async def test_a_busy_server_is_asked_again_after_the_pause_that_it_asks_for(
    opened: Open, fake: EmbeddingServer, pauses: list[float]
) -> None:
    fake.script(HttpError(429, retry_after="7"), HttpError(503))

    [vector] = await opened().embed_documents(["Rhine"])

    assert len(vector) == DIMENSIONS
    assert pauses == [8.0, 2.0]
    assert len(fake.requests) == 3


async def test_whoever_asks_a_question_does_not_wait_long(
    opened: Open, fake: EmbeddingServer, pauses: list[float]
) -> None:
    fake.script(HttpError(429, retry_after="7"))

    with pytest.raises(ProviderUnavailable, match=r"quota is used up for now\. Try again in 7 s"):
        await opened().embed_query("Rhine")

    assert (pauses, len(fake.requests)) == ([], 1)


@pytest.mark.parametrize("step", [Cut(), HttpError(500), HttpError(502)])
async def test_what_may_pass_is_tried_again_and_then_told(
    opened: Open, fake: EmbeddingServer, step: Cut | HttpError
) -> None:
    fake.script(step)
    assert len(await opened().embed_query("Rhine")) == DIMENSIONS

    fake.script(step, step, step)
    with pytest.raises(ProviderUnavailable) as failed:
        await opened().embed_query("Rhine")

    assert failed.value.retryable
    assert len(fake.requests) == 5


@pytest.mark.parametrize(
    ("status", "named"), [(401, "_API_KEY"), (403, "_API_KEY"), (404, "_MODEL"), (400, "longer"), (413, "longer")]
)
async def test_what_will_not_pass_is_told_at_once_with_what_to_do(
    opened: Open, fake: EmbeddingServer, caplog: pytest.LogCaptureFixture, status: int, named: str
) -> None:
    fake.script(HttpError(status))

    with caplog.at_level(logging.INFO), pytest.raises(ProviderUnavailable, match=named) as failed:
        await opened().embed_documents(["a secret text"])

    assert not failed.value.retryable
    assert len(fake.requests) == 1
    for leak in ("sk-secret", "a secret text"):
        assert leak not in str(failed.value) + caplog.text


def drop_last(body: dict[str, Any]) -> None:
    body["data"].pop()


def set_first(value: Any) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        body["data"][0]["embedding"] = value

    return change


@pytest.mark.parametrize(
    "step",
    [
        Answer(drop_last),
        Answer(lambda body: body["data"][1].update(index=0)),
        Answer(lambda body: body["data"][1].update(index="x")),
        Answer(set_first([0.0] * DIMENSIONS)),
        Answer(set_first([math.nan] * DIMENSIONS)),
        Answer(set_first([math.inf] * DIMENSIONS)),
        Answer(set_first([1.0])),
        Answer(set_first([])),
        Answer(set_first(None)),
        Answer(set_first(["1"] * DIMENSIONS)),
        Answer(lambda body: body.pop("data")),
        Raw(b"[]"),
        Raw(b"<html>"),
        Raw(b"\xff\xfe"),
    ],
)
async def test_an_answer_that_is_none_is_never_taken_for_vectors(
    opened: Open, fake: EmbeddingServer, step: Answer | Raw
) -> None:
    fake.script(step)

    with pytest.raises(ProviderUnavailable) as failed:
        await opened().embed_documents(["one", "two"])

    assert failed.value.retryable


async def test_another_length_than_was_asked_for_is_refused_for_good(opened: Open, fake: EmbeddingServer) -> None:
    fake.script(Answer(lambda body: [each.update(embedding=[1.0] * 8) for each in body["data"]]))

    with pytest.raises(ProviderUnavailable, match="vectors of 8 numbers instead of 16") as failed:
        await opened(dimensions=16).embed_documents(["one", "two"])

    assert not failed.value.retryable


async def test_a_server_that_hangs_is_given_up(opened: Open, fake: EmbeddingServer) -> None:
    fake.script(Hang(), Hang())

    with pytest.raises(ProviderUnavailable, match="went silent"):
        await opened(silence_s=0.05).embed_query("Rhine")

    assert len(fake.requests) == 1


@pytest.fixture
def closed_port() -> Generator[int, None, None]:
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, and nobody listens
        yield bound.getsockname()[1]


async def test_a_server_that_is_not_there_or_no_address_is_told(opened: Open, closed_port: int) -> None:
    with pytest.raises(ProviderUnavailable, match="cannot be reached") as away:
        await opened(base_url=f"http://127.0.0.1:{closed_port}").embed_query("Rhine")
    with pytest.raises(ProviderUnavailable, match="KYROCHAT_EMBEDDING_BASE_URL") as wrong:
        await opened(base_url="nonsense").embed_query("Rhine")

    assert (away.value.retryable, wrong.value.retryable) == (True, False)
