"""Ingestion: exact offsets, and a new version that takes the place of the old one at once."""

import asyncio
import hashlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot, Document
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.kinds import INGEST
from kyrochat.jobs.queue import enqueue
from kyrochat.retrieval.types import Passage
from tests.documents.scene import Library, essay, pieces
from tests.jobs.scene import until

words = st.sampled_from(
    [
        "The Rhine",
        "flows",
        "😀👩‍👩‍👧",
        "中文没有空格。",
        "日本語の文章",
        "한국어",
        "naïve",
        "cafe\u0301",
        "\u202eRTL",
        "a\tb",
        "x" * 300,
    ]
)
blocks = st.one_of(
    st.lists(words, min_size=1, max_size=60).map(" ".join),
    st.lists(words, min_size=1, max_size=12).map(lambda cells: "| " + " | ".join(cells) + " |\n|---|---|"),
    st.sampled_from(
        ["# Rivers", "## Größe", "```\ncode\r\n  more\n```", "- one\n- two", "\u2028", "> quoted", "\ufeff", "\x0c"]
    ),
    # A file with too many control characters is no text, and refused as one.
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=80),
)
separators = st.sampled_from(["\n\n", "\r\n\r\n", "\r", "\n", " ", "\n\n\n\n\n"])
texts = st.lists(st.tuples(blocks, separators), min_size=1, max_size=25).map(
    lambda parts: "The Rhine. " + "".join(block + separator for block, separator in parts)
)


def storable(text: str) -> str:
    return text.encode("utf-8", "ignore").decode()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(texts.map(storable), st.booleans())
async def test_each_stored_chunk_is_the_text_between_its_offsets(
    library: Library, ada: Viewer, bot: Bot, text: str, markdown: bool
) -> None:
    document = await library.documents.add_file(
        ada, bot.id, "a.md" if markdown else "a.txt", None, pieces(text.encode())
    )
    await library.work()

    ready = await library.documents.get(ada, document.id)
    chunks = await library.chunks(ada, document.id)
    [body] = (await library.versions(ada, document.id)).values()
    assert ready is not None
    assert ready.status is DocumentStatus.READY, ready.failure
    assert [chunk.text for chunk in chunks] == [body[chunk.start : chunk.end] for chunk in chunks]
    assert [chunk.ordinal for chunk in chunks] == list(range(ready.chunk_count))
    # What PostgreSQL counts as characters is what Python does.
    for chunk in chunks:
        assert await library.documents.text(ada, ready, None, chunk.start, chunk.end) == chunk.text
    assert {(chunk.document_id, chunk.version, chunk.bot_id) for chunk in chunks} == {(document.id, 1, bot.id)}
    # Examples share the database: the next one may be the same text.
    await library.documents.delete(ada, document.id)
    await library.work()


async def test_searching_during_a_new_ingestion_finds_the_old_or_the_new_text_and_never_both_or_none(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    old, new = essay("Rhine", 40), essay("Elbe", 40) + "\n\nRhine no more."
    document = await library.documents.add_text(ada, bot.id, "Essay", old.replace("flows", "river"))
    await library.work()
    await library.store.put(document.storage_key, pieces(new.replace("flows", "river").encode()), 1_000_000)
    async with library.database.begin(ada.workspaces) as session:
        row = await session.get(Document, document.id)
        assert row is not None
        row.version, row.content_hash = 2, hashlib.sha256(b"new").digest()
        session.add(row)
        payload = {"document_id": str(document.id), "version": 2}
        await enqueue(session, library.changes, workspace_id=bot.workspace_id, kind=INGEST, payload=payload)
    found: list[list[Passage]] = []
    done = asyncio.Event()

    async def search() -> None:
        while not done.is_set() or not found or found[-1][0].document_version == 1:
            found.append(await library.search(bot, "river", 8))

    searching = [asyncio.create_task(search()) for _ in range(4)]
    await until(lambda: len(found) > 4)
    await library.work()
    done.set()
    await asyncio.wait_for(asyncio.gather(*searching), 30)

    kinds = {frozenset((passage.document_version, passage.text[:3]) for passage in passages) for passages in found}
    assert kinds == {frozenset({(1, "Rhi")}), frozenset({(2, "Elb")})}
    # Whole in each: neighbours are one passage, so their number is the version's.
    assert len({(passages[0].document_version, len(passages)) for passages in found}) == 2
    assert all(len(passages) >= 7 for passages in found)
    assert {chunk.version for chunk in await library.chunks(ada, document.id)} == {2}
    # Citations of the first version still hold.
    assert sorted(await library.versions(ada, document.id)) == [1, 2]
    ready = await library.documents.get(ada, document.id)
    assert ready is not None
    assert (ready.status, ready.live_version) == (DocumentStatus.READY, 2)


async def test_while_a_new_version_is_read_the_old_text_is_the_documents_text(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", "The Rhine is long.")
    await library.work()
    await library.run(
        f"UPDATE documents SET version = 2, status = 'PROCESSING' WHERE id = '{document.id}'", *ada.workspaces
    )

    current = await library.documents.get(ada, document.id)

    assert current is not None
    assert await library.documents.text(ada, current, None, 0, None) == "The Rhine is long."
