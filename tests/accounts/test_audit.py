"""The audit log: written with what it tells of, never changed, and blind to whoever has been deleted."""

from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import select

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.viewer import Client
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import AuditEntry, User, Workspace
from tests.factories import make_viewer


async def entries(database: Database) -> list[tuple[str, object, object, object]]:
    async with database.begin(administers=True) as session:
        rows = (await session.exec(select(AuditEntry).order_by(AuditEntry.act))).all()
    return [(row.act, row.actor_id, row.subject_id, row.address) for row in rows]


async def test_an_entry_goes_with_its_transaction(database: Database) -> None:
    ada = await make_viewer(database)

    with suppress(LookupError):
        async with database.begin() as session:
            record(session, AuditAct.SIGNED_OUT, ada)
            raise LookupError

    assert await entries(database) == []


@pytest.mark.parametrize("change", ["UPDATE audit_entries SET act = ''", "DELETE FROM audit_entries"])
async def test_nobody_changes_or_removes_an_entry(database: Database, change: str) -> None:
    ada = await make_viewer(database)
    workspace_id = ada.default_workspace_id
    async with database.begin([workspace_id]) as session:
        record(session, AuditAct.BOT_DELETED, ada, workspace_id=workspace_id, of=("Bot", new_id()))

    with pytest.raises(ProgrammingError, match="append-only"):
        async with database.begin([workspace_id]) as session:
            await (await session.connection()).execute(text(change))

    assert await entries(database) == [("BOT_DELETED", ada.user_id, None, None)]


async def test_a_deleted_person_leaves_entries_without_a_name_and_an_address(database: Database) -> None:
    ada, bob = await make_viewer(database), await make_viewer(database, "bob@example.com")
    office = Client("192.0.2.7", "test")
    async with database.begin([ada.default_workspace_id]) as session:
        record(session, AuditAct.SIGNED_IN, office, actor_id=ada.user_id)
        record(session, AuditAct.USER_DISABLED, office, actor_id=bob.user_id, subject_id=ada.user_id)
        record(session, AuditAct.WORKSPACE_CHANGED, ada, workspace_id=ada.default_workspace_id)

    async with database.begin() as session:
        await session.delete(await session.get_one(Workspace, ada.default_workspace_id))
        await session.delete(await session.get_one(User, ada.user_id))

    # What happened in her own workspace went with it.
    assert await entries(database) == [
        ("SIGNED_IN", None, None, None),
        ("USER_DISABLED", bob.user_id, None, "192.0.2.7"),
    ]


async def test_a_workspace_sees_its_own_entries_and_none_of_the_sites(database: Database) -> None:
    ada, bob = await make_viewer(database), await make_viewer(database, "bob@example.com")
    async with database.begin([ada.default_workspace_id, bob.default_workspace_id]) as session:
        record(session, AuditAct.SIGNED_IN, ada)
        record(session, AuditAct.BOT_CREATED, ada, workspace_id=ada.default_workspace_id)
        record(session, AuditAct.BOT_CREATED, bob, workspace_id=bob.default_workspace_id)

    async with database.begin([ada.default_workspace_id]) as session:
        seen = (await session.exec(select(AuditEntry.actor_id, AuditEntry.act))).all()

    assert list(seen) == [(ada.user_id, "BOT_CREATED")]
