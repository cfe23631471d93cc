"""What an API key may spend a day: noted however an answer ends, and asked before the next one begins."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from kyrochat.accounts.api_keys import ApiKeyService, NewKey
from kyrochat.accounts.viewer import KeyLimits, Viewer
from kyrochat.chat.ending import LEAST_TOKENS, Ending
from kyrochat.db.models import ApiKey
from kyrochat.db.states import ApiKeyScope, MessageStatus
from kyrochat.errors import ProviderUnavailable, QuotaExceeded
from tests.chat.scene import Chat
from tests.chat.scripted_model import USAGE, Pause
from tests.jobs.scene import until

ANSWER = USAGE.prompt_tokens + USAGE.completion_tokens


async def new_key(chat: Chat, budget: int | None = None) -> Chat:
    """The same scene in front of which a new key stands."""
    service = ApiKeyService(chat.database, chat.a.changes)
    wanted = NewKey("Test", frozenset({ApiKeyScope.CHAT}), daily_token_budget=budget)
    key, _ = await service.create(chat.viewer, None, wanted)
    return replace(chat, viewer=holder(chat.viewer, key))


def holder(maker: Viewer, key: ApiKey) -> Viewer:
    limits = KeyLimits(key.id, frozenset({ApiKeyScope.CHAT}), daily_token_budget=key.daily_token_budget)
    return replace(maker, key=limits)


async def used(chat: Chat) -> list[object]:
    """Return what the keys of the scene have used, in the order in which they were made."""
    return await chat.column("SELECT tokens FROM api_key_usage ORDER BY api_key_id")


async def test_an_answer_is_charged_what_its_provider_counted(chat: Chat) -> None:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    key = await new_key(chat)
    await key.answer()
    await key.answer()
    assert await used(chat) == [2 * ANSWER]
    assert await chat.column("SELECT count(*) FROM messages WHERE api_key_id IS NOT NULL") == [2]


async def test_people_are_charged_nothing(chat: Chat) -> None:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    await chat.answer()
    assert await used(chat) == []


async def test_a_key_that_has_used_up_its_budget_asks_nothing_more_today(chat: Chat) -> None:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    key, other = await new_key(chat, budget=ANSWER + 1), await new_key(chat, budget=1)
    first = await key.ask()
    await key.watch(first.answer.id)
    await key.answer()

    with pytest.raises(QuotaExceeded, match="midnight"):
        await key.ask()

    assert len(chat.model.prompts) == 2
    assert await chat.column("SELECT count(*) FROM messages") == [4]
    # Neither others are touched, nor is what was asked before.
    await other.answer()
    await chat.answer()
    again = await key.a.service.message(key.viewer, first.answer.id)
    assert again.status is MessageStatus.COMPLETED


async def test_the_same_request_again_is_answered_although_the_budget_is_gone(chat: Chat) -> None:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    key = await new_key(chat, budget=1)
    conversation_id = await key.conversation()
    first = await key.a.service.send(key.viewer, conversation_id, "Eggs?", idempotency_key="one")
    await key.watch(first.answer.id)

    again = await key.a.service.send(key.viewer, conversation_id, "Eggs?", idempotency_key="one")

    assert again.answer.id == first.answer.id
    assert len(chat.model.prompts) == 1


async def test_a_new_day_is_a_new_budget(chat: Chat) -> None:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    key = await new_key(chat, budget=1)
    await key.answer()
    with pytest.raises(QuotaExceeded):
        await key.ask()

    await chat.run("UPDATE api_key_usage SET day = day - 1")

    await key.answer()
    assert await chat.column("SELECT tokens FROM api_key_usage ORDER BY day") == [ANSWER, ANSWER]


async def started(key: Chat) -> UUID:
    """Return a running answer that has said something."""
    key.model.script = ["Some words.", Pause()]
    exchange = await key.ask()
    await key.watch_until(exchange.answer.id, "Some words.")
    return exchange.answer.id


async def test_a_stopped_answer_is_charged(chat: Chat) -> None:
    key = await new_key(chat, budget=1)
    answer_id = await started(key)
    await key.a.service.stop(key.viewer, answer_id)
    assert await used(chat) == [LEAST_TOKENS + len("Some words.") // 4]
    with pytest.raises(QuotaExceeded):
        await key.ask()
    # A second stop is none.
    await key.a.service.stop(key.viewer, answer_id)
    assert await used(chat) == [LEAST_TOKENS + len("Some words.") // 4]


async def test_an_answer_that_is_deleted_in_the_middle_is_charged(chat: Chat) -> None:
    """Otherwise whoever deletes in time asks for nothing, as often as he likes."""
    key = await new_key(chat, budget=1)
    answer_id = await started(key)
    conversation_id = (await key.message(answer_id)).conversation_id

    await key.a.service.delete(key.viewer, conversation_id)

    assert await used(chat) == [LEAST_TOKENS + len("Some words.") // 4]
    assert await chat.column("SELECT count(*) FROM messages") == [0]
    await until(lambda: chat.model.open_streams == 0)
    with pytest.raises(QuotaExceeded):
        await key.ask()


async def test_an_answer_that_is_deleted_after_its_end_is_not_charged_again(chat: Chat) -> None:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    key = await new_key(chat)
    message, _ = await key.answer()
    await key.a.service.delete(key.viewer, message.conversation_id)
    assert await used(chat) == [ANSWER]


async def test_an_interrupted_answer_is_charged(chat: Chat) -> None:
    key = await new_key(chat)
    answer_id = await started(key)
    await chat.a.running.end(answer_id, chat.viewer.default_workspace_id, Ending(MessageStatus.INTERRUPTED))
    assert (await key.message(answer_id)).status is MessageStatus.INTERRUPTED
    assert await used(chat) == [LEAST_TOKENS + len("Some words.") // 4]


async def test_a_failed_answer_is_charged(chat: Chat) -> None:
    """A blocked question costs what its provider read of it."""
    chat.model.script = [ProviderUnavailable("Blocked.", retryable=False)]
    key = await new_key(chat)
    message, _ = await key.answer()
    assert message.status is MessageStatus.FAILED
    assert await used(chat) == [LEAST_TOKENS]


async def test_ten_at_once_overdraw_by_no_more_than_the_answers_under_way(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["Eggs.", pause]
    key = await new_key(chat, budget=1)
    asked = await asyncio.gather(*(key.ask() for _ in range(10)))
    async with asyncio.timeout(30):
        await pause.reached.wait()
    pause.release()
    for exchange in asked:
        await key.watch(exchange.answer.id)

    refusals = await asyncio.gather(*(key.ask() for _ in range(10)), return_exceptions=True)

    assert {type(refusal) for refusal in refusals} == {QuotaExceeded}
    # Each was charged, whatever the others did at that moment.
    assert await used(chat) == [10 * ANSWER]
    assert len(chat.model.prompts) == 10


async def test_answers_of_a_key_that_was_deleted_meanwhile_end_well(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["Eggs.", pause]
    key = await new_key(chat)
    exchange = await key.ask()
    await key.watch_until(exchange.answer.id, "Eggs.")
    await chat.run("DELETE FROM api_keys")
    pause.release()
    assert (await chat.watch(exchange.answer.id))[-1].event is not None
    assert (await chat.message(exchange.answer.id)).status is MessageStatus.COMPLETED
    assert await used(chat) == []
