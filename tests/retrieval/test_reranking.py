"""What was found is put in order anew by a reranker on the wire, in time or not at all."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.http_reranker import HttpReranker, open_http_reranker
from kyrochat.retrieval.reranking import Reranking
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search_settings import Leg, SearchSettings
from kyrochat.retrieval.trace import LegStatus
from tests.factories import make_bot, make_document, make_viewer
from tests.fakes.embedding_server import Answer, Cut, Hang, HttpError, Raw, Step
from tests.fakes.rerank_server import RerankServer, running_rerank_server

TEXTS = ["The Elbe is long.", "How long is the Rhine? The Rhine is long.", "Eels."]
QUESTION = "How long is the Rhine?"


@pytest.fixture
async def fake() -> AsyncGenerator[RerankServer, None]:
    async with running_rerank_server(api_key="rr-secret") as server:
        yield server


@pytest.fixture
async def reranker(fake: RerankServer) -> AsyncGenerator[HttpReranker, None]:
    opened = open_http_reranker(fake.url, "tiny-reranker", "rr-secret", timeout_s=5)
    yield opened
    await opened.close()


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database, "ada@example.com")


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    bot = await make_bot(database, ada)
    await make_document(database, bot, "Long Rhine! Long, long Rhine!", "Loud")
    await make_document(database, bot, "It is known how long the Rhine is.", "Right")
    return bot


async def test_scores_come_in_the_order_of_the_texts(fake: RerankServer, reranker: HttpReranker) -> None:
    assert await reranker.rerank(QUESTION, TEXTS) == [0.6, 1.0, 0.0]
    assert fake.requests == [{"model": "tiny-reranker", "query": QUESTION, "documents": TEXTS, "top_n": 3}]
    assert await reranker.rerank(QUESTION, []) == ()


async def test_the_shape_without_a_model_and_scores_that_are_not_squeezed() -> None:
    async with running_rerank_server(model=None, shift=-4.0) as fake:
        reranker = open_http_reranker(fake.url, "", None, timeout_s=5)

        elbe, rhine, eels = await reranker.rerank(QUESTION, TEXTS)

        assert 1 > rhine > elbe > eels > 0
        assert fake.requests == [{"query": QUESTION, "texts": TEXTS, "truncate": True}]
        await reranker.close()


def without_one(body: dict[str, Any]) -> None:
    body["results"].pop()


def twice_the_same(body: dict[str, Any]) -> None:
    body["results"][1]["index"] = body["results"][0]["index"]


def no_number(body: dict[str, Any]) -> None:
    body["results"][0]["relevance_score"] = None


def far_away(body: dict[str, Any]) -> None:
    body["results"][0]["index"] = 99


BAD: list[Step] = [
    HttpError(401),
    HttpError(429),
    HttpError(503),
    Cut(),
    Raw(b"not json"),
    Raw(b"[1, 2, 3]"),
    Raw(b'{"results": [{"index": 0, "relevance_score": NaN}]}'),
    Raw(b"{}"),
    Raw(b"[" * 100_000),
    Raw(b'{"results": [%s]}' % b",".join(b'{"index": %d, "score": 1%s}' % (n, b"0" * 400) for n in range(3))),
    Answer(without_one),
    Answer(twice_the_same),
    Answer(no_number),
    Answer(far_away),
]


def name_of(step: Step) -> str:
    return step.change.__name__ if isinstance(step, Answer) else str(step)[:60]


@pytest.mark.parametrize("step", BAD, ids=name_of)
async def test_what_cannot_be_used_is_no_order(
    fake: RerankServer, reranker: HttpReranker, caplog: pytest.LogCaptureFixture, step: Step
) -> None:
    fake.script(step)

    with pytest.raises(ProviderUnavailable) as failure:
        await reranker.rerank(QUESTION, TEXTS)

    assert len(fake.requests) == 1, "Somebody is waiting: it is not asked again."
    said = failure.value.message + caplog.text
    assert not any(secret in said for secret in ("rr-secret", "sk-secret", "Rhine"))


async def test_an_answer_uses_the_new_order_and_the_trace_tells_both(
    database: Database, bot: Bot, reranker: HttpReranker
) -> None:
    plain = await Retriever(database).retrieve(bot, QUESTION)
    found = await Retriever(database, reranking=Reranking(reranker)).retrieve(bot, QUESTION)

    assert [passage.document_title for passage in plain.passages] == ["Loud", "Right"]
    assert [(passage.document_title, passage.score) for passage in found.passages] == [("Right", 1.0), ("Loud", 0.4)]
    assert [(each.reranked, each.score) for each in found.trace.candidates] == [(1.0, 1.0), (0.4, 0.4)]
    assert found.trace.candidates[0].fused < found.trace.candidates[1].fused
    report = found.trace.legs[-1]
    assert (report.leg, report.status, report.candidates, report.scheme) == (
        Leg.RERANK,
        LegStatus.OK,
        2,
        "tiny-reranker",
    )


@pytest.mark.parametrize(("step", "status"), [(Hang(), LegStatus.LATE), (HttpError(503), LegStatus.FAILED)])
async def test_a_reranker_that_is_late_or_down_is_left_out(
    database: Database, bot: Bot, fake: RerankServer, reranker: HttpReranker, step: Step, status: LegStatus
) -> None:
    searching = Retriever(database, reranking=Reranking(reranker, budget_s=0.3))
    plain = await Retriever(database).retrieve(bot, QUESTION)
    fake.script(step)

    found = await searching.retrieve(bot, QUESTION)
    again = await searching.retrieve(bot, QUESTION)

    assert found.passages == plain.passages
    assert found.trace.legs[-1].status is status
    assert [again.trace.cached, again.trace.legs[-1].status] == [False, LegStatus.OK]


@dataclass(frozen=True)
class Meanwhile:
    """A reranker during whose work something happens, and which may fail then."""

    happens: Callable[[], Awaitable[None]]
    fails: bool
    scheme: str = "meanwhile"

    async def rerank(self, question: str, texts: Sequence[str]) -> Sequence[float]:
        await self.happens()
        if self.fails:
            raise ProviderUnavailable("Down.")
        return [0.5] * len(texts)


@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_deleted_while_a_reranker_takes_its_time_is_not_shown(
    database: Database, bot: Bot, fails: bool
) -> None:
    async def delete() -> None:
        async with database.begin([bot.workspace_id]) as session:
            statement = text("UPDATE documents SET deleted_at = now() WHERE title = 'Loud'")
            await (await session.connection()).execute(statement)

    found = await Retriever(database, reranking=Reranking(Meanwhile(delete, fails))).retrieve(bot, QUESTION)

    assert [passage.document_title for passage in found.passages] == ["Right"]


async def test_a_reranker_that_is_not_wanted_is_not_asked(
    database: Database, bot: Bot, fake: RerankServer, reranker: HttpReranker
) -> None:
    searching = Retriever(database, reranking=Reranking(reranker))

    found = await searching.retrieve(bot, QUESTION, SearchSettings(legs=(Leg.LEXICAL, Leg.DENSE)))
    nothing = await searching.retrieve(bot, "xyzzy")

    assert [each.trace.legs[-1].status for each in (found, nothing)] == [LegStatus.OFF] * 2
    assert fake.requests == []
