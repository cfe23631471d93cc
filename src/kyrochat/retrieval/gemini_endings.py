"""How an answer of Gemini ended, which the SDK leaves to its caller to find out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kyrochat.errors import ProviderFault, ProviderUnavailable
from kyrochat.retrieval.types import Finished, ToolCall, Usage

if TYPE_CHECKING:
    from google.genai import types

# The same question would end the same way.
_BLOCKED = {
    "SAFETY": "its safety filter",
    "RECITATION": "a likeness to protected text",
    "LANGUAGE": "a language it does not support",
    "BLOCKLIST": "a forbidden term",
    "PROHIBITED_CONTENT": "prohibited content",
    "SPII": "sensitive personal data",
    "MODEL_ARMOR": "its content policy",
}


@dataclass(slots=True)
class Ending:
    """What the chunks of one answer, seen so far, say about it."""

    model: str
    has_text: bool = False
    finish_reason: str | None = None
    block_reason: str | None = None
    usage: Usage = field(default=Usage(0, 0))
    # All that the model said, its signed thoughts among it: where calls are answered, it wants this back unchanged.
    parts: list[Mapping[str, Any]] = field(default_factory=list)

    def observe(self, chunk: Mapping[str, Any]) -> str:
        """Take note of a chunk, and return its text without the model's thoughts; often there is none."""
        if (feedback := chunk.get("promptFeedback")) and feedback.get("blockReason"):
            self.block_reason = feedback["blockReason"]
        if counted := chunk.get("usageMetadata"):
            # A running total. Thoughts are billed as output, and counted beside it.
            self.usage = Usage(
                prompt_tokens=counted.get("promptTokenCount") or 0,
                completion_tokens=(counted.get("candidatesTokenCount") or 0) + (counted.get("thoughtsTokenCount") or 0),
            )
        if version := chunk.get("modelVersion"):
            self.model = version
        if not (candidates := chunk.get("candidates")):
            return ""
        candidate = candidates[0]
        if reason := candidate.get("finishReason"):
            self.finish_reason = reason
        parts = (candidate.get("content") or {}).get("parts") or ()
        self.parts += parts
        text = "".join([part["text"] for part in parts if part.get("text") and not part.get("thought")])
        self.has_text = self.has_text or bool(text)
        return text

    def finished(self) -> Finished:
        """Return the end of an answer whose stream is over.

        Raises:
            ProviderUnavailable: it was blocked, is empty, or broke off.
        """
        if self.block_reason is not None:
            raise ProviderUnavailable(
                f"Gemini refused the question because of {_BLOCKED.get(self.block_reason, 'its content policy')}.",
                retryable=False,
                fault=ProviderFault.BLOCKED,
            )
        if self.finish_reason in _BLOCKED:
            raise ProviderUnavailable(
                f"Gemini refused to answer because of {_BLOCKED[self.finish_reason]}.",
                retryable=False,
                fault=ProviderFault.BLOCKED,
            )
        if self.finish_reason is None and self.has_text:
            raise ProviderUnavailable(
                "Gemini broke off in the middle of the answer. Try again.", fault=ProviderFault.BROKEN_OFF
            )
        if self.finish_reason not in (None, "STOP", "MAX_TOKENS"):
            raise ProviderUnavailable("Gemini did not finish the answer. Try again.", fault=ProviderFault.BROKEN_OFF)
        raw = self._raw()
        calls = _calls(raw)
        if not self.has_text and not calls:
            # Thinking alone may use up all tokens.
            hint = " All tokens went into thinking: raise KYROCHAT_ANSWER_TOKENS, or lower KYROCHAT_GEMINI_THINKING."
            raise ProviderUnavailable(
                f"Gemini sent an empty answer.{hint if self.finish_reason == 'MAX_TOKENS' else ' Try again.'}",
                fault=ProviderFault.EMPTY,
            )
        return Finished(
            self.usage,
            cut_short=self.finish_reason == "MAX_TOKENS",
            details={"model_version": self.model},
            calls=calls,
            raw=raw if calls else None,
        )

    def _raw(self) -> "list[types.Part]":
        """Return the model's parts in the SDK's types, where there are calls among them."""
        if self.finish_reason != "STOP" or not any("functionCall" in part for part in self.parts):
            return []
        from google.genai import types

        return [types.Part.model_validate(part) for part in self.parts]


def _calls(parts: "Sequence[types.Part]") -> tuple[ToolCall, ...]:
    wanted = [part.function_call for part in parts if part.function_call]
    return tuple(
        ToolCall(call.id or f"call-{number}", call.name or "", call.args or {})
        for number, call in enumerate(wanted, start=1)
    )
