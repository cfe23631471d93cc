"""What an answer tells of how it was made: why the model stopped, and what was left out."""

import pytest

from kyrochat.db.states import FinishReason, MessageStatus
from kyrochat.errors import ProviderFault, ProviderUnavailable
from kyrochat.retrieval.budgets import Budget
from kyrochat.retrieval.types import Finished
from tests.chat.scene import QUESTION, Chat, end_of, process
from tests.chat.scripted_model import USAGE, Pause, ScriptedModel


def test_each_fault_of_a_provider_is_a_reason() -> None:
    assert {fault.value for fault in ProviderFault} == {reason.value for reason in FinishReason} - {"STOP", "LENGTH"}


@pytest.mark.parametrize(("cut_short", "reason"), [(False, FinishReason.STOP), (True, FinishReason.LENGTH)])
async def test_a_model_that_came_to_its_end_or_to_a_limit(chat: Chat, cut_short: bool, reason: FinishReason) -> None:
    chat.model.script = ["Two thousand."]
    chat.model.finished = Finished(USAGE, cut_short=cut_short)

    answer, _ = await chat.answer()

    assert (answer.status, answer.finish_reason) == (MessageStatus.COMPLETED, reason)
    assert (answer.history_trimmed, answer.removed_citations) == (False, 0)


@pytest.mark.parametrize("fault", list(ProviderFault))
async def test_a_provider_that_failed(chat: Chat, fault: ProviderFault) -> None:
    chat.model.script = ["Two ", ProviderUnavailable("It failed.", fault=fault)]

    answer, _ = await chat.answer()

    assert (answer.status, answer.finish_reason) == (MessageStatus.FAILED, FinishReason(fault.value))


async def test_a_model_that_falls_silent_without_an_end_has_failed(chat: Chat) -> None:
    chat.model.script = ["Two "]
    chat.model.finished = None

    answer, _ = await chat.answer()

    assert (answer.status, answer.finish_reason) == (MessageStatus.FAILED, FinishReason.BROKEN_OFF)


@pytest.mark.parametrize("said", [" \n", "<br>", "![](https://evil.example/?d=1)"])
async def test_a_model_of_whose_words_nothing_can_be_seen_has_failed(chat: Chat, said: str) -> None:
    chat.model.script = [said]

    answer, entries = await chat.answer()

    assert (answer.status, answer.finish_reason) == (MessageStatus.FAILED, FinishReason.EMPTY)
    assert end_of(entries).retryable


async def test_markers_that_were_taken_out_are_counted(chat: Chat) -> None:
    chat.model.script = ["The queen lays up to 2,000 eggs a day [1] [7]. Bees play chess [1]."]

    answer, _ = await chat.answer()

    assert answer.text == "The queen lays up to 2,000 eggs a day [1]. Bees play chess."
    assert answer.removed_citations == 2


async def test_of_a_stopped_answer_nothing_is_known(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["Two ", pause]
    exchange = await chat.ask()
    await pause.reached.wait()

    stopped = await chat.a.service.stop(chat.viewer, exchange.answer.id)

    assert (stopped.finish_reason, stopped.history_trimmed, stopped.removed_citations) == (None, None, None)


async def test_a_history_is_trimmed_too_where_its_oldest_answer_is_empty(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kyrochat.chat.answer.HISTORY_MESSAGES", 2)
    chat.model.script = lambda prompt: [ProviderUnavailable("Gone.") if prompt.question == "Many?" else "Yes."]
    conversation = await chat.conversation()
    answers = []
    for question in ("Many?", "Two thousand?", "A day?"):
        exchange = await chat.a.service.send(chat.viewer, conversation, question)
        await chat.watch(exchange.answer.id)
        answers.append(await chat.message(exchange.answer.id))

    told = [[turn.text for turn in prompt.history] for prompt in chat.model.prompts]
    assert told == [[], ["Many?"], ["Two thousand?", "Yes."]]
    assert [prompt.history_trimmed for prompt in chat.model.prompts] == [False, False, True]
    assert [answer.history_trimmed for answer in answers] == [None, False, True]


async def test_a_history_beyond_the_budget_is_trimmed_and_said_to_be(chat: Chat) -> None:
    model = ScriptedModel(["Two thousand."])
    async with process(chat.url, model, budget=Budget(history_tokens=60)) as small:
        conversation = await chat.conversation()
        answers = []
        for question in ("How many eggs? " * 4, "And workers?", QUESTION):
            exchange = await small.service.send(chat.viewer, conversation, question)
            await chat.watch(exchange.answer.id, on=small)
            answers.append(await chat.message(exchange.answer.id))

    told = [[turn.text for turn in prompt.history] for prompt in model.prompts]
    first = ["How many eggs? " * 3 + "How many eggs?", "Two thousand."]
    assert told == [[], first, ["And workers?", "Two thousand."]]
    assert [answer.history_trimmed for answer in answers] == [False, False, True]
    assert [prompt.history_trimmed for prompt in model.prompts] == [False, False, True]
