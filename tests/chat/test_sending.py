"""Questions: one at a time, each once, each with its branch as history."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from kyrochat.accounts.viewer import KeyLimits
from kyrochat.chat.answer import HISTORY_MESSAGES
from kyrochat.chat.exchanges import AnswerInProgress, Exchange
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Message
from kyrochat.db.states import ApiKeyScope, MessageRole, MessageStatus
from kyrochat.errors import InvalidInput, NotFound, RateLimited
from kyrochat.rates.limits import MESSAGES_PER_USER
from kyrochat.rates.service import Rates
from kyrochat.retrieval.types import Turn
from tests.chat.scene import Chat, Process, end_of, process, text_of
from tests.chat.scripted_model import Pause, ScriptedModel


async def test_ten_sends_with_one_key_are_one_exchange_and_one_answer(chat: Chat, b: Process) -> None:
    pause = Pause()
    chat.model.script = [pause, "Done."]
    conversation = await chat.conversation()
    # The first one decides which process answers; it is A, whose model is watched.
    first = await chat.a.service.send(chat.viewer, conversation, "How many?", idempotency_key="one")

    sends = (on.service.send(chat.viewer, conversation, "How many?", idempotency_key="one") for on in (chat.a, b) * 5)
    exchanges = await asyncio.gather(*sends)
    pause.release()

    assert {(each.question.id, each.answer.id) for each in exchanges} == {(first.question.id, first.answer.id)}
    assert text_of(await chat.watch(first.answer.id)) == "Done."
    assert len(chat.model.prompts) == 1
    assert len(await _messages(chat, conversation)) == 2


async def test_ten_first_sends_with_one_key_at_once_ask_the_model_once(chat: Chat) -> None:
    chat.model.script = ["Done."]
    conversation = await chat.conversation()

    sends = (chat.a.service.send(chat.viewer, conversation, "How many?", idempotency_key="k") for _ in range(10))
    exchanges = await asyncio.gather(*sends)

    (answer_id,) = {exchange.answer.id for exchange in exchanges}
    await chat.watch(answer_id)
    assert len(chat.model.prompts) == 1
    assert [message.position for message in await _messages(chat, conversation)] == [1, 2]


async def test_ten_first_sends_with_one_key_from_two_processes_are_one_exchange(chat: Chat, urls: DatabaseUrls) -> None:
    model, conversation = ScriptedModel(["Done."]), await chat.conversation()
    chat.model.script = ["Done."]

    async with process(urls.app, model) as b:
        sends = (on.service.send(chat.viewer, conversation, "How many?", idempotency_key="k") for on in (chat.a, b) * 5)
        exchanges = await asyncio.gather(*sends)
        (answer_id,) = {exchange.answer.id for exchange in exchanges}
        assert text_of(await chat.watch(answer_id, on=b)) == "Done."

    assert len(chat.model.prompts) + len(model.prompts) == 1
    assert [message.position for message in await _messages(chat, conversation)] == [1, 2]
    assert await chat.leases() == []


async def test_a_key_gives_its_exchange_for_ever_and_only_in_its_conversation(chat: Chat) -> None:
    chat.model.script = ["Done."]
    conversation, other = await chat.conversation(), await chat.conversation()
    first = await _asked(chat, conversation, "How many?", key="k")
    await _asked(chat, conversation, "And then?")

    again = await chat.a.service.send(chat.viewer, conversation, "Something else", idempotency_key="k")
    elsewhere = await _asked(chat, other, "How many?", key="k")

    assert (again.question.id, again.answer.id) == (first.question.id, first.answer.id)
    assert (again.question.text, again.answer.text) == ("How many?", "Done.")
    assert elsewhere.answer.id != first.answer.id
    assert len(chat.model.prompts) == 3


async def test_of_ten_sends_with_different_keys_one_is_answered_and_nine_are_told_to_wait(
    chat: Chat, b: Process
) -> None:
    pause = Pause()
    chat.model.script = [pause, "Done."]
    conversation = await chat.conversation()

    sends = (
        chat.a.service.send(chat.viewer, conversation, f"Question {number}", idempotency_key=f"key {number}")
        for number in range(10)
    )
    outcomes = await asyncio.gather(*sends, return_exceptions=True)

    exchanges = [outcome for outcome in outcomes if isinstance(outcome, Exchange)]
    assert len(exchanges) == 1
    refused = [outcome for outcome in outcomes if isinstance(outcome, AnswerInProgress)]
    assert [each.answer_id for each in refused] == [exchanges[0].answer.id] * 9
    with pytest.raises(AnswerInProgress):
        await b.service.send(chat.viewer, conversation, "From next door")
    pause.release()
    await chat.watch(exchanges[0].answer.id)
    assert len(chat.model.prompts) == 1
    assert [(message.position, message.role) for message in await _messages(chat, conversation)] == [
        (1, MessageRole.USER),
        (2, MessageRole.ASSISTANT),
    ]


async def test_after_a_stop_the_next_question_is_taken_at_once(chat: Chat) -> None:
    chat.model.script = [Pause()]
    conversation = await chat.conversation()
    first = await chat.a.service.send(chat.viewer, conversation, "One")
    await chat.a.service.stop(chat.viewer, first.answer.id)

    chat.model.script = ["Two."]
    second = await _asked(chat, conversation, "Two")

    assert second.answer.text == "Two."
    assert chat.model.prompts[-1].history == (Turn("user", "One"),)


async def test_messages_are_in_order_and_history_is_the_branch_oldest_first(chat: Chat) -> None:
    chat.model.script = lambda prompt: [f"Answer to {prompt.question}"]
    conversation = await chat.conversation()
    first = await _asked(chat, conversation, "one")
    second = await _asked(chat, conversation, "two")
    # Back to the first answer: what came after it is another branch.
    third = await _asked(chat, conversation, "three", parent_id=first.answer.id)

    branch_one = (Turn("user", "one"), Turn("assistant", "Answer to one"))
    assert [prompt.history for prompt in chat.model.prompts] == [(), branch_one, branch_one]
    messages = await _messages(chat, conversation)
    assert [message.position for message in messages] == [1, 2, 3, 4, 5, 6]
    assert [message.parent_id for message in messages] == [
        None,
        first.question.id,
        first.answer.id,
        second.question.id,
        first.answer.id,
        third.question.id,
    ]


async def test_a_long_history_is_its_last_messages(chat: Chat) -> None:
    chat.model.script = ["A"]
    conversation = await chat.conversation()
    for number in range(23):
        await _asked(chat, conversation, f"Q{number}")

    history = chat.model.prompts[-1].history

    assert len(history) == HISTORY_MESSAGES
    assert [turn.text for turn in history] == [text for number in range(2, 22) for text in (f"Q{number}", "A")]
    assert [turn.role for turn in history] == ["user", "assistant"] * (HISTORY_MESSAGES // 2)


async def test_a_parent_must_be_an_answer_of_the_conversation(chat: Chat) -> None:
    chat.model.script = ["Done."]
    conversation = await chat.conversation()
    first = await _asked(chat, conversation, "one")
    foreign = await _asked(chat, await chat.conversation(), "elsewhere")

    for wrong in (first.question.id, foreign.answer.id, uuid4()):
        with pytest.raises(InvalidInput) as refusal:
            await chat.a.service.send(chat.viewer, conversation, "two", parent_id=wrong)
        assert [issue.path for issue in refusal.value.issues] == [("parentId",)]

    assert len(await _messages(chat, conversation)) == 2
    assert len(chat.model.prompts) == 2


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 20_001, "nul \x00"])
async def test_a_question_that_breaks_a_rule_leaves_nothing_behind(chat: Chat, text: str) -> None:
    conversation = await chat.conversation()

    with pytest.raises(InvalidInput):
        await chat.a.service.send(chat.viewer, conversation, text)

    assert await _messages(chat, conversation) == []
    assert chat.model.prompts == []
    assert await chat.leases() == []


async def test_an_unknown_conversation_is_not_found(chat: Chat) -> None:
    with pytest.raises(NotFound):
        await chat.a.service.send(chat.viewer, uuid4(), "Hello?")


async def test_an_exchange_says_when_it_was_stored(chat: Chat) -> None:
    chat.model.script = ["Done."]
    exchange = await chat.ask()
    await chat.watch(exchange.answer.id)

    assert exchange.question.created_at == (await chat.message(exchange.question.id)).created_at
    assert exchange.answer.created_at == (await chat.message(exchange.answer.id)).created_at
    (conversation,) = await chat.a.service.conversations(chat.viewer, [exchange.answer.conversation_id])
    assert conversation.updated_at == exchange.answer.created_at


async def test_the_first_question_gives_a_conversation_its_title(chat: Chat) -> None:
    chat.model.script = ["Done."]
    conversation = await chat.conversation()
    await _asked(chat, conversation, "How many eggs  does\nthe queen lay?")
    await _asked(chat, conversation, "And now?")

    (found,) = await chat.a.service.conversations(chat.viewer, [conversation])
    assert found.title == "How many eggs does the queen lay?"


async def _asked(
    chat: Chat, conversation: UUID, question: str, *, key: str | None = None, parent_id: UUID | None = None
) -> Exchange:
    """Ask, and return the exchange when it is answered."""
    exchange = await chat.a.service.send(chat.viewer, conversation, question, idempotency_key=key, parent_id=parent_id)
    assert end_of(await chat.watch(exchange.answer.id)).status is MessageStatus.COMPLETED
    return Exchange(exchange.question, await chat.message(exchange.answer.id))


async def _messages(chat: Chat, conversation_id: UUID) -> Sequence[Message]:
    """Return all messages, oldest first."""
    (conversation,) = await chat.a.service.conversations(chat.viewer, [conversation_id])
    page = await chat.a.service.message_page(chat.viewer, conversation.id, PageRequest(50), every_branch=True)
    return sorted(page.rows, key=lambda message: message.position)


async def test_who_sends_too_many_messages_waits_and_nothing_is_stored_of_what_was_refused(chat: Chat) -> None:
    chat.model.script = ["Done."]
    rates = Rates(b"a key of this test")
    limited = replace(chat.a.service, rates=rates)
    conversation = await chat.conversation()
    await rates.charge(MESSAGES_PER_USER, chat.viewer.counted_as, cost=MESSAGES_PER_USER.amount - 1)
    await chat.watch((await limited.send(chat.viewer, conversation, "The last one?")).answer.id)

    with pytest.raises(RateLimited) as refused:
        await limited.send(chat.viewer, conversation, "One too many?")

    assert 0 < refused.value.retry_after_s <= 2 * MESSAGES_PER_USER.period_s
    assert len(await _messages(chat, conversation)) == 2
    # A key on a server asks for many people, and has an allowance of its own.
    key = KeyLimits(UUID(int=7), frozenset({ApiKeyScope.CHAT}))
    with pytest.raises(NotFound):
        await limited.send(replace(chat.viewer, key=key), uuid4(), "Somebody else?")
