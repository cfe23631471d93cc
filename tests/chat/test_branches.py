"""Questions in other words, other answers, and branches to turn to; each is defined when two things meet."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from kyrochat.chat import tree_repository
from kyrochat.chat.conversations import ConversationService
from kyrochat.chat.ending import Ending
from kyrochat.chat.exchanges import AnswerInProgress, Exchange, KeyUsedOtherwise, TooManySiblings
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Conversation
from kyrochat.db.states import MessageStatus
from kyrochat.errors import InvalidInput, NotFound, ProviderUnavailable
from kyrochat.retrieval.types import Turn
from tests.chat.scene import Chat, Process, process, statements, text_of
from tests.chat.scripted_model import Pause, ScriptedModel

LONG, OTHERS = 1_000, 20
# A branch that long, in a table of twenty of them.
FILL = """
INSERT INTO messages (id, workspace_id, conversation_id, parent_id, position, role, status, text)
SELECT md5(:name || n)::uuid, :workspace, :conversation, CASE WHEN n > 1 THEN md5(:name || (n - 1))::uuid END, n,
       CASE WHEN n % 2 = 1 THEN 'USER' ELSE 'ASSISTANT' END, 'COMPLETED', repeat('words ', 50)
FROM generate_series(1, :messages) AS n
"""


async def test_another_answer_stands_beside_the_first_and_is_shown(chat: Chat) -> None:
    chat.model.script = ["First."]
    first, _ = await chat.answer("How many?")
    chat.model.script = ["Second."]

    again = await chat.a.service.regenerate(chat.viewer, first.id)
    await chat.watch(again.answer.id)

    second = await chat.message(again.answer.id)
    assert (second.parent_id, second.text, second.status) == (first.parent_id, "Second.", MessageStatus.COMPLETED)
    assert again.question.id == first.parent_id
    assert (await chat.message(first.id)).model_dump() == first.model_dump()
    assert [(prompt.question, prompt.history) for prompt in chat.model.prompts] == [("How many?", ())] * 2
    assert await _shown(chat, first.conversation_id) == ["How many?", "Second."]


@pytest.mark.parametrize("status", [MessageStatus.STOPPED, MessageStatus.INTERRUPTED, MessageStatus.FAILED])
async def test_what_did_not_come_to_its_end_can_be_answered_again(chat: Chat, status: MessageStatus) -> None:
    chat.model.script = ["Half", ProviderUnavailable("It is down.") if status is MessageStatus.FAILED else Pause()]
    exchange = await chat.ask("How many?")
    answer_id = exchange.answer.id
    if status is not MessageStatus.FAILED:
        await chat.watch_until(answer_id, "Half")
        await chat.a.running.end(answer_id, exchange.answer.workspace_id, Ending(status))
    log, message = await chat.watch(answer_id), await chat.message(answer_id)
    assert (message.status, message.text) == (status, "Half")
    chat.model.script = ["Whole."]

    again = await chat.a.service.regenerate(chat.viewer, answer_id)

    assert text_of(await chat.watch(again.answer.id)) == "Whole."
    assert (await chat.message(answer_id)).model_dump() == message.model_dump()
    assert await chat.watch(answer_id) == log


async def test_a_question_in_other_words_stands_beside_it_with_the_same_past(chat: Chat) -> None:
    chat.model.script = lambda prompt: [f"On {prompt.question}"]
    conversation_id = await chat.conversation()
    await _asked(chat, conversation_id, "one")
    second = await _asked(chat, conversation_id, "two")
    third = await _asked(chat, conversation_id, "three")

    edited = await chat.a.service.edit(chat.viewer, second.question.id, " two, but shorter ")
    await chat.watch(edited.answer.id)

    assert edited.question.parent_id == second.question.parent_id
    assert chat.model.prompts[-1].history == (Turn("user", "one"), Turn("assistant", "On one"))
    assert await _shown(chat, conversation_id) == ["one", "On one", "two, but shorter", "On two, but shorter"]
    assert await _shown(chat, conversation_id, third.answer.id) == [
        "one",
        "On one",
        "two",
        "On two",
        "three",
        "On three",
    ]
    # The next question goes on from what is shown.
    await _asked(chat, conversation_id, "four")
    assert [turn.text for turn in chat.model.prompts[-1].history][2:] == ["two, but shorter", "On two, but shorter"]


async def test_the_first_question_can_be_put_differently_too(chat: Chat) -> None:
    chat.model.script = ["Well."]
    conversation_id = await chat.conversation()
    first = await _asked(chat, conversation_id, "How many eggs?")

    edited = await chat.a.service.edit(chat.viewer, first.question.id, "How many bees?")
    await chat.watch(edited.answer.id)

    assert (first.question.parent_id, edited.question.parent_id) == (None, None)
    assert chat.model.prompts[-1].history == ()
    assert await _shown(chat, conversation_id) == ["How many bees?", "Well."]


async def test_turning_to_a_message_shows_what_was_written_last_below_it_and_is_no_news(chat: Chat) -> None:
    chat.model.script = lambda prompt: [f"On {prompt.question}"]
    conversation_id = await chat.conversation()
    first = await _asked(chat, conversation_id, "one")
    await _asked(chat, conversation_id, "two")
    await _asked(chat, conversation_id, "also two", parent_id=first.answer.id)
    again = await chat.a.service.regenerate(chat.viewer, first.answer.id)
    await chat.watch(again.answer.id)
    assert await _shown(chat, conversation_id) == ["one", "On one"]
    service, before = ConversationService(chat.database), await _conversation(chat, conversation_id)

    turned = await service.select_branch(chat.viewer, first.answer.id)

    assert await _shown(chat, conversation_id) == ["one", "On one", "also two", "On also two"]
    assert (turned.id, turned.updated_at, turned.title) == (conversation_id, before.updated_at, "one")
    assert (await service.select_branch(chat.viewer, again.answer.id)).active_leaf_id == again.answer.id
    # From the question they all hang on, to the newest of all.
    assert (await service.select_branch(chat.viewer, first.question.id)).active_leaf_id == again.answer.id
    assert len(chat.model.prompts) == 4


async def test_a_conversation_from_before_there_were_branches_shows_its_newest_message(chat: Chat) -> None:
    chat.model.script = ["Well."]
    conversation_id = await chat.conversation()
    for question in ("one", "two"):
        await _asked(chat, conversation_id, question)
    await chat.run("UPDATE conversations SET active_leaf_id = NULL")

    assert await _shown(chat, conversation_id) == ["one", "Well.", "two", "Well."]
    await _asked(chat, conversation_id, "three")
    assert await _shown(chat, conversation_id) == ["one", "Well.", "two", "Well.", "three", "Well."]


async def test_of_two_who_write_on_two_branches_at_once_one_is_told_which_answer_to_wait_for(
    chat: Chat, b: Process
) -> None:
    chat.model.script = ["Well."]
    conversation_id = await chat.conversation()
    first = await _asked(chat, conversation_id, "one")
    second = await _asked(chat, conversation_id, "two")
    chat.model.script = [Pause()]
    before = await chat.column("SELECT count(*) FROM messages")

    outcomes = await asyncio.gather(
        chat.a.service.edit(chat.viewer, first.question.id, "one, differently"),
        chat.a.service.regenerate(chat.viewer, second.answer.id),
        chat.a.service.send(chat.viewer, conversation_id, "three", parent_id=first.answer.id),
        return_exceptions=True,
    )

    (begun,) = [each for each in outcomes if isinstance(each, Exchange)]
    refused = [each for each in outcomes if isinstance(each, AnswerInProgress)]
    assert [each.answer_id for each in refused] == [begun.answer.id] * 2
    with pytest.raises(AnswerInProgress):
        await b.service.regenerate(chat.viewer, first.answer.id)
    added = 1 if begun.question.id == second.question.id else 2
    assert await chat.column("SELECT count(*) FROM messages") == [int(str(before[0])) + added]
    # Looking elsewhere is no writing: the answer goes on, and what comes next follows what is shown.
    await ConversationService(chat.database).select_branch(chat.viewer, first.answer.id)
    assert (await chat.message(begun.answer.id)).status is MessageStatus.STREAMING


async def test_a_key_gives_one_other_answer_however_often_and_from_wherever_it_is_asked_for(
    chat: Chat, urls: DatabaseUrls
) -> None:
    chat.model.script = ["Well."]
    first, _ = await chat.answer("one")
    model = ScriptedModel(["Better."])

    async with process(urls.app, chat.model) as a, process(urls.app, model) as b:
        asked = (on.service.regenerate(chat.viewer, first.id, idempotency_key="again") for on in (a, b) * 5)
        exchanges = await asyncio.gather(*asked)
        (answer_id,) = {each.answer.id for each in exchanges}
        await chat.watch(answer_id, on=a)
        # Of its answers' siblings, too: they are answers to the same question.
        later = await a.service.regenerate(chat.viewer, answer_id, idempotency_key="again")

    assert later.answer.id == answer_id
    assert len(chat.model.prompts) + len(model.prompts) == 2
    assert await chat.column("SELECT count(*) FROM messages") == [3]


async def test_a_key_that_was_used_for_something_else_is_refused(chat: Chat) -> None:
    chat.model.script = ["Well."]
    service, viewer, conversation_id = chat.a.service, chat.viewer, await chat.conversation()
    one = await _asked(chat, conversation_id, "one", key="question")
    two = await _asked(chat, conversation_id, "two")
    again = await service.regenerate(viewer, one.answer.id, idempotency_key="answer")
    await chat.watch(again.answer.id)

    with pytest.raises(KeyUsedOtherwise):
        await service.send(viewer, conversation_id, "three", idempotency_key="answer")
    with pytest.raises(KeyUsedOtherwise):
        await service.edit(viewer, one.question.id, "three", idempotency_key="answer")
    with pytest.raises(KeyUsedOtherwise):
        await service.regenerate(viewer, one.answer.id, idempotency_key="question")
    with pytest.raises(KeyUsedOtherwise):
        await service.regenerate(viewer, two.answer.id, idempotency_key="answer")

    edited = await service.edit(viewer, one.question.id, "one, differently", idempotency_key="edit")
    await chat.watch(edited.answer.id)
    for other, key in ((one, "question"), (two, "question"), (two, "edit")):
        with pytest.raises(KeyUsedOtherwise):
            await service.edit(viewer, other.question.id, "three", idempotency_key=key)
    assert (
        await service.edit(viewer, one.question.id, "whatever", idempotency_key="edit")
    ).answer.id == edited.answer.id
    assert len(chat.model.prompts) == 4


async def test_only_answers_are_answered_again_and_only_questions_put_differently(chat: Chat) -> None:
    chat.model.script = ["Well."]
    answer, _ = await chat.answer("one")
    assert answer.parent_id is not None

    for message_id in (answer.parent_id, uuid4()):
        with pytest.raises(NotFound, match="no such answer"):
            await chat.a.service.regenerate(chat.viewer, message_id)
    for message_id in (answer.id, uuid4()):
        with pytest.raises(NotFound, match="no such question"):
            await chat.a.service.edit(chat.viewer, message_id, "two")
    with pytest.raises(NotFound):
        await ConversationService(chat.database).select_branch(chat.viewer, uuid4())
    with pytest.raises(InvalidInput):
        await chat.a.service.edit(chat.viewer, answer.parent_id, "  ")
    assert await chat.column("SELECT count(*) FROM messages") == [2]


async def test_versions_are_bounded(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kyrochat.chat.exchanges.MAX_SIBLINGS", 2)
    chat.model.script = ["Well."]
    answer, _ = await chat.answer("one")
    assert answer.parent_id is not None
    for more in (
        chat.a.service.regenerate(chat.viewer, answer.id),
        chat.a.service.edit(chat.viewer, answer.parent_id, "2"),
    ):
        await chat.watch((await more).answer.id)

    with pytest.raises(TooManySiblings):
        await chat.a.service.regenerate(chat.viewer, answer.id)
    with pytest.raises(TooManySiblings):
        await chat.a.service.edit(chat.viewer, answer.parent_id, "three")
    # Elsewhere there is room.
    await _asked(chat, answer.conversation_id, "next")
    assert len(chat.model.prompts) == 4


async def test_a_page_of_a_long_branch_is_one_statement_by_indexes(chat: Chat, urls: DatabaseUrls) -> None:
    conversations = [await chat.conversation() for _ in range(OTHERS)]
    async with chat.database.begin(chat.viewer.workspaces) as session:
        for conversation_id in conversations:
            of = {"name": str(conversation_id), "conversation": conversation_id, "workspace": chat.bot.workspace_id}
            values = {**of, "messages": LONG}
            await (await session.connection()).execute(text(FILL), values)
    conversation = await _conversation(chat, conversations[0])
    with statements(chat.database) as seen:
        async with chat.database.begin(chat.viewer.workspaces) as session:
            page = await tree_repository.branch_page(session, conversation.id, None, PageRequest(50))
    assert [row.position for row in page.rows] == list(range(LONG, LONG - 50, -1))

    queries = [(statement, values) for statement, values in seen if "set_config" not in statement]
    assert len(queries) == 1
    async with chat.database.begin(chat.viewer.workspaces) as session:
        statement, values = queries[0]
        explained = await (await session.connection()).exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS) {statement}", values
        )
        plan = "\n".join(str(line) for line in explained.scalars())
    assert "Recursive Union" in plan
    assert "Seq Scan on messages" not in plan, plan
    page = await chat.a.service.message_page(chat.viewer, conversation.id, PageRequest(100, after=500))
    assert [row.position for row in page.rows] == list(range(499, 399, -1))
    assert await chat.a.service.message_count(chat.viewer, conversation.id) == LONG


async def _asked(
    chat: Chat, conversation_id: UUID, question: str, *, key: str | None = None, parent_id: UUID | None = None
) -> Exchange:
    exchange = await chat.a.service.send(
        chat.viewer, conversation_id, question, idempotency_key=key, parent_id=parent_id
    )
    await chat.watch(exchange.answer.id)
    return exchange


async def _conversation(chat: Chat, conversation_id: UUID) -> Conversation:
    (found,) = await chat.a.service.conversations(chat.viewer, [conversation_id])
    return found


async def _shown(chat: Chat, conversation_id: UUID, leaf_id: UUID | None = None) -> list[str]:
    """Return the texts of a branch, the active one by default, oldest first."""
    conversation = await _conversation(chat, conversation_id)
    page = await chat.a.service.message_page(chat.viewer, conversation.id, PageRequest(50), leaf_id=leaf_id)
    return [row.text for row in reversed(page.rows)]
