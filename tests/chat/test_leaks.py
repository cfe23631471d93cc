"""Nothing is left of answers that have ended."""

import asyncio
from contextlib import aclosing

from kyrochat.db.states import MessageStatus
from tests.chat.scene import Chat, Process, text_of
from tests.chat.scripted_model import Pause
from tests.jobs.scene import until


async def test_fifty_watched_answers_leave_nothing_behind(chat: Chat, b: Process) -> None:
    before = _tasks()
    chat.model.script = ["The queen lays 2,000 eggs a day [1]. ", "Worker bees live for six weeks [1]."]

    async def one(turn: int) -> None:
        exchange = await chat.ask()
        watchers = [chat.watch(exchange.answer.id, on=on) for on in (chat.a, b)]
        if turn % 5 == 0:
            async with aclosing(b.service.events(chat.viewer, exchange.answer.id, 0)) as events:
                await anext(events)  # and away again
        if turn % 7 == 0:
            await chat.a.service.stop(chat.viewer, exchange.answer.id)
        seen = await asyncio.gather(*watchers)
        message = await chat.message(exchange.answer.id)
        assert [text_of(entries) for entries in seen] == [message.text] * 2

    for start in range(0, 50, 10):
        await asyncio.gather(*(one(turn) for turn in range(start, start + 10)))

    for on in (chat.a, b):
        await until(lambda on=on: on.log.open_answers == [])
        assert on.changes._bells == {}
        assert on.running._runs == {}
        await until(lambda on=on: on.running._endings == set())
        assert on.database.engine.pool.checkedout() == 1  # type: ignore[attr-defined]  # the listener's
    assert chat.model.open_streams == 0
    assert await chat.leases() == []
    await until(lambda: _tasks() == before)


async def test_watchers_that_leave_take_their_bells_along(chat: Chat, b: Process) -> None:
    pause = Pause()
    chat.model.script = ["Some.", pause]
    exchange = await chat.ask()
    await pause.reached.wait()

    watchers = [asyncio.create_task(chat.watch(exchange.answer.id, on=on)) for on in (chat.a, b) for _ in range(20)]
    topic = f"answer:{exchange.answer.id}"
    for on in (chat.a, b):
        await until(lambda on=on: len(on.changes._bells.get(topic, ())) == 20)
    for watcher in watchers:
        watcher.cancel()
    await asyncio.wait(watchers)

    assert b.changes._bells == {}
    assert list(chat.a.changes._bells) == [f"ended:{exchange.answer.id}"]
    assert (await chat.message(exchange.answer.id)).status is MessageStatus.STREAMING


def _tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if "answer" in task.get_name()}
