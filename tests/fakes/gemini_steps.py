"""What a scripted Gemini does, step by step, in answer to one request."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any


def sse(event: dict[str, Any]) -> bytes:
    """One server-sent event as Gemini writes it."""
    return b"data: " + json.dumps(event).encode() + b"\r\n\r\n"


def error_body(code: int, status: str, message: str, details: list[dict[str, Any]]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": details}}


@dataclass(frozen=True)
class Raw:
    """These very bytes."""

    content: bytes


@dataclass(frozen=True)
class Text:
    """An event with a piece of the answer."""

    text: str
    thought: bool = False

    @property
    def event(self) -> dict[str, Any]:
        part = {"text": self.text} | ({"thought": True} if self.thought else {})
        return {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]}


@dataclass(frozen=True)
class Call:
    """An event with a call of a tool; `arguments` is JSON. From 3 on Gemini signs what it thought before it."""

    name: str
    arguments: str
    signature: str | None = None

    @property
    def event(self) -> dict[str, Any]:
        part: dict[str, Any] = {"functionCall": {"name": self.name, "args": json.loads(self.arguments)}}
        if self.signature is not None:
            part["thoughtSignature"] = self.signature
        return {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]}


@dataclass(frozen=True)
class Finish:
    """The last event: why it ended, and the tokens of prompt, answer and thoughts."""

    reason: str = "STOP"
    prompt_tokens: int = 12
    answer_tokens: int = 3
    thought_tokens: int = 0

    @property
    def event(self) -> dict[str, Any]:
        return {"candidates": [{"index": 0, "finishReason": self.reason}], "usageMetadata": self._usage}

    @property
    def _usage(self) -> dict[str, int]:
        usage = {"promptTokenCount": self.prompt_tokens, "candidatesTokenCount": self.answer_tokens}
        if self.thought_tokens:
            usage["thoughtsTokenCount"] = self.thought_tokens
        return usage | {"totalTokenCount": sum(usage.values())}


@dataclass(frozen=True)
class BlockedPrompt:
    """An event that says the question itself was blocked."""

    reason: str = "SAFETY"

    @property
    def event(self) -> dict[str, Any]:
        return {"promptFeedback": {"blockReason": self.reason}, "usageMetadata": {"promptTokenCount": 12}}


@dataclass(frozen=True)
class InBandError:
    """An error event in a stream that had begun with status 200."""

    code: int = 503
    status: str = "UNAVAILABLE"

    @property
    def event(self) -> dict[str, Any]:
        return error_body(self.code, self.status, "The service is currently unavailable.", [])


@dataclass(frozen=True)
class HttpError:
    """Another status than 200; only as the first and only step.

    `retry_delay` is a RetryInfo's duration such as "0.25s"; `html` a proxy's page instead of JSON.
    """

    code: int
    status: str = "UNKNOWN"
    message: str = "It failed."
    reason: str | None = None
    retry_delay: str | None = None
    html: str | None = None

    @property
    def body(self) -> bytes:
        if self.html is not None:
            return self.html.encode()
        details: list[dict[str, Any]] = []
        if self.reason is not None:
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": self.reason})
        if self.retry_delay is not None:
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": self.retry_delay})
        return json.dumps(error_body(self.code, self.status, self.message, details)).encode()


@dataclass(frozen=True)
class Wait:
    """Nothing until the event is set; before the first event not even the headers are sent."""

    event: asyncio.Event


@dataclass(frozen=True)
class After:
    """Nothing for so many seconds, as a real model is silent between its tokens."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """Nothing ever again."""


@dataclass(frozen=True)
class Cut:
    """The connection breaks: in the middle of the body, or without any answer."""


@dataclass(frozen=True)
class Vectors:
    """These vectors as the answer to a request for embeddings."""

    vectors: list[list[float]] = field(default_factory=list)


Step = Raw | Text | Call | Finish | BlockedPrompt | InBandError | HttpError | Wait | After | Hang | Cut | Vectors

KEY_INVALID = HttpError(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")
