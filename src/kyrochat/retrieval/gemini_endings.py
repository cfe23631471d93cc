"""How an answer of Gemini ended, which the SDK leaves to its caller to find out."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.types import Finished, Usage

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

    def observe(self, chunk: "types.GenerateContentResponse") -> str:
        """Take note of a chunk, and return its text without the model's thoughts; often there is none."""
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
            self.block_reason = chunk.prompt_feedback.block_reason.value
        if counted := chunk.usage_metadata:
            # A running total. Thoughts are billed as output, and counted beside it.
            self.usage = Usage(
                prompt_tokens=counted.prompt_token_count or 0,
                completion_tokens=(counted.candidates_token_count or 0) + (counted.thoughts_token_count or 0),
            )
        if chunk.model_version:
            self.model = chunk.model_version
        if not chunk.candidates:
            return ""
        candidate = chunk.candidates[0]
        if candidate.finish_reason:
            self.finish_reason = candidate.finish_reason.value
        parts = (candidate.content and candidate.content.parts) or []
        text = "".join(part.text for part in parts if part.text and not part.thought)
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
            )
        if self.finish_reason in _BLOCKED:
            raise ProviderUnavailable(
                f"Gemini refused to answer because of {_BLOCKED[self.finish_reason]}.", retryable=False
            )
        if self.finish_reason is None and self.has_text:
            raise ProviderUnavailable("Gemini broke off in the middle of the answer. Try again.")
        if self.finish_reason not in (None, "STOP", "MAX_TOKENS"):
            raise ProviderUnavailable("Gemini did not finish the answer. Try again.")
        if not self.has_text:
            # Thinking alone may use up all tokens.
            raise ProviderUnavailable("Gemini sent an empty answer. Try again.")
        return Finished(self.usage, cut_short=self.finish_reason == "MAX_TOKENS", details={"model_version": self.model})
