"""Adding, reading, following and deleting documents, and what must not be left behind."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Bot, Document
from kyrochat.db.states import DocumentSource, DocumentStatus, WorkspaceRole
from kyrochat.documents.intake import SameContent
from kyrochat.documents.kinds import INGEST
from kyrochat.documents.reading import MAX_TEXT_CHARS
from kyrochat.errors import Forbidden, InvalidInput, NotFound, RateLimited
from kyrochat.rates.limits import UPLOADS_PER_USER
from kyrochat.rates.service import Rates
from tests.documents.scene import MAX_UPLOAD_BYTES, Library, as_guest, pieces, slowly

RHINE = "The Rhine is 1,233 km long."


async def is_empty(library: Library, viewer: Viewer) -> bool:
    return not (await library.traces(viewer) or library.files() or await library.jobs())


async def test_a_text_is_queued_then_read_and_found(library: Library, ada: Viewer, bot: Bot) -> None:
    added = await library.documents.add_text(ada, bot.id, "  Rivers ", RHINE)

    assert (added.title, added.source, added.media_type) == ("Rivers", DocumentSource.TEXT, "text/plain")
    assert (added.status, added.progress, added.live_version) == (DocumentStatus.QUEUED, 0.0, None)
    assert added.byte_size == len(RHINE)
    [job] = await library.jobs()
    assert job.kind == INGEST
    assert job.payload == {"document_id": str(added.id), "version": 1, "bot_id": str(bot.id)}
    assert library.files() == [added.storage_key]
    assert added.storage_key.startswith(f"{bot.workspace_id}/{added.id}/")
    assert await library.search(bot, "Rhine", 5) == []

    await library.work()

    ready = await library.documents.get(ada, added.id)
    assert ready is not None
    assert (ready.status, ready.progress, ready.live_version, ready.chunk_count) == (DocumentStatus.READY, 1.0, 1, 1)
    assert await library.documents.text(ada, ready, None, 0, None) == RHINE
    [passage] = await library.search(bot, "How long is the Rhine?", 5)
    assert (passage.document_id, passage.text, passage.document_title) == (added.id, RHINE, "Rivers")
    assert await library.jobs() == []


async def test_a_file_is_known_by_its_content_and_titled_by_its_name(library: Library, ada: Viewer, bot: Bot) -> None:
    add = library.documents.add_file
    html = b"<!DOCTYPE html><html><body><h1>Rivers</h1><p>The Rhine is long.</p></body></html>"

    by_name = await add(ada, bot.id, "../../etc/Rivers.md", None, pieces(b"# Riv", b"ers\n\nThe Elbe."))
    by_title = await add(ada, bot.id, "C:\\page.txt", " The page ", pieces(html))
    nameless = await add(ada, bot.id, "\x00\n", None, pieces(b"The Oder.", b"", b" The end."))

    assert [(each.title, each.media_type, each.byte_size) for each in (by_name, by_title, nameless)] == [
        ("Rivers.md", "text/markdown", 19),
        ("The page", "text/html", len(html)),
        ("Untitled", "text/plain", 18),
    ]
    await library.work()
    texts = [await library.documents.text(ada, each, 1, 0, None) for each in (by_name, by_title, nameless)]
    assert texts[0] == "# Rivers\n\nThe Elbe."
    assert "The Rhine is long." in texts[1]
    assert "<p>" not in texts[1]
    assert texts[2] == "The Oder. The end."


async def test_what_is_no_text_is_refused_with_its_field_and_leaves_nothing(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    add_text, add_file = library.documents.add_text, library.documents.add_file
    refused = [
        ("title", add_text(ada, bot.id, " ", RHINE)),
        ("title", add_text(ada, bot.id, "x" * 301, RHINE)),
        ("title", add_text(ada, bot.id, "NUL\x00", RHINE)),
        ("text", add_text(ada, bot.id, "Empty", "")),
        ("text", add_text(ada, bot.id, "Blank", " \n\t\u3000")),
        ("text", add_text(ada, bot.id, "Long", "x" * (MAX_TEXT_CHARS + 1))),
        ("file", add_file(ada, bot.id, "a.txt", None, pieces())),
        ("file", add_file(ada, bot.id, "a.txt", None, pieces(b"", b""))),
        ("file", add_file(ada, bot.id, "a.txt", None, pieces(bytes(range(256)) * 20))),
        ("file", add_file(ada, bot.id, "a.txt", None, pieces(b"{\\rtf1", b"x" * 9_000))),
        ("file", add_file(ada, bot.id, "a.pdf", None, pieces(RHINE.encode()))),
        ("file", add_file(ada, bot.id, "a.zip", None, pieces(b"PK\x03\x04", b"x" * 9_000))),
        ("file", add_file(ada, bot.id, "a.txt", None, pieces(*[b"too large "] * (MAX_UPLOAD_BYTES // 10 + 1)))),
        ("title", add_file(ada, bot.id, "a.txt", "x" * 301, pieces(RHINE.encode()))),
    ]

    for field, attempt in refused:
        with pytest.raises(InvalidInput) as error:
            await attempt
        assert [issue.path for issue in error.value.issues] == [(field,)]

    assert await is_empty(library, ada)


async def test_a_file_may_be_as_large_as_allowed(library: Library, ada: Viewer, bot: Bot) -> None:
    added = await library.documents.add_file(ada, bot.id, "a.txt", None, pieces(*[b"just right"] * 200_000))

    assert added.byte_size == MAX_UPLOAD_BYTES


async def test_the_same_content_is_taken_once_a_bot(library: Library, ada: Viewer, bot: Bot, bob: Viewer) -> None:
    other = await library.bots.create(ada, None, {"name": "Other"})
    first = await library.documents.add_text(ada, bot.id, "Rivers", RHINE)

    with pytest.raises(SameContent, match="'Rivers'"):
        await library.documents.add_text(ada, bot.id, "Again", RHINE)
    with pytest.raises(SameContent):
        await library.documents.add_file(ada, bot.id, "rhine.txt", None, pieces(RHINE.encode()))

    assert library.files() == [first.storage_key]
    assert len(await library.jobs()) == 1
    elsewhere = await library.documents.add_text(ada, other.id, "Rivers", RHINE)
    # Deleted content may come again, before its purge as well as after.
    await library.documents.delete(ada, first.id)
    again = await library.documents.add_text(ada, bot.id, "Again", RHINE)
    await library.work()
    assert library.files() == sorted([elsewhere.storage_key, again.storage_key])
    assert (await library.traces(ada, again.id))["chunks"] == 1


async def test_of_ten_uploads_of_the_same_content_at_once_one_is_kept(library: Library, ada: Viewer, bot: Bot) -> None:
    ends = await asyncio.gather(
        *(library.documents.add_file(ada, bot.id, f"{n}.txt", None, pieces(RHINE.encode())) for n in range(10)),
        return_exceptions=True,
    )

    [kept] = [end for end in ends if isinstance(end, Document)]
    assert [type(end) for end in ends if end is not kept] == [SameContent] * 9
    assert library.files() == [kept.storage_key]
    assert len(await library.jobs()) == 1
    assert await library.traces(ada) == {"documents": 1}


async def test_an_upload_that_breaks_off_or_is_cancelled_anywhere_leaves_nothing_or_a_whole_document(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    gate = asyncio.Event()
    waiting = asyncio.create_task(
        library.documents.add_file(ada, bot.id, "a.txt", None, slowly(pieces(RHINE.encode()), gate))
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await is_empty(library, ada)

    # At any later moment it is all there or not at all.
    for turns in range(0, 80, 2):
        upload = asyncio.create_task(library.documents.add_text(ada, bot.id, "Rivers", f"{RHINE} {turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        upload.cancel()
        await asyncio.wait([upload])
    async with asyncio.timeout(30):
        while len(library.files()) != (await library.traces(ada)).get("documents", 0):
            await asyncio.sleep(0.01)
    assert len(await library.jobs()) == len(library.files())


@contextmanager
def cancelled_at(database: Database, statement: int) -> Generator[list[str], None, None]:
    """Cancel the task that sends the statement of that number, while it waits for the answer; give what was sent."""
    sent: list[str] = []

    def cancel(*arguments: Any) -> None:
        sent.append(arguments[2])
        if len(sent) == statement and (task := asyncio.current_task()) is not None:
            task.cancel()

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", cancel)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", cancel)


async def test_an_upload_that_is_cancelled_at_any_statement_leaves_nothing_or_a_whole_document(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    reached = 0
    for statement in range(1, 40):
        with cancelled_at(library.database, statement) as sent:
            upload = asyncio.create_task(library.documents.add_text(ada, bot.id, "Rivers", f"{RHINE} {statement}"))
            await asyncio.wait([upload])
        if not upload.cancelled():
            break
        reached = statement
        async with asyncio.timeout(30):
            while len(library.files()) != (await library.traces(ada)).get("documents", 0):
                await asyncio.sleep(0.01)
    else:
        raise AssertionError("it was cancelled for ever")
    upload.result()
    assert reached > 6, sent
    assert len(await library.jobs()) == len(library.files()) == 1


async def test_a_new_version_that_is_cancelled_at_any_statement_leaves_the_old_one_or_a_whole_new_one(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", RHINE)
    await library.work()
    reached = 0
    for statement in range(1, 40):
        content = f"{RHINE} {statement}".encode()
        with cancelled_at(library.database, statement) as sent:
            upload = asyncio.create_task(
                library.documents.replace_file(ada, document.id, "a.txt", None, pieces(content))
            )
            await asyncio.wait([upload])
        if not upload.cancelled():
            break
        reached = statement
        async with asyncio.timeout(30):
            while set(library.files()) != await kept_files(library, ada, document.id):
                await asyncio.sleep(0.01)
    else:
        raise AssertionError("it was cancelled for ever")
    upload.result()
    await library.work()

    assert reached > 6, sent
    ready = await library.documents.get(ada, document.id)
    assert ready is not None
    assert ready.status is DocumentStatus.READY
    assert await library.documents.text(ada, ready, None, 0, None) == content.decode()
    assert library.files() == [ready.storage_key]


async def kept_files(library: Library, viewer: Viewer, document_id: UUID) -> set[str]:
    """The files that the document's row knows of."""
    row = await library.documents.get(viewer, document_id)
    assert row is not None
    return {row.storage_key, *row.stale_files}


async def test_a_bot_that_is_deleted_during_an_upload_takes_no_document_and_keeps_no_file(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncGenerator[bytes, None]:
        # More than is looked at before the bot is: what follows is read while the file is being stored.
        yield RHINE.encode() * 400
        begun.set()
        await gate.wait()
        yield b" The end."

    upload = asyncio.create_task(library.documents.add_file(ada, bot.id, "a.txt", None, body()))
    await begun.wait()
    await library.bots.delete(ada, bot.id)
    gate.set()

    with pytest.raises(NotFound, match="There is no such bot"):
        await upload
    await library.work()
    assert await is_empty(library, ada)


async def test_anothers_documents_are_not_found_by_any_way(
    library: Library, ada: Viewer, bob: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", RHINE)
    service = library.documents

    assert await service.get(bob, document.id) is None
    assert await service.many(bob, [document.id]) == []
    assert (await service.page(bob, bot.id, PageRequest(10), None)).rows == []
    assert await service.count(bob, bot.id, None) == 0
    assert await service.deletion(bob, document.id) is None
    assert await service.text(bob, document, None, 0, None) == ""
    for attempt in (
        service.add_text(bob, bot.id, "Mine", "Other"),
        service.add_file(bob, bot.id, "a.txt", None, pieces(b"Other")),
        service.retry(bob, document.id),
        service.delete(bob, document.id),
        anext(service.progress(bob, document.id)),
        service.delete(ada, new_id()),
    ):
        with pytest.raises(NotFound):
            await attempt
    guest = as_guest(bob, bot.workspace_id, WorkspaceRole.VIEWER)
    assert await service.get(guest, document.id) == document
    for attempt in (
        service.add_text(guest, bot.id, "Mine", "Other"),
        service.retry(guest, document.id),
        service.delete(guest, document.id),
    ):
        with pytest.raises(Forbidden):
            await attempt

    assert await service.get(ada, document.id) == document
    assert library.files() == [document.storage_key]


async def test_a_list_is_newest_first_and_can_be_narrowed_to_a_status(library: Library, ada: Viewer, bot: Bot) -> None:
    added = [await library.documents.add_text(ada, bot.id, f"Text {n}", f"The text {n}.") for n in range(3)]
    await library.work()
    queued = await library.documents.add_text(ada, bot.id, "Last", "The last one.")
    ids: list[UUID] = [document.id for document in (queued, *reversed(added))]

    page = library.documents.page
    assert [row.id for row in (await page(ada, bot.id, PageRequest(10), None)).rows] == ids
    assert [row.id for row in (await page(ada, bot.id, PageRequest(2), DocumentStatus.READY)).rows] == ids[1:3]
    assert [row.id for row in (await page(ada, bot.id, PageRequest(9), DocumentStatus.QUEUED)).rows] == [queued.id]
    counts = [await library.documents.count(ada, bot.id, status) for status in (None, *DocumentStatus)]
    assert counts == [4, 1, 0, 3, 0, 0]


async def test_an_excerpt_counts_characters_not_bytes(library: Library, ada: Viewer, bot: Bot) -> None:
    queued = await library.documents.add_text(ada, bot.id, "Letters", "a😀é中b")
    assert await library.documents.text(ada, queued, None, 0, None) == ""
    await library.work()
    document = await library.documents.get(ada, queued.id)
    assert document is not None

    async def excerpt(start: int, end: int | None, version: int | None = None) -> str:
        return await library.documents.text(ada, document, version, start, end)

    assert [await excerpt(0, None), await excerpt(1, 2), await excerpt(3, 99), await excerpt(2, 2)] == [
        "a😀é中b",
        "😀",
        "中b",
        "",
    ]
    with pytest.raises(NotFound):
        await excerpt(0, None, version=2)
    for start, end in ((-1, None), (3, 2), (0, MAX_TEXT_CHARS + 1)):
        with pytest.raises(InvalidInput):
            await excerpt(start, end)


async def test_who_adds_too_many_documents_waits_and_nothing_is_left_of_what_was_refused(
    library: Library, ada: Viewer, bob: Viewer, bot: Bot
) -> None:
    rates = Rates(b"a key of this test")
    documents = replace(library.documents, rates=rates)
    before = await documents.add_text(ada, bot.id, "Lakes", "Lake Constance is deep.")
    await library.work()
    stored = await library.traces(ada)
    await rates.charge(UPLOADS_PER_USER, ada.counted_as, cost=UPLOADS_PER_USER.amount - 1)

    with pytest.raises(RateLimited):
        await documents.add_text(ada, bot.id, "Rivers", RHINE)
    with pytest.raises(RateLimited):
        await documents.add_file(ada, bot.id, "rivers.txt", None, pieces(RHINE.encode()))
    with pytest.raises(RateLimited):
        await documents.replace_text(ada, before.id, None, RHINE)
    with pytest.raises(RateLimited):
        await documents.replace_file(ada, before.id, "rivers.txt", None, pieces(RHINE.encode()))

    assert (await library.traces(ada), await library.jobs()) == (stored, [])
    with pytest.raises(NotFound):
        await documents.add_text(bob, bot.id, "Rivers", RHINE)
