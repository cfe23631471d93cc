"""Finds Markdown's headings and code, with offsets."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

MAX_HEADING_CHARS = 200

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*\Z")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NO_PARAGRAPH = re.compile(r"\s*(?:\Z|[#>|]|[-*+]\s|\d+[.)]\s| {4}|\t)")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_EMPHASIS = re.compile(r"(?<!\w)[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}(?!\w)")


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading at characters [start, end) of a text; `title` comes without its markup."""

    start: int
    end: int
    level: int
    title: str


def headings(text: str) -> list[Heading]:
    """Return a Markdown text's headings in order, those in code fences left out."""
    found: list[Heading] = []
    fence = ""
    paragraph: tuple[int, str] | None = None  # a line that `===` below would make a heading
    for line in _LINE.finditer(text):
        content = line.group().rstrip("\r\n")
        if mark := _FENCE.match(content):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence) and not content[mark.end() :].strip():
                fence = ""
            paragraph = None
        elif fence:
            continue
        elif atx := _ATX.match(content):
            _add(found, line.start(), line.start() + len(content), len(atx[1]), atx[2] or "")
            paragraph = None
        elif paragraph and (underline := _SETEXT.match(content)):
            level = 1 if underline[1][0] == "=" else 2
            _add(found, paragraph[0], line.start() + len(content), level, paragraph[1])
            paragraph = None
        else:
            # Only one-line headings are underlined in practice; longer paragraphs above `---` mean a rule.
            first = paragraph is None and not _NO_PARAGRAPH.match(content)
            paragraph = (line.start(), content) if first else None
    return found


def nearest_heading(found: Sequence[Heading], offset: int) -> str | None:
    """Return the title of the last heading that starts at or before `offset`."""
    place = bisect_right(found, offset, key=lambda heading: heading.start) - 1
    return found[place].title if place >= 0 else None


def _add(found: list[Heading], start: int, end: int, level: int, markup: str) -> None:
    title = _EMPHASIS.sub("", _LINK.sub(r"\1", markup)).strip()
    if title:
        found.append(Heading(start, end, level, title[:MAX_HEADING_CHARS]))
