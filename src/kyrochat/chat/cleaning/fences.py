"""Follows the lines of a Markdown text: which are code between fences, and which only look as if.

What counts is what a reader by CommonMark's rules would take for code: there, and nowhere else, a text may pass as
it is. Where lists, quotations and indentation leave that open, a fence is none; whoever cleans the text then escapes
its marks, so that it is none for anybody.
"""

import re
from dataclasses import dataclass, field

_QUOTE = re.compile(r" {0,3}>[ \t]?")
_ITEM = re.compile(r"(?:[-*+]|(\d{1,9})[.)])(?=[ \t]|$)")
# With a bar in it, some readers take it for the head of a table.
_FENCE = re.compile(r"(`{3,})([^`|]*)$|(~{3,})([^|]*)$")
_RULE = re.compile(r"(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_BLOCK_START = re.compile(r"#{1,6}(?:[ \t]|$)")


@dataclass(frozen=True, slots=True)
class Fence:
    """An open fence: its mark, how long, in how many quotations, and the column where its container begins."""

    mark: str
    length: int
    quotes: int
    column: int


@dataclass(slots=True)
class Lines:
    """Feed it whole lines without their ends, in order; it says which are code."""

    fence: Fence | None = None
    _quotes: int = 0
    # Where the contents of the open list items begin, outermost first.
    _items: list[int] = field(default_factory=list)
    _is_empty_item: bool = False
    _after_blank: bool = True
    # Set while it cannot be told which containers are open: a paragraph may go on without their marks.
    _is_unsure: bool = False

    def doubt(self) -> None:
        """Note that the line is shown otherwise than it was fed: what it opens or closes is not known."""
        self._is_unsure = True

    def is_code(self, line: str) -> bool:
        """Say whether the line is a fence, or inside of one."""
        if self.fence is not None:
            inside = self._inside(line, self.fence)
            if inside is not None:
                return inside
            self.fence = None
        return self._opens(line)

    def _inside(self, line: str, fence: Fence) -> bool | None:
        """Return True for a line of the fence's code, or its end; None when its container ends before the line."""
        rest = line
        for _ in range(fence.quotes):
            mark = _QUOTE.match(rest)
            if not mark:
                return None
            rest = rest[mark.end() :]
        column, text = _indentation(rest)
        if not text:
            return True
        if column < fence.column:
            return None
        marks = text.rstrip(" \t")  # with any other white space behind them, they end no fence
        if column - fence.column <= 3 and set(marks) == {fence.mark} and len(marks) >= fence.length:
            self.fence, self._after_blank = None, False
        return True

    def _opens(self, line: str) -> bool:
        rest, quotes = line, 0
        column, text = _indentation(rest)
        if not self._items or column < self._items[0]:
            while mark := _QUOTE.match(rest):
                rest, quotes = rest[mark.end() :], quotes + 1
            column, text = _indentation(rest)
        if quotes != self._quotes:
            # Less of them, and a paragraph may go on: but what is no paragraph is outside.
            self._quotes, self._items = quotes, []
            self._is_unsure = self._is_unsure or not (self._after_blank or quotes)
        if not text:
            if self._is_empty_item and self._items:
                self._items.pop()  # it may begin with one blank line, not with two
            self._after_blank, self._is_empty_item = True, False
            return False
        self._is_empty_item = False
        was_after_blank, self._after_blank = self._after_blank, False
        if column == 0 and was_after_blank:
            self._is_unsure = False  # nothing goes on over a blank line at the margin
        self._leave_items(column, text, was_after_blank)
        column, text = self._enter_items(column, text, was_after_blank)
        return self._opens_fence(column, text, quotes)

    def _leave_items(self, column: int, text: str, was_after_blank: bool) -> None:
        left = False
        while self._items and self._items[-1] > column:
            self._items.pop()
            left = True
        starts_anew = bool(_FENCE.match(text) or _ITEM.match(text) or _BLOCK_START.match(text) or _RULE.match(text))
        if left and not was_after_blank and not starts_anew:
            self._is_unsure = True

    def _enter_items(self, column: int, text: str, was_after_blank: bool) -> tuple[int, str]:
        """Open the list items that begin in the line, and return the column of what is left of it, and that."""
        is_first = True
        while (mark := _ITEM.match(text)) and not _RULE.match(text):
            if column - (self._items[-1] if self._items else 0) > 3:
                break  # so far in, it is code or goes on with a paragraph
            spaces, rest = _indentation(text[mark.end() :], column + mark.end())
            if is_first and not was_after_blank and not self._items and (not rest or mark[1] not in (None, "1")):
                self._is_unsure = True  # in a paragraph, this begins no list
                break
            content = spaces if rest and spaces - column - mark.end() <= 4 else column + mark.end() + 1
            self._items.append(content)
            column, text, is_first, self._is_empty_item = spaces, rest, False, not rest
            if not rest or spaces != content:
                break
        return column, text

    def _opens_fence(self, column: int, text: str, quotes: int) -> bool:
        found = _FENCE.match(text)
        if not found:
            return False
        base = self._items[-1] if self._items else 0
        if column - base > 3 or (self._is_unsure and (column or quotes)):
            return False
        mark = found[1] or found[3]
        self.fence = Fence(mark[0], len(mark), quotes, base)
        return True


def _indentation(text: str, start: int = 0) -> tuple[int, str]:
    """Return the column where the text begins, tabs expanded, and the text from there."""
    column = start
    for place, sign in enumerate(text):
        if sign == " ":
            column += 1
        elif sign == "\t":
            column += 4 - column % 4
        else:
            return column, text[place:]
    return column, ""
