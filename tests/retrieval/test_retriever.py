"""The retriever over real rows: the right passage first, nothing of anybody else, and a plan that stays fast."""

import random
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from kyrochat.db.models import Bot
from kyrochat.retrieval import lexicon_repository, repository
from kyrochat.retrieval.encodings import Encoder, Encoding
from kyrochat.retrieval.languages import AUTO
from kyrochat.retrieval.lexical import encode_query, encode_tokens, to_sparsevec_text
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.lexicons import Lexicons, room_for_lexicons, sample_lexicon
from tests.factories import make_bot, make_document, make_viewer
from tests.retrieval.filling import fill, tokens_of
from tests.searching import search

RIVERS = {
    "Rhine": "# Rhine\n\nThe Rhine is 1,233 km long. It rises in the Alps and flows into the North Sea.",
    "Elbe": "# Elbe\n\nThe Elbe is 1,094 km long. It rises in the Giant Mountains.",
    "Danube": "# Danube\n\nThe Danube crosses ten countries. Its delta in Romania is a biosphere reserve.",
    "Fees": "# Fees\n\nLate books cost 20 cents a day. A lost library card is replaced for five euros.",
}


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database, "ada@example.com")


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    return await make_bot(database, ada)


async def change(database: Database, bot: Bot, statement: str) -> None:
    async with database.begin([bot.workspace_id]) as session:
        await (await session.connection()).execute(text(statement))


async def titles(database: Database, bot: Bot, question: str, limit: int = 8) -> list[str]:
    return [passage.document_title for passage in await search(database, bot, question, limit)]


async def test_the_passage_that_answers_comes_first(database: Database, bot: Bot) -> None:
    documents = {title: await make_document(database, bot, body, title) for title, body in RIVERS.items()}

    for question, title in {
        "How long is the Rhine?": "Rhine",
        "Where does the Elbe rise?": "Elbe",
        "Which river has its delta in Romania?": "Danube",
        "What does it cost to replace a lost card?": "Fees",
        "late book": "Fees",
    }.items():
        found = await search(database, bot, question, 3)
        assert (question, found[0].document_title) == (question, title)
        assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
        assert all(passage.score > 0 for passage in found)
        for passage in found:
            body = RIVERS[passage.document_title]
            assert passage.text == body[passage.start : passage.end]
            assert (passage.document_id, passage.document_version) == (documents[passage.document_title].id, 1)


async def test_a_limit_cuts_the_end_off(database: Database, bot: Bot) -> None:
    for title, body in RIVERS.items():
        await make_document(database, bot, body, title)

    all_of_them = await titles(database, bot, "river km long rise", 50)

    assert len(all_of_them) > 1
    assert await titles(database, bot, "river km long rise", 1) == all_of_them[:1]


async def test_a_question_without_a_word_that_occurs_finds_nothing(database: Database, bot: Bot) -> None:
    assert await titles(database, bot, "Rhine") == []
    await make_document(database, bot, RIVERS["Rhine"], "Rhine")

    for question in ("", " \n", "?!…", "the of and is", "quantum chromodynamics", "\x00", "\ud800", "😀"):
        assert (question, await titles(database, bot, question)) == (question, [])


async def test_a_long_pasted_question_is_cut_rather_than_refused(database: Database, bot: Bot) -> None:
    await make_document(database, bot, RIVERS["Rhine"], "Rhine")

    assert await titles(database, bot, "Rhine " + "filler " * 200_000) == ["Rhine"]


async def test_a_typing_error_is_forgiven(database: Database, bot: Bot) -> None:
    for title, body in RIVERS.items():
        await make_document(database, bot, body, title)

    for question in ("Danubbe", "Danbe", "Dnaube", "Danoube"):
        assert (await titles(database, bot, question))[:1] == ["Danube"]


async def test_other_bots_and_other_tenants_passages_are_never_found(database: Database, ada: Viewer, bot: Bot) -> None:
    bob = await make_viewer(database, "bob@example.com")
    sibling, his = await make_bot(database, ada, "Sibling"), await make_bot(database, bob)
    await make_document(database, sibling, RIVERS["Rhine"], "Sibling's")
    await make_document(database, his, RIVERS["Rhine"], "His")

    assert await titles(database, bot, "Rhine") == []
    await make_document(database, bot, RIVERS["Elbe"], "Own")
    assert await titles(database, bot, "Rhine long") == ["Own"]
    # Not even to a bot's row with a wrong workspace: row-level security has the last word.
    forged = Bot(id=his.id, workspace_id=bot.workspace_id, name="Forged")
    assert await titles(database, forged, "Rhine") == []


async def test_versions_that_are_not_live_and_deleted_documents_are_never_found(database: Database, bot: Bot) -> None:
    document = await make_document(database, bot, RIVERS["Rhine"], "Rhine")
    assert await titles(database, bot, "Rhine") == ["Rhine"]

    for undo, do in (
        ("live_version = 1", "live_version = NULL"),
        ("live_version = 1", "live_version = 2"),
        ("deleted_at = NULL", "deleted_at = now()"),
    ):
        await change(database, bot, f"UPDATE documents SET {do} WHERE id = '{document.id}'")
        assert (do, await titles(database, bot, "Rhine")) == (do, [])
        await change(database, bot, f"UPDATE documents SET {undo} WHERE id = '{document.id}'")
        assert await titles(database, bot, "Rhine") == ["Rhine"]
    await change(database, bot, "UPDATE chunk_lex SET encoding = encoding + 1")
    assert await titles(database, bot, "Rhine") == []


async def test_rows_that_are_not_live_take_no_place_from_those_that_are(database: Database, bot: Bot) -> None:
    document = await make_document(database, bot, RIVERS["Rhine"], "Rhine")
    for number in range(60):
        stale = await make_document(database, bot, f"Rhine Rhine Rhine {number}.", "Rhine")
        await change(database, bot, f"UPDATE documents SET live_version = NULL WHERE id = '{stale.id}'")

    [passage] = await search(database, bot, "Rhine", 1)

    assert passage.document_id == document.id


async def store_lexicon(database: Database, bot: Bot) -> int:
    """Store a lexicon of what there is now and return its version."""
    async with database.begin([bot.workspace_id]) as session:
        lexicon = await sample_lexicon(session, bot.id, Encoder(), bot.language)
        await lexicon_repository.store_lexicon(
            session, bot.id, bot.workspace_id, chunk_count=lexicon.chunk_count, frequencies=lexicon.to_bytes()
        )
        version = await lexicon_repository.lexicon_version(session, bot.id)
    assert version is not None
    return version


async def test_a_lexicon_is_read_once_a_version(database: Database, bot: Bot) -> None:
    await make_document(database, bot, RIVERS["Rhine"], "Rhine")
    lexicons = Lexicons()
    assert await store_lexicon(database, bot) == 1

    async def current() -> Lexicon:
        async with database.begin([bot.workspace_id]) as session:
            return await lexicons.of_bot(session, bot.id, Encoder(), bot.language)

    first = await current()
    assert await current() is first
    # A version never changes; if it did, nobody would look.
    await change(database, bot, "UPDATE bot_lexicons SET frequencies = 'garbage'")
    assert await current() is first

    await make_document(database, bot, RIVERS["Elbe"], "Elbe")
    assert await store_lexicon(database, bot) == 2
    second = await current()
    assert (first.chunk_count, second.chunk_count) == (1, 2)
    assert "elb" in second
    assert "elb" not in first
    assert await current() is second


async def test_no_more_is_kept_of_lexicons_than_allowed_and_the_ones_used_last_stay(
    database: Database, ada: Viewer
) -> None:
    bots = [await make_bot(database, ada, f"Bot {number}") for number in range(5)]
    for each in bots:
        await make_document(database, each, RIVERS["Rhine"], "Rhine")
        await store_lexicon(database, each)

    async def kept_of(max_bytes: int) -> tuple[set[UUID], int]:
        """Whose lexicons are kept in so much room, and how much they take of it."""
        lexicons = Lexicons(room_for_lexicons(max_bytes))
        async with database.begin(ada.workspaces) as session:
            for each in bots:
                for bot_id in (each.id, bots[0].id):
                    assert "rhine" in await lexicons.of_bot(session, bot_id, Encoder(), AUTO)
        return {bot_id for bot_id, _ in lexicons.kept}, int(lexicons.kept.currsize)

    everybodys, size = await kept_of(1 << 20)
    assert len(everybodys) == 5
    assert await kept_of(size // 5 * 3) == ({bots[3].id, bots[4].id, bots[0].id}, size // 5 * 3)
    assert await kept_of(size // 5 - 1) == (set(), 0)


async def test_the_lexicon_of_a_purged_bot_is_not_stored(database: Database, bot: Bot) -> None:
    await change(database, bot, f"DELETE FROM bots WHERE id = '{bot.id}'")

    async with database.begin([bot.workspace_id]) as session:
        await lexicon_repository.store_lexicon(session, bot.id, bot.workspace_id, chunk_count=1, frequencies=b"")
        assert await lexicon_repository.lexicon(session, bot.id) is None


async def test_the_scan_reads_one_bots_rows_once_through_its_index_with_statistics_and_without(
    database: Database, urls: DatabaseUrls, ada: Viewer
) -> None:
    words = random.Random(5)
    made = [tokens_of(words) for _ in range(500)]
    vectors = [encode_tokens(tokens) for tokens in made]
    bots = [await make_bot(database, ada, f"Bot {number}") for number in range(21)]
    for each in bots[1:]:
        await fill(database, each, vectors * 2, 1_000, documents=10)
    await fill(database, bots[0], vectors * 20, 10_000, documents=200)
    lexicon = Lexicon.build(made, 10_000)
    query = to_sparsevec_text(encode_query("word3 word17 word200 word1234 word4000 word77 word9", lexicon))
    statement = repository._LEXICAL_HITS.compile(dialect=postgresql.dialect(paramstyle="named"))  # type: ignore[no-untyped-call]

    async def plan(bot: Bot) -> str:
        values = {"bot_id": bot.id, "query": query, "encoding": bot.encoding, "limit": 50, "documents": None}
        async with database.begin([bot.workspace_id]) as session:
            lines = await (await session.connection()).execute(text(f"EXPLAIN {statement}"), values)
            return "\n".join(lines.scalars())

    async def hits(bot: Bot) -> int:
        async with database.begin([bot.workspace_id]) as session:
            return len(await repository.lexical_hits(session, bot.id, query, encoding=Encoding(), limit=50))

    # Just after an upload there are no statistics yet.
    plans = [await plan(bots[0]), await plan(bots[1])]
    owner = open_database(urls.owner)
    async with owner.begin() as session:
        await (await session.connection()).execute(text("ANALYZE"))
    await owner.close()
    plans += [await plan(bots[0]), await plan(bots[1])]

    for each_plan in plans:
        assert "chunk_lex_bot_id_encoding_idx" in each_plan
        assert "Seq Scan on chunk_lex" not in each_plan
        # Live documents are looked up in a table made once: a nested loop would read the bot's rows once a document.
        assert "hashed SubPlan" in each_plan
        assert "Nested Loop" not in each_plan
        # The policies are evaluated once a statement, not once a row.
        assert each_plan.count("InitPlan") >= 2
    assert [await hits(bot) for bot in bots[:2]] == [50, 50]
