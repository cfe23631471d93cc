"""Conversations that are deleted while an answer is being written."""

import asyncio

import pytest

from kyrochat.bots.service import BotService
from kyrochat.chat import log_repository
from kyrochat.chat.events import TextDelta
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

    await until(lambda: chat.model.open_streams == 0)
    for outcome in await asyncio.gather(*watchers, return_exceptions=True):
        assert isinstance(outcome, NotFound)
    with pytest.raises(NotFound):
        await chat.message(exchange.answer.id)
    assert await chat.stored(exchange.answer.id) == []
    assert await chat.leases() == []


async def test_a_deletion_in_the_middle_of_a_write_waits_for_it(chat: Chat) -> None:
    chat.model.script = ["Some.", Pause()]
    exchange = await chat.ask()
    seen = await chat.watch_until(exchange.answer.id, "Some.")
    (answer,) = chat.a.log.open_answers

    # What the writer does in one transaction, with the deletion in between.
    async with chat.database.begin(chat.viewer.workspaces) as session:
        assert await log_repository.hold_leases(session, {answer.message_id: answer.token}) == {answer.message_id}
        deleting = asyncio.create_task(chat.a.service.delete(chat.viewer, exchange.answer.conversation_id))
        await until(lambda: chat.some("SELECT FROM pg_locks WHERE NOT granted"))
        entry = (answer.message_id, answer.workspace_id, seen[-1].sequence + 1, TextDelta("more"))
        await log_repository.add_entries(session, [entry])
        assert not deleting.done()

    assert await deleting == exchange.answer.conversation_id
    assert await chat.stored(exchange.answer.id) == []


async def test_deleting_and_writing_never_wait_for_each_other(chat: Chat) -> None:
    chat.model.script = [f"word {number} [1]. " for number in range(1_500)]
    survivor = await chat.ask()
    for turn in range(8):
        exchange = await chat.ask()
        await until(lambda message_id=exchange.answer.id: chat.a.log.is_open(message_id))
        for _ in range(turn * 6):
            await asyncio.sleep(0)

        # A deadlock would be resolved by failing this, or by failing the writer.
        await chat.a.service.delete(chat.viewer, exchange.answer.conversation_id)

    assert len(text_of(await chat.watch(survivor.answer.id))) > 0
    assert (await chat.message(survivor.answer.id)).status is MessageStatus.COMPLETED
    await until(lambda: chat.a.log.open_answers == [])


async def test_deleting_a_bot_ends_its_answers_at_once(chat: Chat, b: Process) -> None:
    chat.model.script = ["Some.", Pause()]
    exchange = await chat.ask()
    await chat.watch_until(exchange.answer.id, "Some.")
    watching = asyncio.create_task(chat.watch(exchange.answer.id))

    await BotService(chat.database, b.changes).delete(chat.viewer, chat.bot.id)

    await until(lambda: chat.model.open_streams == 0)
    with pytest.raises(NotFound):
        await watching
    with pytest.raises(NotFound):
        await chat.message(exchange.answer.id)
    assert await chat.leases() == []
