"""The legs of a search run side by side: one that is late or down is left out and named, and the rest is returned."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from kyrochat.db.models import Bot, Chunk, Document
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.dense_leg import DenseLeg
from kyrochat.retrieval.embedding_cache import EmbeddingCache
from kyrochat.retrieval.ports import Vector
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search import Search
from kyrochat.retrieval.search_settings import DocumentFilter, Leg, SearchSettings
from kyrochat.retrieval.trace import LegStatus, SearchTrace
from tests.factories import make_bot, make_document, make_viewer
from tests.retrieval.dense.scene import Words, dense_on, inside
from tests.retrieval.dense.vectors import add_set

RIVERS = {
    "Rhine": "The Rhine is 1,233 km long. It rises in the Alps.",
    "Elbe": "The Elbe passes Dresden, and it is a long way to the sea.",
    "Eels": "Eels swim upstream when they are young.",
}
QUESTION = "How long is the Rhine?"


@dataclass
class Slow(Words):
    """An embedder that answers questions when it is released, or fails then."""

    error: Exception | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def embed_query(self, text: str) -> Vector:
        self.reached.set()
        await self.released.wait()
        if self.error is not None:
            raise self.error
        return await super().embed_query(text)


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database, "ada@example.com")


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    return await make_bot(database, ada)


@pytest.fixture
def embedder() -> Slow:
    return Slow()


@pytest.fixture
async def ids(database: Database, bot: Bot, embedder: Slow) -> dict[str, UUID]:
    """The bot's chunks by the titles of their documents; all have vectors, and Eels are nearest to the Rhine."""
    for title, body in RIVERS.items():
        await make_document(database, bot, body, title)
    target = await add_set(database, bot, dimensions=64, scheme=embedder.scheme)
    async with database.begin([bot.workspace_id]) as session:
        query = select(Chunk, Document.title).join(Document, col(Document.id) == Chunk.document_id)
        chunks = list(await session.exec(query))
    near = list(await Words().embed_query(QUESTION))
    vectors: dict[str, Sequence[float]] = {
        "Eels": near,
        "Rhine": [0.9 * value for value in near],
        "Elbe": [0.1 * value for value in near],
    }
    index = dense_on(database, inside(embedder)).stores.of(target.store, 64)
    assert index is not None
    for chunk, title in chunks:
        await index.upsert(target, chunk.document_id, 1, [(chunk.id, vectors[title])])
    return {title: chunk.id for chunk, title in chunks}


def retriever(database: Database, embedder: Slow, *, budget_s: float = 20.0, lexical_s: float = 20.0) -> Retriever:
    dense = replace(dense_on(database, inside(embedder)), budget_s=budget_s)
    return Retriever(database, dense=dense, lexical_budget_s=lexical_s)


def statuses(trace: SearchTrace) -> dict[Leg, LegStatus]:
    return {leg.leg: leg.status for leg in trace.legs}


async def test_both_legs_are_heard_and_asked_for_what_only_the_other_has_listed(
    database: Database, bot: Bot, embedder: Slow, ids: dict[str, UUID]
) -> None:
    embedder.released.set()

    found = await retriever(database, embedder).retrieve(bot, QUESTION, SearchSettings(alpha=0.5))

    assert [passage.document_title for passage in found.passages] == ["Rhine", "Eels", "Elbe"]
    by_id = {each.chunk_id: each for each in found.trace.candidates}
    told = {
        title: (
            (each.lexical.rank, each.lexical.score > 0) if (each := by_id[ids[title]]).lexical else None,
            (each.dense.rank, round(each.dense.score, 1)) if each.dense else None,
        )
        for title in RIVERS
    }
    # Eels have no word in common with the question: the leg by words did not list them, and tells 0 when it is asked.
    assert told == {"Rhine": ((1, True), (2, 0.9)), "Elbe": ((2, True), (3, 0.1)), "Eels": ((None, False), (1, 1.0))}
    assert [(leg.leg, leg.status, leg.candidates) for leg in found.trace.legs] == [
        (Leg.LEXICAL, LegStatus.OK, 2),
        (Leg.DENSE, LegStatus.OK, 3),
    ]
    assert found.trace.legs[1].scheme == embedder.scheme
    scores = [passage.score for passage in found.passages]
    assert 0 <= min(scores) <= max(scores) <= 1
    assert scores == sorted(scores, reverse=True)


async def test_a_known_question_is_not_embedded_again(
    database: Database, ada: Viewer, bot: Bot, embedder: Slow, ids: dict[str, UUID]
) -> None:
    embedder.released.set()
    searching = retriever(database, embedder)

    first = await searching.retrieve(bot, QUESTION, fresh=True)
    second = await searching.retrieve(bot, QUESTION, fresh=True)

    assert ids
    assert embedder.asked == [QUESTION]
    assert [found.trace.legs[1].cached for found in (first, second)] == [False, True]
    assert first.passages == second.passages


async def test_the_dense_leg_that_is_late_is_left_out(
    database: Database, bot: Bot, embedder: Slow, ids: dict[str, UUID]
) -> None:
    assert ids
    searching = retriever(database, embedder, budget_s=0.05)

    found = await searching.retrieve(bot, QUESTION)
    again = await searching.retrieve(bot, QUESTION)

    assert [passage.document_title for passage in found.passages] == ["Rhine", "Elbe"]
    assert statuses(found.trace) == {Leg.LEXICAL: LegStatus.OK, Leg.DENSE: LegStatus.LATE}
    assert found.trace.legs[1].reason == "It took longer than 0.05 s."
    assert not again.trace.cached, "What was missed must not be missed from memory."


async def test_the_dense_leg_that_is_down_is_left_out_with_its_reason(
    database: Database, bot: Bot, embedder: Slow, ids: dict[str, UUID]
) -> None:
    assert ids
    embedder.error = ProviderUnavailable("The quota is used up.")
    embedder.released.set()

    found = await retriever(database, embedder).retrieve(bot, QUESTION)

    assert [passage.document_title for passage in found.passages] == ["Rhine", "Elbe"]
    leg = found.trace.legs[1]
    assert (leg.status, leg.reason, leg.scheme) == (LegStatus.FAILED, "The quota is used up.", embedder.scheme)


@asynccontextmanager
async def locked(urls: DatabaseUrls, table: str) -> AsyncGenerator[None, None]:
    """Let nobody read a table meanwhile."""
    owner = open_database(urls.owner)
    async with owner.begin() as session:
        await (await session.connection()).execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield
    await owner.close()


async def test_the_lexical_leg_that_is_late_is_left_out_too(
    database: Database, urls: DatabaseUrls, bot: Bot, embedder: Slow, ids: dict[str, UUID]
) -> None:
    assert ids
    embedder.released.set()

    async with locked(urls, "chunk_lex"):
        found = await retriever(database, embedder, lexical_s=0.3).retrieve(bot, QUESTION)

    assert [passage.document_title for passage in found.passages] == ["Eels", "Rhine", "Elbe"]
    assert statuses(found.trace) == {Leg.LEXICAL: LegStatus.LATE, Leg.DENSE: LegStatus.OK}


async def test_looking_for_the_vectors_to_search_takes_of_the_dense_legs_time(
    database: Database, urls: DatabaseUrls, bot: Bot, embedder: Slow, ids: dict[str, UUID]
) -> None:
    assert ids
    embedder.released.set()
    leg = DenseLeg(retriever(database, embedder, budget_s=0.3).dense, EmbeddingCache())

    async with locked(urls, "vector_sets"):
        outcome = await leg.run(Search(bot, QUESTION, SearchSettings().resolved(bot)))

    assert (outcome.report.status, outcome.report.scheme, outcome.value) == (LegStatus.LATE, None, None)
    assert embedder.asked == []


async def test_without_any_leg_there_is_no_answer_from_nothing(
    database: Database, urls: DatabaseUrls, bot: Bot, embedder: Slow, ids: dict[str, UUID]
) -> None:
    assert ids
    embedder.error = ProviderUnavailable("Down.")
    embedder.released.set()

    async with locked(urls, "chunk_lex"):
        with pytest.raises(ProviderUnavailable) as failure:
            await retriever(database, embedder, lexical_s=0.3).retrieve(bot, QUESTION)

    assert failure.value.retryable


@pytest.mark.parametrize(
    ("legs", "expected"),
    [((Leg.LEXICAL,), ["Rhine", "Elbe"]), ((Leg.DENSE,), ["Eels", "Rhine", "Elbe"]), ((Leg.RERANK,), [])],
)
async def test_legs_that_are_not_wanted_are_off(
    database: Database, bot: Bot, embedder: Slow, ids: dict[str, UUID], legs: tuple[Leg, ...], expected: list[str]
) -> None:
    assert ids
    embedder.released.set()

    found = await retriever(database, embedder).retrieve(bot, QUESTION, SearchSettings(legs=legs))

    assert [passage.document_title for passage in found.passages] == expected
    wanted = {Leg.LEXICAL, Leg.DENSE} & set(legs)
    assert {leg for leg, status in statuses(found.trace).items() if status is LegStatus.OK} == wanted


async def test_what_is_deleted_while_the_dense_leg_takes_its_time_is_not_shown(
    database: Database, bot: Bot, embedder: Slow, ids: dict[str, UUID]
) -> None:
    assert ids
    searching = asyncio.create_task(retriever(database, embedder).retrieve(bot, QUESTION))
    await embedder.reached.wait()
    async with database.begin([bot.workspace_id]) as session:
        statement = text("UPDATE documents SET deleted_at = now() WHERE title IN ('Rhine', 'Eels')")
        await (await session.connection()).execute(statement)
    embedder.released.set()

    found = await searching

    assert [passage.document_title for passage in found.passages] == ["Elbe"]


@pytest.mark.parametrize("error", [ProviderUnavailable("Down."), None])
async def test_what_is_deleted_while_the_dense_leg_fails_or_is_late_is_not_shown(
    database: Database, bot: Bot, embedder: Slow, ids: dict[str, UUID], error: ProviderUnavailable | None
) -> None:
    assert ids
    embedder.error = error
    searching = asyncio.create_task(retriever(database, embedder, budget_s=20 if error else 2).retrieve(bot, QUESTION))
    await embedder.reached.wait()
    # The leg by words needs no longer than others like it.
    await Retriever(database).retrieve(bot, QUESTION)
    async with database.begin([bot.workspace_id]) as session:
        await (await session.connection()).execute(
            text("UPDATE documents SET deleted_at = now() WHERE title = 'Rhine'")
        )
    if error is not None:
        embedder.released.set()

    found = await searching

    assert [passage.document_title for passage in found.passages] == ["Elbe"]
    assert found.trace.legs[1].status is (LegStatus.LATE if error is None else LegStatus.FAILED)


async def test_the_dense_leg_looks_into_filtered_documents_only(
    database: Database, bot: Bot, embedder: Slow, ids: dict[str, UUID]
) -> None:
    assert ids
    embedder.released.set()
    async with database.begin([bot.workspace_id]) as session:
        elbe = (await session.exec(select(Document).where(Document.title == "Elbe"))).one()

    found = await retriever(database, embedder).retrieve(
        bot, QUESTION, SearchSettings(filter=DocumentFilter(document_ids=(elbe.id,)))
    )

    assert [passage.document_title for passage in found.passages] == ["Elbe"]
    assert [leg.candidates for leg in found.trace.legs] == [1, 1]
