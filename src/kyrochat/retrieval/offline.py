"""Answers without any provider, by quoting the sentences that answer."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass

from kyrochat.retrieval.extraction import Quote, choose
from kyrochat.retrieval.prompting import NOT_FOUND
from kyrochat.retrieval.types import Finished, ModelEvent, Prompt, TextPiece, Usage

WORDS_PER_PIECE = 4
# What is pasted after this many characters is no question any more.
MAX_QUESTION_CHARS = 4_000
_WORDS = re.compile(r"\S+\s*|\s+")
_OWN_MARKERS = re.compile(r"\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]")
# An index in a program: behind a short or unwordly name, or where something is done with it.
_INDEX = re.compile(
    r"(?:\b[^\W\d]|\w*[_\d]\w*)\[\d{1,3}\]|\w\[\d{1,3}\](?=\s?(?:[-+*/%|&^]?=|\(|\[[^\]\d]|\.[^\W\d]|->|::))"
)
_WITHOUT_SPACES_CHARS = 12

_SMALL_TALK = (
    (
        re.compile(
            r"(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening|day)|greetings|hallo|hola|bonjour)(?: there)?"
        ),
        "Hello! Ask me something, and I will look for it in this bot's documents.",
    ),
    (
        re.compile(
            r"(?:many )?(?:thanks?|thank you|thx|cheers|danke|gracias|merci)(?: (?:a lot|so much|very much|again))?"
        ),
        "You are welcome.",
    ),
    (re.compile(r"(?:good ?bye|bye|bye bye|see you(?: later)?|tschüss|adiós|ciao)"), "Goodbye!"),
)


@dataclass(frozen=True, slots=True)
class ExtractiveModel:
    """Quotes up to four sentences of the passages, each with its marker, and adds no words of its own.

    It says so when the passages hold no answer; `Finished.grounded` then is False, and None for small talk.
    """

    name: str = "offline-extractive"

    def model_of(self, wanted: str) -> str:
        """Return our own name: whatever a bot asks for, it is quoted here."""
        del wanted
        return self.name

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Yield the answer a few words at a time, then Finished with white-space separated words as tokens."""
        if prompt.task:
            # It can only quote: a title or another question would be words of its own.
            yield Finished(Usage(0, 0))
            return
        grounded: bool | None = None
        text = _small_talk(prompt.question)
        if text is None:
            # Off the loop: it takes 10 ms for 8 passages, and much longer for many.
            question = prompt.question[:MAX_QUESTION_CHARS]
            quotes = await asyncio.to_thread(choose, question, prompt.history, prompt.passages)
            text, grounded = (_written(quotes), True) if quotes else (NOT_FOUND, False)
        for piece in _pieces(text):
            yield TextPiece(piece)
            await asyncio.sleep(0)  # a stop or another request gets its turn
        yield Finished(Usage(_prompt_words(prompt), len(text.split())), grounded=grounded)


def _written(quotes: Sequence[Quote]) -> str:
    """Join quotes, each followed by its marker; a passage makes a paragraph, a quote without a full stop a line."""
    text = ""
    last: Quote | None = None
    for quote in quotes:
        if last is not None:
            if last.passage != quote.passage:
                text += "\n\n"
            else:
                text += " " if last.text[-1] in '.!?。！？।؟"”»)' else "\n"
        text += f"{_quoted(quote.text)} [{quote.passage}]"
        last = quote
    return text


def _quoted(text: str) -> str:
    """Return a quote without the source's own markers, which would be read as ours; programs are quoted as code."""
    if not _INDEX.search(text):
        return _OWN_MARKERS.sub("", text).strip()
    return text if "`" in text or "\n" in text else f"`{text}`"


def _small_talk(question: str) -> str | None:
    plain = " ".join(re.sub(r"[^\w\s]", " ", question.lower()).split())
    return next((reply for pattern, reply in _SMALL_TALK if pattern.fullmatch(plain)), None)


def _pieces(text: str) -> Iterator[str]:
    """Yield the text in pieces of some words; runs without spaces, as in Chinese, in pieces of some characters."""
    words: list[str] = []
    for word in _WORDS.findall(text):
        if len(word) > 2 * _WITHOUT_SPACES_CHARS and not word.isascii():
            yield from ["".join(words)] if words else []
            words = []
            for start in range(0, len(word), _WITHOUT_SPACES_CHARS):
                yield word[start : start + _WITHOUT_SPACES_CHARS]
            continue
        words.append(word)
        if len(words) == WORDS_PER_PIECE:
            yield "".join(words)
            words = []
    if words:
        yield "".join(words)


def _prompt_words(prompt: Prompt) -> int:
    texts = [prompt.instructions, prompt.question]
    texts += [passage.text for passage in prompt.passages] + [turn.text for turn in prompt.history]
    return sum(len(text.split()) for text in texts)
