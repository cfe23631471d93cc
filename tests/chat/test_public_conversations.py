"""What visitors of a web page say is theirs who have its id, and nobody comes upon the id of another's."""

from dataclasses import replace
from uuid import UUID

import pytest

from kyrochat.accounts.api_keys import ApiKeyService, NewKey
from kyrochat.accounts.viewer import KeyLimits, Viewer
from kyrochat.chat.conversations import ConversationService, ExportFormat
from kyrochat.chat.feedback import FeedbackService
from kyrochat.chat.sharing import SharingService
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Bot
from kyrochat.db.states import ApiKeyScope, Rating
from kyrochat.errors import Forbidden, NotFound
from kyrochat.retrieval.search_settings import SearchSettings
from tests.chat.scene import Chat
from tests.factories import make_bot

CHAT = frozenset({ApiKeyScope.CHAT})


async def on_a_page(chat: Chat, bot: Bot) -> Chat:
    """The same scene, in front of which a visitor of a web page stands."""
    service = ApiKeyService(chat.database, chat.a.changes)
    wanted = NewKey("Page", CHAT, bot_id=bot.id, allowed_origins=["https://shop.example"])
    key, _ = await service.create(chat.viewer, None, wanted)
    limits = KeyLimits(key.id, CHAT, bot.id, is_public=True)
    return replace(chat, viewer=replace(chat.viewer, key=limits), bot=bot)


@pytest.fixture
async def guest(chat: Chat) -> Chat:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    return await on_a_page(chat, chat.bot)


async def versions(chat: Chat) -> set[int | None]:
    query = "SELECT id FROM conversations UNION ALL SELECT id FROM messages"
    return {UUID(str(found)).version for found in await chat.column(query)}


async def test_the_ids_of_what_is_public_are_random_throughout(guest: Chat) -> None:
    """Whoever has an id may read: ids that count up would lead from one's own to the next."""
    await guest.answer()
    assert await versions(guest) == {4}


async def test_the_ids_of_what_is_private_are_in_order(chat: Chat) -> None:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    await chat.answer()
    assert await versions(chat) == {7}


async def test_what_the_maker_asks_in_a_public_conversation_has_random_ids_too(chat: Chat, guest: Chat) -> None:
    conversation_id = await guest.conversation()
    exchange = await chat.a.service.send(chat.viewer, conversation_id, "Eggs?")
    await guest.watch(exchange.answer.id)
    assert await versions(chat) == {4}


async def test_a_visitor_sees_nothing_private_and_nothing_of_other_bots(chat: Chat, guest: Chat) -> None:
    private = (await chat.answer())[0]
    elsewhere = await on_a_page(chat, await make_bot(chat.database, chat.viewer, "Other"))
    other = (await elsewhere.answer())[0]

    for message in (private, other):
        service, viewer = guest.a.service, guest.viewer
        assert list(await service.messages(viewer, [message.id])) == []
        assert list(await service.conversations(viewer, [message.conversation_id])) == []
        assert list(await service.citations(viewer, [message.id])) == []
        with pytest.raises(NotFound):
            await service.send(viewer, message.conversation_id, "Hello?")
        with pytest.raises(NotFound):
            await service.stop(viewer, message.id)
        with pytest.raises(NotFound):
            await service.delete(viewer, message.conversation_id)
        with pytest.raises(NotFound):
            await guest.watch(message.id)
    with pytest.raises(NotFound):
        await guest.a.service.start(guest.viewer, elsewhere.bot.id, None)
    assert await chat.column("SELECT count(*) FROM conversations") == [2]


async def test_a_visitor_finds_his_own_again(guest: Chat) -> None:
    message = (await guest.answer())[0]
    service, viewer = guest.a.service, guest.viewer
    assert [row.id for row in await service.messages(viewer, [message.id])] == [message.id]
    assert [row.number for row in await service.citations(viewer, [message.id])] == [1]
    assert await guest.watch(message.id)
    assert await service.delete(viewer, message.conversation_id) == message.conversation_id


async def test_visitors_neither_list_nor_search(chat: Chat, guest: Chat) -> None:
    answered, _ = await guest.answer()
    with pytest.raises(Forbidden):
        await guest.a.service.conversation_page(guest.viewer, guest.bot.id, PageRequest(10))
    with pytest.raises(Forbidden):
        await guest.a.searches.search(guest.viewer, guest.bot.id, "eggs", SearchSettings())
    with pytest.raises(Forbidden):
        await guest.a.service.searches(guest.viewer, [answered.id])
    assert (await chat.a.service.conversation_page(chat.viewer, chat.bot.id, PageRequest(10))).rows == []


async def test_a_visitor_branches_and_rates_his_own_and_nothing_private(chat: Chat, guest: Chat) -> None:
    private, own = (await chat.answer())[0], (await guest.answer())[0]
    service, viewer = guest.a.service, guest.viewer
    keeper, feedback = ConversationService(chat.database), FeedbackService(chat.database)
    sharing = SharingService(chat.database, "https://chat.example")
    assert own.parent_id is not None
    assert private.parent_id is not None

    again = await service.regenerate(viewer, own.id)
    await guest.watch(again.answer.id)
    edited = await service.edit(viewer, own.parent_id, "In other words?")
    await guest.watch(edited.answer.id)
    assert (await keeper.select_branch(viewer, own.id)).active_leaf_id == own.id
    assert (await feedback.rate(viewer, own.id, Rating.UP)).id == own.id
    assert (await keeper.export(viewer, own.conversation_id, ExportFormat.MARKDOWN)) is not None
    assert await versions(guest) == {4, 7}

    before = await chat.column("SELECT count(*) FROM messages")
    for attempt in (
        service.regenerate(viewer, private.id),
        service.edit(viewer, private.parent_id, "In other words?"),
        keeper.select_branch(viewer, private.id),
        keeper.rename(viewer, private.conversation_id, "Mine"),
        feedback.rate(viewer, private.id, Rating.UP),
        feedback.take_back(viewer, private.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await keeper.export(viewer, private.conversation_id, ExportFormat.MARKDOWN) is None
    assert await feedback.of_messages(viewer, [private.id]) == []
    assert await service.replies(viewer, [(private.conversation_id, None)]) == {}
    for conversation_id in (own.conversation_id, private.conversation_id):
        with pytest.raises(Forbidden):
            await sharing.share(viewer, conversation_id)
    assert await chat.column("SELECT count(*) FROM messages") == before


async def test_a_colleague_of_the_maker_sees_no_visitors(chat: Chat, guest: Chat) -> None:
    message = (await guest.answer())[0]
    colleague = Viewer(chat.bot.id, None, chat.viewer.workspaces, chat.viewer.default_workspace_id)
    assert list(await chat.a.service.messages(colleague, [message.id])) == []
