"""The lines of a PDF page as PDFium finds them, with what tells headings and paragraphs apart."""

import ctypes
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

# More room than this between two words, in sizes of their letters, parts the cells of a table: if there is less room
# between others of the line, or else if there is very much.
COLUMN_GAP, UNEVEN, WIDE_GAP = 1.2, 1.5, 3.0
BOLD_WEIGHT = 600
SAME_LINE = 0.3  # times the size of the letters: pieces that are no further apart stand on one line

_LINE_END = "\r\n"
# PDFium puts this where it took a hyphen away at a line's end. Before a capital or digit it belonged to the word.
_KEPT_HYPHEN = re.compile("[\x02\ufffe](?=[A-Z0-9])")
_HYPHEN = re.compile("[\x02\ufffe]")
_BULLET = re.compile("^[•●▪■◦‣⁃\uf0b7\uf0a7\uf0d8\uf076][ \t]*")
# Chinese and Japanese have no blanks; where most stand between two characters, the typesetter meant only room.
SPACED_SHARE = 0.6
_DENSE = "[\u2026\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]"
_SPACED = re.compile(f"(?<={_DENSE}) (?={_DENSE})")
_CLOSING = (",", ".", ";", ":", ")", "]", "’", "”")


@dataclass(slots=True)
class Line:
    """One line; sizes and places are in points, heights from the page's lower edge.

    A word that was parted by a hyphen is put together, so a line may begin at `bottom` and end lower, at `last_bottom`.
    """

    text: str
    size: float
    left: float
    right: float
    bottom: float
    last_bottom: float
    is_bold: bool


def lines_of(text_page: Any, text: str) -> Iterator[Line]:
    """Yield the lines of a page with this text in reading order, pieces of one line joined."""
    last: Line | None = None
    for line in _pieces(text_page, text):
        if last is not None and _continues(last, line):
            between = " | " if line.left - last.right > COLUMN_GAP * line.size else " "
            last.text += ("" if line.text.startswith(_CLOSING) else between) + line.text
            last.right, last.last_bottom = line.right, line.last_bottom
            last.is_bold &= line.is_bold
            continue
        if last is not None:
            yield last
        last = line
    if last is not None:
        yield last


def _continues(last: Line, line: Line) -> bool:
    return line.left >= last.right and abs(line.bottom - last.last_bottom) <= SAME_LINE * max(last.size, line.size)


def _pieces(text_page: Any, text: str) -> Iterator[Line]:
    glyphs = _Glyphs(text_page)
    at = 0  # in UTF-16 units, as PDFium counts
    for raw in text.split(_LINE_END):
        places, end = [], at
        for character in raw:
            if not character.isspace():
                places.append(end)
            end += 1 if character < "\U00010000" else 2
        if places:
            yield glyphs.line(raw, at, places)
        at = end + len(_LINE_END)


def _with_columns(raw: str, at: int, glyphs: "_Glyphs", size: float) -> str:
    """Return the text of a line with bars where there is so much room that a table's next cell begins."""
    words = raw.split(" ")
    gaps = [0.0]
    for before, word in pairwise(words):
        at += len(before.encode("utf-16-le", "surrogatepass")) // 2 + 1
        gaps.append(glyphs.gap(at - 2, at) if before and word else 0.0)
    least = min((gap for gap in gaps if gap > 0), default=0.0)
    written: list[str] = []
    for word, gap in zip(words, gaps, strict=True):
        # A justified line has wide gaps, too, but they are all alike.
        if gap > WIDE_GAP * size or gap > max(COLUMN_GAP * size, UNEVEN * least):
            written.append("|")
        written.append(word)
    return cleaned(" ".join(written))


def cleaned(text: str) -> str:
    """Return a line without what is only typesetting: hyphens at ends, blanks between Chinese signs, bullets' signs."""
    text = text.replace("\r", "").replace("\n", " ").strip()
    if len(_SPACED.findall(text)) > SPACED_SHARE * text.count(" "):
        text = _SPACED.sub("", text)
    return _BULLET.sub("- ", _HYPHEN.sub("", _KEPT_HYPHEN.sub("-", text)))


class _Glyphs:
    """What PDFium knows of single characters, by their places in the page's text."""

    def __init__(self, text_page: Any) -> None:
        import pypdfium2.raw

        self._page, self._raw = text_page, pypdfium2.raw
        self._box, self._matrix = self._raw.FS_RECTF(), self._raw.FS_MATRIX()

    def _index(self, place: int) -> int:
        return int(self._raw.FPDFText_GetCharIndexFromTextIndex(self._page, place))

    def _box_at(self, place: int) -> tuple[float, float, float]:
        box = self._box
        if not self._raw.FPDFText_GetLooseCharBox(self._page, self._index(place), ctypes.byref(box)):
            return 0.0, 0.0, 0.0
        return box.left, box.right, box.bottom

    def size(self, place: int) -> float:
        index = self._index(place)
        size = float(self._raw.FPDFText_GetFontSize(self._page, index))
        if self._raw.FPDFText_GetMatrix(self._page, index, ctypes.byref(self._matrix)):
            size *= math.hypot(self._matrix.c, self._matrix.d)
        return size if math.isfinite(size) else 0.0

    def gap(self, before: int, after: int) -> float:
        """Return the room between two characters of one line, 0 where there is none."""
        _, right, _ = self._box_at(before)
        left, _, _ = self._box_at(after)
        return left - right

    def line(self, raw: str, at: int, places: list[int]) -> Line:
        """Return the line of this text, which begins at `at` and has visible characters at `places`."""
        first, last = places[0], places[-1]
        size = self.size(places[len(places) // 2])
        left, _, bottom = self._box_at(first)
        _, right, last_bottom = self._box_at(last)
        weights = (self._raw.FPDFText_GetFontWeight(self._page, self._index(place)) for place in (first, last))
        is_bold = all(weight >= BOLD_WEIGHT for weight in weights)
        text = _with_columns(raw, at, self, size)
        return Line(text, size, left, right, bottom, last_bottom, is_bold)
