"""Takes out of a model's text, while it streams by, what must not leave the server: see docs/answers.md.

Images load by themselves and carry away what is in their address; raw HTML does anything; addresses that a model made
up wait for a click. Code stays as it is. How the text is cut into pieces makes no difference: something is decided
only when no continuation could change it, and until then it is held back.

What is taken out must not make something new of what stood around it: wherever that could be, a backslash or a space
comes between.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import IncrementalNewlineDecoder

from kyrochat.chat.cleaning.draft import Draft, Piece
from kyrochat.chat.cleaning.links import (
    address_at,
    closing_bracket,
    exclamation,
    next_special,
    opening_bracket,
)
from kyrochat.chat.cleaning.marks import ampersand, angle, backslash, backticks, tildes
from kyrochat.chat.cleaning.markup import UNDECIDED, Undecided
from kyrochat.chat.cleaning.sources import Sources, begins_address

# Whoever indents more writes no Markdown.
MAX_PREFIX_CHARS = 200

_PREFIX = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*")
# What follows the prefix of a line and may still become something that begins a block.
_UNCLEAR = re.compile(r"\Z|`{1,2}\Z|~{1,2}\Z|`{3}|~{3}|\d{1,9}\Z|[_ \t]+\Z|#{1,6}\Z")


@dataclass(slots=True)
class Cleaner:
    """Feed it the pieces of one text in order. `images`, `tags` and `links` count what was taken out."""

    sources: Sources
    _draft: Draft = field(init=False)
    # To Markdown a carriage return ends a line like any other end; here there is one kind from now on.
    _line_ends: IncrementalNewlineDecoder = field(default_factory=lambda: IncrementalNewlineDecoder(None, True))
    _at_line_start: bool = True
    _is_code: bool = False

    def __post_init__(self) -> None:
        self._draft = Draft(self.sources)

    @property
    def images(self) -> int:
        """How many images were taken out."""
        return self._draft.images

    @property
    def tags(self) -> int:
        """How many pieces of HTML were taken out."""
        return self._draft.tags

    @property
    def links(self) -> int:
        """How many addresses were taken out."""
        return self._draft.links

    def feed(self, piece: str) -> list[Piece]:
        """Return what can be shown now."""
        self._draft.take(self._line_ends.decode(piece))
        return list(self._run())

    def close(self) -> list[Piece]:
        """Return the rest: nothing comes any more."""
        self._draft.take(self._line_ends.decode("", final=True))
        self._draft.is_all = True
        return list(self._run())

    def _run(self) -> Iterator[Piece]:
        draft = self._draft
        while draft.place < len(draft.text):
            step = self._begin_line(draft) if self._at_line_start else self._go_on(draft)
            if step is UNDECIDED:
                return
            for piece in step:
                if piece.text:
                    yield draft.written(piece)

    def _begin_line(self, draft: Draft) -> list[Piece] | Undecided:
        """Find out whether the line is code. Of most lines that takes a few characters, of a fence all of them."""
        end = draft.text.find("\n", draft.place)
        is_whole = end >= 0 or draft.is_all
        line = draft.text[draft.place : end if end >= 0 else len(draft.text)]
        head = line[:MAX_PREFIX_CHARS]
        found = _PREFIX.match(head)
        rest = head[found.end() :] if found else head
        is_fence = rest.startswith(("```", "~~~"))
        if not is_whole and (is_fence or (len(line) < MAX_PREFIX_CHARS and _UNCLEAR.match(rest))):
            return UNDECIDED
        is_long = len(line) >= MAX_PREFIX_CHARS and not is_fence
        self._is_code = draft.lines.is_code(f"{head}x" if is_long else line)
        if is_long and not rest:
            draft.lines.doubt()
        self._at_line_start, draft.at_margin = False, True
        return []

    def _go_on(self, draft: Draft) -> Iterable[Piece] | Undecided:
        if self._is_code:
            return self._code_line(draft)
        if draft.at_seam:
            joins = begins_address(draft.tail, draft.text[draft.place : draft.place + 8])
            if joins is None and not draft.is_all:
                return UNDECIDED
            draft.at_seam = False
            if joins:
                return [Piece(" ")]
        start, special = next_special(draft)
        if start > draft.place:
            text, draft.place = draft.text[draft.place : start], start
            return [Piece(text)]
        if special is None:
            return UNDECIDED  # the start of an address, perhaps
        return self._special(draft, special)

    def _special(self, draft: Draft, sign: str) -> Iterable[Piece] | Undecided:
        match sign:
            case "\n":
                self._at_line_start = True
                return draft.shown("\n", 1)
            case "\\":
                return backslash(draft)
            case "`":
                return backticks(draft)
            case "~":
                return tildes(draft)
            case "<":
                return angle(draft)
            case "&":
                return ampersand(draft)
            case "!":
                return exclamation(draft)
            case "[":
                return opening_bracket(draft)
            case "]":
                return closing_bracket(draft)
            case "(":
                return draft.shown("\\(" if draft.tail.endswith("]") else "(", 1)
            case ":":
                return draft.shown("\\:" if draft.may_define and draft.tail.endswith("]") else ":", 1)
            case _:
                return address_at(draft)

    def _code_line(self, draft: Draft) -> list[Piece]:
        newline = draft.text.find("\n", draft.place)
        self._at_line_start = newline >= 0
        end = newline + 1 if newline >= 0 else len(draft.text)
        return draft.shown(draft.text[draft.place : end], end - draft.place, is_code=True)
