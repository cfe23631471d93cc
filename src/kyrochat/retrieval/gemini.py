"""Answers from Gemini, and the way in: `open_gemini`."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.gemini_connection import GeminiConnection, Timeouts, closing_responses
from kyrochat.retrieval.gemini_embedding import GeminiEmbedder
from kyrochat.retrieval.gemini_endings import Ending
from kyrochat.retrieval.gemini_errors import too_slow
from kyrochat.retrieval.gemini_retries import Retries
from kyrochat.retrieval.prompting import history, system_instruction, user_content
from kyrochat.retrieval.types import Finished, ModelEvent, Prompt, TextPiece

if TYPE_CHECKING:
    from google.genai import types

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
    timeouts: Timeouts | None = None,
    retries: Retries | None = None,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
) -> Gemini:
    """Return the adapter; nothing is imported or connected before the first request.

    `base_url` None means Google's. `model` answers for bots that name none.
    """
    connection = GeminiConnection(api_key, base_url, api_version, timeouts or Timeouts())
    retries = retries or Retries()
    return Gemini(
        connection,
        GeminiModel(connection, model, retries, answer_timeout_s),
        GeminiEmbedder(connection, embedding_model, retries),
    )


@dataclass(frozen=True, slots=True)
class GeminiModel:
    """An AnswerModel."""

    connection: GeminiConnection
    default_model: str
    retries: Retries = field(default_factory=Retries)
    answer_timeout_s: float = ANSWER_TIMEOUT_S

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
            raise ProviderUnavailable("This is not the name of a Gemini model.", retryable=False)
        # A task reads, since closing the SDK's own stream leaves the request open: only a cancellation that
        # arrives while waiting for the network closes it. The queue has no limit for the same reason: the
        # task waits for nothing else. What piles up is at most one answer.
        events: asyncio.Queue[ModelEvent | Exception] = asyncio.Queue()
        reader = asyncio.create_task(self._read(prompt, model, events.put_nowait))
        try:
            while True:
                event = await events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            reader.cancel()
            await asyncio.wait([reader])

    async def _read(self, prompt: Prompt, model: str, put: Callable[[ModelEvent | Exception], None]) -> None:
        ending = Ending(model)

        async def attempt() -> Finished:
            client = await self.connection.client()
            async with closing_responses():
                chunks = await client.aio.models.generate_content_stream(
                    model=model, contents=[*_contents(prompt)], config=_config(prompt)
                )
                async for chunk in chunks:
                    if text := ending.observe(chunk):
                        put(TextPiece(text))
            return ending.finished()

        try:
            async with asyncio.timeout(self.answer_timeout_s):
                put(await self.retries.run(attempt, untouched=lambda: not ending.has_text))
        except TimeoutError:
            put(too_slow())
        except Exception as error:
            put(error)


def _config(prompt: Prompt) -> "types.GenerateContentConfig":
    from google.genai import types

    return types.GenerateContentConfig(
        system_instruction=system_instruction(prompt),
        temperature=prompt.temperature,
        # Both are on by default, and would send further, billed requests of their own accord.
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
    )


def _contents(prompt: Prompt) -> "list[types.Content]":
    """Return the turns, user first, and the question with its passages last."""
    from google.genai import types

    contents: list[types.Content] = []
    for turn in history(prompt):
        if not turn.text:
            continue  # The answer failed before its first word; Gemini refuses empty parts.
        if turn.role == "user":
            contents.append(types.UserContent(turn.text))
        elif contents:
            contents.append(types.ModelContent(turn.text))
    return [*contents, types.UserContent(user_content(prompt))]
