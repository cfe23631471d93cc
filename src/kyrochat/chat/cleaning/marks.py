"""Escapes, code, tags and entities: what a single sign of Markdown or HTML begins."""

import re
from html import unescape

from kyrochat.chat.cleaning.draft import Draft, Piece
from kyrochat.chat.cleaning.markup import UNDECIDED, Address, Tag, Undecided, read_tag
from kyrochat.chat.cleaning.sources import may_begin_address

MAX_CODE_SPAN_CHARS = 300
MAX_RUN = 60
MAX_ENTITY_CHARS = 33

_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_ENTITY = re.compile(r"&#?[A-Za-z0-9]{1,31};")
_MAY_BECOME_ENTITY = re.compile(r"&#?[A-Za-z0-9]{0,31}\Z")
_BACKTICKS = re.compile("`+")
_TELLING = re.compile(r"[A-Za-z0-9:/.@]")
_MARKUP_IN_CELL = re.compile(r"[<\[!:&]")


def backslash(draft: Draft) -> list[Piece] | Undecided:
    """Read an escape."""
    following = draft.text[draft.place + 1 : draft.place + 2]
    if not following and not draft.is_all:
        return UNDECIDED
    if following == "<":
        return draft.shown("&lt;", 2)
    if following in (":", "/", ".") and may_begin_address(draft.tail):
        # Escaped for some readers, and for others not: what comes is made safe without it.
        return draft.removed(1)
    if following in _PUNCTUATION:
        return draft.shown("\\" + following, 2)
    return draft.shown("\\", 1)


def _run_length(draft: Draft) -> int | None:
    """Return the length of the run of equal signs here, as far as it is looked at; None if it may go on."""
    sign = draft.text[draft.place]
    end = draft.place
    while end < len(draft.text) and end - draft.place < MAX_RUN and draft.text[end] == sign:
        end += 1
    length = end - draft.place
    return length if length == MAX_RUN or end < len(draft.text) or draft.is_all else None


def backticks(draft: Draft) -> list[Piece] | Undecided:
    """Read code between backticks; a run that nothing closes in its line is escaped."""
    length = _run_length(draft)
    if length is None:
        return UNDECIDED
    if length < MAX_RUN:
        start = draft.place + length
        limit = start + MAX_CODE_SPAN_CHARS
        newline = draft.text.find("\n", start, limit)
        end = newline if newline >= 0 else min(limit, len(draft.text))
        # One sign more is looked at, to know where a run ends.
        for found in _BACKTICKS.finditer(draft.text, start, end):
            if found.end() == len(draft.text) and not draft.is_all:
                return UNDECIDED
            if len(found.group()) == length and found.end() <= end:
                span = draft.text[draft.place : found.end()]
                # Cells of a table end at each bar, be it between backticks.
                if "|" not in span or not _MARKUP_IN_CELL.search(span):
                    apart = " " if draft.tail.endswith("`") else ""
                    draft.place = found.end()
                    return [Piece(apart + span, is_code=True)]
                break
        else:
            if newline < 0 and len(draft.text) < limit and not draft.is_all:
                return UNDECIDED
    return draft.shown("\\`" * length, length)


def tildes(draft: Draft) -> list[Piece] | Undecided:
    """Read a run of tildes; one that some readers might take for a fence is escaped."""
    length = _run_length(draft)
    if length is None:
        return UNDECIDED
    return draft.shown(("\\~" if length > 2 else "~") + "~" * (length - 1), length)


def angle(draft: Draft) -> list[Piece] | Undecided:
    """Read what begins with `<`: a tag, an address, or a sign of its own."""
    following = draft.text[draft.place + 1 : draft.place + 2]
    if not following and not draft.is_all:
        return UNDECIDED
    if following.isspace() or following.isdigit() or following in ("=", "-", ""):
        return draft.shown("<", 1)
    found = read_tag(draft.text, draft.place, is_all=draft.is_all)
    match found:
        case Undecided():
            return UNDECIDED
        case Tag(end, separates):
            draft.tags += 1
            return draft.removed(end - draft.place, " " if separates else "")
        case Address(end, address) if draft.sources.hold(address):
            return draft.shown(f"<{address}>", end - draft.place)
        case _:
            return draft.shown("&lt;", 1)


def ampersand(draft: Draft) -> list[Piece] | Undecided:
    """Read an entity; one that stands for a sign of an address is shown as it is written."""
    bounded = draft.text[draft.place : draft.place + MAX_ENTITY_CHARS]
    if found := _ENTITY.match(bounded):
        meant = unescape(found.group())
        if meant != found.group() and _TELLING.search(meant):  # of which readers would make an address
            return draft.shown("&amp;", 1)
        return draft.shown(found.group(), found.end())
    if not draft.is_all and len(bounded) < MAX_ENTITY_CHARS and _MAY_BECOME_ENTITY.match(bounded):
        return UNDECIDED
    return draft.shown("&", 1)
