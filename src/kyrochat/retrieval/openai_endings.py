"""What the chunks of one answer of a server with OpenAI's API amount to: its text, its calls, its end."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kyrochat.db.storable import storable
from kyrochat.errors import ProviderFault, ProviderUnavailable
from kyrochat.retrieval.openai_errors import blocked
from kyrochat.retrieval.types import Finished, ToolCall, Usage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk
    from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall

# Servers have several words for an end that is one.
_WHOLE = ("stop", "eos_token", "stop_sequence", "tool_calls", "function_call")
_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(slots=True)
class Thoughts:
    """Takes away the thoughts that some models write in front of their answer, between `<think>` and `</think>`.

    Others send them apart from the text, where nobody looks.
    """

    _held: str = ""
    _is_thinking: bool = False
    _has_thought: bool = False
    _is_over: bool = False

    def without(self, text: str) -> str:
        """Return what of the next piece, together with what was held back before, is no thought."""
        if self._is_over:
            return text
        self._held += text
        while True:  # there may be several, one after the other
            if not self._is_thinking:
                start = self._held.lstrip()
                # White space in front of the answer is the answer's, unless it comes after thoughts.
                self._held = start if self._has_thought else self._held
                if not start.startswith(_OPEN):
                    return "" if _OPEN.startswith(start) else self.rest()
                self._is_thinking = self._has_thought = True
                self._held = start[len(_OPEN) :]
            _, mark, after = self._held.partition(_CLOSE)
            if not mark:
                self._held = self._held[-len(_CLOSE) :]
                return ""
            self._is_thinking, self._held = False, after

    def rest(self) -> str:
        """Return what was held back; the thoughts are over. Thoughts without an end are thoughts."""
        text, self._held, self._is_over = self._held, "", True
        return "" if self._is_thinking else text


@dataclass(slots=True)
class _Call:
    id: str
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Ending:
    """What the chunks of one answer, seen so far, say about it."""

    model: str
    has_text: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    text: str = ""
    _thoughts: Thoughts = field(default_factory=Thoughts)
    _calls: list[_Call] = field(default_factory=list)

    def observe(self, chunk: "ChatCompletionChunk") -> str:
        """Take note of a chunk, and return its text; often there is none."""
        if chunk.usage:  # with the last chunk, which then has no choices
            self.usage = Usage(chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0)
        self.model = chunk.model or self.model
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        text = self._thoughts.without(choice.delta.content or "") if choice.delta else ""
        for part in (choice.delta and choice.delta.tool_calls) or []:
            self._add_to_call(part)
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
            text += self._thoughts.rest()
        self.text += text
        self.has_text = self.has_text or bool(text)
        return text

    def _add_to_call(self, part: "ChoiceDeltaToolCall") -> None:
        # A new call has an id. Its place among the calls is not to be trusted: some servers say 0 for all.
        call_id = storable(part.id or "")
        if call_id and not (self._calls and self._calls[-1].id == call_id):
            self._calls.append(_Call(call_id))
        elif not self._calls:
            self._calls.append(_Call("call-1"))
        call = self._calls[-1]
        if part.function:
            call.name += storable(part.function.name or "")
            call.arguments += part.function.arguments or ""

    def finished(self, estimate: Usage) -> Finished:
        """Return the end of an answer whose stream is over; `estimate` is for servers that do not count.

        Raises:
            ProviderUnavailable: it was blocked, is empty, or broke off.
        """
        if self.finish_reason == "content_filter":
            raise blocked("The model's server refused to answer because of its content filter.")
        whole = self.finish_reason in _WHOLE
        if not whole and self.finish_reason != "length":
            raise ProviderUnavailable(
                "The model broke off before the end of the answer. Try again.", fault=ProviderFault.BROKEN_OFF
            )
        calls = tuple(ToolCall(call.id, call.name, _arguments(call.arguments)) for call in self._calls if whole)
        if not self.text.strip() and not calls:
            hint = " All tokens went into thinking: raise KYROCHAT_ANSWER_TOKENS."
            raise ProviderUnavailable(
                f"The model sent an empty answer.{' Try again.' if whole else hint}", fault=ProviderFault.EMPTY
            )
        return Finished(
            self.usage or estimate,
            cut_short=not whole,
            details={"model_version": self.model},
            calls=calls,
            raw=self._raw() if calls else None,
        )

    def _raw(self) -> dict[str, Any]:
        """Return the assistant's message as the next request repeats it."""
        return {
            "role": "assistant",
            "content": storable(self.text) or None,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments or "{}"},
                }
                for call in self._calls
            ],
        }


def _arguments(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
