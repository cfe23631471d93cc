"""The search for a question begins while the question is being stored, and is no less right for that."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from sqlalchemy import text

from kyrochat.chat.exchanges import TooManySiblings
from kyrochat.chat.queue import AnswerQueue
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import open_database
from kyrochat.db.states import MessageStatus
from tests.chat.scene import QUESTION, Chat, Process, process, statements, text_of
from tests.chat.scripted_model import Pause
from tests.jobs.scene import until


@pytest.fixture
async def narrow(urls: DatabaseUrls, chat: Chat) -> AsyncGenerator[Process, None]:
    """Another process with the same model, which writes one answer at a time."""
    async with process(urls.app, chat.model, queue=AnswerQueue(1, 4)) as other:
        yield other


def scans(seen: Sequence[tuple[str, object]]) -> int:
    return sum("FROM chunk_lex" in statement for statement, _ in seen)


async def test_a_question_that_waits_to_be_stored_is_searched_for_meanwhile_and_once(
    chat: Chat, urls: DatabaseUrls
) -> None:
    chat.model.script = ["Up to 2,000 eggs a day [1]."]
    conversation = await chat.conversation()
    owner = open_database(urls.owner)
    with statements(chat.a.database) as seen:
        async with owner.begin() as session:
            await (await session.connection()).execute(text("LOCK TABLE answer_leases"))
            asking = asyncio.create_task(chat.a.service.send(chat.viewer, conversation, QUESTION))
            await until(lambda: scans(seen) == 1)
            assert not asking.done()
        exchange = await asking
        entries = await chat.watch(exchange.answer.id)
    await owner.close()

    assert text_of(entries) == "Up to 2,000 eggs a day [1]."
    assert scans(seen) == 1
    assert len(chat.model.prompts[0].passages) == 1


async def test_of_a_question_that_is_refused_at_the_end_no_search_is_left(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kyrochat.chat.exchanges.MAX_SIBLINGS", 1)
    chat.model.script = ["Well."]
    first = await chat.ask("First?")
    await chat.watch(first.answer.id)
    second = await chat.a.service.send(chat.viewer, first.answer.conversation_id, "Second?", parent_id=first.answer.id)
    await chat.watch(second.answer.id)

    with pytest.raises(TooManySiblings):
        await chat.a.service.send(chat.viewer, first.answer.conversation_id, "Third?", parent_id=first.answer.id)

    await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "search-ahead"])
    assert [prompt.question for prompt in chat.model.prompts] == ["First?", "Second?"]


async def test_an_answer_that_had_to_wait_knows_nothing_that_was_deleted_meanwhile(chat: Chat, narrow: Process) -> None:
    pause = Pause()
    chat.model.script = lambda prompt: [pause] if prompt.question == "Any eggs?" else ["I do not know."]
    conversations = [await chat.conversation() for _ in range(2)]
    await narrow.service.send(chat.viewer, conversations[0], "Any eggs?")
    await pause.reached.wait()
    with statements(narrow.database) as seen:
        waiting = await narrow.service.send(chat.viewer, conversations[1], QUESTION)
        await until(lambda: scans(seen) == 1)
        await chat.run(f"UPDATE documents SET deleted_at = now() WHERE id = '{chat.document.id}'")

        pause.release()
        entries = await chat.watch(waiting.answer.id)

    assert text_of(entries) == "I do not know."
    assert [len(prompt.passages) for prompt in chat.model.prompts] == [1, 0]


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 30])
async def test_a_search_outlives_no_answer_that_is_stopped_at_once(chat: Chat, turns: int) -> None:
    chat.model.script = [Pause()]
    exchange = await chat.ask()
    for _ in range(turns):
        await asyncio.sleep(0)

    stopped = await chat.a.service.stop(chat.viewer, exchange.answer.id)

    assert (stopped.status, stopped.text) == (MessageStatus.STOPPED, "")
    await until(lambda: chat.a.running._searches == set())
    assert [task for task in asyncio.all_tasks() if task.get_name() == "search-ahead"] == []


async def test_a_process_that_ends_does_not_wait_for_the_searches_of_its_answers(
    chat: Chat, urls: DatabaseUrls
) -> None:
    owner = open_database(urls.owner)
    async with owner.begin() as session:
        await (await session.connection()).execute(text("LOCK TABLE chunk_lex"))
        async with asyncio.timeout(20), process(urls.app, chat.model, grace_s=0) as on:
            with statements(on.database) as seen:
                exchange = await on.service.send(chat.viewer, await chat.conversation(), QUESTION)
                await until(lambda: scans(seen) == 1)
    await owner.close()

    assert [task for task in asyncio.all_tasks() if task.get_name() == "search-ahead"] == []
    assert (await chat.message(exchange.answer.id)).status is MessageStatus.INTERRUPTED


async def test_a_search_that_fails_ahead_fails_its_answer_and_can_be_tried_again(
    chat: Chat, urls: DatabaseUrls
) -> None:
    chat.model.script = ["Up to 2,000 eggs a day [1]."]
    owner = open_database(urls.owner)
    async with owner.begin() as session:
        await (await session.connection()).execute(text("ALTER TABLE chunk_lex RENAME TO away"))
    failed, _ = await chat.answer()
    async with owner.begin() as session:
        await (await session.connection()).execute(text("ALTER TABLE away RENAME TO chunk_lex"))
    await owner.close()

    again = await chat.a.service.regenerate(chat.viewer, failed.id)

    assert failed.status is MessageStatus.FAILED
    assert text_of(await chat.watch(again.answer.id)) == "Up to 2,000 eggs a day [1]."
