import asyncio
import logging
import socket
import traceback
from collections.abc import Callable
from dataclasses import replace

import httpx2
import pytest

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.gemini import Gemini
from kyrochat.retrieval.gemini_errors import failure_of
from kyrochat.retrieval.retries import Retries
from kyrochat.retrieval.timeouts import Timeouts
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_steps import (
    BlockedPrompt,
    Cut,
    Finish,
    Hang,
    HttpError,
    InBandError,
    Raw,
    Step,
    Text,
)
from tests.retrieval.answer_models.prompts import Outcome, outcome_of
from tests.retrieval.gemini.conftest import Pauses

QUOTA = "Gemini's quota is used up for now. Try again "
ANSWER = (Text("Four."), Finish())


def assert_answered(outcome: Outcome) -> None:
    assert (outcome.texts, outcome.problem) == (["Four."], None)
    assert outcome.finished is not None


async def test_a_full_quota_is_waited_for_as_long_as_it_says(gemini: Gemini, fake: FakeGemini, pauses: Pauses) -> None:
    fake.script(HttpError(429, "RESOURCE_EXHAUSTED", retry_delay="4.5s"))
    fake.script(*ANSWER)

    assert_answered(await outcome_of(gemini.answer_model))

    assert pauses.seconds == [5.5]  # and up to a second, so that not all come back together
    assert len(fake.requests) == 2


async def test_a_quota_that_comes_back_too_late_is_not_waited_for(
    gemini: Gemini, fake: FakeGemini, pauses: Pauses
) -> None:
    fake.script(HttpError(429, "RESOURCE_EXHAUSTED", retry_delay="45s"))

    outcome = await outcome_of(gemini.answer_model)

    assert (outcome.message, outcome.retryable) == (QUOTA + "in 45 s.", True)
    assert (pauses.seconds, len(fake.requests)) == ([], 1)


@pytest.mark.parametrize(
    "failure",
    [
        (HttpError(429, "RESOURCE_EXHAUSTED"),),
        (HttpError(500, "INTERNAL"),),
        (HttpError(502, html="<html>Bad gateway</html>"),),
        (HttpError(503, "UNAVAILABLE"),),
        (HttpError(504, "DEADLINE_EXCEEDED"),),
        (InBandError(503),),
        (Text("Hm.", thought=True), InBandError(500)),
        (Cut(),),
    ],
    ids=repr,
)
async def test_a_failure_before_the_first_piece_is_tried_again(
    gemini: Gemini, fake: FakeGemini, pauses: Pauses, failure: tuple[Step, ...]
) -> None:
    fake.script(*failure)
    fake.script(*failure)
    fake.script(*ANSWER)

    assert_answered(await outcome_of(gemini.answer_model))

    assert pauses.seconds == [1.0, 2.0]


async def test_three_attempts_are_all(gemini: Gemini, fake: FakeGemini) -> None:
    for _ in range(4):
        fake.script(HttpError(503, "UNAVAILABLE"))

    outcome = await outcome_of(gemini.answer_model)

    assert (outcome.message, outcome.retryable) == ("Gemini is overloaded or down. Try again.", True)
    assert len(fake.requests) == 3


async def test_a_server_that_is_not_there_is_tried_three_times(opened: Callable[..., Gemini], pauses: Pauses) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gemini = opened(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        outcome = await outcome_of(gemini.answer_model)
    await gemini.close()

    assert (outcome.message, outcome.retryable) == ("Gemini cannot be reached. Try again.", True)
    assert pauses.seconds == [1.0, 2.0]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ((Cut(),), "The connection to Gemini broke off. Try again."),
        ((InBandError(503),), "Gemini is overloaded or down. Try again."),
        ((InBandError(429, "RESOURCE_EXHAUSTED"),), QUOTA + "later."),
        ((Raw(b'data: {"candidates": [}\r\n\r\n'), Hang()), "Gemini sent an answer that cannot be read. Try again."),
        (
            (Raw(b'data: {"candidates": 7}\r\n\r\n'), Hang()),
            "Gemini answered in a way that is not understood. Try again.",
        ),
        ((InBandError(503), Hang()), "Gemini is overloaded or down. Try again."),
        ((), "Gemini broke off in the middle of the answer. Try again."),
    ],
    ids=repr,
)
async def test_after_the_first_piece_nothing_is_tried_again(
    gemini: Gemini, fake: FakeGemini, pauses: Pauses, failure: tuple[Step, ...], message: str
) -> None:
    fake.script(Text("Four "), *failure)

    outcome = await outcome_of(gemini.answer_model)

    assert outcome.texts == ["Four "]
    assert (outcome.message, outcome.retryable, outcome.finished) == (message, True, None)
    assert (len(fake.requests), pauses.seconds) == (1, [])
    await asyncio.wait_for(fake.requests[0].closed.wait(), 30)


@pytest.mark.parametrize(
    ("script", "message", "retryable"),
    [
        ((), "Gemini sent an empty answer. Try again.", True),
        ((Finish("STOP"),), "Gemini sent an empty answer. Try again.", True),
        (
            (Finish("MAX_TOKENS"),),
            "Gemini sent an empty answer. All tokens went into thinking: raise KYROCHAT_ANSWER_TOKENS, or lower "
            "KYROCHAT_GEMINI_THINKING.",
            True,
        ),
        ((Finish("MALFORMED_RESPONSE"),), "Gemini did not finish the answer. Try again.", True),
        ((Finish("CONTINUATION"),), "Gemini did not finish the answer. Try again.", True),
        ((BlockedPrompt("SAFETY"),), "Gemini refused the question because of its safety filter.", False),
        ((BlockedPrompt("JAILBREAK"),), "Gemini refused the question because of its content policy.", False),
        ((Finish("SAFETY"),), "Gemini refused to answer because of its safety filter.", False),
        ((Text("Mix "), Finish("SAFETY")), "Gemini refused to answer because of its safety filter.", False),
        ((Finish("RECITATION"),), "Gemini refused to answer because of a likeness to protected text.", False),
        ((HttpError(400, "INVALID_ARGUMENT"),), "Gemini did not accept the request.", False),
        ((HttpError(404, "NOT_FOUND"),), "Gemini does not offer this model.", False),
        ((HttpError(302),), "Gemini answered with an error. Try again.", True),
    ],
    ids=repr,
)
async def test_an_answer_that_is_none_is_said_to_be_none(
    gemini: Gemini, fake: FakeGemini, pauses: Pauses, script: tuple[Step, ...], message: str, retryable: bool
) -> None:
    fake.script(*script)

    outcome = await outcome_of(gemini.answer_model)

    assert (outcome.message, outcome.retryable, outcome.finished) == (message, retryable, None)
    assert (len(fake.requests), pauses.seconds) == (1, [])


@pytest.mark.filterwarnings("ignore:TIRED is not a valid FinishReason:UserWarning")
async def test_an_unheard_of_ending_is_none(gemini: Gemini, fake: FakeGemini) -> None:
    fake.script(Text("Four."), Finish("TIRED"))

    outcome = await outcome_of(gemini.answer_model)

    assert (outcome.message, outcome.retryable) == ("Gemini did not finish the answer. Try again.", True)


@pytest.mark.parametrize("before", [(), (Text("Four "),)], ids=["before the first piece", "after it"])
async def test_silence_ends_an_answer(
    opened: Callable[..., Gemini], fake: FakeGemini, before: tuple[Text, ...]
) -> None:
    gemini = opened(timeouts=Timeouts(silence_s=0.1))
    fake.script(*before, Hang())

    outcome = await outcome_of(gemini.answer_model)
    await gemini.close()

    assert (outcome.message, outcome.retryable) == ("Gemini went silent. Try again.", True)
    assert len(fake.requests) == 1


async def test_an_answer_without_end_is_ended(opened: Callable[..., Gemini], fake: FakeGemini) -> None:
    gemini = opened(answer_timeout_s=0.3)
    await gemini.warm_up()
    fake.script(Text("Four "), Hang())

    outcome = await outcome_of(gemini.answer_model)
    await asyncio.wait_for(fake.requests[0].closed.wait(), 30)
    await gemini.close()

    assert (outcome.message, outcome.retryable) == ("Gemini took too long. Try again.", True)


REFUSED = "The Gemini API key was refused. Check KYROCHAT_GEMINI_API_KEY."
UNASKABLE = "Gemini cannot be asked. Check KYROCHAT_GEMINI_BASE_URL and KYROCHAT_GEMINI_API_KEY."
SECRET = "AIza-very-secret"


@pytest.mark.parametrize(
    ("key", "refusal", "message"),
    [
        (SECRET, None, REFUSED),
        (SECRET, HttpError(401, "UNAUTHENTICATED", f"No such key {SECRET}."), REFUSED),
        (SECRET, HttpError(403, "PERMISSION_DENIED", f"Consumer 'api_key:{SECRET}' has been suspended."), REFUSED),
        (f"{SECRET}-Ключ", None, UNASKABLE),
        (f"{SECRET}\n{SECRET}", None, UNASKABLE),
    ],
)
async def test_a_refused_key_is_never_repeated(
    opened: Callable[..., Gemini],
    fake: FakeGemini,
    caplog: pytest.LogCaptureFixture,
    key: str,
    refusal: HttpError | None,
    message: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    gemini = opened(api_key=key)
    if refusal is not None:
        fake.api_key = key
        fake.script(refusal)

    outcome = await outcome_of(gemini.answer_model)
    await gemini.close()

    assert (outcome.message, outcome.retryable) == (message, False)
    assert SECRET not in "".join(traceback.format_exception(outcome.problem))
    assert outcome.problem is not None
    assert (outcome.problem.__cause__, outcome.problem.__context__) == (None, None)
    assert SECRET not in caplog.text
    assert SECRET not in repr(gemini)


async def test_a_call_leaves_nothing_in_the_log(
    gemini: Gemini, fake: FakeGemini, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    await outcome_of(gemini.answer_model)
    await gemini.embedder.embed_query("Eggs?")

    loud = {record.name for record in caplog.records} - {"asyncio"}
    assert not [name for name in loud if name.startswith(("google", "httpx2", "httpcore2", "kyrochat"))]


async def test_a_base_url_without_scheme_is_a_mistake_and_not_an_outage(opened: Callable[..., Gemini]) -> None:
    gemini = opened(base_url="127.0.0.1:9")

    outcome = await outcome_of(gemini.answer_model)
    await gemini.close()

    assert (outcome.message, outcome.retryable) == (UNASKABLE, False)


async def test_pauses_grow_and_stay_within_bounds() -> None:
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    retries = Retries(attempts=7, first_pause_s=0.5, longest_pause_s=8, sleep=sleep)
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        await replace(retries, jitter=lambda: 0.0).run(_unreachable, failure_of)
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        await replace(retries, jitter=lambda: 1.0).run(_unreachable, failure_of)

    assert asked == [0.25, 0.5, 1, 2, 4, 4, 0.5, 1, 2, 4, 8, 8]


async def _unreachable() -> None:
    raise httpx2.ConnectError("refused")
