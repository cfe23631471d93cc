"""A search looks into the documents that its filter lets through, and into no others; nothing vanishes for that."""

from typing import Any
from uuid import UUID

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Document
from kyrochat.db.states import DocumentSource
from kyrochat.errors import InvalidInput
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search_settings import DocumentFilter, MetadataCondition, SearchSettings
from kyrochat.retrieval.settings_rules import check_filter
from kyrochat.retrieval.trace import LegStatus
from kyrochat.rules import Rules
from tests.factories import make_bot, make_document, make_viewer

Condition = MetadataCondition


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database, "ada@example.com")


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    return await make_bot(database, ada)


@pytest.fixture
async def rivers(database: Database, bot: Bot) -> dict[str, Document]:
    labels: dict[str, dict[str, Any]] = {
        "Rhine": {
            "tags": ["big", "swiss"],
            "attributes": {"km": 1233, "sea": "North Sea", "spans": ["CH", "DE", "NL"]},
        },
        "Elbe": {"tags": ["big"], "attributes": {"km": 1094, "sea": "North Sea", "checked": "2026-11-26"}},
        "Aare": {"tags": ["swiss"], "attributes": {"km": 291.5, "sea": None, "dammed": True, "checked": "2025-02-01"}},
        "Brook": {"source": DocumentSource.UPLOAD, "attributes": {"km": "short"}},
    }
    return {
        name: await make_document(database, bot, f"The {name} is a river, and its water flows.", name, **fields)
        for name, fields in labels.items()
    }


async def titles(database: Database, bot: Bot, wanted: DocumentFilter, limit: int = 8) -> set[str]:
    found = await Retriever(database).retrieve(bot, "river water", SearchSettings(top_k=limit, filter=wanted))
    return {passage.document_title for passage in found.passages}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (DocumentFilter(), {"Rhine", "Elbe", "Aare", "Brook"}),
        (DocumentFilter(sources=(DocumentSource.UPLOAD,)), {"Brook"}),
        (DocumentFilter(any_tags=("big", "swiss")), {"Rhine", "Elbe", "Aare"}),
        (DocumentFilter(all_tags=("big", "swiss")), {"Rhine"}),
        (DocumentFilter(all_tags=("swiss",), any_tags=("big",)), {"Rhine"}),
        (DocumentFilter(any_tags=("Swiss",)), set()),
        (DocumentFilter(any_tags=()), set()),
        (DocumentFilter(document_ids=()), set()),
        (DocumentFilter(metadata=(Condition("sea", equals="North Sea"),)), {"Rhine", "Elbe"}),
        (DocumentFilter(metadata=(Condition("sea", equals="north sea"),)), set()),
        (DocumentFilter(metadata=(Condition("spans", equals="DE"),)), {"Rhine"}),
        (DocumentFilter(metadata=(Condition("spans", any_of=("FR", "NL")),)), {"Rhine"}),
        (DocumentFilter(metadata=(Condition("km", equals=1233.0),)), {"Rhine"}),
        (DocumentFilter(metadata=(Condition("km", any_of=(1094, "short")),)), {"Elbe", "Brook"}),
        (DocumentFilter(metadata=(Condition("km", any_of=()),)), set()),
        (DocumentFilter(metadata=(Condition("dammed", equals=True),)), {"Aare"}),
        (DocumentFilter(metadata=(Condition("dammed", equals=False),)), set()),
        (DocumentFilter(metadata=(Condition("sea", exists=True),)), {"Rhine", "Elbe", "Aare"}),
        (DocumentFilter(metadata=(Condition("sea", exists=False),)), {"Brook"}),
        # Numbers are compared with numbers: "short" is none.
        (DocumentFilter(metadata=(Condition("km", at_least=1094),)), {"Rhine", "Elbe"}),
        (DocumentFilter(metadata=(Condition("km", at_most=1094),)), {"Elbe", "Aare"}),
        (DocumentFilter(metadata=(Condition("km", at_least=291.5, at_most=291.5),)), {"Aare"}),
        (DocumentFilter(metadata=(Condition("km", at_least="a"),)), {"Brook"}),
        (DocumentFilter(metadata=(Condition("checked", at_least="2026-01-01"),)), {"Elbe"}),
        (
            DocumentFilter(any_tags=("big",), metadata=(Condition("km", at_least=1100), Condition("sea", exists=True))),
            {"Rhine"},
        ),
        (DocumentFilter(metadata=(Condition("'; DROP TABLE documents; --", equals="x"),)), set()),
    ],
)
async def test_what_a_filter_lets_through(
    database: Database, bot: Bot, rivers: dict[str, Document], wanted: DocumentFilter, found: set[str]
) -> None:
    assert len(rivers) == 4
    assert await titles(database, bot, wanted) == found


async def test_documents_by_their_ids_and_no_others(
    database: Database, ada: Viewer, bot: Bot, rivers: dict[str, Document]
) -> None:
    other_bot = await make_bot(database, ada, "Other")
    others = await make_document(database, other_bot, "The Loire is a river, and its water flows.", "Loire")
    bob = await make_viewer(database, "bob@example.com")
    foreign = await make_document(database, await make_bot(database, bob), "The Po is a river with water.", "Po")

    ids = (rivers["Elbe"].id, others.id, foreign.id, UUID(int=7))

    assert await titles(database, bot, DocumentFilter(document_ids=ids)) == {"Elbe"}
    assert await titles(database, bot, DocumentFilter(document_ids=(foreign.id,))) == set()
    # The tags of somebody else are not ours either.
    assert await titles(database, other_bot, DocumentFilter(any_tags=("big",))) == set()


async def test_a_filter_comes_before_the_limit(database: Database, bot: Bot) -> None:
    for number in range(60):
        await make_document(database, bot, f"River river river water {number}.", f"Strong {number}")
    wanted = await make_document(database, bot, "Somewhere far below there is water.", "Weak", tags=["wanted"])

    found = await Retriever(database).retrieve(
        bot, "river water", SearchSettings(top_k=1, filter=DocumentFilter(any_tags=("wanted",)))
    )

    assert [passage.document_id for passage in found.passages] == [wanted.id]
    assert found.trace.settings.filter == DocumentFilter(any_tags=("wanted",))


async def test_tags_follow_the_document(database: Database, bot: Bot, rivers: dict[str, Document]) -> None:
    async with database.begin([bot.workspace_id]) as session:
        elbe = await session.get(Document, rivers["Elbe"].id)
        assert elbe is not None
        elbe.tags, elbe.attributes = ["saxon", "saxon"], {"km": 1}
        session.add(elbe)

    assert await titles(database, bot, DocumentFilter(any_tags=("big",))) == {"Rhine"}
    assert await titles(database, bot, DocumentFilter(any_tags=("saxon",))) == {"Elbe"}
    assert await titles(database, bot, DocumentFilter(metadata=(Condition("km", equals=1),))) == {"Elbe"}


async def test_a_filter_that_lets_nothing_through_costs_no_search(database: Database, bot: Bot) -> None:
    wanted = DocumentFilter(any_tags=("nothing",))

    found = await Retriever(database).retrieve(bot, "river", SearchSettings(filter=wanted))

    assert found.passages == ()
    assert {leg.status for leg in found.trace.legs} == {LegStatus.OFF}
    assert found.trace.legs[0].reason == "The filter lets no document through."


@pytest.mark.parametrize(
    "wanted",
    [
        DocumentFilter(document_ids=tuple(UUID(int=number) for number in range(101))),
        DocumentFilter(any_tags=("a",) * 15, all_tags=("b",) * 6),
        DocumentFilter(any_tags=("a\x00",)),
        DocumentFilter(any_tags=("\ud800",)),
        DocumentFilter(metadata=(Condition("a", exists=True),) * 11),
        DocumentFilter(metadata=(Condition("a"),)),
        DocumentFilter(metadata=(Condition("", exists=True),)),
        DocumentFilter(metadata=(Condition("k" * 65, exists=True),)),
        DocumentFilter(metadata=(Condition("a", any_of=("x",) * 51),)),
        DocumentFilter(metadata=(Condition("a", equals="x" * 501),)),
        DocumentFilter(metadata=(Condition("a", at_least="\x00"),)),
    ],
    ids=str,
)
def test_filters_are_bounded(wanted: DocumentFilter) -> None:
    rules = Rules()

    check_filter(rules, wanted)

    with pytest.raises(InvalidInput):
        rules.enforce()


def test_a_filter_comes_back_from_its_json() -> None:
    wanted = DocumentFilter(
        document_ids=(UUID(int=5),),
        sources=(DocumentSource.WEB,),
        any_tags=(),
        all_tags=("a",),
        metadata=(Condition("k", equals=True, any_of=("x", 1, 1.5, False), exists=False, at_least=3, at_most="z"),),
    )

    assert DocumentFilter.from_json(wanted.to_json()) == wanted
    assert DocumentFilter().to_json() == {}
    assert DocumentFilter.from_json({}) == DocumentFilter()
