"""Encoding a bot anew: searched all the while, by old vectors or by new ones, never by both."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlmodel import col, select

from kyrochat.accounts.viewer import Viewer
from kyrochat.bots.index_jobs import TEND_INDEX
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.models import Bot, BotLexicon, ChunkLex
from kyrochat.documents.indexing import IndexTending, tend_stale
from kyrochat.documents.kinds import INGEST, queue_job
from kyrochat.documents.retitling import RETITLE, Retitling, queue_retitling
from kyrochat.jobs.queue import LeaseLost
from kyrochat.retrieval import encoding_repository as encodings
from kyrochat.retrieval.encodings import ENCODERS, Encoder, Encoders, Encoding
from kyrochat.retrieval.languages import AUTO, Language
from kyrochat.retrieval.lexical import chunk_tokens, encode_chunk, encode_tokens
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.repository import index_state
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search import IndexState
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.retrieval.tokens import tokenize
from kyrochat.retrieval.types import SparseVector
from tests.documents.scene import GatedExtractor, Library, essay, pieces
from tests.factories import make_document
from tests.jobs.scene import until


def second(encode: Callable[[list[str]], SparseVector] = encode_tokens) -> Encoder:
    """A version whose vectors have no term in common with those of the first."""

    def tokens(text: str, language: str) -> list[str]:
        return [f"2{term}" for term in tokenize(text, language)]

    def of_chunk(title: str, text: str, language: str, heading: str | None) -> list[str]:
        return [f"2{term}" for term in chunk_tokens(title, text, language, heading)]

    def weights(text: str, lexicon: Lexicon, language: str) -> dict[str, float]:
        return {term: lexicon.idf(term) for term in tokens(text, language) if term in lexicon}

    return Encoder(2, tokens, of_chunk, encode, weights)


TWO = Encoders({1: Encoder(), 2: second()})


class Killed(Exception):
    """The end of a process, as far as its database can tell."""


@dataclass
class Counting:
    """Encodes, and is killed when it was to encode more than it may."""

    most: int = 1_000_000
    done: Counter[str] = field(default_factory=Counter)

    def __call__(self, tokens: list[str]) -> SparseVector:
        if self.done.total() == self.most:
            raise Killed
        self.done[" ".join(tokens)] += 1
        return encode_tokens(tokens)


async def found(library: Library, bot: Bot, question: str, encoders: Encoders = TWO) -> set[str]:
    retriever = Retriever(library.database, encoders=encoders)
    retrieval = await retriever.retrieve(bot, question, SearchSettings(top_k=50))
    return {passage.document_title for passage in retrieval.passages}


async def stored(library: Library, bot: Bot) -> Counter[int]:
    """How many vectors the bot has, by encoding."""
    async with library.database.begin([bot.workspace_id]) as session:
        rows = await session.exec(select(ChunkLex.encoding).where(ChunkLex.bot_id == bot.id))
        return Counter(rows.all())


async def live(library: Library, bot: Bot) -> Encoding:
    async with library.database.begin([bot.workspace_id]) as session:
        return await encodings.live(session, bot.id)


async def state(library: Library, bot: Bot) -> IndexState | None:
    """What tells searches that were kept from those to be done anew."""
    async with library.database.begin([bot.workspace_id]) as session:
        return await index_state(session, bot.id)


async def vectors(library: Library, bot: Bot) -> dict[UUID, SparseVector]:
    """The bot's vectors by chunk, as PostgreSQL has them."""
    async with library.database.begin([bot.workspace_id]) as session:
        rows = await session.exec(select(ChunkLex.chunk_id, ChunkLex.terms).where(ChunkLex.bot_id == bot.id))
        return {
            chunk_id: SparseVector(tuple(index + 1 for index in terms.indices()), tuple(terms.values()))
            for chunk_id, terms in rows
        }


async def tend(library: Library, encoders: Encoders = TWO, **options: int) -> None:
    [job] = await library.claim(TEND_INDEX)
    await IndexTending(library.worker_database, library.changes, encoders, **options)(job)
    await library.end(job)


async def test_a_newer_encoder_takes_over_and_every_search_meanwhile_finds_all_there_is(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    for number in range(40):
        await make_document(library.database, bot, f"The Rhine flows past town {number}.", f"Town {number}")
    assert await tend_stale(library.worker_database, library.changes, TWO) == 1
    # Who looks a second time finds the job queued.
    await tend_stale(library.worker_database, library.changes, TWO)

    tending = asyncio.create_task(tend(library, batch_chunks=3))
    sizes = Counter[int]()
    while not tending.done():
        sizes[len(await found(library, bot, "Rhine"))] += 1
    await tending

    assert set(sizes) == {40}
    assert await stored(library, bot) == {Encoding(2).number: 40}
    assert await live(library, bot) == Encoding(2)
    assert len(await found(library, bot, "Rhine")) == 40
    async with library.database.begin([bot.workspace_id]) as session:
        lexicon = Lexicon.from_bytes((await session.exec(select(BotLexicon.frequencies))).one())
    assert (lexicon.frequencies["2rhine"], "rhine" in lexicon) == (40, False)
    assert await library.jobs() == []
    assert await tend_stale(library.worker_database, library.changes, TWO) == 0
    # An older program that is still running leaves it alone.
    assert await tend_stale(library.worker_database, library.changes) == 0


async def test_a_killed_attempt_is_taken_up_where_it_was_and_what_changed_since_is_not_forgotten(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    documents = [
        await make_document(library.database, bot, f"The Rhine {number}.", f"T{number}") for number in range(9)
    ]
    await tend_stale(library.worker_database, library.changes, TWO)
    first, rest = Counting(most=5), Counting()

    with pytest.raises(Killed):
        await tend(library, Encoders({1: Encoder(), 2: second(first)}), batch_chunks=2)
    assert await stored(library, bot) == {Encoding(1).number: 9, Encoding(2).number: 4}
    assert (await live(library, bot), len(await found(library, bot, "Rhine"))) == (Encoding(1), 9)

    await make_document(library.database, bot, "The Rhine, too.", "New")
    await library.documents.delete(ada, documents[8].id)
    async with library.database.begin([bot.workspace_id]) as session:
        documents[0].title = "Called otherwise"
        session.add(documents[0])
        await queue_retitling(session, library.changes, documents[0])
    before = await state(library, bot)
    [job] = await library.claim(RETITLE)
    await Retitling(library.worker_database, encoders=TWO)(job)
    # A search that was kept since the title changed was by the old one.
    assert await state(library, bot) != before
    await library.lapse()
    await tend(library, Encoders({1: Encoder(), 2: second(rest)}), batch_chunks=2)

    assert await stored(library, bot) == {Encoding(2).number: 10}
    # Three of the first four are as they were; the deleted one still has its chunk, which the purge takes away.
    assert rest.done.total() == 7
    assert await found(library, bot, "Rhine") == {"New", "Called otherwise", *(f"T{number}" for number in range(1, 8))}
    assert await found(library, bot, "otherwise") == {"Called otherwise"}


async def test_a_process_that_is_killed_in_the_middle_leaves_the_bot_searched_and_the_next_one_goes_on(
    library: Library, urls: DatabaseUrls, bot: Bot
) -> None:
    for number in range(60):
        await make_document(library.database, bot, f"The Rhine {number}.", f"T{number}")
    await tend_stale(library.worker_database, library.changes, TWO)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.documents.tending_process", urls.worker, cwd=Path(__file__).parents[2]
    )
    try:

        async def has_begun() -> bool:
            return (await stored(library, bot))[Encoding(2).number] >= 3

        await until(has_begun)
    finally:
        process.kill()
        await process.wait()
    so_far = (await stored(library, bot))[Encoding(2).number]
    assert 3 <= so_far < 60
    assert (await live(library, bot), len(await found(library, bot, "Rhine"))) == (Encoding(1), 50)

    await library.lapse()
    rest = Counting()
    await tend(library, Encoders({1: Encoder(), 2: second(rest)}))

    assert rest.done.total() == 60 - so_far
    assert await stored(library, bot) == {Encoding(2).number: 60}
    assert len(await found(library, bot, "Rhine")) == 50
    assert await library.jobs() == []


async def test_chunks_that_come_at_the_last_moment_are_encoded_before_the_switch(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    await make_document(library.database, bot, "The Rhine.", "Old")
    await tend_stale(library.worker_database, library.changes, TWO)

    class Late(IndexTending):
        async def _encode_most(self, job: object, bot_id: UUID, target: Encoding) -> None:
            await make_document(library.database, bot, "The Rhine again.", "New")

    [job] = await library.claim(TEND_INDEX)
    await Late(library.worker_database, library.changes, TWO)(job)

    assert await stored(library, bot) == {Encoding(2).number: 2}
    assert await found(library, bot, "Rhine") == {"Old", "New"}


async def test_a_worker_that_lost_its_lease_changes_nothing(library: Library, bot: Bot) -> None:
    await make_document(library.database, bot, "The Rhine.", "Old")
    await tend_stale(library.worker_database, library.changes, TWO)
    [job] = await library.claim(TEND_INDEX)
    await library.lapse()

    with pytest.raises(LeaseLost):
        await IndexTending(library.worker_database, library.changes, TWO)(job)

    assert await stored(library, bot) == {Encoding(1).number: 1}
    assert await live(library, bot) == Encoding(1)


async def test_another_language_encodes_the_bot_anew_and_back_again(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await make_document(library.database, bot, "Häuser und Städte in the towns", "T")
    before = await vectors(library, bot)

    await library.bots.update(ada, bot.id, {"language": Language.GERMAN})
    assert await live(library, bot) == Encoding()
    # Changed again before anything was done: one job sees to it all.
    await library.bots.update(ada, bot.id, {"language": Language.ENGLISH})
    await library.bots.update(ada, bot.id, {"language": Language.GERMAN})
    await tend(library, ENCODERS)

    assert await live(library, bot) == Encoding(language="german")
    [(chunk_id, after)] = (await vectors(library, bot)).items()
    [chunk] = await library.chunks(ada, document.id)
    wanted = encode_chunk("T", chunk.text, "german")
    assert after != before[chunk_id]
    assert after.indices == wanted.indices
    for word in ("Haus", "Stadt"):
        assert (word, await found(library, bot, word, ENCODERS)) == (word, {"T"})

    await library.bots.update(ada, bot.id, {"language": Language.AUTO})
    await tend(library, ENCODERS)
    assert await vectors(library, bot) == before
    assert await library.jobs() == []


async def test_a_change_that_is_taken_back_leaves_no_vectors_behind(library: Library, ada: Viewer, bot: Bot) -> None:
    for number in range(4):
        await make_document(library.database, bot, f"The Rhine {number}.", "T")
    before = await vectors(library, bot)
    await library.bots.update(ada, bot.id, {"language": Language.GERMAN})
    with pytest.raises(Killed):
        await tend(library, Encoders({1: replace(Encoder(), encode_tokens=Counting(most=2))}), batch_chunks=1)
    assert await stored(library, bot) == {Encoding().number: 4, Encoding(language="german").number: 2}
    await library.lapse()

    await library.bots.update(ada, bot.id, {"language": Language.AUTO})
    await tend(library, ENCODERS)

    assert await vectors(library, bot) == before
    assert await stored(library, bot) == {Encoding().number: 4}


async def test_an_upload_goes_by_the_encoding_that_is_searched_when_it_is_written(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_file(ada, bot.id, "a.md", None, pieces(essay("Städte", 40).encode()))
    [job] = await library.claim(INGEST)
    extractor = GatedExtractor()
    ingesting = asyncio.create_task(library.ingestion(extractor)(job))
    await extractor.reached.wait()
    await library.bots.update(ada, bot.id, {"language": Language.GERMAN})
    await tend(library, ENCODERS)

    extractor.gate.set()
    await ingesting

    chunks = await library.chunks(ada, document.id)
    assert len(chunks) > 5
    assert await stored(library, bot) == {Encoding(language="german").number: len(chunks)}
    assert await found(library, bot, "Stadt", ENCODERS) == {document.title}


async def test_a_large_bot_gets_its_terms_listed_and_finds_the_same(library: Library, ada: Viewer, bot: Bot) -> None:
    limited = replace(ENCODERS, salted_above=30, salted_until=10)
    towns = [f"{first}{second}burg" for first in "abcdefgh" for second in "klmnz"]
    for number, town in enumerate(towns):
        text = f"The Rhine flows past {town} and castle {'xyvw'[number % 4]}stein."
        await make_document(library.database, bot, text, town)
    questions = ("bnburg", "Rhine", "Rhine xstein", "xstein blburg", "nothing of that")
    before = [await found(library, bot, question, limited) for question in questions]
    await library.bots.update(ada, bot.id, {"language": Language.ENGLISH})

    await tend(library, limited)

    assert await live(library, bot) == Encoding(language="english", salted=True)
    assert [await found(library, bot, question, limited) for question in questions] == before
    assert [len(titles) for titles in before] == [1, 40, 40, 11, 0]
    # What comes later is listed, too.
    await make_document(library.database, await fresh(library, bot), "The Rhine flows past qqburg.", "New")
    assert await found(library, bot, "qqburg", limited) == {"New"}
    # And when most of it is gone, nothing is.
    rows = await library.run("SELECT id FROM documents ORDER BY id LIMIT 35", bot.workspace_id)
    for (document_id,) in rows:
        await library.documents.delete(ada, document_id)
    await library.work()
    await library.bots.update(ada, bot.id, {"language": Language.AUTO})
    await tend(library, limited)
    assert await live(library, bot) == Encoding(language=AUTO)


async def fresh(library: Library, bot: Bot) -> Bot:
    async with library.database.begin([bot.workspace_id]) as session:
        return (await session.exec(select(Bot).where(col(Bot.id) == bot.id))).one()


async def test_a_failed_new_version_leaves_the_old_one_searched_by_its_new_title(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", "The Rhine flows.")
    await library.work()
    assert await found(library, bot, "waters", ENCODERS) == set()
    await library.run(
        f"UPDATE documents SET title = 'Waters', version = 2, storage_key = '00' WHERE id = '{document.id}'",
        bot.workspace_id,
    )
    async with library.database.begin([bot.workspace_id]) as session:
        row = await library.row(ada, document.id)
        assert row is not None
        await queue_job(session, library.changes, INGEST, row)
    await library.work()

    assert await found(library, bot, "waters", ENCODERS) == {"Waters"}
    assert await found(library, bot, "rivers", ENCODERS) == set()
    assert await found(library, bot, "Rhine", ENCODERS) == {"Waters"}


async def test_an_operator_sees_where_each_bot_stands(library: Library, ada: Viewer, bot: Bot) -> None:
    await make_document(library.database, bot, "The Rhine.", "T")
    await make_document(library.database, bot, "The Elbe.", "T")
    await tend_stale(library.worker_database, library.changes, TWO)
    with pytest.raises(Killed):
        await tend(library, Encoders({1: Encoder(), 2: second(Counting(most=1))}), batch_chunks=1)

    async with library.database.begin([bot.workspace_id]) as session:
        standings = await encodings.standings(session, bot.workspace_id)

    assert standings == [encodings.Standing(bot.id, AUTO, Encoding(1), chunks=2, searched=2, others=1)]
