"""Watchers whose connections break, answers that are stopped."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.graphql_client import GraphQLClient
from tests.journey.steps import (
    CASES,
    DEADLINE_S,
    EVENTS,
    FINAL,
    SEND,
    STOP,
    Library,
    ask,
    check_log,
    new_conversation,
    stored,
    watched,
)

QUESTIONS = [case["question"] for case in CASES]
# More than any answer here has.
MOST_EVENTS = 20


async def watched_in_pieces(user: GraphQLClient, answer_id: str, cuts: list[int]) -> list[dict[str, Any]]:
    """Watch an answer over sockets that are cut, each after so many events; the last one is left alone."""
    events: list[dict[str, Any]] = []
    for count in [*cuts, MOST_EVENTS]:
        async with user.socket() as socket:
            after = events[-1]["sequence"] if events else 0
            async with aclosing(socket.watch(EVENTS, id=answer_id, after=after)) as incoming:
                for _ in range(count):
                    event = await anext(incoming, None)
                    if event is None:
                        return events
                    events.append(event)
                    if event["__typename"] in FINAL:
                        return events
            socket.abort()
    raise AssertionError(f"more than {MOST_EVENTS} events")


@given(question=st.sampled_from(QUESTIONS), cuts=st.lists(st.integers(0, 3), max_size=5))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_watcher_who_is_cut_off_and_comes_back_has_the_stored_text(
    library: Library, question: str, cuts: list[int]
) -> None:
    """The first cuts fall while the answer is written, the later ones while it is replayed."""
    answer_id = await ask(library.user, library.bot_id, question)
    async with asyncio.timeout(DEADLINE_S):
        events = await watched_in_pieces(library.user, answer_id, cuts)
    check_log(events, await stored(library.user, answer_id))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
async def test_cut_after_every_so_many_events(library: Library, count: int) -> None:
    answer_id = await ask(library.user, library.bot_id, QUESTIONS[0])
    events = await watched_in_pieces(library.user, answer_id, [count] * MOST_EVENTS)
    assert events == await watched(library.user, answer_id)


async def test_an_event_stream_that_is_dropped_goes_on_from_its_last_event(library: Library) -> None:
    answer_id = await ask(library.user, library.bot_id, QUESTIONS[8])
    async with aclosing(library.user.stream(EVENTS, id=answer_id)) as incoming:
        first = [await anext(incoming), await anext(incoming)]
    rest = await watched(library.user, answer_id, after=first[-1]["sequence"])
    check_log(first + rest, await stored(library.user, answer_id))


async def test_answers_that_are_stopped_at_any_time_keep_what_was_seen(library: Library) -> None:
    """Offline answers are quick, so some have ended before the stop reaches them: those stay whole."""

    async def one(place: int) -> str:
        answer_id = await ask(library.user, library.bot_id, QUESTIONS[place % 20])
        watcher = asyncio.create_task(watched(library.user, answer_id))
        # A different number of turns of the loop each time, so the stops come at different moments.
        for _ in range(place * 20):
            await asyncio.sleep(0)
        stopped = await library.user.run(STOP, id=answer_id)
        assert stopped["__typename"] == "Message"

        events = await watcher
        message = await stored(library.user, answer_id)
        check_log(events, message)
        assert (message["status"], message["text"]) == (stopped["status"], stopped["text"])
        return str(message["status"])

    async with asyncio.timeout(DEADLINE_S):
        statuses = await asyncio.gather(*(one(place) for place in range(24)))
    assert set(statuses) <= {"STOPPED", "COMPLETED"}
    print(f"\n{statuses.count('STOPPED')} of {len(statuses)} were stopped in time")


async def test_a_stopped_answer_makes_room_for_the_next_question(library: Library) -> None:
    conversation = await new_conversation(library.user, library.bot_id)
    first = await library.user.run(SEND, conversation=conversation, text=QUESTIONS[0])
    await library.user.run(STOP, id=first["answer"]["id"])
    second = await library.user.run(SEND, conversation=conversation, text=QUESTIONS[1])

    assert second["__typename"] == "Exchange"
    assert (await watched(library.user, second["answer"]["id"]))[-1]["__typename"] == "AnswerCompleted"


async def test_a_question_cannot_be_stopped_and_has_no_events(library: Library) -> None:
    conversation = await new_conversation(library.user, library.bot_id)
    exchange = await library.user.run(SEND, conversation=conversation, text=QUESTIONS[0])
    question_id = exchange["question"]["id"]

    assert (await library.user.run(STOP, id=question_id))["__typename"] == "ConflictProblem"
    with pytest.raises(Exception, match="BAD_USER_INPUT"):
        await watched(library.user, question_id)
    await watched(library.user, exchange["answer"]["id"])
