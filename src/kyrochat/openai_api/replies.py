"""Answers in the form that clients of OpenAI's chat completions read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any
from uuid import UUID

from starlette.responses import JSONResponse, Response

from kyrochat import errors
from kyrochat.chat.events import Quote
from kyrochat.db.models import Bot, Message
from kyrochat.db.states import FinishReason

RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """What is the same in all parts of one answer."""

    message_id: UUID
    conversation_id: str
    model: str
    created: int

    def chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        """Return one event of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._shared("chat.completion.chunk") | {"choices": [choice]}

    def end(self, message: Message, quotes: Sequence[Quote]) -> dict[str, Any]:
        """Return the event of a stream that says how it ended, with the sources."""
        return self.chunk({}, _finish_reason(message)) | self._sources(message, quotes)

    def usage_chunk(self, message: Message) -> dict[str, Any]:
        """Return the event of a stream that says how many tokens it took."""
        return self._shared("chat.completion.chunk") | {"choices": [], "usage": usage_of(message)}

    def completion(self, message: Message, quotes: Sequence[Quote]) -> dict[str, Any]:
        """Return the whole answer."""
        spoken = {"role": "assistant", "content": message.text, "refusal": None}
        choice = {"index": 0, "message": spoken, "logprobs": None, "finish_reason": _finish_reason(message)}
        return (
            self._shared("chat.completion")
            | {"choices": [choice], "usage": usage_of(message)}
            | self._sources(message, quotes)
        )

    def _sources(self, message: Message, quotes: Sequence[Quote]) -> dict[str, Any]:
        """Return what OpenAI's form has no place for: `[2]` in the text is the citation whose number is 2."""
        return {
            "citations": [_citation(quote) for quote in quotes],
            "kyrochat": {
                "conversation": self.conversation_id,
                "grounded": message.grounded,
                "status": message.status.value,
            },
        }

    def _shared(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.message_id}", "object": kind, "created": self.created, "model": self.model}


def _finish_reason(message: Message) -> str:
    return "length" if message.finish_reason is FinishReason.LENGTH else "stop"


def _citation(quote: Quote) -> dict[str, Any]:
    return {
        "number": quote.number,
        "quote": quote.quote,
        "document_title": quote.document_title,
        "document_version": quote.document_version,
        "start": quote.start,
        "end": quote.end,
        "page": quote.page,
    }


def usage_of(message: Message) -> dict[str, int]:
    """Return how many tokens an answer took, as far as its provider has said."""
    prompt, completion = message.prompt_tokens or 0, message.completion_tokens or 0
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def model_of(bot: Bot, model_id: str) -> dict[str, Any]:
    """Return a bot as one of `/v1/models`."""
    created = int(bot.created_at.timestamp())
    return {"id": model_id, "object": "model", "created": created, "owned_by": "kyrochat", "name": bot.name}


def error_body(error: errors.KyroError) -> dict[str, Any]:
    """Return an expected failure as OpenAI's clients read it."""
    _, kind, code = _told(error)
    param = ".".join(error.issues[0].path) if isinstance(error, errors.InvalidInput) else None
    if param == "text":
        param = "messages"  # the question, which has that name in our own API only
    return {"error": {"message": error.message, "type": kind, "param": param, "code": code}}


def error_response(error: errors.KyroError) -> Response:
    """Return the answer to a request that has failed before anything was said."""
    status, _, _ = _told(error)
    headers = {}
    if isinstance(error, errors.RateLimited):
        headers["Retry-After"] = str(max(1, ceil(error.retry_after_s)))
    elif status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error_body(error), status, headers)


def event(payload: object) -> str:
    """Return one server-sent event."""
    return f"data: {json.dumps(payload, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _told(error: errors.KyroError) -> tuple[int, str, str | None]:
    """Return the HTTP status, OpenAI's type and its code."""
    match error:
        case errors.Unauthenticated() | errors.InvalidCredentials():
            return 401, "authentication_error", "invalid_api_key"
        case errors.Forbidden():
            return 403, "permission_error", None
        case errors.NotFound(what="bot"):
            return 404, "invalid_request_error", "model_not_found"
        case errors.NotFound():
            return 404, "invalid_request_error", None
        case errors.Conflict():
            return 409, "invalid_request_error", None
        case errors.QuotaExceeded():
            return 429, "insufficient_quota", "insufficient_quota"
        case errors.RateLimited():
            return 429, "rate_limit_error", "rate_limit_exceeded"
        case errors.ProviderUnavailable(retryable=False):
            return 502, "server_error", None
        case errors.Overloaded() | errors.ProviderUnavailable() | errors.TimedOut():
            return 503, "server_error", None
        case _:
            return 400, "invalid_request_error", None
