"""Links: they show a conversation as it was to whoever has them, and end with all that they depend on."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlmodel import select

from kyrochat.accounts.tokens import SHARE_PREFIX, new_secret
from kyrochat.accounts.viewer import Client, KeyLimits, Viewer
from kyrochat.chat.sharing import MAX_SHARES, NothingToShare, Shared, SharingService
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import AuditEntry
from kyrochat.db.states import ApiKeyScope, WorkspaceRole
from kyrochat.errors import Forbidden, InvalidInput, NotFound, QuotaExceeded, RateLimited
from kyrochat.rates.limits import SHARED_PER_ADDRESS
from kyrochat.rates.service import Rates
from tests.chat.scene import Chat
from tests.chat.scripted_model import Pause
from tests.factories import make_viewer
from tests.remains import remains

READER = Client("192.0.2.7", "A browser")
URL = "https://chat.example"


@pytest.fixture
def sharing(chat: Chat) -> SharingService:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    return SharingService(chat.database, URL)


async def _shown(sharing: SharingService, token: str) -> list[str] | None:
    """Return the texts that a link shows, oldest first."""
    found = await sharing.read(READER, token)
    return None if found is None else await _texts(sharing, found)


async def _texts(sharing: SharingService, found: Shared) -> list[str]:
    page = await sharing.message_page(found, PageRequest(50))
    assert await sharing.message_count(found) == len(page.rows)
    return [row.message.text for row in reversed(page.rows)]


async def test_a_link_shows_what_was_there_and_nothing_that_came_later(chat: Chat, sharing: SharingService) -> None:
    answer, _ = await chat.answer("How many eggs?")
    said = ["How many eggs?", answer.text]
    link = await sharing.share(chat.viewer, answer.conversation_id)
    later = await chat.a.service.send(chat.viewer, answer.conversation_id, "A secret?")
    await chat.watch(later.answer.id)
    await chat.watch((await chat.a.service.regenerate(chat.viewer, answer.id)).answer.id)
    await chat.run("UPDATE conversations SET title = 'A secret'")

    found = await sharing.read(READER, link.token)

    assert found is not None
    assert (found.share.title, found.bot_name) == ("How many eggs?", "Librarian")
    assert await _texts(sharing, found) == said
    newest = (await sharing.message_page(found, PageRequest(1))).rows[0]
    assert [quote.quote for quote in newest.citations] == [quote.quote for quote in await chat.citations(answer.id)]
    assert link.token.startswith(SHARE_PREFIX)
    assert link.url == f"{URL}/shared#{link.token}"


async def test_a_link_may_end_with_an_earlier_message_and_on_another_branch(
    chat: Chat, sharing: SharingService
) -> None:
    first, _ = await chat.answer("one")
    second = await chat.a.service.send(chat.viewer, first.conversation_id, "two")
    await chat.watch(second.answer.id)
    assert first.parent_id is not None
    edited = await chat.a.service.edit(chat.viewer, first.parent_id, "uno")
    await chat.watch(edited.answer.id)

    links = [
        await sharing.share(chat.viewer, first.conversation_id, message_id)
        for message_id in (first.id, second.question.id, None)
    ]

    shown = [await _shown(sharing, link.token) for link in links]
    assert [None if texts is None else texts[::2] for texts in shown] == [["one"], ["one", "two"], ["uno"]]
    assert [None if texts is None else len(texts) for texts in shown] == [2, 3, 2]


async def test_only_the_hash_of_a_token_is_stored(chat: Chat, sharing: SharingService, urls: DatabaseUrls) -> None:
    answer, _ = await chat.answer()
    link = await sharing.share(chat.viewer, answer.conversation_id)

    assert await remains(urls.owner, link.token, link.token.removeprefix(SHARE_PREFIX)) == {}
    assert link.token not in repr(link)
    for wrong in (new_secret(SHARE_PREFIX), link.token[:-1], "", "\x00", "\ud800", "x" * 10_000):
        assert await sharing.read(READER, wrong) is None


async def test_a_revoked_or_expired_link_shows_nothing(chat: Chat, sharing: SharingService) -> None:
    answer, _ = await chat.answer()
    revoked, expired, kept = [
        await sharing.share(chat.viewer, answer.conversation_id, expires_in_days=days) for days in (None, 1, 30)
    ]
    await chat.run(f"UPDATE conversation_shares SET expires_at = now() WHERE id = '{expired.share.id}'")

    assert await sharing.revoke(chat.viewer, revoked.share.id) == revoked.share.id

    assert [await _shown(sharing, link.token) is None for link in (revoked, expired, kept)] == [True, True, False]
    assert [row.id for row in await sharing.of_conversations(chat.viewer, [answer.conversation_id])] == [kept.share.id]
    assert [row.id for row in await sharing.many(chat.viewer, [revoked.share.id, kept.share.id])] == [kept.share.id]
    for gone in (revoked, expired):
        with pytest.raises(NotFound):
            await sharing.revoke(chat.viewer, gone.share.id)
    async with chat.database.begin(chat.viewer.workspaces) as session:
        entries = (await session.exec(select(AuditEntry))).all()
    assert [(row.act, row.object_type, row.object_id) for row in entries] == [
        *[("CONVERSATION_SHARED", "Conversation", answer.conversation_id)] * 3,
        ("SHARE_REVOKED", "Conversation", answer.conversation_id),
    ]
    assert {row.details["share"] for row in entries} == {str(each.share.id) for each in (revoked, expired, kept)}


async def _delete(chat: Chat, conversation_id: UUID) -> None:
    await chat.a.service.delete(chat.viewer, conversation_id)


async def _without_bot(chat: Chat, _: UUID) -> None:
    await chat.run("UPDATE bots SET deleted_at = now()")


async def _without_membership(chat: Chat, _: UUID) -> None:
    await chat.run("DELETE FROM workspace_members")


async def _disabled(chat: Chat, _: UUID) -> None:
    await chat.run("UPDATE users SET disabled_at = now()")


@pytest.mark.parametrize("end", [_delete, _without_bot, _without_membership, _disabled])
async def test_a_link_ends_with_what_it_depends_on(
    chat: Chat, sharing: SharingService, end: Callable[[Chat, UUID], Awaitable[None]]
) -> None:
    answer, _ = await chat.answer()
    link = await sharing.share(chat.viewer, answer.conversation_id)
    assert await _shown(sharing, link.token) is not None

    await end(chat, answer.conversation_id)

    assert await sharing.read(READER, link.token) is None


async def test_what_has_no_end_yet_is_not_shared(chat: Chat, sharing: SharingService) -> None:
    conversation_id = await chat.conversation()
    with pytest.raises(NothingToShare, match="nothing in this"):
        await sharing.share(chat.viewer, conversation_id)
    chat.model.script = [Pause()]
    exchange = await chat.a.service.send(chat.viewer, conversation_id, "How many?")
    with pytest.raises(NothingToShare, match="still being written"):
        await sharing.share(chat.viewer, conversation_id)
    # Up to the question it can be.
    link = await sharing.share(chat.viewer, conversation_id, exchange.question.id)
    assert await _shown(sharing, link.token) == ["How many?"]


async def test_somebody_elses_conversation_is_shared_by_nobody(chat: Chat, sharing: SharingService) -> None:
    answer, _ = await chat.answer()
    link = await sharing.share(chat.viewer, answer.conversation_id)
    elsewhere, _ = await chat.answer()
    stranger = await make_viewer(chat.database, "eve@example.com")
    colleague = Viewer(
        stranger.user_id,
        None,
        {**stranger.workspaces, chat.bot.workspace_id: WorkspaceRole.OWNER},
        stranger.default_workspace_id,
    )
    for other in (stranger, colleague):
        for conversation_id in (answer.conversation_id, uuid4()):
            with pytest.raises(NotFound, match="no such conversation"):
                await sharing.share(other, conversation_id)
        for share_id in (link.share.id, uuid4()):
            with pytest.raises(NotFound, match="no such share"):
                await sharing.revoke(other, share_id)
        assert list(await sharing.of_conversations(other, [answer.conversation_id])) == []
        assert list(await sharing.many(other, [link.share.id])) == []
    key = replace(chat.viewer, key=KeyLimits(uuid4(), frozenset(ApiKeyScope)))
    with pytest.raises(Forbidden):
        await sharing.share(key, answer.conversation_id)
    with pytest.raises(Forbidden):
        await sharing.revoke(key, link.share.id)
    with pytest.raises(InvalidInput):
        await sharing.share(chat.viewer, answer.conversation_id, elsewhere.id)
    assert await chat.column("SELECT count(*) FROM conversation_shares") == [1]


async def test_links_are_bounded_and_those_that_expired_take_no_place(chat: Chat, sharing: SharingService) -> None:
    answer, _ = await chat.answer()
    for _ in range(MAX_SHARES):
        await sharing.share(chat.viewer, answer.conversation_id, expires_in_days=1)
    with pytest.raises(QuotaExceeded):
        await sharing.share(chat.viewer, answer.conversation_id)
    for days in (0, 3_651):
        with pytest.raises(InvalidInput):
            await sharing.share(chat.viewer, answer.conversation_id, expires_in_days=days)

    await chat.run("UPDATE conversation_shares SET expires_at = now()")

    assert await sharing.share(chat.viewer, answer.conversation_id)
    assert await chat.column("SELECT count(*) FROM conversation_shares") == [1]


async def test_who_opens_too_many_links_waits(chat: Chat, sharing: SharingService) -> None:
    answer, _ = await chat.answer()
    link = await sharing.share(chat.viewer, answer.conversation_id)
    rates = Rates(b"a key of this test")
    limited = replace(sharing, rates=rates)
    await rates.charge(SHARED_PER_ADDRESS, READER.address, cost=SHARED_PER_ADDRESS.amount - 1)
    assert await limited.read(READER, link.token) is not None

    with pytest.raises(RateLimited):
        await limited.read(READER, link.token)
    assert await limited.read(Client("192.0.2.8", ""), link.token) is not None
