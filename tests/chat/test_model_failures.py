"""Models that fail, hang, run away, or say what cannot be stored."""

import asyncio
import logging

import pytest

from kyrochat.chat.answer import MAX_ANSWER_CHARS
from kyrochat.chat.events import AnswerEnded, TextDelta
from kyrochat.db.states import MessageStatus
from kyrochat.errors import ProviderUnavailable
from tests.chat.scene import QUESTION, Chat, end_of, is_gapless, text_of
from tests.chat.scripted_model import Pause
from tests.jobs.scene import until


@pytest.mark.parametrize("retryable", [True, False])
@pytest.mark.parametrize("said", ["", "The queen lays 2,000 eggs a day [1]."])
async def test_a_provider_that_fails_leaves_a_failed_answer_with_its_text(
    chat: Chat, said: str, retryable: bool
) -> None:
    chat.model.script = [*([said] if said else []), ProviderUnavailable("The quota is used up.", retryable=retryable)]

    answer, entries = await chat.answer()

    assert (answer.status, answer.text) == (MessageStatus.FAILED, said)
    assert end_of(entries) == AnswerEnded(MessageStatus.FAILED, "The quota is used up.", retryable)
    assert text_of(entries) == said
    assert len(await chat.citations(answer.id)) == bool(said)
    assert chat.model.open_streams == 0


async def test_a_bug_is_masked_and_logged_once_without_the_question(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.model.script = ["Some. ", RuntimeError("postgresql://secret")]

    with caplog.at_level(logging.DEBUG, logger="kyrochat"):
        answer, entries = await chat.answer()

    assert end_of(entries) == AnswerEnded(MessageStatus.FAILED, "Something went wrong on the server.", True)
    assert (answer.status, answer.text) == (MessageStatus.FAILED, "Some.")
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert QUESTION not in caplog.text


async def test_what_postgresql_cannot_hold_is_left_out_and_other_answers_do_not_notice(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["Undisturbed ", pause, "text."]
    other = await chat.ask()
    await pause.reached.wait()
    chat.model.script = ["a\x00b\ud800c", "\x00", "\udfff", " d\U0001f41d."]

    answer, entries = await chat.answer()
    pause.release()

    assert answer.text == text_of(entries) == "abc d\U0001f41d."
    assert answer.status is MessageStatus.COMPLETED
    assert text_of(await chat.watch(other.answer.id)) == "Undisturbed text."


async def test_an_event_that_cannot_be_stored_does_not_stop_the_writer_for_others(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    pause = Pause()
    chat.model.script = ["Good. ", pause, "Still good."]
    exchanges = [await chat.ask() for _ in range(3)]
    await until(lambda: len(chat.a.log.open_answers) == chat.model.open_streams == 3)
    await asyncio.gather(*(chat.watch_until(exchange.answer.id, "Good.") for exchange in exchanges))
    poisoned = next(answer for answer in chat.a.log.open_answers if answer.message_id == exchanges[1].answer.id)

    # The answerer cleans texts, so this goes around it.
    chat.a.log.append(poisoned, TextDelta("\x00"))
    await until(lambda: poisoned.is_unstorable)
    pause.release()

    for exchange in (exchanges[0], exchanges[2]):
        assert text_of(await chat.watch(exchange.answer.id)) == "Good. Still good."
        assert (await chat.message(exchange.answer.id)).status is MessageStatus.COMPLETED
    await until(lambda: chat.a.log.open_answers == [])
    assert chat.model.open_streams == 0
    # It failed at once, with what could be stored.
    entries = await asyncio.wait_for(chat.watch(exchanges[1].answer.id), 30)
    assert text_of(entries) == "Good."
    assert end_of(entries).status is MessageStatus.FAILED
    assert [record.levelname for record in caplog.records if record.levelno >= logging.ERROR] == ["ERROR"]


async def test_a_model_that_runs_away_is_cut(chat: Chat) -> None:
    chat.model.script = ["bees and " * 100] * 100_000

    answer, entries = await chat.answer()

    assert len(answer.text) <= MAX_ANSWER_CHARS
    assert len(answer.text) > MAX_ANSWER_CHARS - 10
    assert answer.text == text_of(entries)
    assert chat.model.open_streams == 0
    assert is_gapless(entries)


async def test_one_endless_piece_is_cut_as_well(chat: Chat) -> None:
    chat.model.script = ["bee" * MAX_ANSWER_CHARS]

    answer, _ = await chat.answer()

    assert answer.text == ("bee" * MAX_ANSWER_CHARS)[:MAX_ANSWER_CHARS]


async def test_a_stream_that_ends_without_saying_so_is_a_failed_answer(chat: Chat) -> None:
    chat.model.script, chat.model.finished = ["All of it."], None

    answer, entries = await chat.answer()

    assert (answer.status, answer.text) == (MessageStatus.FAILED, "All of it.")
    assert (answer.prompt_tokens, answer.completion_tokens) == (None, None)
    assert end_of(entries) == AnswerEnded(MessageStatus.FAILED, "The model broke off. Try again.", retryable=True)
