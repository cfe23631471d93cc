"""Conversations that are deleted while an answer is being written."""

import asyncio

import pytest

from kyrochat.db.states import MessageStatus
from kyrochat.errors import NotFound
from tests.chat.scene import Chat, Process, text_of
from tests.chat.scripted_model import Pause
from tests.jobs.scene import until


async def test_deleting_a_conversation_ends_its_answer_at_once(chat: Chat, b: Process) -> None:
    pause = Pause()
    chat.model.script = ["Some.", pause]
    exchange = await chat.ask()
    await chat.watch_until(exchange.answer.id, "Some.")
    watchers = [asyncio.create_task(chat.watch(exchange.answer.id, on=on)) for on in (chat.a, b)]

    await b.service.delete(chat.viewer, exchange.answer.conversation_id)

    await until(lambda: chat.model.open_streams == 0, timeout_s=1.5)
    for outcome in await asyncio.gather(*watchers, return_exceptions=True):
        assert isinstance(outcome, NotFound)
    with pytest.raises(NotFound):
        await chat.message(exchange.answer.id)
    assert await chat.stored(exchange.answer.id) == []
    assert await chat.leases() == []


async def test_deleting_and_writing_never_wait_for_each_other(chat: Chat) -> None:
    chat.model.script = [f"word {number} [1]. " for number in range(5_000)]
    survivor = await chat.ask()
    for turn in range(15):
        exchange = await chat.ask()
        await until(lambda message_id=exchange.answer.id: chat.a.log.is_open(message_id))
        for _ in range(turn * 3):
            await asyncio.sleep(0)

        # A deadlock would be resolved by failing this, or by failing the writer.
        await chat.a.service.delete(chat.viewer, exchange.answer.conversation_id)

    assert len(text_of(await chat.watch(survivor.answer.id))) > 0
    assert (await chat.message(survivor.answer.id)).status is MessageStatus.COMPLETED
    await until(lambda: chat.a.log.open_answers == [])
