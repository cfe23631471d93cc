"""What every adapter keeps to, whoever it asks: Gemini, a server with OpenAI's API, and, where it applies, nobody."""

import asyncio
import socket
import time
from contextlib import aclosing
from dataclasses import replace
from uuid import UUID

import pytest

from kyrochat.errors import ProviderFault
from kyrochat.retrieval.offline import ExtractiveModel
from kyrochat.retrieval.ports import AnswerModel
from kyrochat.retrieval.prompting import user_content
from kyrochat.retrieval.timeouts import Timeouts
from kyrochat.retrieval.types import Passage, Prompt, Step, TextPiece, Turn
from tests.jobs.scene import until
from tests.retrieval.answer_models.conftest import Pauses
from tests.retrieval.answer_models.prompts import QUESTION, Outcome, outcome_of, with_history
from tests.retrieval.answer_models.providers import (
    LOOK,
    Calls,
    Cuts,
    Ends,
    Fails,
    FailsInBand,
    Garbles,
    Hangs,
    Says,
    Waits,
    Wire,
    Word,
)
from tests.timing import assert_within

EGGS = Passage(UUID(int=1), UUID(int=2), "Eggs", 1, 0, 33, "A soft egg takes four minutes. Yes", 1.0)
# Nothing takes so long; only what never comes.
LONG_S = 30
ASKED = Prompt("Be brief.", (EGGS,), (), "How long does a soft egg take?")


@pytest.fixture(params=["gemini", "openai", "offline"])
def any_model(request: pytest.FixtureRequest, wires: dict[str, Wire], pauses: Pauses) -> AnswerModel:
    """A model that has been told to answer ASKED from its passage; offline it does so by itself."""
    if request.param == "offline":
        return ExtractiveModel()
    wire = wires[request.param]
    wire.script(Says("A soft egg takes "), Says("four minutes. [1]"), Ends())
    return wire.model(pauses.retries())


async def test_an_answer_comes_in_pieces_and_ends_once_with_what_it_took(any_model: AnswerModel) -> None:
    outcome = await outcome_of(any_model, ASKED)

    assert "".join(outcome.texts) == "A soft egg takes four minutes. [1]"
    assert len(outcome.texts) > 1
    assert outcome.problem is None
    assert outcome.finished is not None
    assert outcome.finished.usage.prompt_tokens > 0
    assert outcome.finished.usage.completion_tokens > 0
    assert (outcome.finished.cut_short, outcome.finished.calls) == (False, ())


async def test_a_reader_may_leave_at_any_piece(any_model: AnswerModel) -> None:
    async with aclosing(any_model.stream(ASKED)) as events:
        assert isinstance(await anext(events), TextPiece)

    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_a_request_tells_history_passages_and_question_in_this_order(wire: Wire, model: AnswerModel) -> None:
    prompt = with_history(Turn("user", "Soft-boiled?"), Turn("assistant", "Four minutes."))

    await outcome_of(model, prompt)

    assert wire.told(0) == f"Soft-boiled?\nFour minutes.\n{user_content(prompt)}"
    assert "Be brief." in str(wire.requests[0].body)


async def test_a_task_is_told_in_the_place_of_all_rules(wire: Wire, model: AnswerModel) -> None:
    wire.script(Says("Soft eggs"), Ends())

    outcome = await outcome_of(model, Prompt("Be brief.", (EGGS,), (), "How long?", task="Give this a title."))

    assert outcome.texts == ["Soft eggs"]
    assert wire.told(0) == "How long?"
    body = str(wire.requests[0].body)
    assert "Give this a title." in body
    assert not any(told in body for told in ("Rules", "Be brief.", "four minutes"))


async def test_a_piece_arrives_before_the_next_is_written(wire: Wire, model: AnswerModel) -> None:
    go_on = asyncio.Event()
    wire.script(Says("Four "), Waits(go_on), Says("minutes."), Ends())

    async with aclosing(model.stream(QUESTION)) as events:
        first = await anext(events)
        assert wire.open_streams == 1
        go_on.set()
        rest = [event async for event in events]

    assert (first, rest[0]) == (TextPiece("Four "), TextPiece("minutes."))


@pytest.mark.parametrize("pieces", [1, 200], ids=["between two pieces", "while pieces pour in"])
async def test_closing_ends_the_request_within_100_ms(wire: Wire, model: AnswerModel, pieces: int) -> None:
    await outcome_of(model)  # the SDK is imported by now

    async def closed_after() -> float:
        wire.script(*[Says("word ")] * pieces, Hangs())
        events = model.stream(QUESTION)
        assert await anext(events) == TextPiece("word ")

        started = time.perf_counter()
        await events.aclose()
        await asyncio.wait_for(wire.requests[-1].closed.wait(), LONG_S)
        took_s = time.perf_counter() - started

        assert (wire.requests[-1].abandoned, wire.open_streams) == (True, 0)
        return took_s

    await assert_within(0.1, closed_after)


@pytest.mark.parametrize("before", [(), (Says("Four "),)], ids=["before the first piece", "after it"])
async def test_cancelling_ends_the_request_within_100_ms(
    wire: Wire, model: AnswerModel, before: tuple[Word, ...]
) -> None:
    await outcome_of(model)

    async def read() -> Outcome:
        return await outcome_of(model)

    async def closed_after() -> float:
        wire.script(*before, Hangs())
        task = asyncio.create_task(read())
        await until(lambda: wire.open_streams == 1)

        started = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(wire.requests[-1].closed.wait(), LONG_S)
        took_s = time.perf_counter() - started

        assert (wire.requests[-1].abandoned, wire.open_streams) == (True, 0)
        return took_s

    await assert_within(0.1, closed_after)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_failure_before_the_first_piece_is_tried_again(
    wire: Wire, model: AnswerModel, pauses: Pauses, status: int
) -> None:
    wire.script(Fails(status))
    wire.script(Fails(status))
    wire.script(Says("Four."), Ends())

    outcome = await outcome_of(model)

    assert (outcome.texts, outcome.problem, pauses.seconds) == (["Four."], None, [1.0, 2.0])


async def test_a_server_is_not_asked_again_sooner_than_it_wants(wire: Wire, model: AnswerModel, pauses: Pauses) -> None:
    wire.script(Fails(429, retry_after_s=4.5))
    wire.script(Says("Four."), Ends())

    outcome = await outcome_of(model)

    assert (outcome.texts, pauses.seconds) == (["Four."], [5.5])


async def test_a_wait_that_nobody_has_time_for_ends_it(wire: Wire, model: AnswerModel, pauses: Pauses) -> None:
    wire.script(Fails(429, retry_after_s=45))

    outcome = await outcome_of(model)

    assert outcome.message.endswith("quota is used up for now. Try again in 45 s.")
    assert (outcome.fault, outcome.retryable) == (ProviderFault.RATE_LIMITED, True)
    assert (pauses.seconds, len(wire.requests)) == ([], 1)


@pytest.mark.parametrize(
    ("script", "fault", "retryable", "requests"),
    [
        ([], ProviderFault.EMPTY, True, 1),
        ([Ends()], ProviderFault.EMPTY, True, 1),
        ([Ends("limit")], ProviderFault.EMPTY, True, 1),
        ([Ends("filter")], ProviderFault.BLOCKED, False, 1),
        ([Says("Mix "), Ends("filter")], ProviderFault.BLOCKED, False, 1),
        ([Says("Four ")], ProviderFault.BROKEN_OFF, True, 1),
        ([Says("Four "), Cuts()], ProviderFault.BROKEN_OFF, True, 1),
        ([Cuts()], ProviderFault.BROKEN_OFF, True, 3),
        ([Fails(400)], ProviderFault.REFUSED, False, 1),
        ([Fails(401)], ProviderFault.REFUSED, False, 1),
        ([Fails(404)], ProviderFault.REFUSED, False, 1),
        ([Fails(503)], ProviderFault.UNAVAILABLE, True, 3),
        ([Garbles(), Hangs()], ProviderFault.UNAVAILABLE, True, 1),
        ([Says("Four "), Garbles(), Hangs()], ProviderFault.UNAVAILABLE, True, 1),
    ],
    ids=repr,
)
async def test_an_answer_that_is_none_is_a_failure_of_its_kind(
    wire: Wire, model: AnswerModel, script: list[Word], fault: ProviderFault, retryable: bool, requests: int
) -> None:
    for _ in range(3):
        wire.script(*script)

    outcome = await outcome_of(model)

    if script == [] and outcome.fault is ProviderFault.BROKEN_OFF:
        fault = ProviderFault.BROKEN_OFF  # no end, or an end without a text: of an empty stream both is true
    assert (outcome.fault, outcome.retryable, outcome.finished) == (fault, retryable, None)
    assert len(wire.requests) == requests
    await asyncio.wait_for(wire.requests[-1].closed.wait(), LONG_S)


async def test_an_error_in_the_stream_ends_what_was_begun_and_repeats_what_was_not(
    wire: Wire, model: AnswerModel, pauses: Pauses
) -> None:
    wire.script(FailsInBand())
    wire.script(Says("Four "), FailsInBand(), Hangs())

    outcome = await outcome_of(model)

    assert (outcome.texts, outcome.retryable, pauses.seconds) == (["Four "], True, [1.0])
    assert len(wire.requests) == 2


async def test_an_answer_at_the_limit_is_marked_as_cut_short(wire: Wire, model: AnswerModel) -> None:
    wire.script(Says("Four"), Ends("limit"))

    outcome = await outcome_of(model)

    assert outcome.texts == ["Four"]
    assert outcome.finished is not None
    assert outcome.finished.cut_short


@pytest.mark.parametrize("before", [[], [Says("Four ")]], ids=["before the first piece", "after it"])
async def test_silence_ends_an_answer(wire: Wire, pauses: Pauses, before: list[Word]) -> None:
    model = wire.model(pauses.retries(), Timeouts(silence_s=0.2))
    wire.script(*before, Hangs())

    outcome = await outcome_of(model)

    assert (outcome.fault, outcome.retryable, len(wire.requests)) == (ProviderFault.SILENT, True, 1)
    await asyncio.wait_for(wire.requests[0].closed.wait(), LONG_S)


async def test_an_answer_without_end_is_ended(wire: Wire, pauses: Pauses) -> None:
    model = wire.model(pauses.retries(), answer_timeout_s=2.5)
    wire.script(Says("Four "), Hangs())

    outcome = await outcome_of(model)

    assert (outcome.texts, outcome.fault, outcome.retryable) == (["Four "], ProviderFault.TOO_SLOW, True)
    await asyncio.wait_for(wire.requests[0].closed.wait(), LONG_S)


async def test_a_server_that_is_not_there_is_tried_three_times(wire: Wire, pauses: Pauses) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        model = wire.model(pauses.retries(), url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        outcome = await outcome_of(model)

    assert (outcome.fault, outcome.retryable) == (ProviderFault.UNREACHABLE, True)
    assert pauses.seconds == [1.0, 2.0]


async def test_a_call_of_a_tool_comes_with_the_end_and_its_result_leads_to_the_answer(
    wire: Wire, model: AnswerModel
) -> None:
    wire.script(Calls("look", '{"at": "the fridge"}'), Ends())
    wire.script(Says("Two eggs."), Ends())
    asked = Prompt("", (), (), "What is there?", tools=(LOOK,))

    first = await outcome_of(model, asked)
    assert first.finished is not None
    (call,) = first.finished.calls
    step = Step("", first.finished.calls, ("Two eggs.",), first.finished.raw)
    second = await outcome_of(model, Prompt("", (), (), "What is there?", tools=(LOOK,), steps=(step,)))

    assert first.texts == []
    assert (call.name, call.arguments) == ("look", {"at": "the fridge"})
    assert second.texts == ["Two eggs."]
    assert wire.tools(0) == wire.tools(1) == ["look"]
    assert "Two eggs." in str(wire.requests[1].body)


async def test_of_an_attempt_that_broke_off_nothing_is_in_the_next_one(wire: Wire, model: AnswerModel) -> None:
    wire.script(Calls("look", '{"at": "the fridge"}'), Cuts())
    wire.script(Calls("look", '{"at": "the cellar"}'), Ends())

    outcome = await outcome_of(model, Prompt("", (), (), "What is there?", tools=(LOOK,)))

    assert outcome.finished is not None
    assert [(call.name, call.arguments) for call in outcome.finished.calls] == [("look", {"at": "the cellar"})]
    assert "fridge" not in str(outcome.finished.raw)


async def test_a_tool_without_parameters_is_offered(wire: Wire, model: AnswerModel) -> None:
    wire.script(Calls("look", "{}"), Ends())
    nothing = replace(LOOK, parameters={"type": "object", "properties": {}, "required": []})

    outcome = await outcome_of(model, Prompt("", (), (), "What is there?", tools=(nothing,)))

    assert outcome.finished is not None
    assert [(call.name, call.arguments) for call in outcome.finished.calls] == [("look", {})]
    assert wire.tools(0) == ["look"]
    # Gemini has refused an object without properties; left out says the same.
    assert "parametersJsonSchema" not in str(wire.requests[0].body)


async def test_no_tools_are_offered_where_there_are_none(wire: Wire, model: AnswerModel) -> None:
    await outcome_of(model)

    assert "tools" not in wire.requests[0].body


async def test_in_the_end_the_tools_are_there_and_may_not_be_called(wire: Wire, model: AnswerModel) -> None:
    wire.script(Calls("look", '{"at": "the fridge"}'), Ends())
    asked = Prompt("", (), (), "What is there?", tools=(LOOK,))
    first = await outcome_of(model, asked)
    assert first.finished is not None
    step = Step("", first.finished.calls, ("Two eggs.",), first.finished.raw)

    await outcome_of(model, replace(asked, steps=(step,), may_call=False))

    bodies = [request.body for request in wire.requests]
    refusals = [body.get("tool_choice") == "none" or "NONE" in str(body.get("toolConfig", "")) for body in bodies]
    assert refusals == [False, True]
    assert wire.tools(1) == ["look"]
