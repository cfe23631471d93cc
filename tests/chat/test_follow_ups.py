"""Questions to ask next: where a bot is set up for them, after the text, before the end, and never at its expense."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.bots.service import BotService
from kyrochat.chat.events import TextDelta
from kyrochat.chat.follow_ups import MAX_CHARS, MOST, TASK, follow_ups, questions_in
from kyrochat.db.states import MessageStatus
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.offline import ExtractiveModel
from kyrochat.retrieval.types import Prompt
from tests.chat.scene import QUESTION, Chat, end_of, text_of
from tests.chat.scripted_model import USAGE, Pause, Script, ScriptedModel

ANSWER = "The queen lays 2,000 eggs a day [1]."
SUGGESTED = ["1. Who feeds the queen?\n- What do drones", " do?\n\nWho feeds the QUEEN?\nNot a question."]


def _script(suggested: Script) -> Callable[[Prompt], Script]:
    return lambda prompt: suggested if prompt.task else [ANSWER]


@pytest.fixture
async def suggesting(chat: Chat) -> Chat:
    await BotService(chat.database, chat.a.changes).update(chat.viewer, chat.bot.id, {"suggests_follow_ups": True})
    return chat


async def test_an_answer_comes_with_questions_and_what_they_took(suggesting: Chat) -> None:
    suggesting.model.script = _script(SUGGESTED)

    answer, entries = await suggesting.answer()

    assert answer.follow_ups == ["Who feeds the queen?", "What do drones do?"]
    assert answer.text == text_of(entries) == ANSWER
    asked = suggesting.model.prompts[1]
    assert (asked.task, asked.passages, asked.history) == (TASK, (), ())
    assert asked.question == f"Question: {QUESTION}\n\nAnswer: {ANSWER}"
    assert (answer.prompt_tokens, answer.completion_tokens) == (2 * USAGE.prompt_tokens, 2 * USAGE.completion_tokens)


async def test_without_the_bots_wish_nobody_asks_for_them(chat: Chat) -> None:
    chat.model.script = _script(SUGGESTED)
    answer, _ = await chat.answer()
    assert answer.follow_ups == []
    assert len(chat.model.prompts) == 1
    assert answer.prompt_tokens == USAGE.prompt_tokens


@pytest.mark.parametrize("suggested", [[ProviderUnavailable("It is down.")], [RuntimeError("a bug")], [], ["None."]])
async def test_whatever_becomes_of_them_the_answer_is_complete(suggesting: Chat, suggested: Script) -> None:
    suggesting.model.script = _script(suggested)

    answer, entries = await suggesting.answer()

    assert (answer.status, answer.text, answer.follow_ups) == (MessageStatus.COMPLETED, ANSWER, [])
    assert end_of(entries).status is MessageStatus.COMPLETED
    assert suggesting.model.open_streams == 0


async def test_an_answer_without_sources_leads_nowhere(suggesting: Chat) -> None:
    suggesting.model.script = ["I do not know."]
    answer, _ = await suggesting.answer()
    assert (answer.grounded, answer.follow_ups) == (False, [])
    assert len(suggesting.model.prompts) == 1


async def test_the_text_is_there_before_they_are_and_a_stop_does_without_them(suggesting: Chat) -> None:
    pause = Pause()
    suggesting.model.script = _script([pause, "And?"])
    exchange = await suggesting.ask()
    seen = await suggesting.watch_until(exchange.answer.id, ANSWER)
    await pause.reached.wait()
    assert any(isinstance(entry.event, TextDelta) for entry in seen)

    stopped = await suggesting.a.service.stop(suggesting.viewer, exchange.answer.id)

    assert (stopped.status, stopped.text, stopped.follow_ups) == (MessageStatus.STOPPED, ANSWER, [])
    assert suggesting.model.open_streams == 0


async def test_a_model_that_is_silent_is_not_waited_for(suggesting: Chat) -> None:
    model = ScriptedModel([Pause()])
    found = await follow_ups(model, "", "One?", "Yes.", timeout_s=0.01)
    assert found.questions == ()
    assert model.open_streams == 0


async def test_what_can_only_quote_suggests_nothing() -> None:
    found = await follow_ups(ExtractiveModel(), "", "Hello", "Hello!")
    assert (found.questions, found.usage.prompt_tokens) == ((), 0)
    events = [event async for event in ExtractiveModel().stream(Prompt("", (), (), "hello", task="A title."))]
    assert len(events) == 1


def test_questions_are_bare_each_once_and_not_the_one_that_was_asked() -> None:
    written = "1) Who?\n• „Was nun?“\n(2) Who?\n **How many?** \nA title:\nOne more?\n" + "x" * 300 + "?"
    assert questions_in(written, besides="Who?") == ("Was nun?", "How many?", "One more?")


@given(st.text())
def test_whatever_is_written_can_be_stored_and_is_little(written: str) -> None:
    found = questions_in(written)
    assert len(found) <= MOST
    for question in found:
        assert 0 < len(question) <= MAX_CHARS
        assert "\x00" not in question
        assert question.encode().decode() == question
