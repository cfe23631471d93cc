"""Finds sentences with their exact places, in prose, Markdown and plain text of many languages."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

MAX_SENTENCE_CHARS = 400
"""A longer run without an end, as in transcripts and Thai, is cut at clauses or words, so that a quote stays short."""

WRAPPED_CHARS = 60
"""Nobody wraps prose narrower than this: in a block of shorter lines, each line speaks for itself."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_FENCE = re.compile(r" {0,3}(?:`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+")
_ITEM = re.compile(r"[ \t]*(?:>[ \t]*)*(?:[-*+•‣◦▪–]|\(?\d{1,3}[.)]|\(?[a-z]\))[ \t]+(?:\[[ xX]\][ \t]+)?")
_QUOTED = re.compile(r" {0,3}(?:>[ \t]?)+")
_RULE_MARKS = "-=_*~#|:+. \t>"

_END = re.compile(
    r"[.!?…؟۔।॥։]+[\"'”’»›)\]]*(?:\[\d{1,3}\])*(?=\s|\Z)"
    r"|[。！？｡]+[」』”’）)】]*"
)
_NEXT_WORD = re.compile(r"\s*[\"'“‘«¿¡(\[*_]*([^\s]+)")
_LAST_WORD = re.compile(r"[\w.&]+\Z")
_LAST_WORD_CHARS = 24
_CLAUSE_END = re.compile(r"[;:,，；：、،—](?:\s+|(?<=[，；：、]))")

_ABBREVIATIONS_TEXT = """
mr mrs ms dr prof rev hon sr jr st mt ft gen col sgt capt cmdr lt gov sen rep pres vs etc e.g i.e eg ie
viz cf al ca approx est ed eds dept univ assn bros inc ltd co corp llc jan feb mar apr jun jul aug sep
sept oct nov dec mon tue wed thu fri sat sun a.m p.m b.c a.d z.b d.h u.a bzw usw ggf evtl vgl bspw sog
inkl exkl zzgl hr fr str tel abs sra sres srta dra ud uds avda mme mlle mm cie env т.е т.д т.п т.к гг вв
им др пр руб млн млрд тыс ул г
"""
_BEFORE_NUMBERS_TEXT = (
    "no nos nr c r b d fig figs eq eqs vol vols ch sec ref refs p pp para art pág págs núm стр рис табл"
)
_STARTERS_TEXT = """
the this that these those it its in on at by for from he she they we you i a an and but however if when
while as after before there his her their our my some many most all no not to with der die das es er sie
el la los las le les il в на он она они это
"""
_ABBREVIATIONS = frozenset(_ABBREVIATIONS_TEXT.split())
_BEFORE_NUMBERS = frozenset(_BEFORE_NUMBERS_TEXT.split())
_STARTERS = frozenset(_STARTERS_TEXT.split())
_GERMAN_AFTER_ORDINAL = re.compile(
    "Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|Jahrhundert"
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of the sentences in order; they do not overlap and have no white space around them.

    A heading, a list item and a table row end where their line or item ends, a line of code is one unit, and the
    marks in front of headings, items and quotations are left out.
    """
    spans: list[tuple[int, int]] = []
    for start, end, prose in _blocks(text):
        for piece_start, piece_end in _sentences(text, start, end) if prose else [(start, end)]:
            spans += _bounded(text, piece_start, piece_end)
    return spans


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, whether it is prose) of paragraphs, items and single lines."""
    fenced = False
    lines: list[tuple[int, int]] = []
    for line in _LINE.finditer(text):
        content = line.group().rstrip("\r\n")
        start, end = line.start(), line.start() + len(content)
        fence = _FENCE.match(content)
        if fence or fenced or not content.strip().strip(_RULE_MARKS):
            yield from _paragraphs(text, lines)
            lines = []
            if fence:
                fenced = not fenced
            elif fenced:
                yield start, end, False
        elif heading := _HEADING.match(content):
            yield from _paragraphs(text, lines)
            lines = []
            yield start + heading.end(), end, False
        elif _is_table_row(content):
            yield from _paragraphs(text, lines)
            lines = []
            left = len(content) - len(content.lstrip("| \t"))
            yield start + left, start + len(content.rstrip("| \t")), False
        else:
            item = _ITEM.match(content)
            if item:
                yield from _paragraphs(text, lines)
                lines = []
            mark = item or (None if lines else _QUOTED.match(content))
            lines.append((start + mark.end() if mark else start, end))
    yield from _paragraphs(text, lines)


def _is_table_row(line: str) -> bool:
    row = line.strip()
    return (row[0] == row[-1] == "|" and len(row) > 1) or row.count(" | ") >= 2


def _paragraphs(text: str, lines: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, bool]]:
    """Yield the lines as one block, parted where a line ends before its paragraph's width and a new one begins."""
    if not lines:
        return
    width = max(end - start for start, end in lines)
    block_start = lines[0][0]
    for (start, end), (next_start, _) in pairwise(lines):
        early = width < WRAPPED_CHARS or end - start < 0.6 * width
        following = text[next_start : next_start + 40].lstrip("\"'“‘«*_ \t")[:1]
        if early and (following.isupper() or following.isdigit()):
            yield block_start, end, True
            block_start = next_start
    yield block_start, lines[-1][1], True


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for mark in _END.finditer(text, start, end):
        if _ends_sentence(text, start, mark, end):
            yield start, mark.end()
            start = mark.end()
    yield start, end


def _ends_sentence(text: str, start: int, mark: re.Match[str], end: int) -> bool:
    if mark.group()[0] not in ".!?…":
        return True
    following = _NEXT_WORD.match(text, mark.end(), end)
    if not following:
        return True
    next_word = following[1]
    if next_word[0].islower():
        return False
    if mark.group() != ".":
        return True
    last = _LAST_WORD.search(text[max(start, mark.start() - _LAST_WORD_CHARS) : mark.start()])
    if not last:
        return True
    word = last.group().lower()
    if word in _BEFORE_NUMBERS:
        return not next_word[0].isdigit()
    if word.isdigit() and len(word) <= 2 and _GERMAN_AFTER_ORDINAL.match(next_word):
        return False
    initial = len(word) == 1 and last.group().isupper()
    if word in _ABBREVIATIONS or initial or re.fullmatch(r"(?:[^\W\d]\.)+[^\W\d]", word):
        # "J. A. Smith" goes on, "in the U.S. The law" does not.
        return next_word.strip(".,;:'’\"").lower() in _STARTERS and next_word[1:2] != "."
    return True


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the range without white space around it, in pieces of at most `MAX_SENTENCE_CHARS`."""
    while True:
        while start < end and text[start].isspace():
            start += 1
        if end - start <= MAX_SENTENCE_CHARS:
            break
        limit = start + MAX_SENTENCE_CHARS
        clauses = [mark.end() for mark in _CLAUSE_END.finditer(text, start + MAX_SENTENCE_CHARS // 3, limit)]
        cut = clauses[-1] if clauses else max(text.rfind(space, start + 1, limit) for space in " \t\n")
        cut = cut if cut > start else limit
        yield start, start + len(text[start:cut].rstrip())
        start = cut
    stop = start + len(text[start:end].rstrip())
    if start < stop:
        yield start, stop
