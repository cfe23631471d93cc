import asyncio
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.gemini import Gemini
from kyrochat.retrieval.ports import Vector
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_requests import vector_of
from tests.fakes.gemini_steps import Cut, Hang, HttpError, Raw, Step, Vectors
from tests.retrieval.gemini.conftest import Pauses


def likeness(one: Vector, other: Vector) -> float:
    return sum(map(float.__mul__, one, other))


def texts_of(fake: FakeGemini, number: int) -> list[str]:
    return [request["content"]["parts"][0]["text"] for request in fake.requests[number].body["requests"]]


async def test_documents_become_unit_vectors_in_their_order(gemini: Gemini, fake: FakeGemini) -> None:
    texts = ["Eggs boil four minutes.", "Trains leave hourly."]

    vectors = await gemini.embedder.embed_documents(texts)

    assert [math.hypot(*vector) for vector in vectors] == pytest.approx([1, 1])
    for text, vector in zip(texts, vectors, strict=True):
        raw = vector_of(text, 768)
        assert math.hypot(*raw) > 1.5
        assert vector == pytest.approx([value / math.hypot(*raw) for value in raw])


async def test_a_long_document_takes_batches_of_a_hundred(gemini: Gemini, fake: FakeGemini) -> None:
    texts = [f"chunk {number}" for number in range(201)]

    vectors = await gemini.embedder.embed_documents(texts)

    assert len(vectors) == 201
    assert [len(texts_of(fake, number)) for number in range(3)] == [100, 100, 1]
    assert texts_of(fake, 0) + texts_of(fake, 1) + texts_of(fake, 2) == texts
    assert len(fake.requests) == 3


async def test_no_texts_need_no_request(gemini: Gemini, fake: FakeGemini) -> None:
    assert await gemini.embedder.embed_documents([]) == []
    assert fake.requests == []


async def test_the_first_model_is_told_its_task(gemini: Gemini, fake: FakeGemini) -> None:
    await gemini.embedder.embed_documents(["Eggs."])
    await gemini.embedder.embed_query("Eggs?")

    asked = [request.body["requests"][0] for request in fake.requests]
    assert [(one["taskType"], one["outputDimensionality"]) for one in asked] == [
        ("RETRIEVAL_DOCUMENT", 768),
        ("RETRIEVAL_QUERY", 768),
    ]
    assert gemini.embedder.scheme == "gemini-embedding-001/768/retrieval"


async def test_later_models_are_told_in_the_text_and_merge_nothing(
    opened: Callable[..., Gemini], fake: FakeGemini
) -> None:
    gemini = opened(embedding_model="gemini-embedding-2")

    vectors = await gemini.embedder.embed_documents(["Eggs.", "Trains."])
    await gemini.embedder.embed_query("Eggs?")
    await gemini.close()

    assert len(vectors) == 2
    assert texts_of(fake, 0) == ["title: none | text: Eggs.", "title: none | text: Trains."]
    assert texts_of(fake, 1) == ["task: search result | query: Eggs?"]
    assert "taskType" not in fake.requests[0].body["requests"][0]
    assert gemini.embedder.scheme == "gemini-embedding-2/768/search-result"


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
async def test_a_question_is_nearest_to_its_document(
    opened: Callable[..., Gemini], fake: FakeGemini, model: str
) -> None:
    gemini = opened(embedding_model=model)

    near, far = await gemini.embedder.embed_documents(["Eggs boil for four minutes.", "Trains leave hourly."])
    question = await gemini.embedder.embed_query("How long do eggs boil?")
    await gemini.close()

    assert likeness(question, near) > likeness(question, far) + 0.2


@pytest.mark.parametrize("failure", [HttpError(503, "UNAVAILABLE"), Cut(), HttpError(429, retry_delay="1s")], ids=repr)
async def test_a_failed_batch_is_sent_again_alone(
    gemini: Gemini, fake: FakeGemini, pauses: Pauses, failure: Step
) -> None:
    fake.script_embeddings(failure)

    vectors = await gemini.embedder.embed_documents([f"chunk {number}" for number in range(101)])

    assert len(vectors) == 101
    assert [len(texts_of(fake, number)) for number in range(3)] == [100, 100, 1]
    assert len(pauses.seconds) == 1


async def test_a_question_does_not_wait_as_long_as_a_document(gemini: Gemini, fake: FakeGemini, pauses: Pauses) -> None:
    fake.script_embeddings(HttpError(429, retry_delay="10s"))

    with pytest.raises(ProviderUnavailable, match="Try again in 10 s"):
        await gemini.embedder.embed_query("Eggs?")

    assert pauses.seconds == []


@pytest.mark.parametrize(
    ("answer", "message", "retryable"),
    [
        (Vectors([[1.0] * 768]), "Gemini sent 1 vectors for 2 texts. Try again.", True),
        (Raw(b"{}"), "Gemini sent 0 vectors for 2 texts. Try again.", True),
        (Vectors([[1.0] * 3072] * 2), "gemini-embedding-001 sends vectors of 3072 numbers instead of 768.", False),
        (Vectors([[0.0] * 768] * 2), "Gemini sent a vector without a direction. Try again.", True),
        (Raw(b'{"embeddings": [{"values": ['), "Gemini sent an answer that cannot be read. Try again.", True),
        (HttpError(403, "PERMISSION_DENIED"), "The Gemini API key was refused. Check KYROCHAT_GEMINI_API_KEY.", False),
    ],
    ids=["too few", "none", "too long", "all zero", "unreadable", "refused"],
)
async def test_vectors_that_cannot_be_used_are_an_error(
    gemini: Gemini, fake: FakeGemini, answer: Step, message: str, retryable: bool
) -> None:
    fake.script_embeddings(answer)

    with pytest.raises(ProviderUnavailable) as caught:
        await gemini.embedder.embed_documents(["Eggs.", "Trains."])

    assert (caught.value.message, caught.value.retryable) == (message, retryable)
    assert len(fake.requests) == 1


async def test_an_embedding_that_never_comes_is_given_up(gemini: Gemini, fake: FakeGemini) -> None:
    await gemini.warm_up()
    fake.script_embeddings(Hang())

    with pytest.raises(ProviderUnavailable, match="took too long"):
        await replace(gemini.embedder, query_timeout_s=0.2).embed_query("Eggs?")

    await asyncio.wait_for(fake.requests[0].closed.wait(), 30)
    assert len(fake.requests) == 1
