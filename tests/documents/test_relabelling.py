"""Titles, tags and metadata can be changed, and searches know of it."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlmodel import select

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot, ChunkLex
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.kinds import INGEST
from kyrochat.documents.labels import Labels
from kyrochat.documents.relabelling import Relabelling
from kyrochat.documents.retitling import RETITLE, Retitling
from kyrochat.errors import InvalidInput, NotFound, ProviderUnavailable
from kyrochat.retrieval.encodings import Encoder, Encoders
from kyrochat.retrieval.lexical import ENCODER_VERSION, chunk_tokens, encode_tokens, tokenize
from kyrochat.retrieval.ports import Vector
from tests.documents.scene import GatedExtractor, Library, essay, pieces
from tests.factories import make_viewer
from tests.retrieval.dense.scene import Gated, Words, dense_on, inside


@pytest.fixture
def relabelling(library: Library) -> Relabelling:
    return Relabelling(library.database, library.changes)


async def test_labels_are_kept_from_the_beginning_and_changed_at_once(
    library: Library, relabelling: Relabelling, ada: Viewer, bot: Bot
) -> None:
    given = Labels((" rivers ", "rivers", "swiss"), {"km": 1233, "spans": ["CH"], "open": True})
    document = await library.documents.add_text(ada, bot.id, "Rhine", "The Rhine flows.", given)
    await library.work()

    changed = await relabelling.update(ada, document.id, tags=["north"], metadata={})
    again = await relabelling.update(ada, document.id)

    assert (document.tags, document.attributes) == (
        ["rivers", "swiss"],
        {"km": 1233, "spans": ["CH"], "open": True},
    )
    assert (changed.tags, changed.attributes, changed.title, changed.version) == (["north"], {}, "Rhine", 1)
    assert (again.tags, again.attributes) == (["north"], {})


async def test_under_a_new_title_its_words_are_found(
    library: Library, relabelling: Relabelling, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rhine", "It flows into the sea.")
    await library.work()

    renamed = await relabelling.update(ada, document.id, title="Danube")
    meanwhile = await library.search(bot, "sea", 5)
    await library.work()

    assert (renamed.title, renamed.status, renamed.version) == ("Danube", DocumentStatus.READY, 1)
    assert [hit.document_title for hit in meanwhile] == ["Danube"]
    assert [hit.document_title for hit in await library.search(bot, "Danube", 5)] == ["Danube"]
    assert await library.search(bot, "Rhine", 5) == []


async def test_under_a_new_title_it_is_found_by_its_meaning(library: Library, ada: Viewer, bot: Bot) -> None:
    words = Words()
    library = replace(library, setup=inside(words))
    document = await library.documents.add_text(ada, bot.id, "Rhine", "It flows into the sea.")
    await library.work()
    assert words.embedded == ["Rhine\nIt flows into the sea."]

    await Relabelling(library.database, library.changes).update(ada, document.id, title="Danube")
    await library.work()

    assert words.embedded[1:] == ["Danube\nIt flows into the sea."]
    dense = dense_on(library.database, library.setup)
    [(_, score)] = await dense.search(bot.workspace_id, bot.id, words.embedded[1])
    assert score == pytest.approx(1, abs=1e-3)


async def test_a_title_that_comes_while_a_document_is_read_for_the_first_time_is_what_it_is_found_by(
    library: Library, relabelling: Relabelling, ada: Viewer, bot: Bot
) -> None:
    slow = GatedExtractor()
    document = await library.documents.add_file(ada, bot.id, "x.md", None, pieces(b"# Rhine\n\nIt flows into the sea."))
    [job] = await library.claim(INGEST)
    reading = asyncio.create_task(library.ingestion(slow)(job))
    await slow.reached.wait()

    await relabelling.update(ada, document.id, title="Danube")
    await library.work()
    slow.gate.set()
    await reading
    await library.work()

    assert [hit.document_title for hit in await library.search(bot, "Danube", 5)] == ["Danube"]


async def test_a_title_that_comes_while_passages_are_weighed_counts_for_all_of_them(
    library: Library, relabelling: Relabelling, ada: Viewer, bot: Bot
) -> None:
    slow = Gated()
    at_it = replace(library, setup=inside(slow))
    document = await library.documents.add_text(ada, bot.id, "Rhine", essay("Rhine", 800))
    working = asyncio.create_task(at_it.work())
    await slow.reached.wait()
    weighed_so_far = len(await library.chunks(ada, document.id))

    await relabelling.update(ada, document.id, title="Danube")
    await library.work()
    slow.gate.set()
    await working

    assert 0 < weighed_so_far < len(await library.chunks(ada, document.id))
    assert await holding(library, bot, "Danube") == await holding(library, bot, "flows") > 400
    assert await library.jobs() == []


async def test_a_title_that_comes_between_two_attempts_counts_for_what_the_first_one_has_left(
    library: Library, relabelling: Relabelling, ada: Viewer, bot: Bot
) -> None:
    class Away(Words):
        async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
            raise ProviderUnavailable("The provider is away.")

    document = await library.documents.add_text(ada, bot.id, "Rhine", "It flows into the sea.")
    [job] = await library.claim(INGEST)
    await replace(library, setup=inside(Away())).ingestion()(job)

    await relabelling.update(ada, document.id, title="Danube")
    await library.work()
    await library.run("UPDATE jobs SET run_at = now()")
    await library.work()

    assert [hit.document_title for hit in await library.search(bot, "Danube", 5)] == ["Danube"]
    assert await library.search(bot, "Rhine", 5) == []


async def test_passages_that_come_while_a_title_is_weighed_are_found_by_their_words(
    library: Library, relabelling: Relabelling, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rhine", "It flows into the sea.")
    await library.work()
    await relabelling.update(ada, document.id, title="Danube")
    reached, gate = threading.Event(), threading.Event()

    def slowly(title: str, body: str, language: str, heading: str | None) -> list[str]:
        reached.set()
        gate.wait(30)
        return chunk_tokens(title, body, language, heading)

    [job] = await library.claim(RETITLE)
    encoders = Encoders({ENCODER_VERSION: Encoder(chunk_tokens=slowly)})
    weighing = asyncio.create_task(Retitling(library.database, encoders=encoders)(job))
    await asyncio.to_thread(reached.wait, 30)
    embedder = Gated()
    await library.documents.replace_text(ada, document.id, None, "It freezes in winter.")
    replacing = asyncio.create_task(replace(library, setup=inside(embedder)).work())
    await embedder.reached.wait()
    gate.set()
    await weighing
    embedder.gate.set()
    await replacing

    assert [hit.text for hit in await library.search(bot, "freezes", 5)] == ["It freezes in winter."]


async def holding(library: Library, bot: Bot, word: str) -> int:
    """How many of the bot's passages are found by a word."""
    async with library.database.begin([bot.workspace_id]) as session:
        rows = (await session.exec(select(ChunkLex.terms).where(ChunkLex.bot_id == bot.id))).all()
    [index] = encode_tokens(tokenize(word, "english")).indices
    return sum(index - 1 in terms.indices() for terms in rows)


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": " "},
        {"title": "x" * 301},
        {"tags": ["x"] * 21},
        {"tags": [""]},
        {"tags": ["x" * 51]},
        {"tags": ["\x00"]},
        {"metadata": ["no object"]},
        {"metadata": {"1st": 1}},
        {"metadata": {"a b": 1}},
        {"metadata": {"a": None}},
        {"metadata": {"a": {"b": 1}}},
        {"metadata": {"a": [1]}},
        {"metadata": {"a": ["x"] * 51}},
        {"metadata": {"a": "x" * 501}},
        {"metadata": {"a": "\ud800"}},
        {"metadata": {"a": ["\x00"]}},
        {"metadata": {"a": 2**60}},
        {"metadata": {"a": float("nan")}},
        {"metadata": {f"k{number}": 1 for number in range(33)}},
        {"metadata": {f"k{number}": "x" * 500 for number in range(20)}},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
async def test_what_breaks_a_rule_is_refused_and_nothing_changes(
    library: Library, relabelling: Relabelling, ada: Viewer, bot: Bot, wrong: dict[str, object]
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rhine", "The Rhine flows.", Labels(("a",), {"b": 1}))

    with pytest.raises(InvalidInput):
        await relabelling.update(ada, document.id, **wrong)  # type: ignore[arg-type]

    kept = await relabelling.update(ada, document.id)
    assert (kept.title, kept.tags, kept.attributes) == ("Rhine", ["a"], {"b": 1})


async def test_the_documents_of_others_are_not_there(
    library: Library, relabelling: Relabelling, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rhine", "The Rhine flows.")
    stranger = await make_viewer(library.database, "eve@example.com")

    with pytest.raises(NotFound):
        await relabelling.update(stranger, document.id, tags=["mine"])
