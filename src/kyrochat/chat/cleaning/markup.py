"""Reads pieces of Markdown and HTML in a text that may go on: each function says where its piece ends.

They return `UNDECIDED` while the text may still become one, and None when it cannot. Every piece is bounded, and what
is decided of a text holds for all that it may go on with.
"""

import re
from dataclasses import dataclass
from enum import Enum

MAX_TAG_CHARS = 1_000
MAX_LABEL_CHARS = 300
MAX_DEPTH = 8
MAX_TARGET_CHARS = 2_000


class Undecided(Enum):
    """A type of one value, so that `is` tells it from others."""

    UNDECIDED = "undecided"


UNDECIDED = Undecided.UNDECIDED

# All quantifiers are possessive: no text makes them try again.
_TAG = re.compile(
    r"</?+(?P<name>[A-Za-z][A-Za-z0-9-]*+)"
    r"(?:\s++[A-Za-z_:@][\w.:@-]*+(?:\s*+=\s*+(?:[^\s\"'=<>`]++|'[^']*+'|\"[^\"]*+\"))?+)*+\s*+/?+>"
)
_SPECIAL = re.compile(r"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>|<![A-Za-z][^>]*+>", re.DOTALL)
_ADDRESS = re.compile(r"<((?:https?|ftp)://[^\s<>]++|mailto:[^\s<>]++)>", re.IGNORECASE)
_MAY_BECOME_TAG = re.compile(
    r"</?+(?:[A-Za-z][A-Za-z0-9-]*+"
    r"(?:\s++[A-Za-z_:@][\w.:@-]*+(?:\s*+=\s*+(?:[^\s\"'=<>`]++|'[^']*+'|\"[^\"]*+\"))?+)*+"
    r"(?:\s*+=\s*+(?:'[^']*+|\"[^\"]*+)?+|\s*+/?+))?+\Z"
)
_MAY_BECOME_ADDRESS = re.compile(r"<(?:https?|ftp|mailto):[^\s<>]*+\Z", re.IGNORECASE)
_LABEL_SIGN = re.compile(r"\\.|[\[\]]", re.DOTALL)
_TARGET_SIGN = re.compile(r"\\.|[()<>\"']", re.DOTALL)
# Nothing of all this goes on over a blank line or a fence.
_PARAGRAPH_END = re.compile(r"\n[ \t]*+(?:\n|`{3}|~{3})")
_MAY_BECOME_SPECIAL = re.compile(r"<[!?]")

_INLINE_TEXT = """
a abbr acronym audio b base bdi bdo big button canvas cite code data datalist del dfn em embed font i iframe img input
ins kbd label link map mark math meta meter noscript object output param picture progress q rp rt ruby s samp script
select slot small source span strike strong style sub sup svg template textarea time title track tt u use var video wbr
"""
_BLOCKS_TEXT = """
address area article aside blockquote body br caption center col colgroup dd details dialog dir div dl dt fieldset
figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li main menu menuitem
nav ol optgroup option p pre search section summary table tbody td tfoot th thead tr ul
"""
_SEPARATING = frozenset(_BLOCKS_TEXT.split())
_HTML = _SEPARATING | frozenset(_INLINE_TEXT.split())


@dataclass(frozen=True, slots=True)
class Tag:
    """A piece of HTML up to `end`; `separates` what is before it from what comes after."""

    end: int
    separates: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """An address in angle brackets, up to `end`."""

    end: int
    address: str


def read_tag(text: str, start: int, *, is_all: bool) -> Tag | Address | Undecided | None:
    """Read what begins with the `<` at `start`; None is also what looks like a tag and names no element of HTML."""
    bounded, is_all = _bounded(text, start, MAX_TAG_CHARS, is_all)
    if found := _ADDRESS.match(bounded):
        return Address(start + found.end(), found[1])
    if found := _TAG.match(bounded):
        name = found["name"].lower()
        return Tag(start + found.end(), name in _SEPARATING) if name in _HTML else None
    if found := _SPECIAL.match(bounded):
        return Tag(start + found.end())
    if is_all:
        return None
    may_become = (_MAY_BECOME_TAG, _MAY_BECOME_ADDRESS, _MAY_BECOME_SPECIAL)
    return UNDECIDED if any(pattern.match(bounded) for pattern in may_become) else None


def read_label(text: str, start: int, *, is_all: bool) -> int | Undecided | None:
    """Return the place after the `]` that belongs to the `[` at `start`."""
    bounded, is_all = _bounded(text, start, MAX_LABEL_CHARS, is_all)
    depth = 0
    for found in _LABEL_SIGN.finditer(bounded):
        depth += {"[": 1, "]": -1}.get(found.group(), 0)
        if not depth:
            return start + found.end()
        if depth > MAX_DEPTH:
            return None
    return None if is_all else UNDECIDED


def read_target(text: str, start: int, *, is_all: bool) -> tuple[int, str] | Undecided | None:
    """Read a link's target in parentheses, at `start`: return the place after it, and the address without a title."""
    bounded, is_all = _bounded(text, start, MAX_TARGET_CHARS, is_all)
    depth, quote = 0, ""
    for found in _TARGET_SIGN.finditer(bounded):
        sign, place = found.group(), found.start()
        if quote:
            quote = "" if sign == quote else quote
        elif sign == "<" and not bounded[1:place].strip():
            quote = ">"
        elif sign in "\"'" and bounded[place - 1].isspace():
            quote = sign
        elif sign == "(":
            depth += 1
            if depth > MAX_DEPTH:
                return None
        elif sign == ")":
            depth -= 1
            if not depth:
                return start + place + 1, _address(bounded[1:place])
    return None if is_all else UNDECIDED


def _bounded(text: str, start: int, limit: int, is_all: bool) -> tuple[str, bool]:
    """Return what may belong to a piece that begins at `start`, and whether no more than that can."""
    bounded = text[start : start + limit]
    if end := _PARAGRAPH_END.search(bounded):
        return bounded[: end.start()], True
    return bounded, is_all or len(bounded) == limit


def _address(inside: str) -> str:
    inside = inside.strip()
    if inside.startswith("<"):
        return inside[1:].partition(">")[0]
    return inside.split(maxsplit=1)[0] if inside else ""
