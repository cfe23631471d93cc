"""Opens the providers that the settings name. Their SDKs are imported at the first request, not here."""

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec

from kyrochat.errors import ConfigurationError
from kyrochat.retrieval.budgets import Budget
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.gemini import Gemini, open_gemini
from kyrochat.retrieval.gemini_embedding import DIMENSIONS
from kyrochat.retrieval.offline import ExtractiveModel
from kyrochat.retrieval.openai_compatible import OpenAIModel, open_openai
from kyrochat.retrieval.pinecone import open_pinecone
from kyrochat.retrieval.ports import AnswerModel
from kyrochat.retrieval.timeouts import Timeouts
from kyrochat.settings import AnswerProvider, Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Providers:
    """Who answers, how much that one is told, and who finds passages by meaning, if anybody."""

    model: AnswerModel
    dense: DenseRetrieval | None = None
    budget: Budget = field(default_factory=Budget)


@asynccontextmanager
async def open_providers(settings: Settings) -> AsyncGenerator[Providers, None]:
    """Open what the settings name: who answers, and Pinecone with both keys.

    Raises:
        ConfigurationError: `answer_provider` names one that is not set up.
    """
    async with AsyncExitStack() as stack:
        gemini = _gemini(settings)
        if gemini is not None:
            stack.push_async_callback(gemini.close)
        model = _answer_model(settings, gemini)
        if isinstance(model, OpenAIModel):
            stack.push_async_callback(model.close)
        budget = Budget(settings.prompt_tokens, settings.history_tokens)
        if gemini is None or settings.pinecone_api_key is None:
            if settings.pinecone_api_key is not None:
                log.warning(
                    "PINECONE_API_KEY is set, GEMINI_API_KEY is not: nothing makes embeddings, so it is not used"
                )
            yield Providers(model, budget=budget)
            return
        index = open_pinecone(
            settings.pinecone_api_key.get_secret_value(),
            settings.pinecone_host,
            settings.pinecone_index,
            dimensions=DIMENSIONS,
        )
        stack.push_async_callback(index.close)
        yield Providers(model, DenseRetrieval(gemini.embedder, index), budget)


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
