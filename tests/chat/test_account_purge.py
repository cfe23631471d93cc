"""The row of a deleted account goes with all that hangs on it, in whatever workspace, however often that is cut off."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import select

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.erasure import PURGE_ACCOUNT
from kyrochat.accounts.tokens import secret_hash
from kyrochat.accounts.viewer import Client, Viewer
from kyrochat.chat import account_purge
from kyrochat.chat.account_purge import AccountPurge, StillThere
from kyrochat.db.changes import Changes
from kyrochat.db.columns import new_id
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from kyrochat.db.models import (
    AnswerRating,
    ApiKey,
    AuditEntry,
    Conversation,
    ConversationShare,
    Invitation,
    Message,
    PasswordReset,
    UserSession,
    WorkspaceMember,
)
from kyrochat.db.states import MessageRole, WorkspaceRole
from kyrochat.errors import NotFound
from kyrochat.jobs.queue import ClaimedJob, LeaseLost, Queue, enqueue
from tests.chat.scene import Chat
from tests.chat.scripted_model import Pause
from tests.cutting import Cut, CutDatabase
from tests.factories import make_bot, make_viewer
from tests.jobs.scene import until
from tests.remains import remains


@pytest.fixture
async def worker(urls: DatabaseUrls) -> AsyncGenerator[Database, None]:
    opened = open_database(urls.worker)
    yield opened
    await opened.close()


async def claimed(worker: Database, viewer: Viewer, chat: Chat) -> ClaimedJob:
    """End the account as its deletion does, and claim the job that it leaves."""
    await chat.run(
        "UPDATE users SET disabled_at = now(), email = id || '@deleted.invalid', name = ''"
        f" WHERE id = '{viewer.user_id}'"
    )
    async with worker.begin() as session:
        await enqueue(
            session,
            Changes(),
            workspace_id=viewer.user_id,
            kind=PURGE_ACCOUNT,
            payload={"user_id": str(viewer.user_id)},
        )
    [job] = await Queue(worker).claim(1, [PURGE_ACCOUNT])
    return job


async def settle(chat: Chat) -> Viewer:
    """Ada, with something in every table that can hang on a person, also in a workspace that she has left."""
    ada = await make_viewer(chat.database, "ada2@example.com")
    home, theirs = ada.default_workspace_id, chat.viewer.default_workspace_id
    bot = await make_bot(chat.database, ada)
    client = Client("192.0.2.1", "test")
    async with chat.database.begin([home, theirs]) as session:
        for workspace_id, bot_id in ((home, bot.id), (theirs, chat.bot.id)):
            for _ in range(3):
                session.add(Conversation(workspace_id=workspace_id, bot_id=bot_id, user_id=ada.user_id))
            session.add(
                ApiKey(workspace_id=workspace_id, created_by=ada.user_id, secret_hash=new_id().bytes, scopes=[])
            )
            session.add(
                Invitation(
                    workspace_id=workspace_id,
                    created_by=ada.user_id,
                    token_hash=new_id().bytes,
                    expires_at=bot.created_at,
                )
            )
            record(session, AuditAct.BOT_CREATED, replace(ada, client=client), workspace_id=workspace_id)
        # An answer to her, and what she thinks of it.
        talk = Conversation(workspace_id=theirs, bot_id=chat.bot.id, user_id=ada.user_id)
        of: dict[str, Any] = {"workspace_id": theirs}
        answer = Message(**of, conversation_id=talk.id, position=1, role=MessageRole.ASSISTANT)
        rating = AnswerRating(**of, bot_id=chat.bot.id, message_id=answer.id, user_id=ada.user_id)
        # And a link to it, which tells of her by what it leads to only.
        link = ConversationShare(**of, conversation_id=talk.id, leaf_id=answer.id, token_hash=b"link")
        for row in (talk, answer, rating, link):
            session.add(row)
            await session.flush()
        hashed = secret_hash("secret")
        session.add(UserSession(user_id=ada.user_id, refresh_hash=hashed, expires_at=bot.created_at))
        session.add(PasswordReset(user_id=ada.user_id, token_hash=hashed, expires_at=bot.created_at))
        record(session, AuditAct.SIGN_IN_FAILED, client, subject_id=ada.user_id)
    return ada


async def test_no_row_tells_of_the_person_any_more(chat: Chat, worker: Database, urls: DatabaseUrls) -> None:
    kept = await chat.ask()
    ada = await settle(chat)
    before = await remains(urls.owner, ada.user_id)
    assert before.keys() == {
        "users",
        "user_sessions",
        "password_resets",
        "workspace_members",
        "api_keys",
        "invitations",
        "conversations",
        "answer_ratings",
        "audit_entries",
    }
    job = await claimed(worker, ada, chat)

    await AccountPurge(worker, Changes())(job)

    assert await remains(urls.owner, ada.user_id, "ada2", "192.0.2.1") == {"workspaces": 1}  # called after her
    assert (await chat.message(kept.answer.id)).id == kept.answer.id
    async with chat.database.begin([kept.answer.workspace_id]) as session:
        assert (await session.exec(select(ConversationShare))).all() == []
    # What happened stays in the log, without anybody.
    async with chat.database.begin(administers=True) as session:
        entries = (await session.exec(select(AuditEntry))).all()
    assert [(row.actor_id, row.subject_id, row.address) for row in entries] == [(None, None, None)] * 3


async def test_a_purge_that_is_cut_off_at_any_step_is_taken_up_again(
    chat: Chat, worker: Database, urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_purge, "BATCH_CONVERSATIONS", 1)
    monkeypatch.setattr(account_purge, "BATCH_WORKSPACES", 1)
    ada = await settle(chat)
    job, steps = await claimed(worker, ada, chat), 0

    while True:
        try:
            await AccountPurge(CutDatabase.after(steps, worker), Changes())(job)
            break
        except Cut:
            steps += 1

    assert steps >= 6
    assert await remains(urls.owner, ada.user_id) == {}


async def test_an_answer_that_is_being_written_for_the_person_ends(
    chat: Chat, worker: Database, urls: DatabaseUrls
) -> None:
    """Also in a workspace that stays, where he was a member."""
    pause = Pause()
    chat.model.script = ["Some.", pause]
    ada = await make_viewer(chat.database, "ada2@example.com")
    theirs = chat.viewer.default_workspace_id
    async with chat.database.begin() as session:
        session.add(WorkspaceMember(workspace_id=theirs, user_id=ada.user_id, role=WorkspaceRole.VIEWER))
    guest = replace(ada, workspaces={**ada.workspaces, theirs: WorkspaceRole.VIEWER})
    conversation = await chat.a.service.start(guest, chat.bot.id, None)
    exchange = await chat.a.service.send(guest, conversation.id, "How many eggs?")
    await until(lambda: chat.model.open_streams == 1)
    job = await claimed(worker, ada, chat)

    await AccountPurge(worker, Changes())(job)

    await until(lambda: chat.model.open_streams == 0)
    with pytest.raises(NotFound):
        await chat.a.service.message(guest, exchange.answer.id)
    assert await chat.leases() == []
    assert await remains(urls.owner, ada.user_id) == {}


async def test_a_purge_that_was_taken_over_removes_nobody(chat: Chat, worker: Database, urls: DatabaseUrls) -> None:
    ada = await settle(chat)
    zombie = await claimed(worker, ada, chat)
    await chat.run("UPDATE jobs SET lease_token = gen_random_uuid()")

    with pytest.raises(LeaseLost):
        await AccountPurge(worker, Changes())(zombie)

    assert (await remains(urls.owner, ada.user_id))["users"] == 1


async def test_an_account_that_works_is_removed_by_nobody(chat: Chat, worker: Database, urls: DatabaseUrls) -> None:
    ada = await settle(chat)
    job = await claimed(worker, ada, chat)
    await chat.run(f"UPDATE users SET email = 'ada2@example.com' WHERE id = '{ada.user_id}'")

    with pytest.raises(StillThere):
        await AccountPurge(worker, Changes())(job)

    assert (await remains(urls.owner, ada.user_id))["users"] == 1
