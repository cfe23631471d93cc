"""PDF: the text layer page by page, with headings told by the outline, by size and by weight."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import median
from typing import Any

from kyrochat.documents.extracted import MAX_CHARS, MAX_PAGES, Extracted, TooMuchText, paged
from kyrochat.documents.formats import markdown
from kyrochat.documents.formats.pdf_lines import Line, lines_of
from kyrochat.errors import UnreadableDocument

HEADING_FACTOR = 1.12  # a heading's letters are this much larger than the body's
PARAGRAPH_FACTOR = 1.3  # and this much more room is between paragraphs than between lines
MAX_SHARE_OF_HEADINGS = 0.25  # of the letters; above, large or bold letters are just how the document looks
MAX_BOLD_CHARS = 100
LEVELS_BY_SIZE = 4
MAX_OUTLINE_ENTRIES = 5_000

REPEATED_PAGES, REPEATED_SHARE = 3, 0.1  # on more pages than both, a line is the page's decoration

MAX_SHARE_OF_NO_CHARACTERS = 0.2  # numbers of pictures in a font that does not name them; hyphens do not count

_NO_CHARACTER = re.compile("[\x00\x01\x03-\x08\x0e-\x1f]")
_NO_WORD = re.compile(r"[\W_]+")
_LETTER = re.compile(r"[^\W\d_]")


def parse_pdf(data: bytes) -> Extracted:
    """Read the text layer; `page_starts` has an entry for each page.

    Raises:
        UnreadableDocument: it has a password, no pages or too many, or no text layer that says its characters.
        TooMuchText: it has more than `MAX_CHARS` characters.
    """
    document = _opened(data)
    count = len(document)
    if not count:
        raise UnreadableDocument("The PDF has no pages. Choose a file that holds text.")
    if count > MAX_PAGES:
        raise UnreadableDocument(
            f"The PDF has {count:,} pages, and up to {MAX_PAGES:,} are read. Split it into smaller files."
        )
    pages = list(_pages(document, count))
    if all(page is None for page in pages):
        raise UnreadableDocument(
            "No page of the PDF could be read; it may be damaged. Print it to a new PDF and upload that."
        )
    if not any(pages):
        raise UnreadableDocument(
            "The PDF holds no text: its pages are empty, or pictures, as a scanner makes them. "
            "Let a text recognition (OCR) program add the text, and upload the result."
        )
    headings = _Headings.of([page or [] for page in pages], _outline(document))
    title = markdown.one_line(document.get_metadata_value("Title"))[: markdown.MAX_HEADING_CHARS]
    return paged((_page(page or (), number, headings) for number, page in enumerate(pages)), title=title or None)


def _opened(data: bytes) -> Any:
    import pypdfium2
    import pypdfium2.raw

    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        reason = getattr(error, "err_code", None)
        if reason in (pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY):
            raise UnreadableDocument(
                "The PDF is protected with a password. Save it without one and upload that."
            ) from error
        raise UnreadableDocument(
            "The PDF is damaged or has no pages. Print it to a new PDF and upload that."
        ) from error


def _pages(document: Any, count: int) -> Iterator[list[Line] | None]:
    """Yield each page's lines, None for a damaged page: the other pages still stand. Raises as `parse_pdf` does."""
    import pypdfium2

    chars = strange = 0
    for number in range(count):
        try:
            page = document[number]
            text_page = page.get_textpage()
        except pypdfium2.PdfiumError:
            yield None
            continue
        text = text_page.get_text_range()
        lines = [line for line in lines_of(text_page, text) if line.text]
        text_page.close()
        page.close()
        chars += len(text)
        strange += len(_NO_CHARACTER.findall(text))
        if chars > MAX_CHARS:
            raise TooMuchText
        yield lines
    if strange > MAX_SHARE_OF_NO_CHARACTERS * chars:
        raise UnreadableDocument(
            "The PDF shows letters without saying which they are. Let a text recognition (OCR) program add the text, "
            "or print its source to a new PDF, and upload the result."
        )


def _outline(document: Any) -> dict[tuple[int, str], int]:
    """Return the level of each entry, by its page (from 0) and the words of its title."""
    import pypdfium2

    levels: dict[tuple[int, str], int] = {}
    try:
        for entry in islice(document.get_toc(max_depth=6), MAX_OUTLINE_ENTRIES):
            target = entry.get_dest()
            page = target.get_index() if target else None
            if page is not None:
                levels[page, _words(entry.get_title())] = entry.level + 1
    except (pypdfium2.PdfiumError, ValueError):  # a broken outline: then the letters' size has the say
        return {}
    return levels


def _words(text: str) -> str:
    return _NO_WORD.sub("", text).casefold()


@dataclass(frozen=True, slots=True)
class _Headings:
    """How this document marks its headings."""

    outline: dict[tuple[int, str], int]
    sizes: tuple[int, ...]  # larger than the body's, largest first, in half points
    body: int
    bold_counts: bool
    repeated: frozenset[str]

    @classmethod
    def of(cls, pages: Sequence[Sequence[Line]], outline: dict[tuple[int, str], int]) -> "_Headings":
        lines = [line for page in pages for line in page]
        pages_with = Counter(words for page in pages for words in {_words(line.text) for line in page})
        many = max(REPEATED_PAGES, REPEATED_SHARE * len(pages))
        repeated = frozenset(words for words, count in pages_with.items() if count > many)
        chars: Counter[int] = Counter()
        for line in lines:
            chars[_half_points(line)] += len(line.text)
        body = chars.most_common(1)[0][0]
        larger = {
            _half_points(line)
            for line in lines
            if _half_points(line) >= HEADING_FACTOR * body and len(line.text) <= markdown.MAX_HEADING_CHARS
        }
        total = sum(chars.values())
        if sum(chars[size] for size in larger) > MAX_SHARE_OF_HEADINGS * total:
            larger = set()
        bold = sum(len(line.text) for line in lines if line.is_bold)
        return cls(outline, tuple(sorted(larger, reverse=True)), body, bold <= MAX_SHARE_OF_HEADINGS * total, repeated)

    def level(self, line: Line, page: int, is_parted: bool) -> int | None:
        """Return the level of the heading that the line is, None if it is none."""
        if not _LETTER.search(line.text) or line.text.startswith("- ") or " | " in line.text:
            return None
        words = _words(line.text)
        found = self.outline.get((page, words))
        if found is not None or words in self.repeated:
            return found
        size = _half_points(line)
        if size in self.sizes:
            return min(self.sizes.index(size) + 1, LEVELS_BY_SIZE)
        stands_out = self.bold_counts and line.is_bold and is_parted and size >= self.body
        if stands_out and len(line.text) <= MAX_BOLD_CHARS and not line.text.endswith((".", ",", ";", ":")):
            return min(len(self.sizes), LEVELS_BY_SIZE) + 1
        return None


def _half_points(line: Line) -> int:
    return round(2 * line.size)


def _page(lines: Sequence[Line], number: int, headings: _Headings) -> str:
    """Return a page as Markdown: an empty line where a paragraph ends, headings of several lines on one."""
    gaps = [gap for above, below in pairwise(lines) if (gap := above.last_bottom - below.bottom) > 0]
    usual = median(gaps) if gaps else 0.0
    written: list[str] = []
    last: Line | None = None
    last_level: int | None = None
    for line in lines:
        gap = last.last_bottom - line.bottom if last else 0.0
        is_parted = last is None or gap < -line.size or gap > max(PARAGRAPH_FACTOR * usual, 1.1 * line.size)
        level = headings.level(line, number, is_parted)
        if level is not None and level == last_level and 0 <= gap <= 2 * line.size:
            written[-1] += " " + line.text  # a heading that goes on
        elif level is not None:
            written += ["", markdown.heading(level, line.text)]
        else:
            written += [""] * (is_parted or last_level is not None) + [markdown.plain(line.text)]
        last, last_level = line, level
    return "\n".join(written)
