"""The job that gives a large bot's vectors their index, from the upload that makes it large to the bot's end."""

from dataclasses import replace

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.models import Bot
from kyrochat.documents.kinds import INDEX_VECTORS
from kyrochat.documents.vector_index_job import IndexVectors
from kyrochat.retrieval.vector_indexing import VectorIndexing
from kyrochat.retrieval.vector_repository import serving
from kyrochat.retrieval.vector_search import index_name, is_indexed
from tests.documents.scene import KINDS, Library, essay
from tests.retrieval.dense.scene import Words, dense_on, inside

LIMIT = 50


async def indexes(library: Library) -> list[str]:
    rows = await library.run("SELECT relname::text FROM pg_class WHERE relname LIKE 'chunk_vec_hnsw_%'")
    return [name for (name,) in rows]


async def test_an_upload_that_makes_a_bot_large_has_its_vectors_indexed_and_the_index_goes_with_the_bot(
    library: Library, urls: DatabaseUrls, ada: Viewer, bot: Bot
) -> None:
    library = replace(library, setup=replace(inside(Words()), exact_limit=LIMIT))
    handler = IndexVectors(library.database, VectorIndexing(urls.owner, library.database, exact_limit=LIMIT))

    async def index() -> int:
        jobs = await library.claim(INDEX_VECTORS)
        for job in jobs:
            await handler(job)
            await library.end(job)
        return len(jobs)

    await library.documents.add_text(ada, bot.id, "Small", essay("Elbe", 40))
    await library.work()
    too_early = await index()
    await library.documents.add_text(ada, bot.id, "Large", essay("Rhine", 200))
    await library.work()
    dense = dense_on(library.database, library.setup)
    before = await dense.search(bot.workspace_id, bot.id, "Rhine 7")

    in_time = await index()

    async with library.database.begin([bot.workspace_id]) as session:
        target = await serving(session, bot.id)
        assert target is not None
        assert target.id is not None
        assert await is_indexed(session, target.id)
    assert (too_early, in_time) == (0, 1)
    assert await indexes(library) == [index_name(target.id)]
    assert await dense.search(bot.workspace_id, bot.id, "Rhine 7") == before
    # What is added later is found through the index, which nobody has to make again.
    added = await library.documents.add_text(ada, bot.id, "More", "The Weser is 452 km long.")
    await library.work()
    assert await index() == 0
    [(best, _), *_] = await dense.search(bot.workspace_id, bot.id, "More The Weser is 452 km long.")
    assert [chunk.id for chunk in await library.chunks(ada, added.id)] == [best]

    await library.bots.delete(ada, bot.id)
    while jobs := await library.claim(*KINDS):
        for job in jobs:
            await library.kinds[job.kind].handler(job)
            await library.end(job)
    assert await index() == 1
    assert await indexes(library) == []
