"""Searches as everybody searches, for tests that look at the passages only."""

from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.retrieval.types import Passage


async def search(
    database: Database, bot: Bot, question: str, limit: int = 8, *, dense: DenseRetrieval | None = None
) -> list[Passage]:
    """Return up to `limit` passages, best first."""
    retrieval = await Retriever(database, dense=dense).retrieve(bot, question, SearchSettings(top_k=limit))
    return list(retrieval.passages)
