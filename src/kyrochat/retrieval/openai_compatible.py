"""Answers from any server with OpenAI's chat API: Ollama, vLLM, llama.cpp, gateways, OpenAI itself."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kyrochat.retrieval.budgets import estimated_tokens
from kyrochat.retrieval.openai_connection import OpenAIConnection
from kyrochat.retrieval.openai_endings import Ending
from kyrochat.retrieval.openai_errors import failure_of, refused_parameter, too_slow
from kyrochat.retrieval.prompting import system_instruction, user_content
from kyrochat.retrieval.pumped import Put, pumped
from kyrochat.retrieval.retries import Retries
from kyrochat.retrieval.timeouts import Timeouts
from kyrochat.retrieval.types import Finished, ModelEvent, Prompt, TextPiece, Turn, Usage

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai.types.chat import ChatCompletionChunk

ANSWER_TIMEOUT_S = 300.0
# What an answer can do without: models that think take no temperature, old servers do not count.
DISPENSABLE = frozenset(["temperature", "stream_options", "max_tokens", "max_completion_tokens", "tool_choice"])


def open_openai(
    api_key: str | None,
    base_url: str | None,
    model: str,
    *,
    answer_tokens: int | None = None,
    timeouts: Timeouts | None = None,
    retries: Retries | None = None,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
) -> "OpenAIModel":
    """Return the adapter; nothing is imported or connected before the first request.

    `base_url` None means OpenAI's. `model` answers for bots that name none. `answer_tokens` bounds an answer.
    """
    connection = OpenAIConnection(api_key, base_url, timeouts or Timeouts())
    return OpenAIModel(connection, model, retries or Retries(), answer_timeout_s, answer_tokens)


@dataclass(frozen=True, slots=True)
class OpenAIModel:
    """An AnswerModel."""

    connection: OpenAIConnection
    default_model: str
    retries: Retries = field(default_factory=Retries)
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    answer_tokens: int | None = None
    # What models have refused to be told, by their names.
    _refused: dict[str, set[str]] = field(default_factory=dict)

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
            ProviderUnavailable: the server failed, its filter took offence, or the answer ended in the middle.
        """
        events = pumped(lambda put: self._read(prompt, put), self.answer_timeout_s, too_slow)
        async with aclosing(events):
            async for event in events:
                yield event

    async def close(self) -> None:
        """Close all connections. Streams should have ended before."""
        await self.connection.close()

    async def _read(self, prompt: Prompt, put: Put) -> Finished:
        model = self.model_of(prompt.model)
        messages = _messages(prompt)
        ending = Ending(model)

        async def attempt() -> Finished:
            nonlocal ending
            ending = Ending(model)  # calls of an attempt that broke off are none
            async with await self._begin(prompt, model, messages) as chunks:
                async for chunk in chunks:
                    if text := ending.observe(chunk):
                        put(TextPiece(text))
            return ending.finished(_estimate(messages, ending))

        return await self.retries.run(attempt, failure_of, untouched=lambda: not ending.has_text)

    async def _begin(self, prompt: Prompt, model: str, messages: list[Any]) -> "AsyncStream[ChatCompletionChunk]":
        """Send the request, again without what the server does not want to be told."""
        import openai

        client = await self.connection.client()
        while True:
            arguments = self._arguments(prompt, model)
            try:
                chunks: AsyncStream[ChatCompletionChunk] = await client.chat.completions.create(
                    model=model, messages=messages, stream=True, **arguments
                )
                return chunks
            except openai.BadRequestError as error:
                unwanted = refused_parameter(error)
                if unwanted not in DISPENSABLE & arguments.keys():
                    raise
                self._refused.setdefault(model, set()).add(unwanted)

    def _arguments(self, prompt: Prompt, model: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "temperature": prompt.temperature,
            "stream_options": {"include_usage": True},
        }
        if self.answer_tokens is not None:
            arguments["max_completion_tokens" if self.connection.is_openai else "max_tokens"] = self.answer_tokens
        if prompt.tools:
            arguments["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": dict(tool.parameters),
                    },
                }
                for tool in prompt.tools
            ]
            if not prompt.may_call:
                arguments["tool_choice"] = "none"
        return {name: value for name, value in arguments.items() if name not in self._refused.get(model, ())}


def _messages(prompt: Prompt) -> list[Any]:
    """Return the rules, the turns, and the question with its passages; then what was called in this answer.

    Two roles take turns: of a conversation in which a question was left without an answer, many models want nothing.
    """
    messages: list[Any] = [{"role": "system", "content": system_instruction(prompt)}]
    for turn in (*prompt.history, Turn("user", user_content(prompt))):
        if turn.role == messages[-1]["role"]:
            messages[-1]["content"] += f"\n\n{turn.text}"
        elif turn.text:
            messages.append({"role": turn.role, "content": turn.text})
    for step in prompt.steps:
        messages.append(step.raw)
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(step.calls, step.results, strict=True)
        ]
    return messages


def _estimate(messages: list[Any], ending: Ending) -> Usage:
    told = "".join(str(message.get("content") or "") for message in messages)
    return Usage(estimated_tokens(told), estimated_tokens(ending.text))
