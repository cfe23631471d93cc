"""Watching from any place, at any time, in any process, gives the same log."""

import asyncio
from contextlib import aclosing
from itertools import cycle
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kyrochat.chat.events import LogEntry
from kyrochat.errors import InvalidInput, NotFound
from tests.chat.scene import Chat, Process, is_gapless, text_of
from tests.chat.scripted_model import Pause

CLAIMS = ["The queen lays up to 2,000 eggs a day", "Worker bees live for six weeks in summer", "Drones are expelled"]
PIECES = st.one_of(
    st.sampled_from([*CLAIMS, " [1]", "[1", "]", " [1, 2]", "[99]", " ", ". ", "\n\n", "\x00"]), st.text(max_size=8)
)
SLOW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOW
@given(before=st.lists(PIECES, max_size=8), after=st.lists(PIECES, max_size=8))
@example(before=[CLAIMS[0], " [1"], after=["]. ", CLAIMS[1], "[1]."])
@example(before=[], after=[])
async def test_resuming_at_any_place_gives_the_rest_of_the_log(
    chat: Chat, b: Process, before: list[str], after: list[str]
) -> None:
    pause = Pause()
    chat.model.script = [*before, pause, *after]
    exchange = await chat.ask()
    await pause.reached.wait()
    places = range(len(await chat.stored(exchange.answer.id)) + 2)

    # Two watchers in each process from every place, one beyond what there is included: some replay, all go live.
    live = asyncio.gather(
        *(chat.watch(exchange.answer.id, place, on=on) for on in (chat.a, chat.a, b, b) for place in places)
    )
    pause.release()
    seen = await live

    entries = await chat.stored(exchange.answer.id)
    assert is_gapless(entries)
    assert seen == [entries[place:] for _ in range(4) for place in places]
    for place in range(len(entries) + 1):
        for on in (chat.a, b):
            assert await chat.watch(exchange.answer.id, place, on=on) == entries[place:]
    assert (await chat.message(exchange.answer.id)).text == text_of(entries)


@SLOW
@given(cuts=st.lists(st.integers(1, 6), min_size=1, max_size=8))
async def test_a_watcher_that_is_cut_off_again_and_again_misses_and_repeats_nothing(
    chat: Chat, b: Process, cuts: list[int]
) -> None:
    pause = Pause()
    # Verified citations part the text into many events.
    chat.model.script = [pause, *(f"{CLAIMS[turn % 3]} [1]. " for turn in range(2 * len(cuts)))]
    exchange = await chat.ask()

    seen: list[LogEntry] = []
    for cut, on in zip(cuts, cycle((chat.a, b)), strict=False):
        after = seen[-1].sequence if seen else 0
        async with aclosing(on.service.events(chat.viewer, exchange.answer.id, after)) as events:
            pause.release()
            async for entry in events:
                seen.append(entry)
                if entry.sequence == after + cut:
                    break
    seen += await chat.watch(exchange.answer.id, seen[-1].sequence)

    assert seen == await chat.stored(exchange.answer.id)
    assert is_gapless(seen)


async def test_a_watcher_in_another_process_sees_text_while_the_model_is_silent(chat: Chat, b: Process) -> None:
    pause = Pause()
    chat.model.script = ["Two thousand.", pause]
    exchange = await chat.ask()

    seen: list[LogEntry] = []
    async with aclosing(b.service.events(chat.viewer, exchange.answer.id, 0)) as events:
        while text_of(seen) != "Two thousand.":
            seen.append(await anext(events))

    assert not pause.released.is_set()
    assert seen == await chat.stored(exchange.answer.id)


@pytest.mark.parametrize("after", [99, 2**31 - 1, 2**31, 2**80])
async def test_resuming_beyond_the_end_of_a_finished_answer_ends_at_once(chat: Chat, b: Process, after: int) -> None:
    chat.model.script = ["Done."]
    answer, _ = await chat.answer()

    assert await chat.watch(answer.id, after) == []
    assert await chat.watch(answer.id, after, on=b) == []


async def test_resuming_beyond_what_is_written_waits_for_the_end(chat: Chat, b: Process) -> None:
    pause = Pause()
    chat.model.script = ["Some.", pause, " More."]
    exchange = await chat.ask()
    await pause.reached.wait()

    watchers = [asyncio.create_task(chat.watch(exchange.answer.id, 99, on=on)) for on in (chat.a, b)]
    await chat.watch_until(exchange.answer.id, "Some.")
    assert not any(watcher.done() for watcher in watchers)
    pause.release()

    assert await asyncio.gather(*watchers) == [[], []]


async def test_a_negative_place_is_refused(chat: Chat) -> None:
    chat.model.script = ["Done."]
    answer, _ = await chat.answer()

    with pytest.raises(InvalidInput) as refusal:
        await chat.watch(answer.id, -1)

    assert [issue.path for issue in refusal.value.issues] == [("after",)]


async def test_there_is_nothing_to_watch_of_a_question_or_of_what_does_not_exist(chat: Chat) -> None:
    chat.model.script = ["Done."]
    exchange = await chat.ask()
    await chat.watch(exchange.answer.id)

    for message_id in (exchange.question.id, uuid4()):
        with pytest.raises(NotFound):
            await chat.watch(message_id)
