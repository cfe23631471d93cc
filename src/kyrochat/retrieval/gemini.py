"""Answers from Gemini, and the way in: `open_gemini`."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from kyrochat.errors import ProviderFault, ProviderUnavailable
from kyrochat.retrieval.gemini_connection import GeminiConnection
from kyrochat.retrieval.gemini_embedding import GeminiEmbedder
from kyrochat.retrieval.gemini_endings import Ending
from kyrochat.retrieval.gemini_errors import failure_of, too_slow
from kyrochat.retrieval.gemini_requests import contents_of, thinking_of, tool_config_of, tools_of
from kyrochat.retrieval.gemini_stream import request_body, stream_chunks
from kyrochat.retrieval.prompting import system_instruction
from kyrochat.retrieval.pumped import Put, pumped
from kyrochat.retrieval.retries import Retries
from kyrochat.retrieval.timeouts import Timeouts
from kyrochat.retrieval.types import Finished, ModelEvent, Prompt, TextPiece

ANSWER_TIMEOUT_S = 300.0

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")


@dataclass(frozen=True, slots=True)
class Gemini:
    """Both ports over one connection."""

    connection: GeminiConnection
    answer_model: "GeminiModel"
    embedder: GeminiEmbedder

    async def warm_up(self) -> None:
        """Import the SDK and make the client now, a second of CPU in a thread, not with the first question."""
        await self.connection.client()

    async def close(self) -> None:
        """Close all connections. Streams should have ended before."""
        await self.connection.close()


def open_gemini(
    api_key: str,
    base_url: str | None,
    api_version: str,
    model: str,
    embedding_model: str,
    *,
    thinking: str = "",
    answer_tokens: int | None = None,
    timeouts: Timeouts | None = None,
    retries: Retries | None = None,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
) -> Gemini:
    """Return the adapter; nothing is imported or connected before the first request.

    `base_url` None means Google's. `model` answers for bots that name none. `thinking` is a level or a number of
    tokens, '' for the model's own way; `answer_tokens` bounds an answer together with the thoughts before it.
    """
    connection = GeminiConnection(api_key, base_url, api_version, timeouts or Timeouts())
    retries = retries or Retries()
    return Gemini(
        connection,
        GeminiModel(connection, model, retries, answer_timeout_s, thinking, answer_tokens),
        GeminiEmbedder(connection, embedding_model, retries),
    )


@dataclass(frozen=True, slots=True)
class GeminiModel:
    """An AnswerModel."""

    connection: GeminiConnection
    default_model: str
    retries: Retries = field(default_factory=Retries)
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    thinking: str = ""
    answer_tokens: int | None = None

    @property
    def name(self) -> str:
        """The default model's name."""
        return self.default_model

    def model_of(self, wanted: str) -> str:
        """Return the model that a bot asks for, or the default one."""
        return wanted or self.default_model

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Yield TextPiece in order, then one Finished. Closing the generator closes the HTTP request.

        Failed requests are repeated as long as nothing has been yielded, and never after.

        Raises:
            ProviderUnavailable: Gemini failed, blocked the question or the answer, or ended in the middle.
        """
        model = prompt.model or self.default_model
        if not _MODEL_NAME.fullmatch(model):
            # It becomes a part of the URL.
            raise ProviderUnavailable(
                "This is not the name of a Gemini model.", retryable=False, fault=ProviderFault.REFUSED
            )
        events = pumped(lambda put: self._read(prompt, model, put), self.answer_timeout_s, too_slow)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _read(self, prompt: Prompt, model: str, put: Put) -> Finished:
        ending = Ending(model)

        async def attempt() -> Finished:
            nonlocal ending
            ending = Ending(model)  # calls of an attempt that broke off are none
            transport, url = await self.connection.streaming(model)
            chunks = stream_chunks(transport, url, self.connection.api_key, self._body(prompt))
            async with aclosing(chunks):
                async for arrived in chunks:
                    if text := "".join([ending.observe(chunk) for chunk in arrived]):
                        put(TextPiece(text))
            return ending.finished()

        return await self.retries.run(attempt, failure_of, untouched=lambda: not ending.has_text)

    def _body(self, prompt: Prompt) -> bytes:
        return request_body(
            contents_of(prompt),
            system_instruction(prompt),
            tools_of(prompt),
            tool_config_of(prompt),
            temperature=prompt.temperature,
            maxOutputTokens=self.answer_tokens,
            thinkingConfig=thinking_of(self.thinking),
        )
