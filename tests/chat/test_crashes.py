"""Real processes that are killed or stopped while they answer, and what others make of it."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from kyrochat.chat.events import AnswerEnded
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.states import MessageStatus
from tests.chat.scene import Chat, end_of, is_gapless, process, text_of
from tests.chat.scripted_model import Pause, ScriptedModel
from tests.jobs.scene import until

ROOT = Path(__file__).parents[2]
LEASE_S = 0.8
INTERRUPTED = AnswerEnded(MessageStatus.INTERRUPTED)

Begin = Callable[[], Awaitable[tuple[Process, UUID]]]


@pytest.fixture
async def begin(chat: Chat, urls: DatabaseUrls) -> AsyncGenerator[Begin, None]:
    """Starts a process that writes an answer, and gives it with the answer's id."""
    started: list[Process] = []

    async def start() -> tuple[Process, UUID]:
        options = {
            "url": urls.app,
            "user_id": str(chat.viewer.user_id),
            "workspace_id": str(chat.bot.workspace_id),
            "bot_id": str(chat.bot.id),
            "lease_s": LEASE_S,
        }
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chat.answer_process", json.dumps(options), cwd=ROOT, stdin=PIPE, stdout=PIPE
        )
        started.append(writer)
        assert writer.stdout is not None
        return writer, UUID((await writer.stdout.readline()).decode().strip())

    yield start
    for writer in started:
        if writer.returncode is None:
            writer.kill()
        await writer.wait()


def say(writer: Process, *words: str) -> None:
    assert writer.stdin is not None
    for word in words:
        writer.stdin.write(f"{word}\n".encode())


@asynccontextmanager
async def sweeping(urls: DatabaseUrls) -> AsyncGenerator[None, None]:
    """Another process that looks for answers of dead ones often."""
    async with process(urls.app, ScriptedModel(), lease=timedelta(seconds=LEASE_S)):
        yield


async def test_an_answer_of_a_killed_process_is_interrupted_with_what_was_seen(
    chat: Chat, urls: DatabaseUrls, begin: Begin
) -> None:
    writer, answer_id = await begin()
    watching = asyncio.create_task(chat.watch(answer_id))
    say(writer, "One,", " two,")
    await chat.watch_until(answer_id, "One, two,")
    say(writer, *(f" and {number}" for number in range(500)))

    writer.kill()
    await writer.wait()
    searched = await chat.a.service.searches(chat.viewer, [answer_id])
    # Many sweep, and one of them ends it.
    async with sweeping(urls), sweeping(urls), sweeping(urls):
        entries = await asyncio.wait_for(watching, 30)

    message = await chat.message(answer_id)
    assert end_of(entries) == INTERRUPTED
    assert (message.status, message.text) == (MessageStatus.INTERRUPTED, text_of(entries))
    assert message.text.startswith("One, two,")
    assert is_gapless(entries)
    assert entries == await chat.stored(answer_id) == await chat.watch(answer_id)
    assert await chat.leases() == []
    assert [len(trace.passages) > 0 for trace in searched[answer_id]] == [True]
    assert await chat.a.service.searches(chat.viewer, [answer_id]) == searched


async def test_all_that_a_dead_process_leaves_is_ended_in_one_go(
    chat: Chat, urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kyrochat.chat.running.SWEPT_AT_ONCE", 1)
    chat.model.script = [Pause()]
    answers = [(await chat.ask()).answer.id for _ in range(5)]
    # As if the process that holds them were gone.
    await chat.run("UPDATE answer_leases SET token = gen_random_uuid(), leased_until = now() - interval '1 second'")

    # It looks once an hour or so, and our own process every seven seconds at most.
    async with process(urls.app, ScriptedModel(), lease=timedelta(hours=3)) as other:
        async with asyncio.timeout(20):
            entries = [await chat.watch(answer_id, on=other) for answer_id in answers]

    assert [end_of(each) for each in entries] == [INTERRUPTED] * 5


async def test_a_process_that_was_stopped_past_its_lease_cannot_write_any_more(
    chat: Chat, urls: DatabaseUrls, begin: Begin
) -> None:
    writer, answer_id = await begin()
    say(writer, "One,", " two,")
    await chat.watch_until(answer_id, "One, two,")

    os.kill(writer.pid, signal.SIGSTOP)
    async with sweeping(urls):
        entries = await asyncio.wait_for(chat.watch(answer_id), 30)
    say(writer, " three", " four.")
    assert writer.stdin is not None
    writer.stdin.close()
    os.kill(writer.pid, signal.SIGCONT)

    # It notices, and lets go.
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"ended\n"
    assert await writer.wait() == 0
    assert end_of(entries) == INTERRUPTED
    assert await chat.stored(answer_id) == entries
    message = await chat.message(answer_id)
    assert (message.status, message.text) == (MessageStatus.INTERRUPTED, "One, two,")


async def test_a_process_that_lives_keeps_its_answer_however_long_the_model_is_silent(
    chat: Chat, urls: DatabaseUrls, begin: Begin
) -> None:
    writer, answer_id = await begin()
    say(writer, "One,")
    await chat.watch_until(answer_id, "One,")

    async with sweeping(urls):
        await _leases_renewed(chat, answer_id, times=4)
        say(writer, " two.")
        assert writer.stdin is not None
        writer.stdin.close()
        entries = await asyncio.wait_for(chat.watch(answer_id), 30)

    assert (text_of(entries), end_of(entries).status) == ("One, two.", MessageStatus.COMPLETED)


async def test_an_answer_of_a_dead_process_can_be_stopped_before_the_sweep(chat: Chat, begin: Begin) -> None:
    writer, answer_id = await begin()
    say(writer, "One")
    await chat.watch_until(answer_id, "One")
    writer.kill()
    await writer.wait()

    stopped = await chat.a.service.stop(chat.viewer, answer_id)

    assert (stopped.status, stopped.text) == (MessageStatus.STOPPED, "One")


async def test_after_a_crash_the_conversation_goes_on(chat: Chat, urls: DatabaseUrls, begin: Begin) -> None:
    writer, answer_id = await begin()
    say(writer, "One")
    await chat.watch_until(answer_id, "One")
    writer.kill()
    await writer.wait()
    async with sweeping(urls):
        await asyncio.wait_for(chat.watch(answer_id), 30)

    chat.model.script = ["Two."]
    conversation_id = (await chat.message(answer_id)).conversation_id
    exchange = await chat.a.service.send(chat.viewer, conversation_id, "Go on.")

    assert text_of(await chat.watch(exchange.answer.id)) == "Two."
    assert [turn.text for turn in chat.model.prompts[-1].history][1:] == ["One"]


async def test_nothing_can_be_written_after_the_end(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["One", pause, " two"]
    exchange = await chat.ask()
    await chat.watch_until(exchange.answer.id, "One")
    (answer,) = chat.a.log.open_answers
    await chat.run("UPDATE answer_leases SET leased_until = now() - interval '1 second'")
    async with process(chat.url, ScriptedModel()):
        entries = await asyncio.wait_for(chat.watch(exchange.answer.id), 30)

    pause.release()
    await until(lambda: not chat.a.log.is_open(exchange.answer.id))

    assert answer.taken.is_set()
    assert end_of(entries) == INTERRUPTED
    assert await chat.stored(exchange.answer.id) == entries
    assert (await chat.message(exchange.answer.id)).text == "One"


async def test_an_answer_that_cannot_be_ended_does_not_keep_others_from_their_end(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.model.script = ["One", Pause()]
    broken, healthy = [await chat.ask() for _ in range(2)]
    for exchange in (broken, healthy):
        await chat.watch_until(exchange.answer.id, "One")
    await chat.run(f"UPDATE answer_events SET kind = 'unheard of' WHERE message_id = '{broken.answer.id}'")
    # The broken one's turn comes first.
    await chat.run("UPDATE answer_leases SET leased_until = now() - interval '1 second'")
    await chat.run(
        f"UPDATE answer_leases SET leased_until = now() - interval '1 minute' WHERE message_id = '{broken.answer.id}'"
    )

    async with process(chat.url, ScriptedModel()):
        entries = await asyncio.wait_for(chat.watch(healthy.answer.id), 30)

    assert (text_of(entries), end_of(entries)) == ("One", INTERRUPTED)
    assert (await chat.message(broken.answer.id)).status is MessageStatus.STREAMING
    assert "An answer could not be interrupted (ValueError)" in caplog.text


async def _leases_renewed(chat: Chat, answer_id: UUID, *, times: int) -> None:
    seen: set[object] = set()

    async def often_enough() -> bool:
        seen.update(await chat.column("SELECT leased_until FROM answer_leases"))
        return len(seen) > times

    await until(often_enough)
