"""How much a model is told: tokens by an estimate that errs on the safe side for every tokenizer and language."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kyrochat.retrieval.types import Prompt, Turn

# Tokenizers make about four bytes of English a token, and three of most other scripts. A count that is exact would
# need each provider's own tokenizer.
BYTES_PER_TOKEN = 3
# Marks, source line and number of a passage; the mark of a turn.
PASSAGE_TOKENS = 60
TURN_TOKENS = 8
RULES_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Budget:
    """Most tokens of all that a model is told with a question, and of the earlier conversation in it."""

    prompt_tokens: int = 32_000
    history_tokens: int = 4_000

    def halved(self) -> "Budget":
        """Return one that leaves room for as much again."""
        return replace(self, prompt_tokens=self.prompt_tokens // 2)

    def fitted(self, prompt: Prompt) -> Prompt:
        """Return the prompt with the latest turns and the first passages that fit; `history_trimmed` says so.

        Instructions and question are always in it, and the best passage: without them there is nothing to answer.
        """
        left = self.prompt_tokens - RULES_TOKENS - estimated_tokens(prompt.instructions + prompt.question)
        turns = latest(prompt.history, max(0, min(self.history_tokens, left // 2)))
        left -= sum(_turn_tokens(turn) for turn in turns)
        count = 0
        for passage in prompt.passages:
            left -= PASSAGE_TOKENS + estimated_tokens(passage.text)
            if left < 0 and count:
                break
            count += 1
        trimmed = prompt.history_trimmed or len(turns) < len(prompt.history)
        return replace(prompt, history=turns, passages=prompt.passages[:count], history_trimmed=trimmed)


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has, rather too many than too few."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def latest(turns: Sequence[Turn], max_tokens: int) -> tuple[Turn, ...]:
    """Return the latest turns that fit into `max_tokens` together, oldest first; they begin with a user's turn."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        max_tokens -= _turn_tokens(turn)
        if max_tokens < 0:
            break
        kept.append(turn)
    while kept and kept[-1].role != "user":
        kept.pop()  # an answer without its question confuses more than it tells
    return tuple(reversed(kept))


def _turn_tokens(turn: Turn) -> int:
    return TURN_TOKENS + estimated_tokens(turn.text)
