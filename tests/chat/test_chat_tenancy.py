"""What is somebody else's looks like what does not exist."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat.exchanges import Exchange
from kyrochat.db.engine import Database
from kyrochat.db.keyset import PageRequest
from kyrochat.db.states import MessageStatus, WorkspaceRole
from kyrochat.errors import KyroError, NotFound
from kyrochat.retrieval.search_settings import SearchSettings
from tests.chat.scene import Chat
from tests.chat.scripted_model import Pause
from tests.factories import make_bot, make_viewer

TENANT_TABLES = ("conversations", "messages", "answer_events", "citations", "bots", "documents", "chunks")


@pytest.fixture
async def stranger(chat: Chat) -> Viewer:
    """Somebody with a workspace of her own."""
    return await make_viewer(chat.database, "eve@example.com")


@pytest.fixture
async def colleague(chat: Chat) -> Viewer:
    """Somebody who belongs to the workspace: he sees its bots, and still nobody's conversations but his own."""
    own = await make_viewer(chat.database, "bob@example.com")
    shared = {chat.viewer.default_workspace_id: WorkspaceRole.OWNER}
    return Viewer(own.user_id, None, {**own.workspaces, **shared}, own.default_workspace_id)


async def _answered(chat: Chat) -> Exchange:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    exchange = await chat.ask()
    await chat.watch(exchange.answer.id)
    return exchange


async def _refusal(attempt: Awaitable[object]) -> tuple[type[KyroError], str]:
    with pytest.raises(KyroError) as refusal:
        await attempt
    return type(refusal.value), refusal.value.message


@pytest.mark.parametrize("who", ["stranger", "colleague"])
async def test_nothing_of_somebody_elses_conversation_can_be_read_or_changed(
    chat: Chat, who: str, request: pytest.FixtureRequest, stranger: Viewer, colleague: Viewer
) -> None:
    other = {"stranger": stranger, "colleague": colleague}[who]
    exchange = await _answered(chat)
    service, answer_id, conversation_id = chat.a.service, exchange.answer.id, exchange.answer.conversation_id
    before = (await chat.message(answer_id), await chat.stored(answer_id))

    async def events(message_id: UUID) -> object:
        return [entry async for entry in service.events(other, message_id, 0)]

    attempts: list[tuple[Callable[[UUID], Awaitable[object]], UUID]] = [
        (events, answer_id),
        (lambda message_id: service.stop(other, message_id), answer_id),
        (lambda message_id: service.message(other, message_id), answer_id),
        (lambda conversation: service.send(other, conversation, "Hello?"), conversation_id),
        (lambda conversation: service.send(other, conversation, "Hello?", idempotency_key="k"), conversation_id),
        (lambda conversation: service.delete(other, conversation), conversation_id),
    ]
    for attempt, theirs in attempts:
        refusals = [await _refusal(attempt(each)) for each in (theirs, uuid4())]
        assert refusals[0] == refusals[1]
        assert refusals[0][0] is NotFound
    assert list(await service.messages(other, [answer_id, exchange.question.id])) == []
    assert list(await service.conversations(other, [conversation_id])) == []
    assert (await service.conversation_page(other, chat.bot.id, PageRequest(10))).rows == []
    assert await service.conversation_count(other, chat.bot.id) == 0
    after = (await chat.message(answer_id), await chat.stored(answer_id))
    assert after[0].model_dump() == before[0].model_dump()
    assert after[1] == before[1]
    assert len(chat.model.prompts) == 1


async def test_a_running_answer_is_nobody_elses_to_stop_or_to_watch(chat: Chat, stranger: Viewer) -> None:
    pause = Pause()
    chat.model.script = ["Some.", pause]
    exchange = await chat.ask()
    await pause.reached.wait()

    with pytest.raises(NotFound):
        await chat.a.service.stop(stranger, exchange.answer.id)
    with pytest.raises(NotFound):
        await anext(chat.a.service.events(stranger, exchange.answer.id, 0))

    assert chat.model.open_streams == 1
    assert (await chat.message(exchange.answer.id)).status is MessageStatus.STREAMING


async def test_somebody_elses_answer_is_no_parent(chat: Chat, stranger: Viewer) -> None:
    exchange = await _answered(chat)
    bot = await make_bot(chat.database, stranger)
    conversation = await chat.a.service.start(stranger, bot.id, None)

    refusals = [
        await _refusal(chat.a.service.send(stranger, conversation.id, "Hello?", parent_id=parent_id))
        for parent_id in (exchange.answer.id, uuid4())
    ]

    assert refusals[0] == refusals[1]


async def test_a_conversation_needs_a_bot_of_ones_own_workspaces(chat: Chat, stranger: Viewer) -> None:
    for bot_id in (chat.bot.id, uuid4()):
        with pytest.raises(NotFound):
            await chat.a.service.start(stranger, bot_id, None)
        with pytest.raises(NotFound):
            await chat.a.searches.search(stranger, bot_id, "eggs", SearchSettings())


async def test_the_database_shows_nothing_without_the_workspace(
    chat: Chat, database: Database, stranger: Viewer
) -> None:
    await _answered(chat)

    async def seen(*workspaces: UUID) -> list[int]:
        async with database.begin(workspaces) as session:
            connection = await session.connection()
            counts = [await connection.execute(text(f"SELECT count(*) FROM {table}")) for table in TENANT_TABLES]
        return [int(count.scalar_one()) for count in counts]

    nothing = [0] * len(TENANT_TABLES)
    assert await seen() == nothing
    assert await seen(stranger.default_workspace_id) == nothing
    assert all(await seen(chat.viewer.default_workspace_id))
    # The connection is the same one, out of the pool.
    assert await seen() == nothing
