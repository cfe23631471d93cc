import asyncio
import os
from collections.abc import Callable
from contextlib import aclosing

import pytest

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.gemini import Gemini, open_gemini
from kyrochat.retrieval.prompting import system_instruction, user_content
from kyrochat.retrieval.types import Finished, Prompt, TextPiece, Turn, Usage
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_steps import Finish, Hang, Raw, Text, Wait, sse
from tests.jobs.scene import until
from tests.retrieval.answer_models.prompts import QUESTION, outcome_of, with_history
from tests.retrieval.gemini.conftest import MODEL


async def test_an_answer_comes_in_pieces_and_ends_with_its_usage(gemini: Gemini, fake: FakeGemini) -> None:
    fake.script(Text("Four "), Text("minutes."), Finish(prompt_tokens=20, answer_tokens=4, thought_tokens=7))

    outcome = await outcome_of(gemini.answer_model)

    assert outcome.texts == ["Four ", "minutes."]
    assert outcome.finished == Finished(Usage(20, 11), details={"model_version": MODEL})
    assert fake.open_streams == 0


async def test_a_request_holds_rules_history_and_question(gemini: Gemini, fake: FakeGemini) -> None:
    prompt = with_history(Turn("user", "Soft-boiled?"), Turn("assistant", "Four minutes."))

    await outcome_of(gemini.answer_model, prompt)

    (request,) = fake.requests
    assert request.model == MODEL
    assert request.body["contents"] == [
        {"role": "user", "parts": [{"text": "Soft-boiled?"}]},
        {"role": "model", "parts": [{"text": "Four minutes."}]},
        {"role": "user", "parts": [{"text": user_content(prompt)}]},
    ]
    assert request.body["systemInstruction"]["parts"] == [{"text": system_instruction(prompt)}]
    assert request.body["generationConfig"] == {"temperature": 0.7}


@pytest.mark.parametrize(
    ("thinking", "told"),
    [
        ("low", {"thinkingLevel": "LOW", "includeThoughts": False}),
        ("0", {"thinkingBudget": 0, "includeThoughts": False}),
        ("1024", {"thinkingBudget": 1024, "includeThoughts": False}),
        ("", None),
    ],
)
async def test_how_much_it_thinks_and_writes_is_told_where_it_is_set(
    opened: Callable[..., Gemini], fake: FakeGemini, thinking: str, told: dict[str, object] | None
) -> None:
    gemini = opened(thinking=thinking, answer_tokens=500)

    outcome = await outcome_of(gemini.answer_model)
    await gemini.close()

    assert outcome.problem is None
    config = fake.requests[0].body["generationConfig"]
    assert (config.get("thinkingConfig"), config["maxOutputTokens"]) == (told, 500)


async def test_turns_without_text_are_left_out(gemini: Gemini, fake: FakeGemini) -> None:
    prompt = with_history(Turn("user", "Soft-boiled?"), Turn("assistant", ""))

    await outcome_of(gemini.answer_model, prompt)

    assert [content["role"] for content in fake.requests[0].body["contents"]] == ["user", "user"]


async def test_a_bot_may_name_its_model(gemini: Gemini, fake: FakeGemini) -> None:
    outcome = await outcome_of(gemini.answer_model, Prompt("", (), (), "Hi?", model="gemini-3.1-flash-lite"))

    assert outcome.finished is not None
    assert fake.requests[0].model == "gemini-3.1-flash-lite"
    assert gemini.answer_model.name == MODEL


@pytest.mark.parametrize("model", ["../../v1/files", "a?key=b", "a b", "a\n", "a/b/c"])
async def test_a_model_name_cannot_lead_elsewhere(gemini: Gemini, fake: FakeGemini, model: str) -> None:
    outcome = await outcome_of(gemini.answer_model, Prompt("", (), (), "Hi?", model=model))

    assert (outcome.message, outcome.retryable) == ("This is not the name of a Gemini model.", False)
    assert fake.requests == []


async def test_a_piece_arrives_before_the_next_is_written(gemini: Gemini, fake: FakeGemini) -> None:
    go_on = asyncio.Event()
    fake.script(Text("Four "), Wait(go_on), Text("minutes."), Finish())

    async with aclosing(gemini.answer_model.stream(QUESTION)) as events:
        first = await anext(events)
        assert fake.open_streams == 1
        go_on.set()
        rest = [event async for event in events]

    assert (first, rest[0]) == (TextPiece("Four "), TextPiece("minutes."))


async def test_thoughts_are_paid_for_and_not_shown(gemini: Gemini, fake: FakeGemini) -> None:
    fake.script(Text("Eggs, hm.", thought=True), Text("Four."), Finish(answer_tokens=2, thought_tokens=5))

    outcome = await outcome_of(gemini.answer_model)

    assert outcome.texts == ["Four."]
    assert outcome.finished is not None
    assert outcome.finished.usage == Usage(12, 7)


async def test_an_answer_at_the_limit_is_marked_as_cut_short(gemini: Gemini, fake: FakeGemini) -> None:
    fake.script(Text("Four"), Finish("MAX_TOKENS"))

    outcome = await outcome_of(gemini.answer_model)

    assert outcome.texts == ["Four"]
    assert outcome.finished is not None
    assert outcome.finished.cut_short


async def test_separators_inside_a_text_do_not_break_it(gemini: Gemini, fake: FakeGemini) -> None:
    text = "a\u2028b\u0085c\r\n\n🥚 {"
    event = sse(Text("PLACE").event).replace(b"PLACE", text.replace("\r\n\n", "\\r\\n\\n").encode())
    halves = event[: len(event) // 2], event[len(event) // 2 :]
    fake.script(Raw(halves[0]), Raw(halves[1]), Finish())

    outcome = await outcome_of(gemini.answer_model)

    assert outcome.texts == [text]


async def test_more_answers_than_a_default_pool_holds_run_at_once(gemini: Gemini, fake: FakeGemini) -> None:
    go_on = asyncio.Event()
    count = 120
    for _ in range(count):
        fake.script(Text("Four."), Wait(go_on), Finish())

    async def answer() -> list[str]:
        return (await outcome_of(gemini.answer_model)).texts

    answers = [asyncio.create_task(answer()) for _ in range(count)]
    await until(lambda: fake.open_streams == count)
    go_on.set()

    assert await asyncio.gather(*answers) == [["Four."]] * count


async def test_the_environment_does_not_redirect_the_client(
    opened: Callable[..., Gemini], fake: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_API_KEY", "another-key")
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "beta")
    gemini = opened()

    outcome = await outcome_of(gemini.answer_model)
    await gemini.close()

    assert outcome.finished is not None
    (request,) = fake.requests
    assert (request.api_version, request.headers["x-goog-api-key"]) == ("v1", fake.api_key)


async def test_a_closed_adapter_answers_no_more(opened: Callable[..., Gemini], fake: FakeGemini) -> None:
    gemini = opened()
    await outcome_of(gemini.answer_model)

    await gemini.close()
    await gemini.close()

    with pytest.raises(ProviderUnavailable, match="shutting down"):
        await anext(gemini.answer_model.stream(QUESTION))
    assert len(fake.requests) == 1


async def test_closing_the_adapter_ends_its_streams(opened: Callable[..., Gemini], fake: FakeGemini) -> None:
    gemini = opened()
    fake.script(Text("Four "), Hang())
    events = gemini.answer_model.stream(QUESTION)
    assert await anext(events) == TextPiece("Four ")

    await gemini.close()

    with pytest.raises(ProviderUnavailable):
        await asyncio.wait_for(anext(events), 30)
    await asyncio.wait_for(fake.requests[0].closed.wait(), 30)


@pytest.mark.live
@pytest.mark.skipif(not os.environ.get("GEMINI_API_KEY"), reason="needs GEMINI_API_KEY")
async def test_the_real_gemini_answers_and_embeds() -> None:
    gemini = open_gemini(os.environ["GEMINI_API_KEY"], None, "v1", MODEL, "gemini-embedding-001")
    try:
        outcome = await outcome_of(gemini.answer_model)
        question = await gemini.embedder.embed_query("How long do eggs boil?")
        near, far = await gemini.embedder.embed_documents(["Eggs boil for four minutes.", "Trains leave hourly."])
    finally:
        await gemini.close()

    assert outcome.problem is None
    assert "".join(outcome.texts)
    assert sum(map(float.__mul__, question, near)) > sum(map(float.__mul__, question, far))
