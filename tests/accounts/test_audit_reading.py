"""Who may read what of the audit log, and how entries are found in it."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.audit_reading import AuditReader
from kyrochat.accounts.audit_repository import Wanted
from kyrochat.accounts.viewer import Client, KeyLimits, Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import PageRequest
from kyrochat.db.states import ApiKeyScope, WorkspaceRole
from kyrochat.errors import Forbidden, InvalidInput, NotFound
from tests.factories import make_viewer

HOME = Client("192.0.2.7", "test")
ADMIN_KEY = frozenset({ApiKeyScope.ADMIN})


@dataclass(frozen=True)
class Log:
    """A log of two workspaces and of the site, and who reads it."""

    database: Database
    ada: Viewer
    bob: Viewer
    root: Viewer
    bot: UUID

    @property
    def reader(self) -> AuditReader:
        return AuditReader(self.database)

    async def note(self, act: AuditAct, by: Viewer | Client, **more: Any) -> None:
        workspaces = [workspace for workspace in [more.get("workspace_id")] if workspace]
        async with self.database.begin(workspaces) as session:
            record(session, act, by, **more)

    async def acts(self, viewer: Viewer, **wanted: Any) -> list[str]:
        """Return the acts that a viewer finds, newest first; that the count agrees is checked on the way."""
        page = await self.reader.page(viewer, Wanted(**wanted), PageRequest(100))
        assert await self.reader.count(viewer, Wanted(**wanted)) == len(page.rows)
        return [entry.act for entry in page.rows]


@pytest.fixture
async def log(database: Database) -> Log:
    ada, bob = await make_viewer(database), await make_viewer(database, "bob@example.com")
    root = replace(await make_viewer(database, "root@example.com"), is_admin=True)
    log = Log(database, ada, bob, root, new_id())
    await log.note(AuditAct.SIGN_IN_FAILED, HOME, subject_id=ada.user_id)
    await log.note(AuditAct.SIGNED_IN, HOME, actor_id=ada.user_id)
    await log.note(AuditAct.BOT_CREATED, ada, workspace_id=ada.default_workspace_id, of=("Bot", log.bot))
    await log.note(AuditAct.BOT_DELETED, ada, workspace_id=ada.default_workspace_id, of=("Bot", log.bot))
    await log.note(AuditAct.BOT_CREATED, bob, workspace_id=bob.default_workspace_id, of=("Bot", new_id()))
    return log


def with_key(viewer: Viewer, scopes: frozenset[ApiKeyScope], bot_id: UUID | None = None) -> Viewer:
    return replace(viewer, key=KeyLimits(new_id(), scopes, bot_id))


def in_role(viewer: Viewer, workspace_id: UUID, role: WorkspaceRole) -> Viewer:
    return replace(viewer, workspaces={**viewer.workspaces, workspace_id: role})


async def test_an_owner_reads_of_his_workspace_and_of_nothing_else(log: Log) -> None:
    assert await log.acts(log.ada) == ["BOT_DELETED", "BOT_CREATED"]
    assert await log.acts(log.ada, workspace_id=log.ada.default_workspace_id) == ["BOT_DELETED", "BOT_CREATED"]
    assert await log.acts(log.ada, actor_id=log.bob.user_id) == []
    assert await log.acts(log.ada, of=("User", log.ada.user_id)) == []


@pytest.mark.parametrize("role", [WorkspaceRole.EDITOR, WorkspaceRole.VIEWER])
async def test_only_owners_read(log: Log, role: WorkspaceRole) -> None:
    bob = in_role(log.bob, log.ada.default_workspace_id, role)
    with pytest.raises(Forbidden):
        await log.acts(bob, workspace_id=log.ada.default_workspace_id)
    with pytest.raises(Forbidden):
        await log.reader.count(bob, Wanted(log.ada.default_workspace_id))
    entries = (await log.reader.page(log.ada, Wanted(), PageRequest(9))).rows
    assert await log.reader.many(bob, [entry.id for entry in entries]) == []


async def test_a_workspace_of_others_is_like_none(log: Log) -> None:
    async def refusal(attempt: Awaitable[object]) -> str:
        with pytest.raises(NotFound) as refused:
            await attempt
        return refused.value.message

    theirs = [await refusal(log.acts(log.bob, workspace_id=one)) for one in (log.ada.default_workspace_id, uuid4())]
    assert theirs[0] == theirs[1]


async def test_an_administrator_reads_everything(log: Log) -> None:
    everything = ["BOT_CREATED", "BOT_DELETED", "BOT_CREATED", "SIGNED_IN", "SIGN_IN_FAILED"]
    assert await log.acts(log.root) == everything
    assert await log.acts(log.root, workspace_id=log.bob.default_workspace_id) == ["BOT_CREATED"]
    entries = (await log.reader.page(log.root, Wanted(), PageRequest(9))).rows
    found = await log.reader.many(log.root, [entry.id for entry in entries])
    assert {entry.id for entry in found} == {entry.id for entry in entries}


async def test_a_key_of_an_administrator_is_a_key_like_others(log: Log) -> None:
    key = with_key(log.root, ADMIN_KEY)
    assert await log.acts(key) == []
    with pytest.raises(NotFound):
        await log.acts(key, workspace_id=log.ada.default_workspace_id)


async def test_a_key_reads_with_the_scope_for_all_bots_as_an_owner(log: Log) -> None:
    assert await log.acts(with_key(log.ada, ADMIN_KEY)) == ["BOT_DELETED", "BOT_CREATED"]
    workspace_id = log.ada.default_workspace_id
    for refused in (
        with_key(log.ada, frozenset(ApiKeyScope) - ADMIN_KEY),
        with_key(log.ada, ADMIN_KEY, bot_id=log.bot),
        with_key(in_role(log.ada, workspace_id, WorkspaceRole.EDITOR), ADMIN_KEY),
    ):
        with pytest.raises(Forbidden):
            await log.acts(refused)
        entries = (await log.reader.page(log.ada, Wanted(), PageRequest(9))).rows
        assert await log.reader.many(refused, [entry.id for entry in entries]) == []


async def test_an_entry_is_found_by_its_id_by_whoever_may_read_it(log: Log) -> None:
    ids = [entry.id for entry in (await log.reader.page(log.root, Wanted(), PageRequest(9))).rows]
    assert {entry.act for entry in await log.reader.many(log.ada, [*ids, uuid4()])} == {"BOT_CREATED", "BOT_DELETED"}
    assert {entry.workspace_id for entry in await log.reader.many(log.bob, ids)} == {log.bob.default_workspace_id}


async def test_entries_are_found_by_act_person_and_object(log: Log) -> None:
    assert await log.acts(log.root, acts=[AuditAct.SIGNED_IN]) == ["SIGNED_IN"]
    assert await log.acts(log.root, acts=[AuditAct.SIGNED_IN, AuditAct.BOT_DELETED]) == ["BOT_DELETED", "SIGNED_IN"]
    assert await log.acts(log.root, actor_id=log.ada.user_id) == ["BOT_DELETED", "BOT_CREATED", "SIGNED_IN"]
    assert await log.acts(log.root, of=("Bot", log.bot)) == ["BOT_DELETED", "BOT_CREATED"]
    assert await log.acts(log.root, of=("Document", log.bot)) == []
    assert await log.acts(log.root, of=("User", log.ada.user_id)) == ["SIGN_IN_FAILED"]
    assert await log.acts(log.root, of=("Bot", log.bot), acts=[AuditAct.BOT_CREATED]) == ["BOT_CREATED"]


async def test_since_is_inclusive_and_until_is_not(log: Log) -> None:
    entries = (await log.reader.page(log.root, Wanted(), PageRequest(9))).rows
    third = entries[2].created_at
    assert await log.acts(log.root, since=third) == [entry.act for entry in entries[:3]]
    assert await log.acts(log.root, until=third) == [entry.act for entry in entries[3:]]
    assert await log.acts(log.root, since=third, until=third) == []
    # The same moment, as clocks elsewhere and without a zone show it.
    assert len(await log.acts(log.root, since=third.astimezone(timezone(timedelta(hours=9))))) == 3
    assert len(await log.acts(log.root, since=third.astimezone(UTC).replace(tzinfo=None))) == 3


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(1999, 12, 31, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))),
    ],
)
async def test_times_that_no_log_has_are_refused(log: Log, moment: datetime) -> None:
    for wanted in ({"since": moment}, {"until": moment}):
        with pytest.raises(InvalidInput, match="2000"):
            await log.acts(log.root, **wanted)


async def test_pages_join_to_the_whole_log(log: Log) -> None:
    whole = [entry.id for entry in (await log.reader.page(log.root, Wanted(), PageRequest(9))).rows]
    for from_end in (False, True):
        seen: list[UUID] = []
        request = PageRequest(2, from_end=from_end)
        while True:
            page = await log.reader.page(log.root, Wanted(), request)
            ids = [entry.id for entry in page.rows]
            seen = [*ids, *seen] if from_end else [*seen, *ids]
            if not (page.has_previous if from_end else page.has_next):
                break
            request = PageRequest(2, before=ids[0], from_end=True) if from_end else PageRequest(2, after=ids[-1])
        assert seen == whole


async def test_the_address_of_a_visitor_of_a_web_page_is_not_kept(log: Log) -> None:
    workspace_id = log.ada.default_workspace_id
    visitor = replace(log.ada, key=KeyLimits(new_id(), frozenset({ApiKeyScope.CHAT}), is_public=True), client=HOME)
    await log.note(AuditAct.CONVERSATION_DELETED, visitor, workspace_id=workspace_id)
    await log.note(AuditAct.CONVERSATION_DELETED, replace(log.ada, client=HOME), workspace_id=workspace_id)
    entries = (await log.reader.page(log.ada, Wanted(), PageRequest(2))).rows
    assert [(entry.address, entry.api_key_id is None) for entry in entries] == [("192.0.2.7", True), (None, False)]
