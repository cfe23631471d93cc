"""Passages made of neighbours are the version's text, to the character."""

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import DocumentVersion
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.retrieval.trace import Fate
from tests.factories import make_bot, make_document, make_viewer

PARAGRAPHS = st.sampled_from(
    [
        "The Rhine rises in the Alps. " * 12,
        "Straße, naïve Köche und 😀 am Fluss. " * 9,
        "河 莱茵河发源于阿尔卑斯山。" * 40,
        "river " * 40,
        "# A heading about rivers",
        "  indented river, and more of it",
    ]
)
GAPS = st.sampled_from(["\n\n", "\n", "\n \t\n", "\r\n\r\n", " ", "\n\n\n\n"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(PARAGRAPHS, GAPS), min_size=1, max_size=14), st.integers(1, 12))
async def test_every_passage_is_exactly_its_characters_and_none_overlap(
    database: Database, parts: list[tuple[str, str]], top_k: int
) -> None:
    body = "".join(paragraph + gap for paragraph, gap in parts)
    viewer = await make_viewer(database, f"{new_id()}@example.com")
    bot = await make_bot(database, viewer)
    document = await make_document(database, bot, body)

    found = await Retriever(database).retrieve(bot, "river Rhine Fluss 河 heading", SearchSettings(top_k=top_k))

    places = sorted((passage.start, passage.end) for passage in found.passages)
    assert all(before[1] <= after[0] for before, after in pairwise(places))
    for passage, traced in zip(found.passages, found.trace.passages, strict=True):
        assert passage.text == body[passage.start : passage.end]
        assert passage.document_id == document.id
        parts_of_it = [each for each in found.trace.candidates if each.chunk_id in traced.chunk_ids]
        assert (min(each.start for each in parts_of_it), max(each.end for each in parts_of_it)) == (
            passage.start,
            passage.end,
        )
        assert [each.chunk_id for each in parts_of_it if each.fate is Fate.KEPT] == [passage.chunk_id]


async def test_without_the_versions_text_the_best_chunk_is_the_passage(database: Database) -> None:
    viewer = await make_viewer(database)
    bot = await make_bot(database, viewer)
    await make_document(database, bot, "\n\n".join(f"River number {n}. {'It flows slowly. ' * 40}" for n in range(4)))
    async with database.begin(viewer.workspaces) as session:
        for version in await session.exec(select(DocumentVersion)):
            await session.delete(version)

    found = await Retriever(database).retrieve(bot, "river number", SearchSettings(top_k=3))

    assert found.passages
    assert all(len(traced.chunk_ids) == 1 for traced in found.trace.passages)
    assert {each.fate for each in found.trace.candidates} >= {Fate.MERGED}
