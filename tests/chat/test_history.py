"""The history: one's own conversations by the last question, and what words find in them."""

from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from kyrochat.accounts.viewer import KeyLimits, Viewer
from kyrochat.chat.conversations import ConversationService, History
from kyrochat.db.keyset import PageRequest
from kyrochat.db.states import ApiKeyScope
from kyrochat.errors import Forbidden, InvalidInput
from tests.chat.scene import Chat, statements
from tests.factories import make_bot, make_viewer

ALL, EVERYTHING = PageRequest(50), History()
# 20,000 messages of a kilobyte, in 400 conversations.
MANY = 400
FILL = """
WITH made AS (
    INSERT INTO conversations (id, workspace_id, bot_id, user_id, is_public, title)
    SELECT md5('c' || n)::uuid, :workspace, :bot, :user, false, 'Talk ' || n FROM generate_series(1, :many) AS n
)
INSERT INTO messages (id, workspace_id, conversation_id, position, role, status, text)
SELECT md5('m' || n)::uuid, :workspace, md5('c' || (1 + n % :many))::uuid, n, 'USER', 'COMPLETED',
       repeat('A queen lays 2,000 eggs a day while workers ', 22) || md5(n::text)
FROM generate_series(1, 50 * :many) AS n
"""


@pytest.fixture
def keeper(chat: Chat) -> ConversationService:
    chat.model.script = lambda prompt: [f"On {prompt.question}"]
    return ConversationService(chat.database)


async def _talk(chat: Chat, question: str) -> UUID:
    message, _ = await chat.answer(question)
    return message.conversation_id


async def _found(keeper: ConversationService, viewer: Viewer, wanted: History) -> list[UUID]:
    page = await keeper.page(viewer, wanted, ALL)
    assert await keeper.count(viewer, wanted) == len(page.rows)
    return [row.id for row in page.rows]


async def test_what_was_asked_in_last_comes_first_whatever_it_is_called_or_shows(
    chat: Chat, keeper: ConversationService
) -> None:
    one, two, three = [await _talk(chat, question) for question in ("one", "two", "three")]
    exchange = await chat.a.service.send(chat.viewer, one, "more")
    await chat.watch(exchange.answer.id)
    await keeper.rename(chat.viewer, two, "Two")
    await keeper.select_branch(chat.viewer, exchange.question.id)

    assert await _found(keeper, chat.viewer, EVERYTHING) == [one, three, two]
    first = await keeper.page(chat.viewer, EVERYTHING, PageRequest(2))
    rest = await keeper.page(chat.viewer, EVERYTHING, PageRequest(2, after=first.rows[-1].recency))
    assert [row.id for row in (*first.rows, *rest.rows)] == [one, three, two]
    assert (first.has_next, rest.has_previous, rest.has_next) == (True, True, False)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("eggs", ["eggs"]),
        ("EGG", ["eggs"]),
        ("lay  eggs", ["eggs"]),
        ("eggs straße", []),
        ("ÜBER", ["street"]),
        ("strasse", []),
        ("100%", ["percent"]),
        ("%", ["percent"]),
        ("_", ["percent"]),
        ("\\", ["percent"]),
        ("On", ["percent", "street", "eggs"]),
        ("  ", ["percent", "street", "eggs"]),
        ("mine", ["eggs"]),
        ("'; DROP TABLE messages; --", []),
    ],
)
async def test_words_are_found_in_titles_and_messages_and_stand_for_themselves(
    chat: Chat, keeper: ConversationService, query: str, found: list[str]
) -> None:
    talks = {
        "eggs": await _talk(chat, "How many eggs does she lay?"),
        "street": await _talk(chat, "Wohin über die Straße?"),
        "percent": await _talk(chat, r"Is 100% of a_b in C:\ used?"),
    }
    await keeper.rename(chat.viewer, talks["eggs"], "Mine")

    assert await _found(keeper, chat.viewer, History(query)) == [talks[name] for name in found]


async def test_it_can_be_of_one_bot_or_workspace(chat: Chat, keeper: ConversationService) -> None:
    one = await _talk(chat, "one")
    other_bot = await make_bot(chat.database, chat.viewer, "Other")
    two = (await chat.a.service.start(chat.viewer, other_bot.id, "one too")).id
    workspace_id = chat.viewer.default_workspace_id

    assert await _found(keeper, chat.viewer, History(bot_id=chat.bot.id)) == [one]
    assert await _found(keeper, chat.viewer, History("one", other_bot.id)) == [two]
    assert await _found(keeper, chat.viewer, History(workspace_id=workspace_id)) == [two, one]
    assert await _found(keeper, chat.viewer, History(workspace_id=UUID(int=9))) == []


async def test_nobody_finds_what_others_have_asked(chat: Chat, keeper: ConversationService) -> None:
    await _talk(chat, "How many eggs?")
    stranger = await make_viewer(chat.database, "eve@example.com")
    colleague = replace(stranger, workspaces={**stranger.workspaces, **chat.viewer.workspaces})
    for other in (stranger, colleague):
        assert await _found(keeper, other, EVERYTHING) == []
        assert await _found(keeper, other, History("eggs", chat.bot.id, chat.bot.workspace_id)) == []
    page_key = KeyLimits(UUID(int=7), frozenset({ApiKeyScope.CHAT}), chat.bot.id, is_public=True)
    with pytest.raises(Forbidden):
        await keeper.page(replace(chat.viewer, key=page_key), EVERYTHING, ALL)
    await chat.run("UPDATE conversations SET is_public = true")
    assert await _found(keeper, chat.viewer, History("eggs")) == []


@pytest.mark.parametrize("query", ["x" * 201, "a b c d e f g h i", "nul \x00"])
async def test_a_search_is_bounded(chat: Chat, keeper: ConversationService, query: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await keeper.page(chat.viewer, History(query), ALL)
    assert [issue.path for issue in refused.value.issues] == [("query",)]


async def test_a_long_history_is_searched_and_nobody_elses_is_read(chat: Chat, keeper: ConversationService) -> None:
    other = await make_viewer(chat.database, "bob@example.com")
    async with chat.database.begin(chat.viewer.workspaces) as session:
        of = {"workspace": chat.bot.workspace_id, "bot": chat.bot.id, "user": chat.viewer.user_id, "many": MANY}
        await (await session.connection()).execute(text(FILL), of)
    mine = replace(other, workspaces={**other.workspaces, **chat.viewer.workspaces})

    assert await _found(keeper, chat.viewer, History("queen zebra")) == []
    with statements(chat.database) as seen:
        assert await _found(keeper, mine, History("queen")) == []
    async with chat.database.begin(mine.workspaces) as session:
        for statement, values in [each for each in seen if "set_config" not in each[0]]:
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            ((report,),) = (await (await session.connection()).exec_driver_sql(explain, values)).all()
            plan = report[0]["Plan"]
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100, plan
