"""What was searched for an answer is stored with its passages, and is what was really used."""

from uuid import UUID

from kyrochat.chat.events import PassagesFound
from kyrochat.db.states import MessageStatus
from kyrochat.retrieval.search_settings import Leg, UsedSettings
from kyrochat.retrieval.trace import Fate, LegStatus, SearchTrace
from tests.chat.scene import QUESTION, Chat
from tests.chat.scripted_model import Pause


async def searches(chat: Chat, message_id: UUID) -> tuple[SearchTrace, ...]:
    return (await chat.a.service.searches(chat.viewer, [message_id])).get(message_id, ())


async def test_an_answer_keeps_the_search_whose_passages_it_used(chat: Chat) -> None:
    message, entries = await chat.answer()

    [trace] = await searches(chat, message.id)

    event = entries[0].event
    assert isinstance(event, PassagesFound)
    assert event.passages == chat.model.prompts[0].passages
    assert [(each.document_id, each.document_version, each.start, each.end, each.score) for each in trace.passages] == [
        (each.document_id, each.document_version, each.start, each.end, each.score) for each in event.passages
    ]
    assert (trace.query, trace.settings) == (QUESTION, UsedSettings(top_k=chat.bot.top_k))
    assert [(leg.leg, leg.status) for leg in trace.legs] == [(Leg.LEXICAL, LegStatus.OK), (Leg.DENSE, LegStatus.OFF)]
    assert trace.legs[0].candidates == trace.candidate_count == len(trace.candidates)
    kept = {each.chunk_id for each in trace.candidates if each.fate in (Fate.KEPT, Fate.MERGED)}
    assert kept == {chunk_id for passage in trace.passages for chunk_id in passage.chunk_ids}


async def test_a_question_has_no_search(chat: Chat) -> None:
    exchange = await chat.ask()
    await chat.watch(exchange.answer.id)

    assert await searches(chat, exchange.question.id) == ()


async def test_a_search_is_there_as_soon_as_its_passages_are_and_after_a_stop(chat: Chat) -> None:
    pause = Pause()
    chat.model.script = ["Let me see", pause]
    exchange = await chat.ask()
    await chat.watch_until(exchange.answer.id, "Let me see")

    under_way = await searches(chat, exchange.answer.id)
    stopped = await chat.a.service.stop(chat.viewer, exchange.answer.id)

    assert (stopped.status, len(under_way)) == (MessageStatus.STOPPED, 1)
    assert await searches(chat, exchange.answer.id) == under_way


async def test_whoever_reads_the_log_does_not_read_the_searches(chat: Chat) -> None:
    message, _ = await chat.answer()

    first = (await chat.stored(message.id))[0].event

    assert isinstance(first, PassagesFound)
    assert first.searches == ()
    assert await chat.column("SELECT count(*) FROM answer_events WHERE data ? 'searches'") == [0]


async def test_searches_go_with_their_conversation(chat: Chat) -> None:
    message, _ = await chat.answer()

    await chat.a.service.delete(chat.viewer, message.conversation_id)

    assert await chat.column("SELECT count(*) FROM answer_searches") == [0]
