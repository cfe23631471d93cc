"""Which model answers, by the settings."""

from typing import Any

import pytest
from pydantic import SecretStr

from kyrochat.errors import ConfigurationError
from kyrochat.retrieval.gemini import GeminiModel
from kyrochat.retrieval.offline import ExtractiveModel
from kyrochat.retrieval.openai_compatible import OpenAIModel
from kyrochat.retrieval.providers import open_providers
from kyrochat.setting_values import AnswerProvider
from kyrochat.settings import Settings

GEMINI = {"gemini_api_key": SecretStr("g")}
LOCAL = {"openai_base_url": "http://127.0.0.1:9/v1", "openai_model": "llama"}
OPENAI = {"openai_api_key": SecretStr("o"), "openai_model": "gpt"}


def settings(**values: Any) -> Settings:
    absent: dict[str, Any] = {"gemini_api_key": None, "pinecone_api_key": None, "openai_api_key": None}
    return Settings(_env_file=None, **{**absent, **values})


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, ExtractiveModel),
        (GEMINI, GeminiModel),
        (LOCAL, OpenAIModel),
        (OPENAI, OpenAIModel),
        (GEMINI | LOCAL, GeminiModel),
        (GEMINI | LOCAL | {"answer_provider": AnswerProvider.OPENAI}, OpenAIModel),
        (GEMINI | LOCAL | {"answer_provider": AnswerProvider.OFFLINE}, ExtractiveModel),
        # A key for something else on this machine is no wish for a model.
        ({"openai_api_key": SecretStr("o")}, ExtractiveModel),
    ],
)
async def test_the_first_that_is_set_up_answers_or_the_one_that_is_named(given: dict[str, Any], kind: type) -> None:
    async with open_providers(settings(**given)) as providers:
        assert type(providers.model) is kind


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"answer_provider": AnswerProvider.GEMINI}, "set KYROCHAT_GEMINI_API_KEY"),
        ({"answer_provider": AnswerProvider.OPENAI}, "set KYROCHAT_OPENAI_MODEL"),
        ({"openai_model": "llama"}, "set KYROCHAT_OPENAI_BASE_URL"),
    ],
)
async def test_a_provider_that_is_not_set_up_is_said_at_the_start(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        async with open_providers(settings(**given)):
            pass


async def test_budgets_come_from_the_settings() -> None:
    async with open_providers(settings(prompt_tokens=5_000, history_tokens=0)) as providers:
        assert (providers.budget.prompt_tokens, providers.budget.history_tokens) == (5_000, 0)
