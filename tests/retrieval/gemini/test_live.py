"""The same adapter against the real Gemini."""

import math
import os

import pytest

from kyrochat.retrieval.gemini import open_gemini
from kyrochat.retrieval.types import Finished, Prompt, TextPiece

API_KEY = os.environ.get("GEMINI_API_KEY") or os.environ.get("GOOGLE_API_KEY", "")
pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not API_KEY, reason="needs GEMINI_API_KEY"),
]


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
async def test_a_hundred_texts_become_as_many_unit_vectors_and_a_question_is_nearest_to_its_own(model: str) -> None:
    gemini = open_gemini(API_KEY, None, "v1", "gemini-3.5-flash", model)
    try:
        texts = ["Eggs boil for four minutes.", *[f"Train {number} leaves hourly." for number in range(99)]]
        vectors = await gemini.embedder.embed_documents(texts)
        question = await gemini.embedder.embed_query("How long do eggs boil?")
    finally:
        await gemini.close()

    assert len(vectors) == len(texts)
    assert {len(vector) for vector in [*vectors, question]} == {768}
    assert all(abs(math.hypot(*vector) - 1) < 1e-6 for vector in [*vectors, question])
    scores = [sum(a * b for a, b in zip(question, vector, strict=True)) for vector in vectors]
    assert scores.index(max(scores)) == 0


async def test_an_answer_streams_and_ends() -> None:
    gemini = open_gemini(API_KEY, None, "v1", "gemini-3.5-flash", "gemini-embedding-001")
    try:
        events = [each async for each in gemini.answer_model.stream(Prompt("Answer in one word.", (), (), "Say yes."))]
    finally:
        await gemini.close()

    assert "".join(each.text for each in events if isinstance(each, TextPiece)).strip() != ""
    assert isinstance(events[-1], Finished)
