"""What a scripted server with OpenAI's API does, step by step, in answer to one request."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any


def sse(event: dict[str, Any] | str) -> bytes:
    """One server-sent event as such servers write it."""
    return b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n\n"


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """A chunk with one choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "fake-1", "choices": [choice]}


@dataclass(frozen=True)
class Raw:
    """These very bytes."""

    content: bytes


@dataclass(frozen=True)
class Text:
    """A chunk with a piece of the answer; `reasoning` is what some servers send beside it."""

    text: str
    reasoning: str | None = None

    @property
    def content(self) -> bytes:
        beside = {} if self.reasoning is None else {"reasoning_content": self.reasoning}
        return sse(chunk({"content": self.text} | beside))


@dataclass(frozen=True)
class Call:
    """Chunks with a part each of a call of a tool, as the arguments are split."""

    id: str
    name: str
    arguments: tuple[str, ...]

    @property
    def content(self) -> bytes:
        first = {"index": 0, "id": self.id, "type": "function", "function": {"name": self.name, "arguments": ""}}
        parts: list[dict[str, Any]] = [first]
        parts += [{"index": 0, "function": {"arguments": part}} for part in self.arguments]
        return b"".join(sse(chunk({"tool_calls": [part]})) for part in parts)


@dataclass(frozen=True)
class Finish:
    """The last chunk, that with the tokens if they were asked for and are counted, and `[DONE]`."""

    reason: str = "stop"
    prompt_tokens: int = 12
    completion_tokens: int = 3
    counts: bool = True
    done: bool = True

    def content(self, *, with_usage: bool) -> bytes:
        usage = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        usage["total_tokens"] = sum(usage.values())
        counted = sse(chunk({}) | {"choices": [], "usage": usage}) if self.counts and with_usage else b""
        return sse(chunk({}, self.reason)) + counted + (sse("[DONE]") if self.done else b"")


@dataclass(frozen=True)
class InBandError:
    """An error event in a stream that had begun with status 200."""

    message: str = "The engine is dead."

    @property
    def content(self) -> bytes:
        return sse({"error": {"message": self.message, "type": "server_error", "code": None}})


@dataclass(frozen=True)
class HttpError:
    """Another status than 200; only as the first and only step. `retry_after` is the header; `html` a proxy's page."""

    status: int
    code: str | None = None
    message: str = "It failed."
    param: str | None = None
    retry_after: str | None = None
    html: str | None = None

    @property
    def body(self) -> bytes:
        if self.html is not None:
            return self.html.encode()
        error = {"message": self.message, "type": "error", "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"retry-after": self.retry_after}


@dataclass(frozen=True)
class Wait:
    """Nothing until the event is set; before the first chunk not even the headers are sent."""

    event: asyncio.Event = field(compare=False)


@dataclass(frozen=True)
class Hang:
    """Nothing ever again."""


@dataclass(frozen=True)
class Cut:
    """The connection breaks: in the middle of the body, or without any answer."""


Step = Raw | Text | Call | Finish | InBandError | HttpError | Wait | Hang | Cut
