"""Stop: from anywhere, at any time, once."""

import asyncio
from uuid import uuid4

import pytest

from kyrochat.chat.events import AnswerEnded, TextDelta
from kyrochat.chat.service import NotStreaming
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database
from kyrochat.db.states import MessageStatus
from kyrochat.errors import NotFound
from tests.chat.scene import Chat, Process, end_of, is_gapless, process, text_of
from tests.chat.scripted_model import Pause, ScriptedModel
from tests.factories import make_viewer
from tests.jobs.scene import until

STOPPED = AnswerEnded(MessageStatus.STOPPED)


async def test_stop_keeps_the_text_so_far_and_closes_the_models_stream(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["The queen lays 2,000 eggs a day [1]. ", "And then", pause, " never said"]
    exchange = await chat.ask()
    await pause.reached.wait()

    stopped = await chat.a.service.stop(chat.viewer, exchange.answer.id)

    assert chat.model.open_streams == 0
    assert (stopped.status, stopped.text) == (
        MessageStatus.STOPPED,
        "The queen lays 2,000 eggs a day [1]. And then",
    )
    entries = await chat.watch(exchange.answer.id)
    assert text_of(entries) == stopped.text
    assert end_of(entries) == STOPPED
    assert len(await chat.citations(exchange.answer.id)) == 1
    assert await chat.leases() == []


async def test_a_second_stop_changes_nothing(chat: Chat, b: Process) -> None:
    pause = Pause()
    chat.model.script = ["Some.", pause]
    exchange = await chat.ask()
    await pause.reached.wait()
    first = await chat.a.service.stop(chat.viewer, exchange.answer.id)
    entries = await chat.stored(exchange.answer.id)

    again = [await on.service.stop(chat.viewer, exchange.answer.id) for on in (chat.a, b)]

    assert [message.model_dump() for message in again] == [first.model_dump()] * 2
    assert await chat.stored(exchange.answer.id) == entries


async def test_stop_before_any_text_ends_an_empty_answer(chat: Chat) -> None:
    hang = Pause()
    chat.model.script = [hang, "never said"]
    exchange = await chat.ask()
    await hang.reached.wait()

    stopped = await chat.a.service.stop(chat.viewer, exchange.answer.id)

    assert (stopped.status, stopped.text, chat.model.open_streams) == (MessageStatus.STOPPED, "", 0)
    entries = await chat.watch(exchange.answer.id)
    assert not [entry for entry in entries if isinstance(entry.event, TextDelta)]
    assert end_of(entries) == STOPPED


async def test_stop_right_after_the_question_leaves_nothing_running(chat: Chat) -> None:
    chat.model.script = [Pause()]
    exchange = await chat.ask()

    stopped = await chat.a.service.stop(chat.viewer, exchange.answer.id)

    assert (stopped.status, stopped.text, chat.model.open_streams) == (MessageStatus.STOPPED, "", 0)
    assert chat.a.log.open_answers == []


async def test_stop_works_from_another_process(chat: Chat, b: Process) -> None:
    pause = Pause()
    chat.model.script = ["Text that was committed.", pause, " never said"]
    exchange = await chat.ask()
    await pause.reached.wait()
    await chat.watch_until(exchange.answer.id, "Text that was committed.")

    stopped = await b.service.stop(chat.viewer, exchange.answer.id)

    assert (stopped.status, stopped.text) == (MessageStatus.STOPPED, "Text that was committed.")
    await until(lambda: chat.model.open_streams == 0)
    await until(lambda: chat.a.log.open_answers == [])
    pause.release()
    for on in (chat.a, b):
        entries = await chat.watch(exchange.answer.id, on=on)
        assert (text_of(entries), end_of(entries)) == ("Text that was committed.", STOPPED)


async def test_watchers_everywhere_hear_of_a_stop(chat: Chat, b: Process) -> None:
    pause = Pause()
    chat.model.script = ["Some.", pause]
    exchange = await chat.ask()
    await pause.reached.wait()
    watchers = [asyncio.create_task(chat.watch(exchange.answer.id, on=on)) for on in (chat.a, b)]

    await b.service.stop(chat.viewer, exchange.answer.id)

    for entries in await asyncio.gather(*watchers):
        assert end_of(entries) == STOPPED
        assert entries == await chat.stored(exchange.answer.id)


async def test_a_process_that_has_not_heard_of_the_stop_shows_the_end_all_the_same(
    chat: Chat, b: Process, urls: DatabaseUrls
) -> None:
    model, pause = ScriptedModel(), Pause()
    model.script = ["Some.", pause]
    async with process(urls.app, model, hears=False) as deaf:
        conversation = await deaf.service.start(chat.viewer, chat.bot.id, None)
        exchange = await deaf.service.send(chat.viewer, conversation.id, "How many eggs?")
        await chat.watch_until(exchange.answer.id, "Some.", on=deaf)

        await b.service.stop(chat.viewer, exchange.answer.id)

        assert deaf.log.is_open(exchange.answer.id)
        entries = await chat.watch(exchange.answer.id, on=deaf)
        assert (text_of(entries), end_of(entries)) == ("Some.", STOPPED)
        assert entries == await chat.stored(exchange.answer.id)


async def test_text_that_pours_while_another_process_stops_is_all_seen_or_not_there(chat: Chat, b: Process) -> None:
    for _ in range(5):
        chat.model.script = [f"word {number} " for number in range(2_000)]
        exchange = await chat.ask()
        watching = asyncio.create_task(chat.watch(exchange.answer.id))
        await until(lambda message_id=exchange.answer.id: chat.a.log.is_open(message_id))

        await b.service.stop(chat.viewer, exchange.answer.id)

        entries = await watching
        assert entries == await chat.stored(exchange.answer.id)
        assert is_gapless(entries)
        assert text_of(entries) == (await chat.message(exchange.answer.id)).text
        assert end_of(entries).status in (MessageStatus.STOPPED, MessageStatus.COMPLETED)


async def test_stop_and_finish_at_once_end_the_answer_once(chat: Chat, b: Process) -> None:
    async def race(turn: int) -> MessageStatus:
        exchange = await chat.ask()
        for _ in range(turn):
            await asyncio.sleep(0)
        await asyncio.gather(*(on.service.stop(chat.viewer, exchange.answer.id) for on in (chat.a, b)))
        message = await chat.message(exchange.answer.id)
        entries = await chat.watch(exchange.answer.id)
        assert is_gapless(entries)
        assert end_of(entries) == AnswerEnded(message.status)
        assert text_of(entries) == message.text
        assert message.text == "All of it." or message.status is MessageStatus.STOPPED
        return message.status

    chat.model.script = ["All of it."]
    # Stops that come ever later: into the search, the model's stream, the end's transaction, and after it.
    statuses = [await race(turn) for turn in range(0, 240, 12)]

    assert set(statuses) <= {MessageStatus.STOPPED, MessageStatus.COMPLETED}
    assert chat.model.open_streams == 0
    assert await chat.leases() == []


async def test_ten_stops_at_once_end_the_answer_once(chat: Chat, b: Process) -> None:
    pause = Pause()
    chat.model.script = ["Some.", pause]
    exchange = await chat.ask()
    await pause.reached.wait()

    stops = (on.service.stop(chat.viewer, exchange.answer.id) for on in (chat.a, b) * 5)
    stopped = await asyncio.gather(*stops)

    assert {message.status for message in stopped} == {MessageStatus.STOPPED}
    assert end_of(await chat.stored(exchange.answer.id)) == STOPPED


async def test_a_stop_after_the_end_leaves_a_completed_answer_as_it_is(chat: Chat) -> None:
    chat.model.script = ["Done."]
    answer, entries = await chat.answer()

    after = await chat.a.service.stop(chat.viewer, answer.id)

    assert after.model_dump() == answer.model_dump()
    assert await chat.stored(answer.id) == entries


async def test_only_ones_own_answers_can_be_stopped(chat: Chat, database: Database) -> None:
    pause = Pause()
    chat.model.script = ["Some.", pause]
    exchange = await chat.ask()
    await pause.reached.wait()
    stranger = await make_viewer(database, "eve@example.com")

    with pytest.raises(NotStreaming):
        await chat.a.service.stop(chat.viewer, exchange.question.id)
    with pytest.raises(NotFound):
        await chat.a.service.stop(chat.viewer, uuid4())
    with pytest.raises(NotFound):
        await chat.a.service.stop(stranger, exchange.answer.id)

    assert (await chat.message(exchange.answer.id)).status is MessageStatus.STREAMING
    assert chat.model.open_streams == 1


async def test_a_stop_whose_caller_goes_away_still_stops(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["Some.", pause]
    exchange = await chat.ask()
    await pause.reached.wait()
    stopping = asyncio.create_task(chat.a.service.stop(chat.viewer, exchange.answer.id))
    await until(lambda: chat.model.open_streams == 0)

    stopping.cancel()

    assert end_of(await asyncio.wait_for(chat.watch(exchange.answer.id), 30)) == STOPPED
