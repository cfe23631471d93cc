"""Answers that wait for their turn are answers like others, and too many of them are refused."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from uuid import UUID

import psutil
import pytest
from sqlalchemy import text

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat.events import AnswerEnded
from kyrochat.chat.exchanges import Exchange
from kyrochat.chat.queue import AnswerQueue
from kyrochat.chat.running import TO_STORE_S
from kyrochat.db.columns import new_id
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.db.states import MessageStatus
from kyrochat.errors import Overloaded
from kyrochat.retrieval.types import Prompt
from tests.chat.scene import QUESTION, Chat, Process, end_of, process, text_of
from tests.chat.scripted_model import Pause, Script, ScriptedModel
from tests.factories import make_bot, make_viewer
from tests.jobs.scene import until
from tests.timing import assert_within

MB = 1024 * 1024
LAG_EVERY_S = 0.01


@pytest.fixture
async def narrow(urls: DatabaseUrls, chat: Chat) -> AsyncGenerator[Process, None]:
    """Another process with the same model, which has one place for answers, and a line for four."""
    async with process(urls.app, chat.model, queue=AnswerQueue(1, 4)) as other:
        yield other


async def ask(on: Process, viewer: Viewer, bot: Bot, question: str = QUESTION) -> Exchange:
    conversation = await on.service.start(viewer, bot.id, None)
    return await on.service.send(viewer, conversation.id, question)


async def test_an_answer_waits_stored_and_watched_until_it_has_a_place(chat: Chat, narrow: Process, b: Process) -> None:
    pause = Pause()
    chat.model.script = lambda prompt: [pause, "First."] if prompt.question == "1?" else ["Second."]
    await ask(narrow, chat.viewer, chat.bot, "1?")
    await pause.reached.wait()

    second = await ask(narrow, chat.viewer, chat.bot, "2?")
    watchers = [asyncio.create_task(chat.watch(second.answer.id, on=on)) for on in (narrow, b)]
    await until(lambda: narrow.running.queue.waiting == 1)

    assert (await chat.message(second.answer.id)).status is MessageStatus.STREAMING
    assert second.answer.id in await chat.leases()
    assert [prompt.question for prompt in chat.model.prompts] == ["1?"]
    pause.release()
    entries = await asyncio.gather(*watchers)
    assert [text_of(each) for each in entries] == ["Second.", "Second."]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_an_answer_in_line_can_be_stopped_from_any_process(
    chat: Chat, narrow: Process, b: Process, elsewhere: bool
) -> None:
    pause = Pause()
    chat.model.script = [pause, "Done."]
    await ask(narrow, chat.viewer, chat.bot)
    waiting = await ask(narrow, chat.viewer, chat.bot)
    watching = asyncio.create_task(chat.watch(waiting.answer.id, on=narrow))

    stopped = await (b if elsewhere else narrow).service.stop(chat.viewer, waiting.answer.id)

    assert (stopped.status, stopped.text) == (MessageStatus.STOPPED, "")
    assert [entry.event for entry in await watching] == [AnswerEnded(MessageStatus.STOPPED)]
    await until(lambda: narrow.running.queue.waiting == 0)
    pause.release()
    await until(lambda: narrow.log.open_answers == [])
    # No model was asked for it.
    assert len(chat.model.prompts) == 1


async def test_the_lease_of_an_answer_in_line_is_renewed(chat: Chat, urls: DatabaseUrls) -> None:
    pause = Pause()
    chat.model.script = [pause, "Done."]
    async with process(urls.app, chat.model, lease=timedelta(seconds=0.8), queue=AnswerQueue(1, 4)) as on:
        await ask(on, chat.viewer, chat.bot)
        waiting = await ask(on, chat.viewer, chat.bot)
        seen: set[object] = set()

        async def renewed() -> bool:
            query = f"SELECT leased_until FROM answer_leases WHERE message_id = '{waiting.answer.id}'"
            seen.update(await chat.column(query))
            return len(seen) > 4

        await until(renewed)
        pause.release()

        assert text_of(await chat.watch(waiting.answer.id, on=on)) == "Done."


async def test_answers_in_line_are_interrupted_when_their_process_ends(chat: Chat, urls: DatabaseUrls) -> None:
    chat.model.script = ["So far", Pause()]
    async with process(urls.app, chat.model, queue=AnswerQueue(1, 4), grace_s=0) as on:
        running = await ask(on, chat.viewer, chat.bot)
        waiting = await ask(on, chat.viewer, chat.bot)
        await chat.watch_until(running.answer.id, "So far", on=on)

    for exchange, words in ((running, "So far"), (waiting, "")):
        entries = await chat.watch(exchange.answer.id)
        assert (text_of(entries), end_of(entries)) == (words, AnswerEnded(MessageStatus.INTERRUPTED))
    assert len(chat.model.prompts) == 1


async def test_a_full_line_refuses_and_stores_nothing_and_has_room_again(chat: Chat, narrow: Process) -> None:
    pause = Pause()
    chat.model.script = [pause, "Done."]
    viewers = [await make_viewer(chat.database, f"user{number}@example.com") for number in range(6)]
    bots = [await make_bot(chat.database, viewer) for viewer in viewers]
    # One has the place, and four wait.
    exchanges = [await ask(narrow, viewer, bot) for viewer, bot in zip(viewers[:5], bots, strict=False)]
    last = await narrow.service.start(viewers[5], bots[5].id, None)

    with pytest.raises(Overloaded):
        await narrow.service.send(viewers[5], last.id, "One too many?")
    async with chat.database.begin(viewers[5].workspaces) as session:
        rows = await (await session.connection()).execute(text("SELECT count(*) FROM messages"))
        assert rows.scalar_one() == 0

    await narrow.service.stop(viewers[3], exchanges[3].answer.id)
    again = await narrow.service.send(viewers[5], last.id, "And now?")
    pause.release()
    seen = [entry async for entry in narrow.service.events(viewers[5], again.answer.id, 0)]
    assert text_of(seen) == "Done."


async def test_a_retry_of_what_was_taken_is_found_although_the_line_is_full(chat: Chat, narrow: Process) -> None:
    chat.model.script = [Pause()]
    conversation = await chat.conversation()
    first = await narrow.service.send(chat.viewer, conversation, QUESTION, idempotency_key="k")
    while True:
        try:
            await ask(narrow, chat.viewer, chat.bot)
        except Overloaded:
            break

    again = await narrow.service.send(chat.viewer, conversation, QUESTION, idempotency_key="k")

    assert again.answer.id == first.answer.id


async def test_one_tenants_flood_does_not_come_before_anothers_first_words(chat: Chat, urls: DatabaseUrls) -> None:
    bob = await make_viewer(chat.database, "bob@example.com")
    bobs = await make_bot(chat.database, bob)
    pause = Pause()
    chat.model.script = [pause, "Done."]
    async with process(urls.app, chat.model, queue=AnswerQueue(9, 100)) as on:
        for number in range(40):
            await ask(on, chat.viewer, chat.bot, f"Flood {number}?")
        await until(lambda: on.running.queue.waiting == 40 - len(chat.model.prompts) and len(chat.model.prompts) > 5)
        flooded = len(chat.model.prompts)

        await ask(on, bob, bobs, "Bob's?")
        await until(lambda: len(chat.model.prompts) > flooded)

        # No answer of the flood has ended, and 30 of it wait.
        assert [prompt.question for prompt in chat.model.prompts[flooded:]] == ["Bob's?"]
        assert on.running.queue.waiting > 30
        pause.release()


async def test_two_thousand_sends_at_once_are_taken_or_refused_and_do_not_make_others_wait(
    chat: Chat, urls: DatabaseUrls
) -> None:
    """With a place for twenty answers and a line for a hundred."""

    async def refused_after() -> float:
        refused_s, lag_s = await _flooded(chat, urls)
        assert lag_s < 0.5
        return refused_s

    await assert_within(2, refused_after, tries=3)


async def _flooded(chat: Chat, urls: DatabaseUrls) -> tuple[float, float]:
    """Send the two thousand; returns the seconds until the last refusal, and the longest lag of the event loop."""
    release = Pause()

    def script(prompt: Prompt) -> Script:
        return [release, prompt.question]

    conversations = await make_conversations(chat.database, chat.viewer, chat.bot, 2_000)
    async with process(urls.app, ScriptedModel(script), queue=AnswerQueue(20, 100), to_store_s=TO_STORE_S) as on:
        loop = asyncio.get_running_loop()
        before = psutil.Process().memory_info().rss
        began = loop.time()

        async def send(number: int, conversation_id: UUID) -> tuple[float, Exchange | None]:
            try:
                exchange = await on.service.send(chat.viewer, conversation_id, f"Question {number}?")
            except Overloaded:
                return loop.time() - began, None
            return loop.time() - began, exchange

        lag = asyncio.create_task(longest_lag())
        outcomes = await asyncio.gather(*(send(*each) for each in enumerate(conversations)))
        lag.cancel()
        longest_s = await lag
        grown = psutil.Process().memory_info().rss - before
        taken = [exchange for _, exchange in outcomes if exchange is not None]
        refused_s = [took_s for took_s, exchange in outcomes if exchange is None]

        print(
            f"\n{len(taken)} taken, {len(refused_s)} refused within {max(refused_s):.2f} s;"
            f" lag {longest_s * 1000:.0f} ms; {grown / MB:.0f} MB"
        )
        assert len(taken) + len(refused_s) == 2_000
        assert len(taken) >= 8
        assert on.running.queue.running + on.running.queue.waiting == len(taken) <= 120
        assert grown < 100 * MB
        release.release()
        for exchange in taken:
            entries = await chat.watch(exchange.answer.id, on=on)
            assert (text_of(entries), end_of(entries).status) == (exchange.question.text, MessageStatus.COMPLETED)
    return max(refused_s), longest_s


async def make_conversations(database: Database, viewer: Viewer, bot: Bot, count: int) -> Sequence[UUID]:
    ids = [new_id() for _ in range(count)]
    async with database.begin(viewer.workspaces) as session:
        await (await session.connection()).execute(
            text(
                "INSERT INTO conversations (id, workspace_id, bot_id, user_id, is_public, title)"
                " SELECT id, :workspace, :bot, :user, false, '' FROM unnest(CAST(:ids AS uuid[])) AS id"
            ),
            {"ids": ids, "workspace": bot.workspace_id, "bot": bot.id, "user": viewer.user_id},
        )
    return ids


async def longest_lag() -> float:
    """Return, when cancelled, for how long at most the event loop heard nobody: in seconds of the processor that it
    had, since others may have the machine meanwhile."""
    longest = 0.0
    try:
        while True:
            before = time.thread_time()
            await asyncio.sleep(LAG_EVERY_S)
            longest = max(longest, time.thread_time() - before)
    except asyncio.CancelledError:
        return longest
