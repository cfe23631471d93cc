"""Which function reads which format."""

from collections.abc import Callable
from dataclasses import dataclass

from kyrochat.documents.extracted import Extracted
from kyrochat.documents.formats.delimited import parse_csv, parse_tsv
from kyrochat.documents.formats.epub import parse_epub
from kyrochat.documents.formats.html import parse_html
from kyrochat.documents.formats.json_data import parse_json, parse_json_lines
from kyrochat.documents.formats.mail import parse_mail
from kyrochat.documents.formats.pdf import parse_pdf
from kyrochat.documents.formats.plain import parse_markdown, parse_text
from kyrochat.documents.formats.sheets import parse_sheets
from kyrochat.documents.formats.slides import parse_slides
from kyrochat.documents.formats.word import parse_word
from kyrochat.documents.media_types import MediaType


@dataclass(frozen=True, slots=True)
class Format:
    """How one format is read. Only a parser that is linear in its input may run outside the jail."""

    parse: Callable[[bytes], Extracted]
    needs_jail: bool = True


FORMATS: dict[MediaType, Format] = {
    MediaType.TEXT: Format(parse_text, needs_jail=False),
    MediaType.MARKDOWN: Format(parse_markdown, needs_jail=False),
    MediaType.SOURCE: Format(parse_text, needs_jail=False),
    MediaType.HTML: Format(parse_html),
    MediaType.CSV: Format(parse_csv),
    MediaType.TSV: Format(parse_tsv),
    MediaType.JSON: Format(parse_json),
    MediaType.JSON_LINES: Format(parse_json_lines),
    MediaType.EMAIL: Format(parse_mail),
    MediaType.PDF: Format(parse_pdf),
    MediaType.DOCX: Format(parse_word),
    MediaType.PPTX: Format(parse_slides),
    MediaType.XLSX: Format(parse_sheets),
    MediaType.EPUB: Format(parse_epub),
}
