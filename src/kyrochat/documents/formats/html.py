"""Web pages: the main content as Markdown, or else everything that a browser would show."""

import re

from kyrochat.documents.decoding import decode, normalise
from kyrochat.documents.extracted import Extracted
from kyrochat.documents.formats.visible_text import visible_text
from kyrochat.documents.jail import OutOfTime, half_of_the_time

# Trafilatura needs about 3 s of CPU per MiB, 1.5 s with `fast`; larger pages are read as visible text.
FULL_HTML_CHARS = 1_000_000
FAST_HTML_CHARS = 3_000_000
SHORT_PAGE_LETTERS = 250  # below, trafilatura takes headings and odd lines for decoration
MIN_SHARE_OF_VISIBLE = 0.3  # with fewer letters, the page's own text was taken for decoration

_DATA_URI = re.compile(r"data:[\w/+.-]{1,60};base64,[A-Za-z0-9+/=]{64,}")
_DOCTYPE_WITH_ENTITIES = re.compile(r"<!doctype[^>\[]{0,500}\[", re.I)
_DOCTYPE_WITHIN_CHARS = 4096
_DOCTYPE_END = re.compile(r"\]\s{0,9}>")


def parse_html(data: bytes) -> Extracted:
    """Read a page as Markdown: headings, lists, tables and the links' text stay, navigation goes."""
    page = normalise(decode(data, html=True))
    page = _DATA_URI.sub("", page)
    page = _without_entities(page)
    visible = visible_text(page)
    text, letters = visible.text, _letters(visible.text)
    if letters >= SHORT_PAGE_LETTERS:
        markdown = _main_content(page)
        text = markdown if _letters(markdown) >= MIN_SHARE_OF_VISIBLE * letters else text
    return Extracted(normalise(text), markdown=True, title=normalise(visible.title) or None)


def _without_entities(page: str) -> str:
    start = _DOCTYPE_WITH_ENTITIES.search(page, 0, _DOCTYPE_WITHIN_CHARS)
    end = _DOCTYPE_END.search(page, start.end()) if start else None
    return page[: start.start()] + page[end.end() :] if start and end else page


def _letters(text: str) -> int:
    # Not words: many languages write no blanks between them.
    return sum(map(len, text.split()))


def _main_content(page: str) -> str:
    if len(page) > FAST_HTML_CHARS:
        return ""
    from trafilatura import extract

    try:
        with half_of_the_time():
            found = extract(
                page,
                output_format="markdown",
                include_comments=False,
                include_formatting=True,
                include_tables=True,
                include_links=False,
                fast=len(page) > FULL_HTML_CHARS,
            )
    except (OutOfTime, RecursionError):  # the visible text still stands
        return ""
    return found or ""
