"""The vectors' inner product, as PostgreSQL computes it, against BM25 as the books write it."""

from collections import Counter
from itertools import pairwise
from math import log

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.retrieval.lexical import chunk_tokens, encode_query, encode_tokens, to_sparsevec_text, tokenize
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.proximity import RERANKED, proximity_bonus
from tests.factories import make_bot, make_document, make_viewer
from tests.searching import search

K1, B, USUAL_LENGTH = 1.2, 0.75, 100


def bm25(question: list[str], chunks: list[list[str]]) -> list[float]:
    """Return Lucene's BM25 of each chunk, the usual length taken for the average one."""
    scores = []
    for chunk in chunks:
        counts, score = Counter(chunk), 0.0
        for term in question:
            holding = sum(term in other for other in chunks)
            idf = log(1 + (len(chunks) - holding + 0.5) / (holding + 0.5))
            frequency = counts[term]
            score += idf * frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * len(chunk) / USUAL_LENGTH))
        scores.append(score)
    return scores


async def scored(database: Database, question: list[str], chunks: list[list[str]]) -> list[float]:
    """Return what PostgreSQL makes of the vectors."""
    query = to_sparsevec_text(encode_query(" ".join(question), Lexicon.build(chunks), "none"))
    values = {"query": query, "chunks": [to_sparsevec_text(encode_tokens(chunk)) for chunk in chunks]}
    statement = text("""
        SELECT -(CAST(chunk AS sparsevec) <#> CAST(:query AS sparsevec))
        FROM unnest(CAST(:chunks AS text[])) WITH ORDINALITY AS chunks (chunk, place) ORDER BY place
    """)
    async with database.begin() as session:
        return list((await (await session.connection()).execute(statement, values)).scalars())


# Of the sort that the tokeniser leaves as they are, and that are not one edit apart: no typing errors here.
TERMS = st.sampled_from([letter * 5 for letter in "abcdefghijklmn"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(TERMS, min_size=1, max_size=6),
    st.lists(st.lists(TERMS, min_size=1, max_size=300), min_size=1, max_size=25),
)
async def test_postgresql_ranks_as_bm25_does(database: Database, question: list[str], chunks: list[list[str]]) -> None:
    expected, found = bm25(question, chunks), await scored(database, question, chunks)

    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    ranking = sorted(range(len(chunks)), key=lambda place: -found[place])
    # Six digits are stored: what they cannot tell apart may change places.
    for better, worse in pairwise(ranking):
        assert expected[better] >= expected[worse] * (1 - 1e-4)


async def test_a_search_is_bm25_and_nearness_and_nothing_else(database: Database) -> None:
    ada: Viewer = await make_viewer(database)
    bot: Bot = await make_bot(database, ada, language="english")
    rivers = ["Rhine", "Elbe", "Danube", "Rhone", "Seine", "Thames"]
    texts = [
        f"The {river} passes {other} valley. " + f"{river} boats are {'slow ' * slow}but the {other} is long."
        for slow, river in enumerate(rivers)
        for other in rivers
        if other != river
    ]
    for place, body in enumerate(texts):
        await make_document(database, bot, body, title=f"{place}")
    question = "slow boats on the Danube in the Seine valley"
    tokens = [chunk_tokens(f"{place}", body, "english") for place, body in enumerate(texts)]
    lexicon, asked = Lexicon.build(tokens), tokenize(question, "english")
    scores = bm25(asked, tokens)
    near = [score + proximity_bonus(asked, held, lexicon.idf) for score, held in zip(scores, tokens, strict=True)]

    found = await search(database, bot, question, RERANKED)

    places = [int(passage.document_title) for passage in found]
    assert len(places) > 5
    got = [near[place] for place in places]
    assert got == sorted(got, reverse=True)
    assert {round(score, 3) for score in got[:5]} <= {round(score, 3) for score in sorted(near, reverse=True)[:5]}
