"""Opens the providers that the settings name. Their SDKs are imported at the first request, not here."""

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec

from kyrochat.db.states import VectorStore
from kyrochat.errors import ConfigurationError
from kyrochat.retrieval.budgets import Budget
from kyrochat.retrieval.dense_setup import NO_DENSE, DenseSetup
from kyrochat.retrieval.embedders import Embedders
from kyrochat.retrieval.embedding_pace import Pace, PacedEmbedder
from kyrochat.retrieval.gemini import Gemini, open_gemini
from kyrochat.retrieval.http_reranker import HttpReranker, open_http_reranker
from kyrochat.retrieval.offline import ExtractiveModel
from kyrochat.retrieval.openai_compatible import OpenAIModel, open_openai
from kyrochat.retrieval.openai_embedding import OpenAIEmbedder, Prefixes, open_openai_embedder
from kyrochat.retrieval.pinecone_indexes import PineconeIndexes
from kyrochat.retrieval.ports import AnswerModel, Embedder
from kyrochat.retrieval.reranking import Reranking
from kyrochat.retrieval.timeouts import Timeouts
from kyrochat.setting_values import AnswerProvider, VectorStoreChoice
from kyrochat.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Providers:
    """Who answers, how much that one is told, and what finds passages by meaning, if anything."""

    model: AnswerModel
    dense: DenseSetup = NO_DENSE
    budget: Budget = field(default_factory=Budget)
    reranking: Reranking | None = None


@asynccontextmanager
async def open_providers(settings: Settings) -> AsyncGenerator[Providers, None]:
    """Open what the settings name: who answers, who makes vectors, and where these are.

    Raises:
        ConfigurationError: `answer_provider` or `vector_store` names one that is not set up.
    """
    async with AsyncExitStack() as stack:
        gemini = _gemini(settings)
        if gemini is not None:
            stack.push_async_callback(gemini.close)
        model = _answer_model(settings, gemini)
        if isinstance(model, OpenAIModel):
            stack.push_async_callback(model.close)
        served = _embedding_server(settings)
        if served is not None:
            stack.push_async_callback(served.close)
        pinecone = _pinecone(settings)
        if pinecone is not None:
            stack.push_async_callback(pinecone.close)
        reranker = _reranker(settings)
        if reranker is not None:
            stack.push_async_callback(reranker.close)
        embedders = _embedders(gemini, served, settings.embedding_texts_per_minute)
        dense = DenseSetup(embedders, _store(settings, embedders, pinecone), pinecone)
        yield Providers(
            model,
            dense,
            Budget(settings.prompt_tokens, settings.history_tokens),
            None if reranker is None else Reranking(reranker, settings.rerank_timeout_s),
        )


def _gemini(settings: Settings) -> Gemini | None:
    if settings.gemini_api_key is None:
        return None
    return open_gemini(
        settings.gemini_api_key.get_secret_value(),
        settings.gemini_base_url,
        settings.gemini_api_version,
        settings.gemini_model,
        settings.gemini_embedding_model,
        thinking=settings.gemini_thinking,
        answer_tokens=settings.answer_tokens,
        timeouts=Timeouts(silence_s=settings.answer_silence_s),
        answer_timeout_s=settings.answer_timeout_s,
    )


def _answer_model(settings: Settings, gemini: Gemini | None) -> AnswerModel:
    wanted = settings.answer_provider
    if wanted is AnswerProvider.AUTO:
        offline = AnswerProvider.OPENAI if settings.openai_model else AnswerProvider.OFFLINE
        wanted = AnswerProvider.GEMINI if gemini is not None else offline
    match wanted:
        case AnswerProvider.GEMINI:
            if gemini is None:
                raise ConfigurationError("KYROCHAT_ANSWER_PROVIDER is gemini: set KYROCHAT_GEMINI_API_KEY, too.")
            return gemini.answer_model
        case AnswerProvider.OPENAI:
            return _openai(settings)
        case _:
            return ExtractiveModel()


def _openai(settings: Settings) -> OpenAIModel:
    if not settings.openai_model:
        raise ConfigurationError("KYROCHAT_ANSWER_PROVIDER is openai: set KYROCHAT_OPENAI_MODEL, too.")
    if settings.openai_base_url is None and settings.openai_api_key is None:
        raise ConfigurationError(
            "KYROCHAT_OPENAI_MODEL is set: set KYROCHAT_OPENAI_BASE_URL, too, or KYROCHAT_OPENAI_API_KEY for one of "
            "OpenAI's own."
        )
    if find_spec("openai") is None:
        raise ConfigurationError("KYROCHAT_OPENAI_MODEL needs a package: pip install 'kyrochat[openai]'.")
    return open_openai(
        settings.openai_api_key.get_secret_value() if settings.openai_api_key else None,
        settings.openai_base_url,
        settings.openai_model,
        answer_tokens=settings.answer_tokens,
        timeouts=Timeouts(silence_s=settings.answer_silence_s),
        answer_timeout_s=settings.answer_timeout_s,
    )


def _embedding_server(settings: Settings) -> OpenAIEmbedder | None:
    if settings.embedding_base_url is None:
        return None
    key = settings.embedding_api_key
    return open_openai_embedder(
        settings.embedding_base_url,
        None if key is None else key.get_secret_value(),
        settings.embedding_model,
        settings.embedding_dimensions,
        Prefixes(settings.embedding_query_prefix, settings.embedding_document_prefix),
    )


def _reranker(settings: Settings) -> HttpReranker | None:
    if settings.rerank_url is None:
        return None
    key = settings.rerank_api_key
    return open_http_reranker(
        settings.rerank_url,
        settings.rerank_model,
        None if key is None else key.get_secret_value(),
        timeout_s=settings.rerank_timeout_s,
    )


def _pinecone(settings: Settings) -> PineconeIndexes | None:
    if settings.pinecone_api_key is None:
        return None
    return PineconeIndexes(
        settings.pinecone_api_key.get_secret_value(), settings.pinecone_host, settings.pinecone_index
    )


def _embedders(gemini: Gemini | None, served: OpenAIEmbedder | None, per_minute: int) -> Embedders | None:
    """Return the embedders of this process: a server that was named for that comes before Gemini."""

    ours = gemini.embedder if gemini is not None else None
    pace = Pace(per_minute) if per_minute else None

    def paced(embedder: Embedder) -> Embedder:
        return embedder if pace is None else PacedEmbedder(embedder, pace)

    def other(scheme: str) -> Embedder | None:
        found = served.of_scheme(scheme) if served is not None else None
        if found is None and ours is not None:
            found = ours.of_scheme(scheme)
        return None if found is None else paced(found)

    current: Embedder | None = served if served is not None else ours
    return None if current is None else Embedders(paced(current), other)


def _store(settings: Settings, embedders: Embedders | None, pinecone: PineconeIndexes | None) -> VectorStore | None:
    choice = settings.vector_store
    if choice is VectorStoreChoice.PINECONE and pinecone is None:
        raise ConfigurationError(
            "KYROCHAT_VECTOR_STORE is pinecone, and KYROCHAT_PINECONE_API_KEY is not set. Set it, or choose pgvector."
        )
    if choice is VectorStoreChoice.OFF:
        return None
    if embedders is None:
        if pinecone is not None or choice is not VectorStoreChoice.AUTO:
            log.warning(
                "Nothing makes embeddings, so no vectors are stored or searched: "
                "set KYROCHAT_GEMINI_API_KEY or KYROCHAT_EMBEDDING_BASE_URL"
            )
        return None
    if choice is VectorStoreChoice.PINECONE or (choice is VectorStoreChoice.AUTO and pinecone is not None):
        return VectorStore.PINECONE
    return VectorStore.PGVECTOR
