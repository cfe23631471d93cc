"""Turns the model's markers into citations that hold, while the text streams by.

A model cites passage n as `[n]`. Here each marker becomes the number of a quote: the span of that passage which
supports the sentence before the marker. A marker without such a span is removed from the text and counted.

In what comes out, `[n]` outside of code is citation n. Where the text itself means such brackets, as in `x[1] = 3`,
they stay, with a backslash in front of them as Markdown has it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kyrochat.chat.cleaning.sources import may_begin_address
from kyrochat.chat.events import AnswerEvent, CitationAdded, Quote, TextDelta
from kyrochat.retrieval.sentences import sentence_spans
from kyrochat.retrieval.support import best_span
from kyrochat.retrieval.types import Passage

# [3], [1, 2], [12]: with the white space before it, which goes too when the marker does. Everything is bounded,
# so that no text makes a search slow: models that run away write spaces by the thousand.
_NUMBERS = r"\[(?P<numbers>\d{1,3}(?:\s{0,2},\s{0,2}\d{1,3}){0,9})\]"
_MARKER = re.compile(rf"(?P<space>[ \t]{{0,8}})(?<!\\){_NUMBERS}")
# The end of a piece that may become a marker with the next one: white space, or an open bracket and no more than
# the longest marker has between its brackets.
_MAYBE = re.compile(r"[ \t]{0,8}(?:(?<!\\)\[[\d,\s]{0,75})?\Z")
# The same, whole but at the end: directly behind a word, what follows it says whether it is one.
_MAYBE_INDEX = re.compile(rf"{_NUMBERS}[^\n]{{0,2}}\Z")
_NAME = re.compile(r"[\w.]{1,60}\Z")
# What follows an index in a program, and no citation in a text.
_AFTER_INDEX = re.compile(r"\s?(?:[-+*/%|&^]?=(?!>)|\\?\(|\[[^\]\d]|\.[^\W\d]|\+\+|--|->|::)")
_IDENTIFIER = re.compile(r"(?:\b[^\W\d_]|\w*[_\d]\w*)\Z")
# A backslash that is escaped, as the cleaner gives it: in a piece of its own.
_BACKSLASH = "\\\\"
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
# Where a marker was taken out, no space is missing before these.
_CLOSING = frozenset(",;!?)]}\"'”’»…。，、；：！？*_~|")
# The claim is looked for in what was written since the last paragraph, but not further back than this.
_CLAIM_CHARS = 1_200


@dataclass(slots=True)
class CitationStream:
    """Feed it the model's pieces in order; it gives the events. One a stream. `passages` may grow meanwhile."""

    passages: list[Passage]
    removed: int = 0
    _held: str = ""
    _tail: str = ""  # of what was written
    _said: str = ""  # the same, without markers and escapes: what claims are looked for in
    _numbers: dict[tuple[int, int, int], int] = field(default_factory=dict)
    # What the last marker was, while the next stands directly behind it; and whether one was removed right here.
    _chain: str = ""
    _at_gap: bool = False

    @property
    def count(self) -> int:
        """How many citations there are so far."""
        return len(self._numbers)

    def feed(self, piece: str, *, is_code: bool = False) -> Iterator[AnswerEvent]:
        """Yield what can be said now; the start of what may become a marker is held back, code never."""
        if is_code:
            yield from self._flush()
            yield from self._write(piece, said=piece.replace("`", ""))
            return
        if piece.endswith(_BACKSLASH):
            # It escapes nothing, though what follows looks escaped: so that does not stand in one text with it.
            yield from self._flush()
            yield from self._resolve(piece, len(piece))
            return
        text = self._held + piece
        keep = self._kept(text)
        self._held = text[keep:]
        yield from self._resolve(text, keep)

    def close(self) -> Iterator[AnswerEvent]:
        """Yield what was held back: it goes on no more."""
        self._held = self._held.rstrip()
        yield from self._flush()

    def _flush(self) -> Iterator[AnswerEvent]:
        text, self._held = self._held, ""
        yield from self._resolve(text, len(text))

    def _kept(self, text: str) -> int:
        """Return how much of the text can be told apart now."""
        cut = _MAYBE.search(text)
        keep = cut.start() if cut else len(text)
        index = _MAYBE_INDEX.search(text)
        if index and index.start() < keep and _ends_word(text[: index.start()] or self._tail):
            return index.start()
        return keep

    def _resolve(self, text: str, end: int) -> Iterator[AnswerEvent]:
        """Yield what the text says up to `end`; what follows is only looked at."""
        place = 0
        for match in _MARKER.finditer(text, 0, end):
            yield from self._write(text[place : match.start()])
            if match.start() > place or match["space"]:
                self._chain = ""
            place = match.end()
            if self._chain != "marker" and (self._chain == "index" or self._is_index(match)):
                self._chain = "index"
                yield from self._write(match["space"] + "\\" + match.group()[len(match["space"]) :], match.group())
                continue
            self._chain = "marker"
            yield from self._cited(match)
        if place < end:
            self._chain = ""
        yield from self._write(text[place:end])

    def _is_index(self, match: re.Match[str]) -> bool:
        """Say whether these brackets are the text's own: an index in a program, not a citation behind a word."""
        if match["space"] or not _ends_word(self._tail):
            return False
        if _AFTER_INDEX.match(match.string, match.end()):
            return True
        name = _NAME.search(self._tail)
        if name is None:
            return False
        literal = name.group() + match.group()
        return any(literal in passage.text for passage in self.passages)

    def _cited(self, match: re.Match[str]) -> Iterator[AnswerEvent]:
        claim = self._claim()
        found = [self._cite(int(number), claim) for number in match["numbers"].split(",")]
        numbers = list(dict.fromkeys(number for number, _ in found if number))
        if not numbers:
            if not match["space"] and _IDENTIFIER.search(self._tail):
                # Nothing bears it out, and it looks like an index: so it is taken for one, and not for a claim.
                self._chain = "index"
                self.removed -= len(found)
                yield from self._write("\\" + match.group(), match.group())
                return
            self._at_gap = True
            return
        yield from (CitationAdded(quote) for _, quote in found if quote)
        # Directly behind an exclamation mark, it would be the start of an image.
        space = match["space"] or (" " if self._tail.endswith("!") else "")
        yield from self._write(space + "".join(f"[{number}]" for number in numbers), "")

    def _write(self, text: str, said: str | None = None) -> Iterator[AnswerEvent]:
        if not text:
            return
        if self._at_gap:
            self._at_gap = False
            text = f" {text}" if self._is_space_missing(text[0]) else text
        self._tail = (self._tail + text)[-80:]
        self._said = (self._said + (_unescaped(text) if said is None else said))[-_CLAIM_CHARS:]
        yield TextDelta(text)

    def _is_space_missing(self, following: str) -> bool:
        if not self._tail or self._tail[-1].isspace() or following.isspace() or following in _CLOSING:
            return False
        return following not in ".:" or may_begin_address(self._tail)

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
        """Return the last sentence that was written."""
        paragraph = self._said.rpartition("\n\n")[2].rstrip()
        spans = sentence_spans(paragraph)
        return paragraph[slice(*spans[-1])] if spans else paragraph


def _ends_word(text: str) -> bool:
    return text[-1:].isalnum() or text[-1:] in ("_", ")", "]")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(r"\1", text).replace("&lt;", "<")
