"""What an attempt keeps of one that died: passages that are the same, with their vectors, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot, Document
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.kinds import INGEST
from kyrochat.jobs.queue import LeaseLost
from kyrochat.retrieval.ports import Vector
from tests.documents.scene import Library, content, essay, pieces
from tests.retrieval.dense.scene import Words, inside

LONG = essay("Rhine", 640)


@dataclass
class Dying(Words):
    """Embeds so many texts, and then its worker is gone."""

    lives_for: int = 200

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        if len(self.embedded) + len(texts) > self.lives_for:
            raise LeaseLost
        return await Words.embed_documents(self, texts)


async def die(library: Library, document: Document) -> Words:
    """Let an attempt at the document die in the middle, and return its embedder."""
    words = Dying()
    [job] = await library.claim(INGEST)
    with pytest.raises(LeaseLost):
        await replace(library, setup=inside(words)).ingestion()(job)
    await library.lapse()
    return words


async def test_the_next_attempt_keeps_the_rows_and_pays_for_the_rest_only(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Essay", LONG)
    first, second = await die(library, document), Words()
    before = await library.chunks(ada, document.id)
    rows = await library.run("SELECT id, xmin::text FROM chunks ORDER BY ordinal", bot.workspace_id)

    await replace(library, setup=inside(second)).work()

    after = await library.chunks(ada, document.id)
    assert content(after)[: len(before)] == content(before)
    assert (len(before), len(first.embedded)) == (300, 200)
    assert first.embedded + second.embedded == [f"Essay\n{chunk.text}" for chunk in after]
    kept = await library.run("SELECT id, xmin::text FROM chunks ORDER BY ordinal", bot.workspace_id)
    assert kept[: len(rows)] == rows
    assert (await library.traces(ada, document.id))["chunk_lex"] == len(after)


@pytest.mark.parametrize("change", ["text", "encoding", "chunks"])
async def test_what_another_attempt_would_write_differently_is_written_anew(
    library: Library, ada: Viewer, bot: Bot, change: str
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Essay", LONG)
    await die(library, document)
    body = LONG
    if change == "text":
        body = LONG.replace("Rhine 0.", "Elbe 0.")
        await library.store.delete(document.storage_key)
        await library.store.put(document.storage_key, pieces(body.encode()), 1_000_000)
    elif change == "encoding":
        await library.run(
            "UPDATE chunk_lex SET encoding = 0 WHERE chunk_id = (SELECT max(id::text)::uuid FROM chunks)",
            bot.workspace_id,
        )
    else:
        await library.run("UPDATE chunks SET start = start + 1 WHERE ordinal = 7", bot.workspace_id)
    words = Words()

    await replace(library, setup=inside(words)).work()

    row = await library.row(ada, document.id)
    chunks = await library.chunks(ada, document.id)
    assert row is not None
    assert (row.status, row.chunk_count) == (DocumentStatus.READY, len(chunks))
    assert [chunk.text for chunk in chunks] == [body[chunk.start : chunk.end] for chunk in chunks]
    assert len(words.embedded) == len(chunks) > 300
    assert (await library.versions(ada, document.id)) == {1: body}
    assert await library.traces(ada, document.id) == {
        "documents": 1,
        "document_versions": 1,
        "chunks": len(chunks),
        "chunk_lex": len(chunks),
        "chunk_vec": len(chunks),
    }
