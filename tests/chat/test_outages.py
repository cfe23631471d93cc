"""The database goes away and comes back; the process ends in order."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.chat.events import AnswerEnded
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import asyncpg_url
from kyrochat.db.states import MessageStatus
from tests.chat.scene import Chat, end_of, is_gapless, process, text_of
from tests.chat.scripted_model import Pause, ScriptedModel
from tests.jobs.scene import until

COMPLETED = AnswerEnded(MessageStatus.COMPLETED)


@asynccontextmanager
async def outage(urls: DatabaseUrls) -> AsyncGenerator[None, None]:
    """Meanwhile nobody is connected to the database, and nobody can connect."""
    name = make_url(urls.owner).database
    admin = create_async_engine(
        asyncpg_url(urls.owner).set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    async with admin.connect() as connection:
        await connection.execute(text(f"ALTER DATABASE {name} CONNECTION LIMIT 0"))
    await cut(urls)
    try:
        yield
    finally:
        async with admin.connect() as connection:
            await connection.execute(text(f"ALTER DATABASE {name} CONNECTION LIMIT -1"))
        await admin.dispose()


async def cut(urls: DatabaseUrls) -> int:
    """Terminate all connections to the database, and return how many there were."""
    count = 0
    for url in (urls.app, urls.worker):
        # A role may terminate its own connections, from any database that it may connect to.
        count += await _terminate(url)
    return count


async def _terminate(url: str) -> int:
    name = make_url(url).database
    admin = create_async_engine(asyncpg_url(url).set(database="kyrochat"), poolclass=NullPool)
    async with admin.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = :name AND usename = current_user AND pid <> pg_backend_pid()"
            ),
            {"name": name},
        )
        count = len(rows.all())
    await admin.dispose()
    return count


async def test_connections_that_break_while_streaming_cost_nothing(chat: Chat, urls: DatabaseUrls) -> None:
    pauses = [Pause() for _ in range(5)]
    chat.model.script = [step for turn, pause in enumerate(pauses) for step in (f"Part {turn}. ", pause)]
    exchange = await chat.ask()
    watching = asyncio.create_task(chat.watch(exchange.answer.id))

    for turn, pause in enumerate(pauses):
        await pause.reached.wait()
        if turn % 2:
            await chat.watch_until(exchange.answer.id, "".join(f"Part {each}. " for each in range(turn + 1)).rstrip())
        # Those that were cut before may not be back yet.
        async with asyncio.timeout(30):
            while not await cut(urls):
                await asyncio.sleep(0.005)
        pause.release()

    entries = await watching
    assert text_of(entries) == "Part 0. Part 1. Part 2. Part 3. Part 4."
    assert is_gapless(entries)
    assert end_of(entries) == COMPLETED
    assert entries == await chat.stored(exchange.answer.id)


async def test_an_answer_waits_for_a_database_that_is_away(chat: Chat, urls: DatabaseUrls) -> None:
    first, second, third = Pause(), Pause(), Pause()
    chat.model.script = ["Before. ", first, "During. ", second, "Still during. ", third, "At the end."]
    exchange = await chat.ask()
    watching = asyncio.create_task(chat.watch(exchange.answer.id))
    await chat.watch_until(exchange.answer.id, "Before.")

    async with outage(urls):
        first.release()
        await second.reached.wait()
        # What the model says while a write is failing is queued behind it.
        await until(lambda: chat.a.log.open_answers[0].has_queued)
        second.release()
        await third.reached.wait()
        third.release()
        assert not watching.done()

    entries = await asyncio.wait_for(watching, 30)
    assert text_of(entries) == "Before. During. Still during. At the end."
    assert is_gapless(entries)
    assert end_of(entries) == COMPLETED
    assert entries == await chat.stored(exchange.answer.id)
    assert (await chat.message(exchange.answer.id)).text == text_of(entries)


async def test_bells_ring_again_after_an_outage(chat: Chat, urls: DatabaseUrls) -> None:
    model = ScriptedModel()
    async with process(urls.app, model) as b:
        async with outage(urls):
            pass
        pause = Pause()
        chat.model.script = ["Some.", pause]
        exchange = await asyncio.wait_for(chat.ask(), 30)
        await pause.reached.wait()

        await b.service.stop(chat.viewer, exchange.answer.id)

        await until(lambda: chat.model.open_streams == 0)


async def test_a_process_that_ends_interrupts_its_answers_and_keeps_their_text(chat: Chat, urls: DatabaseUrls) -> None:
    pause, model = Pause(), ScriptedModel()
    model.script = ["Text so far.", pause, " never said"]
    before = asyncio.all_tasks()
    async with process(urls.app, model) as ending:
        conversation = await ending.service.start(chat.viewer, chat.bot.id, None)
        exchange = await ending.service.send(chat.viewer, conversation.id, "How many eggs?")
        await pause.reached.wait()
        watching = asyncio.create_task(chat.watch(exchange.answer.id))

    assert model.open_streams == 0
    entries = await watching
    assert end_of(entries) == AnswerEnded(MessageStatus.INTERRUPTED)
    message = await chat.message(exchange.answer.id)
    assert (message.status, message.text) == (MessageStatus.INTERRUPTED, "Text so far.")
    assert text_of(entries) == "Text so far."
    assert await chat.leases() == []
    assert asyncio.all_tasks() - before == set()


async def test_a_process_that_ends_lets_answers_finish_within_its_grace(chat: Chat, urls: DatabaseUrls) -> None:
    pause, model = Pause(), ScriptedModel()
    model.script = ["Almost ", pause, "done."]
    async with process(urls.app, model, grace_s=20) as ending:
        conversation = await ending.service.start(chat.viewer, chat.bot.id, None)
        exchange = await ending.service.send(chat.viewer, conversation.id, "How many eggs?")
        await pause.reached.wait()
        asyncio.get_running_loop().call_soon(pause.release)

    message = await chat.message(exchange.answer.id)
    assert (message.status, message.text) == (MessageStatus.COMPLETED, "Almost done.")


@pytest.mark.parametrize("turn", range(3))
async def test_an_outage_right_at_the_end_loses_nothing(chat: Chat, urls: DatabaseUrls, turn: int) -> None:
    pause = Pause()
    chat.model.script = ["Said.", pause]
    exchange = await chat.ask()
    watching = asyncio.create_task(chat.watch(exchange.answer.id))
    await chat.watch_until(exchange.answer.id, "Said.")

    async with outage(urls):
        pause.release()
        await until(lambda: chat.model.open_streams == 0)
        for _ in range(turn * 50):
            await asyncio.sleep(0)

    entries = await asyncio.wait_for(watching, 30)
    assert (text_of(entries), end_of(entries)) == ("Said.", COMPLETED)
    assert entries == await chat.stored(exchange.answer.id)


async def test_after_an_outage_that_outlasts_leases_answers_that_live_are_not_swept(
    chat: Chat, urls: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kyrochat")
    pause = Pause()
    chat.model.script = ["Before. ", pause, "After."]
    exchange = await chat.ask()
    await chat.watch_until(exchange.answer.id, "Before.")

    # Another process, which finds its way back before the one that writes does.
    async with process(urls.app, ScriptedModel(), lease=timedelta(seconds=6)) as other:
        async with outage(urls):
            await until(lambda: "Sweeping answers failed" in caplog.text)
        await chat.run("UPDATE answer_leases SET leased_until = now() - interval '1 minute'")
        await until(lambda: "Sweeping answers works again" in caplog.text)
        assert (await chat.message(exchange.answer.id)).status is MessageStatus.STREAMING
        await chat.a.running._renew()

        pause.release()
        entries = await chat.watch(exchange.answer.id, on=other)

    assert (text_of(entries), end_of(entries)) == ("Before. After.", COMPLETED)


async def test_after_an_outage_answers_of_dead_processes_are_swept_a_lease_later(
    chat: Chat, urls: DatabaseUrls
) -> None:
    chat.model.script = ["Before.", Pause()]
    exchange = await chat.ask()
    await chat.watch_until(exchange.answer.id, "Before.")

    async with process(urls.app, ScriptedModel(), lease=timedelta(seconds=0.9)) as other:
        async with outage(urls):
            await until(lambda: other.running._is_away)
        await chat.run("UPDATE answer_leases SET leased_until = now() - interval '1 minute', token = gen_random_uuid()")
        entries = await chat.watch(exchange.answer.id, on=other)

    assert (text_of(entries), end_of(entries)) == ("Before.", AnswerEnded(MessageStatus.INTERRUPTED))
