"""Opens the providers that the settings name. Their SDKs are imported at the first request, not here."""

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.gemini import open_gemini
from kyrochat.retrieval.gemini_embedding import DIMENSIONS
from kyrochat.retrieval.offline import ExtractiveModel
from kyrochat.retrieval.pinecone import open_pinecone
from kyrochat.retrieval.ports import AnswerModel
from kyrochat.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Providers:
    """Who answers, and who finds passages by meaning, if anybody."""

    model: AnswerModel
    dense: DenseRetrieval | None = None


@asynccontextmanager
async def open_providers(settings: Settings) -> AsyncGenerator[Providers, None]:
    """Open what the settings name: Gemini with its key, Pinecone with both keys; without any, quoting."""
    if settings.gemini_api_key is None:
        if settings.pinecone_api_key is not None:
            log.warning("PINECONE_API_KEY is set, GEMINI_API_KEY is not: nothing makes embeddings, so it is not used")
        yield Providers(ExtractiveModel())
        return
    gemini = open_gemini(
        settings.gemini_api_key.get_secret_value(),
        settings.gemini_base_url,
        settings.gemini_api_version,
        settings.gemini_model,
        settings.gemini_embedding_model,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(gemini.close)
        if settings.pinecone_api_key is None:
            yield Providers(gemini.answer_model)
            return
        index = open_pinecone(
            settings.pinecone_api_key.get_secret_value(),
            settings.pinecone_host,
            settings.pinecone_index,
            dimensions=DIMENSIONS,
        )
        stack.push_async_callback(index.close)
        yield Providers(gemini.answer_model, DenseRetrieval(gemini.embedder, index))
