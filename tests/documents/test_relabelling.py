"""Titles, tags and metadata can be changed, and searches know of it."""

from dataclasses import replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.labels import Labels
from kyrochat.documents.relabelling import Relabelling
from kyrochat.errors import InvalidInput, NotFound
from tests.documents.scene import Library
from tests.factories import make_viewer
from tests.retrieval.dense.scene import Words, dense_on, inside


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
