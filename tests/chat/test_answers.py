"""An answer from the question to its last event."""

from contextlib import aclosing

from sqlmodel import select

from kyrochat.chat.events import AnswerEnded, LogEntry, PassagesFound, Quote, TextDelta
from kyrochat.chat.output import NOT_BORNE_OUT
from kyrochat.db.models import DocumentVersion
from kyrochat.db.states import MessageRole, MessageStatus
from tests.chat.scene import HANDBOOK, QUESTION, Chat, end_of, is_gapless, quotes_of, statements, text_of
from tests.chat.scripted_model import USAGE, Pause


async def test_an_answer_is_its_passages_its_text_with_verified_citations_and_one_end(chat: Chat) -> None:
    chat.model.script = [
        "The queen lays up to 2,000 eggs a day [1",
        "]. Wor",
        "ker bees live for six weeks in summer [1].",
    ]

    answer, entries = await chat.answer()

    eggs = "A hive has a single queen who lays up to 2,000 eggs a day."
    weeks = "Worker bees live for six weeks in summer."
    quotes = [_quote(chat, 1, eggs), _quote(chat, 2, weeks)]
    text = "The queen lays up to 2,000 eggs a day [1]. Worker bees live for six weeks in summer [2]."
    assert isinstance(entries[0].event, PassagesFound)
    assert [passage.document_id for passage in entries[0].event.passages] == [chat.document.id]
    assert entries[0].event.passages == chat.model.prompts[0].passages
    assert text_of(entries) == answer.text == text
    assert quotes_of(entries) == await chat.citations(answer.id) == quotes
    assert end_of(entries) == AnswerEnded(MessageStatus.COMPLETED)
    assert is_gapless(entries)
    assert await chat.stored(answer.id) == entries
    assert answer.role is MessageRole.ASSISTANT
    assert (answer.status, answer.grounded, answer.model) == (MessageStatus.COMPLETED, True, "scripted")
    assert (answer.prompt_tokens, answer.completion_tokens) == (USAGE.prompt_tokens, USAGE.completion_tokens)
    assert await chat.leases() == []


async def test_quotes_are_verbatim_at_their_offsets_of_the_version_that_they_name(chat: Chat) -> None:
    chat.model.script = [
        "Drones are expelled from the hive in autumn [1]. The queen lays 2,000 eggs a day [1], and workers ",
        "live for six weeks in summer [1]. Bees invented the telephone in 1876 and sold the patent [1].",
    ]

    answer, entries = await chat.answer()

    async with chat.database.begin(chat.viewer.workspaces) as session:
        versions = await session.exec(select(DocumentVersion))
        texts = {(version.document_id, version.version): version.text for version in versions}
    quotes = quotes_of(entries)
    assert len(quotes) == 3
    for quote in quotes:
        assert texts[quote.document_id, quote.document_version][quote.start : quote.end] == quote.quote
    assert answer.text.endswith("Bees invented the telephone in 1876 and sold the patent.")


async def test_a_watcher_sees_nothing_that_another_connection_cannot_read(chat: Chat) -> None:
    chat.model.script = [f"Word {number} of many [1]. " for number in range(60)]
    exchange = await chat.ask()

    async with aclosing(chat.a.service.events(chat.viewer, exchange.answer.id, 0)) as events:
        async for entry in events:
            assert entry in await chat.stored(exchange.answer.id)


async def test_the_first_text_leaves_before_the_model_goes_on(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["Two ", "thousand.", pause, " Eggs."]
    exchange = await chat.ask()

    async with aclosing(chat.a.service.events(chat.viewer, exchange.answer.id, 0)) as events:
        seen: list[LogEntry] = []
        async for entry in events:
            seen.append(entry)
            if text_of(seen) == "Two thousand.":
                assert not pause.released.is_set()
                pause.release()

    assert text_of(seen) == "Two thousand. Eggs."


async def test_what_a_model_says_at_once_is_stored_together_with_the_passages(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["Two thousand.", pause, " Eggs."]

    with statements(chat.a.database) as seen:
        exchange = await chat.ask()
        await chat.watch_until(exchange.answer.id, "Two thousand.")
    pause.release()
    entries = await chat.watch(exchange.answer.id)

    writes = [parameters for statement, parameters in seen if "INSERT INTO answer_events" in statement]
    assert len(writes) == 1
    assert isinstance(entries[0].event, PassagesFound)
    assert text_of(entries) == "Two thousand. Eggs."


async def test_passages_are_seen_while_the_model_is_silent(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = [pause, "Two thousand."]
    exchange = await chat.ask()

    async with aclosing(chat.a.service.events(chat.viewer, exchange.answer.id, 0)) as events:
        first = await anext(events)
        assert isinstance(first.event, PassagesFound)
        assert not pause.released.is_set()
    pause.release()

    assert text_of(await chat.watch(exchange.answer.id)) == "Two thousand."


async def test_pieces_that_pile_up_become_one_event(chat: Chat) -> None:
    pause = Pause()
    pieces = [f"piece {number}, " for number in range(500)]
    chat.model.script = ["First. ", pause, *pieces, "end."]
    exchange = await chat.ask()
    await chat.watch_until(exchange.answer.id, "First.")

    pause.release()

    entries = await chat.watch(exchange.answer.id)
    deltas = [entry for entry in entries if isinstance(entry.event, TextDelta)]
    assert 2 <= len(deltas) < 50
    assert text_of(entries) == "First. " + "".join(pieces) + "end."
    assert text_of(entries) == (await chat.message(exchange.answer.id)).text


async def test_an_answer_without_citations_is_not_grounded(chat: Chat) -> None:
    chat.model.script = ["I found nothing about that [1] [99]."]

    answer, entries = await chat.answer()

    assert answer.text == f"I found nothing about that.\n\n{NOT_BORNE_OUT}"
    assert answer.grounded is False
    assert quotes_of(entries) == await chat.citations(answer.id) == []


async def test_a_question_that_no_passage_fits_is_answered_all_the_same(chat: Chat) -> None:
    chat.model.script = ["I do not know."]

    answer, entries = await chat.answer("Xylophone?")

    assert [entry.event for entry in entries] == [
        PassagesFound(()),
        TextDelta("I do not know."),
        AnswerEnded(MessageStatus.COMPLETED),
    ]
    assert answer.text == "I do not know."


async def test_an_answer_goes_on_when_nobody_watches(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["Before. ", pause, "After."]
    exchange = await chat.ask()
    async with aclosing(chat.a.service.events(chat.viewer, exchange.answer.id, 0)) as events:
        await anext(events)

    pause.release()

    entries = await chat.watch(exchange.answer.id)
    assert text_of(entries) == (await chat.message(exchange.answer.id)).text == "Before. After."


async def test_the_model_gets_the_bots_instructions_and_the_question(chat: Chat) -> None:
    chat.model.script = ["Yes."]

    await chat.answer()

    (prompt,) = chat.model.prompts
    assert (prompt.instructions, prompt.question, prompt.history) == (chat.bot.instructions, QUESTION, ())
    assert (prompt.model, prompt.temperature) == (chat.bot.model, chat.bot.temperature)


def _quote(chat: Chat, number: int, words: str) -> Quote:
    start = HANDBOOK.index(words)
    return Quote(
        number=number,
        document_id=chat.document.id,
        document_title="Handbook",
        document_version=1,
        start=start,
        end=start + len(words),
        quote=words,
    )
