"""Collections inside the product: documents that its ingestion has read, in its database, found by its retriever."""

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil
from pathlib import Path
from uuid import UUID

from sqlmodel import select

from benchmarks.bulk_load import load_bulk
from benchmarks.collection import Collection
from kyrochat.accounts.registration import EmailTaken
from kyrochat.accounts.viewer import NOWHERE, Viewer
from kyrochat.db.access import DatabaseAccess
from kyrochat.db.embedded import EmbeddedPostgres
from kyrochat.db.migrate import migrate
from kyrochat.db.models import Bot, Document
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.intake import SameContent
from kyrochat.documents.reading import MAX_TEXT_CHARS, MAX_TITLE_CHARS
from kyrochat.retrieval.repository import chunk_count
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.runtime import Runtime, running
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings

EMAIL = "evaluation@example.com"
MAX_NAME_CHARS = 90
# Every document has a title in KyroChat. This one has no words, so it says as little as none.
UNTITLED = "—"
ADDED_AT_ONCE = 8
WORKERS = 2
LOOK_EVERY_S = 0.25
PATIENCE_S = 120.0
# Documents may be cut into several passages, and each counts once: passages for a hundred documents, and some more.
DOCUMENTS_DEEP = 150
# Where documents are long, each search would bring thousands of passages for the sake of recall@100.
MAX_PASSAGES_DEEP = 5_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """A collection as a bot. Documents of the very same text are one in KyroChat: `ids` says which are its.

    `unread` are those in which the ingestion found no text.
    """

    bot: Bot
    ids: Mapping[UUID, Sequence[str]]
    passages: int
    seconds: float
    unread: int = 0

    @property
    def deep(self) -> SearchSettings:
        """Settings that find a hundred documents where there are so many, and they are not all books."""
        top_k = ceil(DOCUMENTS_DEEP * self.passages / max(1, len(self.ids)))
        return SearchSettings(top_k=min(top_k, MAX_PASSAGES_DEEP))


@dataclass(frozen=True, slots=True)
class Rankings:
    """What the questions found: documents best first, by query; and how long each search took."""

    documents: dict[str, list[str]]
    seconds: list[float]


@asynccontextmanager
async def product(
    kept: Path | None = None, embeddings: str | None = None
) -> AsyncGenerator[tuple[Runtime, Viewer], None]:
    """Run KyroChat in a directory of its own, as `kyrochat serve` does, without the web server.

    With `kept`, in that directory, where what an earlier run has added is found again. With the address of a server
    for `embeddings`, with dense retrieval in PostgreSQL; without, with none, whatever keys the environment has.
    """
    async with AsyncExitStack() as stack:
        place = kept or stack.enter_context(tempfile.TemporaryDirectory(prefix="kyrochat-eval-"))
        settings = Settings(
            data_dir=Path(place),
            workers=WORKERS,
            rate_limits=Switch.OFF,
            gemini_api_key=None,
            pinecone_api_key=None,
            embedding_base_url=embeddings,
            embedding_model="all-MiniLM-L6-v2",
            workspace_max_documents=0,
            workspace_max_bytes=0,
        )
        # Nothing of it must survive, so no write waits for the disk.
        server = await asyncio.to_thread(EmbeddedPostgres.start, settings.data_dir, durable=False)
        stack.push_async_callback(asyncio.to_thread, server.stop)
        await migrate(server.urls.owner)
        runtime = await stack.enter_async_context(running(settings, DatabaseAccess(server.urls)))
        with suppress(EmailTaken):
            await runtime.services.registration.register(EMAIL, "correct horse battery staple", NOWHERE)
        [viewer] = await runtime.services.accounts.local_viewers(EMAIL)
        yield runtime, viewer


async def add(runtime: Runtime, viewer: Viewer, collection: Collection, *, bulk: bool = False) -> Loaded:
    """Make a bot of the collection's documents, and wait until all of them have been read.

    With `bulk` they are stored as the ingestion stores them, without its jobs: see `bulk_load`.
    """
    name = _bot_name(collection)
    bot = await runtime.services.bots.find(viewer, name)
    if bot is None:
        bot = await runtime.services.bots.create(viewer, None, {"name": name, "language": collection.language})
    ids: dict[UUID, list[str]] = {}
    known = await _known(runtime, viewer, bot)
    slots = asyncio.Semaphore(ADDED_AT_ONCE)
    began_at = time.perf_counter()
    if bulk and not known:
        known = await load_bulk(runtime, viewer, bot, [_as_added(*each) for each in collection.documents])

    async def add_one(key: str, title: str, text: str) -> None:
        title, body = _as_added(key, title, text)
        document_id = known.get(sha256(body.encode()).digest())
        if document_id is None:
            async with slots:
                document_id = await _add_text(runtime, viewer, bot, title, body)
        ids.setdefault(document_id, []).append(key)

    async with asyncio.TaskGroup() as group:
        for document in collection.documents:
            group.create_task(add_one(*document))
    documents = runtime.services.documents
    state = await documents.ingestion(viewer, bot.id)
    while not state.is_idle:
        # Following every step of every document would take more time than the steps.
        await asyncio.sleep(LOOK_EVERY_S)
        state = await documents.ingestion(viewer, bot.id)
    took_s = time.perf_counter() - began_at
    assert set(state.counts) <= {DocumentStatus.READY, DocumentStatus.FAILED}, state.counts
    async with runtime.database.begin(viewer.workspaces) as session:
        passages = await chunk_count(session, bot.id)
    return Loaded(bot, ids, passages, took_s, state.counts.get(DocumentStatus.FAILED, 0))


def _bot_name(collection: Collection) -> str:
    """Return a name that another folder of the same name does not have, nor this one with other documents."""
    digest = sha256(collection.language.encode())
    for document in collection.documents:
        digest.update(repr(document).encode())
    return f"{collection.name[:MAX_NAME_CHARS]} {digest.hexdigest()[:8]}"


def _as_added(key: str, title: str, text: str) -> tuple[str, str]:
    """Return a document's title and text as KyroChat takes them."""
    del key
    title = title.strip()[:MAX_TITLE_CHARS].strip() or UNTITLED
    text = text.strip()[:MAX_TEXT_CHARS]
    return title, text or title


async def _add_text(runtime: Runtime, viewer: Viewer, bot: Bot, title: str, body: str) -> UUID:
    try:
        return (await runtime.services.documents.add_text(viewer, bot.id, title, body)).id
    except SameContent as error:
        if error.document_id is None:
            raise
        return error.document_id


async def _known(runtime: Runtime, viewer: Viewer, bot: Bot) -> dict[bytes, UUID]:
    """Return the documents that an earlier run has added, by the hash of their content."""
    async with runtime.database.begin(viewer.workspaces) as session:
        rows = await session.exec(select(Document.content_hash, Document.id).where(Document.bot_id == bot.id))
        return dict(rows.all())


async def ask(
    runtime: Runtime, loaded: Loaded, queries: Sequence[tuple[str, str]], settings: SearchSettings | None = None
) -> Rankings:
    """Search for each question, one after the other."""
    rankings, retriever = Rankings({}, []), _patient(runtime.retriever)
    for key, text in queries:
        began_at = time.perf_counter()
        found = await retriever.retrieve(loaded.bot, text, settings or loaded.deep, fresh=True)
        rankings.seconds.append(time.perf_counter() - began_at)
        # A dictionary keeps the first place of each.
        rankings.documents[key] = list(
            dict.fromkeys(document for passage in found.passages for document in loaded.ids[passage.document_id])
        )
    return rankings


def _patient(retriever: Retriever) -> Retriever:
    """Return the same one, which waits for its legs: a machine that does something else as well shall not be judged."""
    dense = retriever.dense
    return replace(
        retriever,
        lexical_budget_s=PATIENCE_S,
        dense=None if dense is None else replace(dense, budget_s=PATIENCE_S),
    )
