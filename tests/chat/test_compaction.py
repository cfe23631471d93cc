"""Finished logs become small, and whoever resumes gets what he has not seen, letter by letter."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import groupby
from uuid import UUID

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from kyrochat.chat import log, log_repository
from kyrochat.chat.compaction import LogCompaction
from kyrochat.chat.ending import COMPACT_AFTER
from kyrochat.chat.events import AnswerEnded, AnswerEvent, CitationAdded, LogEntry, PassagesFound, Quote, TextDelta
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.migrate import migrate
from kyrochat.db.states import MessageStatus
from tests.chat.scene import Chat, Process, end_of, is_gapless, quotes_of, text_of
from tests.chat.scripted_model import Pause
from tests.factories import make_bot, make_viewer

QUOTE = Quote(1, UUID(int=1), "Handbook", 1, 0, 3, "The")
# What can be stored: `answer.py` leaves out the rest.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
EVENTS = st.lists(st.one_of(*[st.builds(TextDelta, TEXTS)] * 4, st.just(CitationAdded(QUOTE))), max_size=12)
SLOW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
END = AnswerEnded(MessageStatus.COMPLETED)


def words(*texts: str) -> list[AnswerEvent]:
    return [TextDelta(each) for each in texts]


async def stored_log(chat: Chat, events: Sequence[AnswerEvent]) -> UUID:
    """Return an answer that has ended with this log, and whose log may be compacted."""
    chat.model.script = ["Done."]
    answer, _ = await chat.answer()
    await chat.run(f"DELETE FROM answer_events WHERE message_id = '{answer.id}'")
    await chat.run(f"UPDATE messages SET compact_log_at = now() - interval '1 s' WHERE id = '{answer.id}'")
    async with chat.database.begin(chat.viewer.workspaces) as session:
        new = [(answer.id, answer.workspace_id, place, event) for place, event in enumerate(events, 1)]
        await log_repository.add_entries(session, new)
    return answer.id


def compacted(events: Sequence[AnswerEvent], after: int) -> list[LogEntry]:
    """What a reader shall get of a compacted log who has seen all up to `after`."""
    seen, entries = 0, []
    for is_text, group in groupby(events, lambda event: isinstance(event, TextDelta)):
        run = list(group)
        if is_text:
            rest = [event.text for event in run[max(0, after - seen) :] if isinstance(event, TextDelta)]
            entries += [LogEntry(seen + len(run), TextDelta("".join(rest)))] if rest else []
        else:
            entries += [LogEntry(seen + place, event) for place, event in enumerate(run, 1) if seen + place > after]
        seen += len(run)
    return entries


@SLOW
@given(middle=EVENTS)
@example(middle=words("Zwölf ", "🐝🐝", "", "\ud7ff", "e\u0301", " ", "\\", '"'))
@example(middle=[CitationAdded(QUOTE), *words("a"), CitationAdded(QUOTE), *words("b", "c")])
@example(middle=[])
async def test_whoever_resumes_anywhere_in_a_compacted_log_gets_just_the_rest(
    chat: Chat, b: Process, middle: list[AnswerEvent]
) -> None:
    events: list[AnswerEvent] = [PassagesFound(()), *middle, END]
    answer_id = await stored_log(chat, events)

    assert await LogCompaction(chat.database).sweep() == 1

    for after in range(len(events) + 2):
        for on in (chat.a, b):
            assert await chat.watch(answer_id, after, on=on) == compacted(events, after)


@SLOW
@given(middle=EVENTS, cuts=st.lists(st.integers(1, 4), max_size=5), compact_at=st.integers(0, 5))
async def test_whoever_reads_in_pieces_while_it_is_compacted_has_each_letter_once(
    chat: Chat, middle: list[AnswerEvent], cuts: list[int], compact_at: int
) -> None:
    events: list[AnswerEvent] = [PassagesFound(()), *middle, END]
    answer_id = await stored_log(chat, events)

    seen: list[LogEntry] = []
    for number, cut in enumerate(cuts):
        if number == compact_at:
            await LogCompaction(chat.database).sweep()
        async with aclosing(chat.a.service.events(chat.viewer, answer_id, seen[-1].sequence if seen else 0)) as rest:
            for _ in range(cut):
                if (entry := await anext(rest, None)) is not None:
                    seen.append(entry)
    await LogCompaction(chat.database).sweep()
    seen += await chat.watch(answer_id, seen[-1].sequence if seen else 0)

    numbers = [entry.sequence for entry in seen]
    assert numbers == sorted(set(numbers))
    assert text_of(seen) == "".join(event.text for event in events if isinstance(event, TextDelta))
    assert [entry.event for entry in seen if not isinstance(entry.event, TextDelta)] == [
        event for event in events if not isinstance(event, TextDelta)
    ]


async def test_a_long_answer_is_one_delta_and_a_reader_from_before_gets_what_he_lacks(chat: Chat, b: Process) -> None:
    pieces = [f"{number} and " for number in range(30)]
    answer_id = await stored_log(chat, [PassagesFound(()), *words(*pieces), END])
    before = await chat.watch(answer_id)

    await LogCompaction(chat.database).sweep()

    text = "".join(pieces)
    assert is_gapless(before)
    assert len(before) == 32
    assert await chat.watch(answer_id) == [before[0], LogEntry(31, TextDelta(text)), before[-1]]
    assert await chat.watch(answer_id, 11) == [LogEntry(31, TextDelta("".join(pieces[10:]))), before[-1]]
    assert await chat.watch(answer_id, 31, on=b) == before[-1:]
    # Three rows are left, and nothing is left to do.
    assert len(await chat.stored(answer_id)) == 3
    assert await LogCompaction(chat.database).sweep() == 0


async def test_answers_are_compacted_some_time_after_their_end_and_not_before(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["One ", pause, "two ", "[1] three."]
    exchange = await chat.ask()
    await chat.watch_until(exchange.answer.id, "One")
    assert (await chat.message(exchange.answer.id)).compact_log_at is None

    pause.release()
    entries = await chat.watch(exchange.answer.id)

    due = (await chat.message(exchange.answer.id)).compact_log_at
    assert due is not None
    assert timedelta(0) < datetime.now(UTC) + COMPACT_AFTER - due < timedelta(minutes=2)
    assert await LogCompaction(chat.database).sweep() == 0
    assert await chat.stored(exchange.answer.id) == entries

    await chat.run("UPDATE messages SET compact_log_at = now() - interval '1 s' WHERE compact_log_at IS NOT NULL")
    assert await LogCompaction(chat.database).sweep() == 1
    again = await chat.watch(exchange.answer.id)
    assert (text_of(again), quotes_of(again), end_of(again)) == (
        text_of(entries),
        quotes_of(entries),
        end_of(entries),
    )
    assert len(again) < len(entries)


async def test_many_sweep_at_a_time_and_every_workspaces_logs_are_done_once(chat: Chat) -> None:
    other = await make_viewer(chat.database, "bob@example.com")
    bot = await make_bot(chat.database, other)
    ids = [await stored_log(chat, [*words("a", "b"), END]) for _ in range(7)]
    conversation = await chat.a.service.start(other, bot.id, None)
    foreign = (await chat.a.service.send(other, conversation.id, "Hello?")).answer
    async with aclosing(chat.a.service.events(other, foreign.id, 0)) as events:
        whole = [entry async for entry in events]
    async with chat.database.begin(other.workspaces) as session:
        await log_repository.add_entries(session, [(foreign.id, foreign.workspace_id, 90, TextDelta("c"))])
        await log_repository.add_entries(session, [(foreign.id, foreign.workspace_id, 91, TextDelta("d"))])
    await chat.run("UPDATE messages SET compact_log_at = now() - interval '1 s' WHERE compact_log_at IS NOT NULL")
    await _make_due(chat, other.workspaces)

    done = await asyncio.gather(*(LogCompaction(chat.database).sweep() for _ in range(4)))

    assert sum(done) == 8
    for answer_id in ids:
        assert await chat.watch(answer_id) == [LogEntry(2, TextDelta("ab")), LogEntry(3, END)]
    async with chat.database.begin(other.workspaces) as session:
        entries = await log_repository.entries(session, foreign.id, len(whole))
    assert entries == [LogEntry(91, TextDelta("cd"))]


async def test_a_log_of_many_pages_is_read_from_any_place_while_it_is_compacted(chat: Chat) -> None:
    count = log.PAGE_ENTRIES + 7
    answer_id = await stored_log(chat, [*words(*(f"{number} " for number in range(count))), END])

    seen: list[LogEntry] = []
    async with aclosing(chat.a.service.events(chat.viewer, answer_id, 0)) as events:
        async for entry in events:
            if entry.sequence == log.PAGE_ENTRIES - 1:
                await LogCompaction(chat.database).sweep()
            seen.append(entry)

    assert text_of(seen) == "".join(f"{number} " for number in range(count))
    assert [entry.sequence for entry in seen] == [*range(1, log.PAGE_ENTRIES + 1), count, count + 1]


async def test_going_back_to_before_there_was_compaction_gives_each_event_its_row_again(
    chat: Chat, urls: DatabaseUrls
) -> None:
    events = [*words("Zwölf ", "🐝🐝", "", "bees."), CitationAdded(QUOTE), *words(" And", " more"), END]
    answer_id = await stored_log(chat, events)
    await LogCompaction(chat.database).sweep()
    assert len(await chat.stored(answer_id)) == 4

    await migrate(urls.owner, "0011")

    assert await chat.stored(answer_id) == [LogEntry(place, event) for place, event in enumerate(events, 1)]
    await migrate(urls.owner)


async def test_what_cannot_be_swept_now_is_swept_later(chat: Chat) -> None:
    answer_id = await stored_log(chat, [*words("a", "b"), END])

    async with LogCompaction(chat.database, sweep_every_s=0.02).sweeping():
        async with asyncio.timeout(30):
            while len(await chat.stored(answer_id)) > 2:
                await asyncio.sleep(0)

    assert await chat.watch(answer_id) == [LogEntry(2, TextDelta("ab")), LogEntry(3, END)]


async def _make_due(chat: Chat, workspaces: Iterable[UUID]) -> None:
    async with chat.database.begin(workspaces) as session:
        await (await session.connection()).execute(
            text("UPDATE messages SET compact_log_at = now() - interval '1 s' WHERE compact_log_at IS NOT NULL")
        )
