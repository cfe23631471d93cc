"""Turns the model's markers into citations that hold, while the text streams by.

A model cites passage n as `[n]`. Here each marker becomes the number of a quote: the span of that passage which
supports the sentence before the marker. A marker without such a span is removed from the text and counted.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kyrochat.chat.events import AnswerEvent, CitationAdded, Quote, TextDelta
from kyrochat.retrieval.sentences import sentence_spans
from kyrochat.retrieval.support import best_span
from kyrochat.retrieval.types import Passage

# [3], [1, 2], [12]: with the white space before it, which goes too when the marker does. Everything is bounded,
# so that no text makes a search slow: models that run away write spaces by the thousand.
_MARKER = re.compile(r"(?P<space>[ \t]{0,8})\[(?P<numbers>\d{1,3}(?:\s{0,2},\s{0,2}\d{1,3}){0,9})\]")
# The end of a piece that may become a marker with the next one: white space, or an open bracket and no more than
# the longest marker has between its brackets.
_MAYBE = re.compile(r"[ \t]{0,8}(?:\[[\d,\s]{0,75})?\Z")
# The claim is looked for in what was written since the last paragraph, but not further back than this.
_CLAIM_CHARS = 1_200


@dataclass(slots=True)
class CitationStream:
    """Feed it the model's pieces in order; it gives the events. One a stream."""

    passages: Sequence[Passage]
    removed: int = 0
    _held: str = ""
    _written: str = ""
    _numbers: dict[tuple[int, int, int], int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many citations there are so far."""
        return len(self._numbers)

    def feed(self, piece: str) -> Iterator[AnswerEvent]:
        """Yield what can be said now; the start of what may become a marker is held back."""
        text = self._held + piece
        cut = _MAYBE.search(text)
        keep = cut.start() if cut else len(text)
        self._held = text[keep:]
        yield from self._resolve(text[:keep])

    def close(self) -> Iterator[AnswerEvent]:
        """Yield what was held back: it did not become a marker."""
        text, self._held = self._held, ""
        yield from self._resolve(text.rstrip())

    def _resolve(self, text: str) -> Iterator[AnswerEvent]:
        place = 0
        for match in _MARKER.finditer(text):
            yield from self._write(text[place : match.start()])
            place = match.end()
            claim = self._claim()
            found = [self._cite(int(number), claim) for number in match["numbers"].split(",")]
            numbers = list(dict.fromkeys(number for number, _ in found if number))
            yield from (CitationAdded(quote) for _, quote in found if quote)
            if numbers:
                yield from self._write(match["space"] + "".join(f"[{number}]" for number in numbers))
        yield from self._write(text[place:])

    def _write(self, text: str) -> Iterator[AnswerEvent]:
        if text:
            self._written = (self._written + text)[-_CLAIM_CHARS:]
            yield TextDelta(text)

    def _cite(self, passage_number: int, claim: str) -> tuple[int, Quote | None]:
        """Return the number of the quote that supports the claim, and the quote when it is new; or (0, None)."""
        if not 1 <= passage_number <= len(self.passages):
            self.removed += 1
            return 0, None
        passage = self.passages[passage_number - 1]
        span = best_span(passage.text, claim)
        if span is None:
            self.removed += 1
            return 0, None
        key = (passage_number, *span)
        if key in self._numbers:
            return self._numbers[key], None
        number = self._numbers[key] = len(self._numbers) + 1
        start, end = span
        return number, Quote(
            number=number,
            document_id=passage.document_id,
            document_title=passage.document_title,
            document_version=passage.document_version,
            start=passage.start + start,
            end=passage.start + end,
            quote=passage.text[start:end],
            page=passage.page,
        )

    def _claim(self) -> str:
        """Return the last sentence that was written, markers aside."""
        paragraph = re.sub(r"\[\d{1,3}\]", "", self._written.rpartition("\n\n")[2]).rstrip()
        spans = sentence_spans(paragraph)
        return paragraph[slice(*spans[-1])] if spans else paragraph
