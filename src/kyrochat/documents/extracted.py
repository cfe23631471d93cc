"""What reading a file gives, whatever its format."""

from collections.abc import Iterable
from dataclasses import dataclass

from kyrochat.documents.decoding import normalise

MAX_CHARS = 2_000_000
"""Longer texts are refused. Readers that go piece by piece stop here, instead of reading the rest for nothing."""

MAX_PAGES = 5_000

PAGE_BREAK = "\n\n"


class TooMuchText(Exception):
    """There is more text than a document may have."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A document's text, normalised; `markdown` says whether its marks mean something.

    `page_starts` are the offsets where page 1, 2, ... begin, ascending, the first one 0; it is empty where the
    format has no pages. A page without text begins where the next one does.
    """

    text: str
    markdown: bool
    title: str | None = None
    page_starts: tuple[int, ...] = ()


def bounded(pieces: Iterable[str]) -> list[str]:
    """Return the pieces as a list.

    Raises:
        TooMuchText: together they have more than `MAX_CHARS` characters; the rest is not asked for.
    """
    found, chars = [], 0
    for piece in pieces:
        chars += len(piece)
        if chars > MAX_CHARS:
            raise TooMuchText
        found.append(piece)
    return found


def paged(pages: Iterable[str], *, title: str | None = None) -> Extracted:
    """Return Markdown whose pages are these, in order, with an empty line between two.

    Raises:
        TooMuchText: as `bounded` does.
    """
    starts: list[int] = []
    written: list[str] = []
    start = 0
    for page in bounded(map(normalise, pages)):
        starts.append(start)
        if page:
            written.append(page)
            start += len(page) + len(PAGE_BREAK)
    text = PAGE_BREAK.join(written)
    return Extracted(text, markdown=True, title=title, page_starts=tuple(min(start, len(text)) for start in starts))
