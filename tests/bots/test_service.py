"""Bots: what can be set on them, whose they are, and what deleting one takes along."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import select

from kyrochat.accounts.viewer import Viewer
from kyrochat.bots.index_jobs import TEND_INDEX
from kyrochat.bots.service import (
    MAX_INSTRUCTIONS_CHARS,
    MAX_SUGGESTIONS,
    MAX_TEXT_CHARS,
    PURGE_BOT,
    BotFields,
    BotNameTaken,
    BotService,
)
from kyrochat.chat import repository as conversations
from kyrochat.db.changes import Changes
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Bot, Conversation, DocumentDeletion, Job, Message
from kyrochat.db.states import WorkspaceRole
from kyrochat.documents import repository as documents
from kyrochat.documents.storage import open_store
from kyrochat.errors import Forbidden, InvalidInput, NotFound
from kyrochat.jobs.queue import Queue
from kyrochat.retrieval.encodings import Encoding
from kyrochat.retrieval.languages import Language
from kyrochat.working import job_kinds
from tests.factories import make_bot, make_document, make_viewer
from tests.searching import search


@pytest.fixture
def bots(database: Database) -> BotService:
    return BotService(database, Changes())


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database, "ada@example.com")


@pytest.fixture
async def bob(database: Database) -> Viewer:
    return await make_viewer(database, "bob@example.com")


FIELDS: BotFields = {
    "name": "Librarian",
    "description": "Knows the books.",
    "instructions": "Be brief.",
    "model": "gemini-3.5-flash",
    "temperature": 0.0,
    "top_k": 50,
    "greeting": "Hello 👋",
    "suggested_questions": ["Where is the Rhine?", "何がありますか"],
}


def values(bot: Bot) -> dict[str, Any]:
    return {name: getattr(bot, name) for name in FIELDS}


async def test_a_bot_is_stored_as_given_and_found_by_id_and_by_name(bots: BotService, ada: Viewer) -> None:
    made = await bots.create(ada, None, FIELDS)

    assert values(made) == FIELDS
    assert (made.workspace_id, made.deleted_at) == (ada.default_workspace_id, None)
    assert made.created_at is not None
    assert await bots.get(ada, made.id) == made
    assert [await bots.find(ada, name) for name in ("Librarian", "LIBRARIAN", str(made.id))] == [made] * 3
    assert await bots.find(ada, "nobody") is None
    for bot_id, named in ((made.id, "nobody"), (new_id(), "LIBRARIAN"), (new_id(), str(made.id))):
        assert await bots.named(ada, bot_id, named) == made
    with pytest.raises(NotFound, match="There is no such bot"):
        await bots.named(ada, new_id(), "nobody")


async def test_a_bot_needs_no_more_than_a_name(bots: BotService, ada: Viewer) -> None:
    made = await bots.create(ada, None, {"name": "  Librarian\n"})

    assert values(made) == {
        "name": "Librarian",
        "description": "",
        "instructions": "",
        "model": "",
        "temperature": 0.2,
        "top_k": 8,
        "greeting": "",
        "suggested_questions": [],
    }
    with pytest.raises(InvalidInput) as refused:
        await bots.create(ada, None, {})
    assert [issue.path for issue in refused.value.issues] == [("name",)]


async def test_an_update_changes_what_it_names_and_nothing_else(bots: BotService, ada: Viewer) -> None:
    made = await bots.create(ada, None, FIELDS)

    changed = await bots.update(ada, made.id, {"greeting": "  Welcome. ", "top_k": 1})

    assert values(changed) == {**FIELDS, "greeting": "Welcome.", "top_k": 1}
    assert (changed.id, changed.created_at) == (made.id, made.created_at)
    assert changed.updated_at > made.updated_at
    assert await bots.get(ada, made.id) == changed


async def test_all_that_is_wrong_with_a_bot_is_told_at_once_and_nothing_is_stored(
    bots: BotService, ada: Viewer
) -> None:
    wrong: BotFields = {
        "name": "x" * 101,
        "description": "x" * (MAX_TEXT_CHARS + 1),
        "instructions": "x" * (MAX_INSTRUCTIONS_CHARS + 1),
        "model": "x" * 101,
        "greeting": "NUL\x00",
        "temperature": float("nan"),
        "top_k": 0,
        "suggested_questions": ["?"] * (MAX_SUGGESTIONS + 1),
    }
    paths = {("topK",) if name == "top_k" else ("suggestedQuestions",) if "_" in name else (name,) for name in wrong}

    with pytest.raises(InvalidInput) as refused:
        await bots.create(ada, None, wrong)

    assert {issue.path for issue in refused.value.issues} == paths
    assert await bots.count(ada, None) == 0
    made = await bots.create(ada, None, FIELDS)
    for name, value in wrong.items():
        with pytest.raises(InvalidInput):
            await bots.update(ada, made.id, {name: value})  # type: ignore[misc]
    also: list[BotFields] = [
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"top_k": 51},
        {"name": " \n"},
        {"suggested_questions": [""]},
        {"suggested_questions": ["x" * 301]},
    ]
    for fields in also:
        with pytest.raises(InvalidInput):
            await bots.update(ada, made.id, fields)
    assert await bots.get(ada, made.id) == made


async def test_a_name_is_taken_in_its_workspace_whatever_its_case(bots: BotService, ada: Viewer, bob: Viewer) -> None:
    await bots.create(ada, None, {"name": "Straßenbücher ΟΔΟΣ"})
    other = await bots.create(ada, None, {"name": "Other"})

    with pytest.raises(BotNameTaken, match="STRAßENBÜCHER"):
        await bots.create(ada, None, {"name": "STRAßENBÜCHER οδοσ"})
    with pytest.raises(BotNameTaken):
        await bots.update(ada, other.id, {"name": "straßenbücher ΟΔΟΣ", "greeting": "New"})

    assert await bots.get(ada, other.id) == other
    assert (await bots.create(bob, None, {"name": "Straßenbücher ΟΔΟΣ"})).workspace_id == bob.default_workspace_id
    # A bot may be told its own name in another case.
    assert (await bots.update(ada, other.id, {"name": "OTHER"})).name == "OTHER"


async def test_a_bot_is_found_under_each_spelling_under_which_its_name_is_taken(bots: BotService, ada: Viewer) -> None:
    for name in ("ÄPFEL", "ΟΔΟΣ", "İstanbul", "ＡＢＣ", "ẞ"):
        made = {(await bots.create(ada, None, {"name": name})).id}
        for spelling in (name, name.lower(), name.upper(), name.swapcase()):
            try:
                made.add((await bots.create(ada, None, {"name": spelling})).id)
            except BotNameTaken:
                found = await bots.find(ada, spelling)
                assert found is not None
                assert found.id in made

    assert await bots.find(ada, "NUL\x00") is None


async def test_of_ten_bots_of_one_name_at_once_one_is_made(bots: BotService, ada: Viewer) -> None:
    names = ["Librarian", "LIBRARIAN"] * 5

    ends = await asyncio.gather(*(bots.create(ada, None, {"name": name}) for name in names), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["Bot"] + ["BotNameTaken"] * 9
    assert await bots.count(ada, None) == 1


async def test_anothers_bot_is_not_found_by_any_way_and_stays_as_it_is(
    bots: BotService, ada: Viewer, bob: Viewer
) -> None:
    his = await bots.create(bob, None, FIELDS)

    assert await bots.get(ada, his.id) is None
    assert await bots.find(ada, "Librarian") is None
    assert await bots.find(ada, str(his.id)) is None
    with pytest.raises(NotFound, match="There is no such bot"):
        await bots.named(ada, his.id, "Librarian")
    assert await bots.many(ada, [his.id]) == []
    assert await bots.count(ada, None) == 0
    for bot_id in (his.id, new_id()):
        with pytest.raises(NotFound, match="There is no such bot"):
            await bots.update(ada, bot_id, {"name": "Mine"})
        with pytest.raises(NotFound, match="There is no such bot"):
            await bots.delete(ada, bot_id)
    with pytest.raises(NotFound, match="There is no such workspace"):
        await bots.create(ada, bob.default_workspace_id, {"name": "Mine"})
    with pytest.raises(NotFound, match="There is no such workspace"):
        await bots.page(ada, bob.default_workspace_id, PageRequest(10))
    with pytest.raises(NotFound, match="There is no such workspace"):
        await bots.count(ada, bob.default_workspace_id)

    assert await bots.get(bob, his.id) == his
    assert await bots.count(bob, None) == 1


async def test_who_may_only_look_sees_everything_and_changes_nothing(
    bots: BotService, ada: Viewer, bob: Viewer
) -> None:
    shared = bob.default_workspace_id
    his = await bots.create(bob, None, FIELDS)
    for role, may in ((WorkspaceRole.VIEWER, False), (WorkspaceRole.EDITOR, True)):
        guest = replace(ada, workspaces={**ada.workspaces, shared: role})
        assert await bots.get(guest, his.id) == his
        assert (await bots.page(guest, shared, PageRequest(10))).rows == [his]
        ends = await asyncio.gather(
            bots.create(guest, shared, {"name": "Another"}),
            bots.update(guest, his.id, {"greeting": "Hello 👋"}),
            return_exceptions=True,
        )
        assert [type(end) for end in ends] == ([Bot, Bot] if may else [Forbidden, Forbidden])
        if not may:
            with pytest.raises(Forbidden):
                await bots.delete(guest, his.id)
    assert await bots.count(bob, None) == 2


async def rows_of(database: Database, workspace_id: UUID) -> dict[str, int]:
    """How many rows the workspace has in each table with tenants' rows, jobs included."""
    counts = {}
    async with database.begin([workspace_id]) as session:
        connection = await session.connection()
        tables = await connection.execute(
            text("SELECT table_name FROM information_schema.columns WHERE column_name = 'workspace_id' ORDER BY 1")
        )
        for table in tables.scalars().all():
            found = await connection.execute(
                text(f"SELECT count(*) FROM {table} WHERE workspace_id = :id"), {"id": workspace_id}
            )
            counts[table] = int(found.scalar_one())
    return {table: number for table, number in counts.items() if number}


async def test_a_deleted_bot_takes_everything_along_at_once_and_its_purge_leaves_no_row_and_no_file(
    bots: BotService, database: Database, worker_database: Database, ada: Viewer, tmp_path: Path
) -> None:
    store = open_store(tmp_path / "files")
    bot, kept = await make_bot(database, ada), await make_bot(database, ada, "Kept")
    document = await make_document(database, bot, "The Rhine is 1,233 km long.")
    await make_document(database, kept, "The Elbe is 1,094 km long.")
    before = await rows_of(database, ada.default_workspace_id)
    key = f"{ada.default_workspace_id}/{document.id}/1"

    async def once() -> Any:
        yield b"The Rhine is 1,233 km long."

    await store.put(key, once(), 100)
    async with database.begin([ada.default_workspace_id]) as session:
        conversation = Conversation(workspace_id=bot.workspace_id, bot_id=bot.id, user_id=ada.user_id)
        session.add(conversation)
        await session.flush()
        session.add(Message(workspace_id=bot.workspace_id, conversation_id=conversation.id, position=1, text="Hi?"))

    assert await bots.delete(ada, bot.id) == bot.id

    async with database.begin(ada.workspaces) as session:
        assert await documents.get(session, document.id, reach=ada.reach) is None
        assert await conversations.conversation(session, conversation.id, viewer=ada) is None
    assert await bots.get(ada, bot.id) is None
    assert [row.id for row in (await bots.page(ada, None, PageRequest(10))).rows] == [kept.id]
    assert await bots.count(ada, None) == 1
    assert await search(database, bot, "How long is the Rhine?", 5) == []
    with pytest.raises(NotFound):
        await bots.delete(ada, bot.id)
    # Its name is free again before its purge.
    namesake = await bots.create(ada, None, {"name": bot.name})
    await bots.delete(ada, namesake.id)

    queue = Queue(worker_database)
    kinds = job_kinds(worker_database, Changes(), store)
    for job in await queue.claim(5, [PURGE_BOT]):
        await kinds[PURGE_BOT].handler(job)

    assert not await store.exists(f"{ada.default_workspace_id}/")
    # The audit log tells of it still.
    kinds_of_one = ("bots", "documents", "document_versions", "chunks", "chunk_lex", "search_versions")
    rest = {**before, **dict.fromkeys(kinds_of_one, 1), "audit_entries": 3}
    assert await rows_of(database, ada.default_workspace_id) == rest
    async with database.begin(ada.workspaces) as session:
        assert (await session.exec(select(Job))).all() == []
        assert (await session.exec(select(DocumentDeletion))).all() == []
        assert (await session.exec(select(Bot.id))).all() == [kept.id]


async def test_a_bot_that_is_deleted_twice_at_once_is_deleted_once(
    bots: BotService, database: Database, ada: Viewer
) -> None:
    bot = await make_bot(database, ada)

    ends = await asyncio.gather(*(bots.delete(ada, bot.id) for _ in range(5)), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["NotFound"] * 4 + ["UUID"]
    async with database.begin() as session:
        jobs = (await session.exec(select(Job))).all()
    assert [(job.kind, job.payload) for job in jobs] == [(PURGE_BOT, {"bot_id": str(bot.id)})]


async def test_a_bots_language_says_how_its_words_are_weighed_and_a_change_queues_the_work_once(
    bots: BotService, database: Database, ada: Viewer
) -> None:
    made = await bots.create(ada, None, {"name": "Bibliothekar", "language": Language.GERMAN})
    other = await bots.create(ada, None, {"name": "Librarian"})
    assert (made.language, Encoding.from_number(made.encoding)) == ("german", Encoding(language="german"))
    assert (other.language, Encoding.from_number(other.encoding)) == ("auto", Encoding())

    await bots.update(ada, made.id, {"language": Language.GERMAN, "greeting": "Hallo"})
    assert await queued(database) == []
    changed = await bots.update(ada, made.id, {"language": Language.SPANISH})
    await bots.update(ada, made.id, {"language": Language.FRENCH})

    # What is searched stays what there is.
    assert (changed.language, changed.encoding) == ("spanish", made.encoding)
    assert await queued(database) == [(TEND_INDEX, {"bot_id": str(made.id)})]


async def queued(database: Database) -> list[tuple[str, dict[str, Any]]]:
    async with database.begin() as session:
        return [(job.kind, job.payload) for job in (await session.exec(select(Job))).all()]
