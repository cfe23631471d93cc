"""Large bots: their chunks are looked up by rare terms, through an index that row-level security leaves open."""

import random
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from kyrochat.db.models import Bot
from kyrochat.retrieval import repository
from kyrochat.retrieval.encodings import Encoding
from kyrochat.retrieval.lexical import encode_tokens, query_weights, to_sparsevec_text, to_vector
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.rare_terms import is_enough, rare_terms
from tests.factories import make_bot, make_viewer
from tests.retrieval.filling import VOCABULARY, fill, tokens_of

SALTED = Encoding(language="english", salted=True)
CHUNKS = 3_000
BEST = 10
Hits = list[tuple[UUID, float]]


class Stock:
    """A large bot, with neighbours whose terms are in the same index."""

    def __init__(self, database: Database, ada: Viewer) -> None:
        words = random.Random(7)
        self.database, self.ada = database, ada
        self.made = [tokens_of(words) for _ in range(CHUNKS)]
        self.lexicon = Lexicon.build(self.made[:1_000], CHUNKS)
        # Each of an existing chunk, with a word of anybody's.
        self.questions = [
            " ".join([*words.sample(words.choice(self.made), k=words.randrange(2, 7)), words.choice(VOCABULARY)])
            for _ in range(60)
        ]
        self.bots: list[Bot] = []

    async def fill(self) -> None:
        vectors = [encode_tokens(tokens) for tokens in self.made]
        for number in range(3):
            bot = await make_bot(self.database, self.ada, f"Bot {number}", encoding=SALTED.number)
            await fill(self.database, bot, vectors if number == 0 else vectors[:500], CHUNKS if number == 0 else 500)
            self.bots.append(bot)

    async def exact(self, bot: Bot, question: str) -> Hits:
        async with self.database.begin([bot.workspace_id]) as session:
            return await repository.lexical_hits(session, bot.id, self.query(question), encoding=SALTED, limit=50)

    async def looked_up(self, bot: Bot, question: str, *workspaces: UUID) -> tuple[Hits, bool]:
        """What the rare terms find, and whether that is enough."""
        weights = query_weights(question, self.lexicon, "english")
        rare = rare_terms(weights, self.lexicon)
        async with self.database.begin(workspaces or [bot.workspace_id]) as session:
            hits = await repository.salted_hits(
                session, bot.id, self.query(question), self.salts(bot, rare), encoding=SALTED, limit=50
            )
        return hits, is_enough(hits, weights, rare, BEST)

    def query(self, question: str) -> str:
        return to_sparsevec_text(to_vector(query_weights(question, self.lexicon, "english")))

    def salts(self, bot: Bot, terms: set[str]) -> list[int]:
        return SALTED.salt(bot.id, to_vector(dict.fromkeys(terms, 1.0)))


@pytest.fixture
async def stock(database: Database) -> Stock:
    stock = Stock(database, await make_viewer(database))
    await stock.fill()
    return stock


async def test_what_is_looked_up_is_what_a_scan_of_everything_finds(stock: Stock) -> None:
    bot, found, enough = stock.bots[0], 0.0, 0

    for question in stock.questions:
        best = (await stock.exact(bot, question))[:BEST]
        hits, is_all = await stock.looked_up(bot, question)
        # By score: of several that are equal, either way may list others.
        share = sum(score >= best[-1][1] - 1e-6 for _, score in hits[:BEST]) / len(best)
        found += share if is_all else 1.0  # where it is not enough, the scan is asked
        enough += is_all

    assert found / len(stock.questions) >= 0.99
    assert enough >= 0.7 * len(stock.questions)


async def test_the_index_is_used_by_a_confined_role_with_statistics_and_without(
    stock: Stock, urls: DatabaseUrls
) -> None:
    [bot, small, _], question = stock.bots, stock.questions[0]
    statement = repository._SALTED_HITS.compile(dialect=postgresql.dialect(paramstyle="named"))  # type: ignore[no-untyped-call]

    async def plan(bot: Bot) -> str:
        weights = query_weights(question, stock.lexicon, "english")
        salts = stock.salts(bot, rare_terms(weights, stock.lexicon))
        values = repository._values(bot.id, stock.query(question), SALTED, 50, None)
        async with stock.database.begin([bot.workspace_id]) as session:
            connection = await session.connection()
            array = "{" + ",".join(map(str, salts)) + "}"
            await connection.execute(repository._BY_INDEX, {"salts": array, "scans": "off"})
            lines = (await connection.execute(text(f"EXPLAIN {statement}"), values)).scalars().all()
            await connection.execute(repository._BY_INDEX, {"salts": "", "scans": "on"})
            # What follows in the transaction is planned as ever.
            assert (await connection.execute(text("SHOW enable_hashjoin"))).scalar_one() == "on"
            assert (await connection.execute(text("SHOW enable_seqscan"))).scalar_one() == "on"
            return "\n".join(lines)

    plans = [await plan(bot), await plan(small)]
    owner = open_database(urls.owner)
    async with owner.begin() as session:
        await (await session.connection()).execute(text("ANALYZE"))
    await owner.close()
    plans += [await plan(bot), await plan(small)]

    for each in plans:
        assert "Bitmap Index Scan on chunk_salts_salts_idx" in each
        assert "Index Cond: (salts && (InitPlan" in each
        assert "Index Scan using chunk_lex_pkey on chunk_lex hit" in each
        assert "hashed SubPlan" in each
        assert "Seq Scan on chunk" not in each


async def test_terms_find_nothing_of_other_bots_and_other_tenants(stock: Stock, database: Database) -> None:
    [bot, sibling, _], question = stock.bots, stock.questions[0]
    bob = await make_viewer(database, "bob@example.com")
    his = await make_bot(database, bob, encoding=SALTED.number)
    await fill(database, his, [encode_tokens(tokens) for tokens in stock.made[:200]], 200)
    own = {chunk_id for chunk_id, _ in (await stock.looked_up(bot, question))[0]}

    of_sibling = {chunk_id for chunk_id, _ in (await stock.looked_up(sibling, question))[0]}
    of_his = {chunk_id for chunk_id, _ in (await stock.looked_up(his, question))[0]}

    assert own
    assert of_sibling
    assert of_his
    assert not own & of_sibling
    assert not own & of_his
    # Asked for with another's workspace at hand, there is nothing, whatever is named.
    assert (await stock.looked_up(his, question, bot.workspace_id))[0] == []
    # Terms of another bot, as salts that happen to be the same would be, find its rows but not as this bot's.
    async with database.begin([bot.workspace_id]) as session:
        salts = stock.salts(sibling, {"word3", "word17"})
        query = stock.query("word3 word17")
        assert await repository.salted_hits(session, bot.id, query, salts, encoding=SALTED, limit=50) == []


async def test_without_a_name_for_its_terms_no_row_can_be_read(stock: Stock, database: Database) -> None:
    async with database.begin([stock.ada.default_workspace_id]) as session:
        connection = await session.connection()
        count = text("SELECT count(*) FROM chunk_salts")
        assert (await connection.execute(count)).scalar_one() == 0
        name = text("SELECT set_config('kyrochat.salts', :salts, true)")
        salts = stock.salts(stock.bots[0], {"word1", "word2"})
        await connection.execute(name, {"salts": "{" + ",".join(map(str, salts)) + "}"})
        assert 0 < (await connection.execute(count)).scalar_one() < CHUNKS
