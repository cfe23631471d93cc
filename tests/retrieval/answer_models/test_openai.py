"""What is special about servers with OpenAI's API: there are many, and each is a little different."""

import logging
import subprocess
import sys
import traceback
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.errors import ProviderFault
from kyrochat.retrieval.openai_compatible import OpenAIModel, open_openai
from kyrochat.retrieval.openai_endings import Thoughts
from kyrochat.retrieval.openai_errors import retry_after_s
from kyrochat.retrieval.types import Finished, Prompt, Step, ToolCall, Turn, Usage
from tests.fakes.openai import FakeOpenAI
from tests.fakes.openai_steps import Call, Cut, Finish, HttpError, Raw, Text, chunk, sse
from tests.retrieval.answer_models.conftest import Pauses
from tests.retrieval.answer_models.prompts import outcome_of
from tests.retrieval.answer_models.providers import LOOK

Opened = Callable[..., OpenAIModel]


@pytest.fixture
async def opened(openai: FakeOpenAI, pauses: Pauses) -> AsyncGenerator[Opened, None]:
    """`open_openai` for the fake."""
    models: list[OpenAIModel] = []

    def open_one(key: str | None = openai.api_key, **options: Any) -> OpenAIModel:
        models.append(open_openai(key, openai.url, "fake-1", retries=pauses.retries(), **options))
        return models[-1]

    yield open_one
    for model in models:
        await model.close()


async def test_the_request_names_model_and_temperature_and_asks_for_the_count(
    opened: Opened, openai: FakeOpenAI
) -> None:
    outcome = await outcome_of(opened(), Prompt("", (), (), "Hi?", model="other-2", temperature=0.7))

    assert outcome.finished == Finished(Usage(12, 3), details={"model_version": "fake-1"})
    body = {name: value for name, value in openai.requests[0].body.items() if name != "messages"}
    assert body == {
        "model": "other-2",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
    }


async def test_questions_without_an_answer_are_told_together(opened: Opened, openai: FakeOpenAI) -> None:
    # The templates of many models refuse a conversation in which the roles do not take turns.
    failed = (Turn("user", "Hard?"), Turn("assistant", "No."), Turn("user", "Soft?"), Turn("assistant", ""))

    await outcome_of(opened(), Prompt("", (), failed, "How long?"))

    told = openai.requests[0].body["messages"]
    assert [message["role"] for message in told] == ["system", "user", "assistant", "user"]
    assert told[-1]["content"].startswith("Soft?\n\n")
    assert told[-1]["content"].endswith("Question: How long?")


async def test_a_limit_of_tokens_is_told_in_the_word_that_all_know(opened: Opened, openai: FakeOpenAI) -> None:
    await outcome_of(opened(answer_tokens=500))

    assert openai.requests[0].body["max_tokens"] == 500


async def test_a_server_that_does_not_count_is_counted_for(opened: Opened, openai: FakeOpenAI) -> None:
    openai.script(Text("Four minutes."), Finish(counts=False))

    outcome = await outcome_of(opened())

    assert outcome.finished is not None
    assert outcome.finished.usage.completion_tokens == 5
    assert outcome.finished.usage.prompt_tokens > 100


@pytest.mark.parametrize("param", ["temperature", "stream_options", "max_tokens"])
async def test_what_a_model_does_not_want_to_be_told_is_left_out_from_then_on(
    opened: Opened, openai: FakeOpenAI, pauses: Pauses, param: str
) -> None:
    model = opened(answer_tokens=500)
    openai.script(HttpError(400, "unsupported_value", param=param))

    first, second = await outcome_of(model), await outcome_of(model)
    other = await outcome_of(model, Prompt("", (), (), "Hi?", model="other-2"))

    assert (first.problem, second.problem, other.problem, pauses.seconds) == (None, None, None, [])
    assert [param in request.body for request in openai.requests] == [True, False, False, True]


async def test_what_cannot_be_left_out_is_not(opened: Opened, openai: FakeOpenAI) -> None:
    openai.script(HttpError(400, "invalid_value", param="messages"))

    outcome = await outcome_of(opened())

    assert (outcome.fault, len(openai.requests)) == (ProviderFault.REFUSED, 1)


@pytest.mark.parametrize(
    ("error", "fault", "message"),
    [
        (
            HttpError(400, "context_length_exceeded"),
            ProviderFault.REFUSED,
            "The question with its sources is too long for the model. Lower KYROCHAT_PROMPT_TOKENS.",
        ),
        (
            HttpError(429, "insufficient_quota"),
            ProviderFault.RATE_LIMITED,
            "The model's account has no quota left.",
        ),
        (
            HttpError(400, "content_filter"),
            ProviderFault.BLOCKED,
            "The model's server refused the question because of its content filter.",
        ),
        (
            HttpError(404, html="<html>Not here</html>"),
            ProviderFault.REFUSED,
            "There is no such model. Check KYROCHAT_OPENAI_MODEL and KYROCHAT_OPENAI_BASE_URL.",
        ),
    ],
)
async def test_a_refusal_says_what_to_do(
    opened: Opened, openai: FakeOpenAI, error: HttpError, fault: ProviderFault, message: str
) -> None:
    openai.script(error)

    outcome = await outcome_of(opened())

    assert (outcome.message, outcome.fault, outcome.retryable) == (message, fault, False)
    assert len(openai.requests) == 1


async def test_thoughts_are_never_shown(opened: Opened, openai: FakeOpenAI) -> None:
    openai.script(Text("<thi"), Text("nk>Eggs, hm.</th"), Text("ink>\n\n"), Text("Four."), Finish())
    openai.script(Text("", reasoning="Eggs, hm."), Text("Four."), Finish())
    openai.script(Text("<think>For ever"), Finish("length"))
    model = opened()

    inside, beside, endless = [await outcome_of(model) for _ in range(3)]

    assert inside.texts == beside.texts == ["Four."]
    assert (endless.texts, endless.fault) == ([], ProviderFault.EMPTY)


PARTS = st.sampled_from(["<think>", "</think>", "<", "<th", "ink>", "a", " ", "\n", "é"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>a</think><think>b</think>\n\nFour.", "Four."),
        ("<think>a</think> <think>b</think>" * 5_000 + "Four. <think>", "Four. <think>"),
        ("<think>a</think> <think>b", ""),
        ("<think>a</think> <thin", "<thin"),
        (" \n Four.", " \n Four."),
        ("</think>Four.", "</think>Four."),
    ],
    ids=["two", "many", "unended", "almost", "space", "only an end"],
)
def test_thoughts_in_a_row_are_all_taken_out(text: str, shown: str) -> None:
    thoughts = Thoughts()

    assert thoughts.without(text) + thoughts.rest() == shown


@given(st.lists(PARTS, max_size=10), st.data())
def test_thoughts_are_taken_out_wherever_the_text_is_cut(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    places = sorted({0, len(text), *data.draw(st.sets(st.integers(0, len(text))))})

    def without(pieces: list[str]) -> str:
        thoughts = Thoughts()
        return "".join(map(thoughts.without, pieces)) + thoughts.rest()

    whole = without([text])
    assert without([text[start:end] for start, end in pairwise(places)]) == whole
    if not text.lstrip().startswith("<think>"):
        assert whole == text


async def test_what_was_held_back_of_an_attempt_that_broke_off_is_forgotten(opened: Opened, openai: FakeOpenAI) -> None:
    openai.script(Text("<thi"), Cut())
    openai.script(Text("Four."), Finish())

    assert (await outcome_of(opened())).texts == ["Four."]


async def test_calls_are_told_apart_by_their_ids_and_unreadable_arguments_are_said_to_be(
    opened: Opened, openai: FakeOpenAI
) -> None:
    openai.script(Call("a", "look", ('{"at": 1}',)), Call("b", "look", ("{",)), Call("c", "look", ()), Finish())

    outcome = await outcome_of(opened(), Prompt("", (), (), "Hi?", tools=(LOOK,)))

    assert outcome.finished is not None
    assert outcome.finished.calls == (
        ToolCall("a", "look", {"at": 1}),
        ToolCall("b", "look", None),
        ToolCall("c", "look", {}),
    )


async def test_half_a_character_in_a_call_does_not_break_what_is_sent_back(opened: Opened, openai: FakeOpenAI) -> None:
    call = {"index": 0, "id": "a\ud83d", "function": {"name": "lo\ud83dok", "arguments": '{"at": "\\ud83d"}'}}
    openai.script(Raw(sse(chunk({"content": "Hm\ud83d.", "tool_calls": [call]}))), Finish())
    openai.script(Text("Two eggs."), Finish())
    asked = Prompt("", (), (), "Hi?", tools=(LOOK,))

    first = await outcome_of(opened(), asked)
    assert first.finished is not None
    step = Step("", first.finished.calls, ("Two eggs.",), first.finished.raw)
    second = await outcome_of(opened(), replace(asked, steps=(step,)))

    assert first.finished.calls == (ToolCall("a", "look", {"at": "\ud83d"}),)
    assert second.texts == ["Two eggs."]


@pytest.mark.parametrize("event", [{"choices": 7}, {"choices": [{"delta": {"tool_calls": 3}}]}, [], "x"], ids=repr)
async def test_what_makes_no_sense_is_a_failure_and_no_crash(
    opened: Opened, openai: FakeOpenAI, event: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        openai.script(Raw(sse(event)), Finish())

    outcome = await outcome_of(opened())

    assert outcome.problem is not None
    assert "Traceback" not in caplog.text


async def test_an_end_without_the_usual_last_line_is_one(opened: Opened, openai: FakeOpenAI) -> None:
    openai.script(Text("Four."), Finish(done=False))
    openai.script(Text("Four."), Raw(sse(chunk({}, "eos_token"))))

    assert [(await outcome_of(opened())).problem for _ in range(2)] == [None, None]


SECRET = "sk-very-secret"


@pytest.mark.parametrize("key", [SECRET, f"{SECRET}-Ключ", f"{SECRET}\n{SECRET}"])
async def test_a_key_is_never_repeated(
    opened: Opened, openai: FakeOpenAI, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    caplog.set_level(logging.DEBUG)
    model = opened(key)

    outcome = await outcome_of(model)

    assert (outcome.fault, outcome.retryable) == (ProviderFault.REFUSED, False)
    assert SECRET not in "".join(traceback.format_exception(outcome.problem))
    assert SECRET not in caplog.text
    assert SECRET not in repr(model)


async def test_a_server_without_keys_needs_none(opened: Opened, openai: FakeOpenAI) -> None:
    openai.api_key = "none"

    assert (await outcome_of(opened(None))).problem is None


async def test_the_environment_does_not_redirect_the_client(
    opened: Opened, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "BASE_URL", "ORG_ID", "PROJECT_ID", "ADMIN_KEY"):
        monkeypatch.setenv(f"OPENAI_{name}", "http://elsewhere.invalid")

    outcome = await outcome_of(opened())

    assert outcome.problem is None
    assert "elsewhere" not in str(openai.requests[0].headers)


def test_when_to_come_back_is_a_number_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30))

    asked = ("1.5", "0", "-3", "soon", "", "inf", "nan")
    assert [retry_after_s({"retry-after": each}) for each in asked] == [1.5, 0, 0, None, None, None, None]
    assert 25 < (retry_after_s({"retry-after": soon}) or 0) <= 30


LOADING = """
import sys
from kyrochat.retrieval.providers import open_providers
from kyrochat.retrieval.openai_compatible import open_openai
open_openai("key", None, "m")
print([name for name in sys.modules if name.split(".")[0] in ("openai", "google")])
"""


def test_the_sdk_is_not_imported_before_the_first_request() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.strip() == "[]"
