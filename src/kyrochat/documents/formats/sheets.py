"""Spreadsheets (XLSX): each visible sheet a section, each row an item that names its columns."""

import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from kyrochat.documents.archives import DAMAGED, DAMAGED_ARCHIVE
from kyrochat.documents.decoding import normalise
from kyrochat.documents.extracted import Extracted, bounded
from kyrochat.documents.formats import markdown
from kyrochat.documents.formats.open_xml import refuse_doctypes
from kyrochat.errors import UnreadableDocument

MAX_CELLS = 2_000_000  # empty ones between others count, too


def parse_sheets(data: bytes) -> Extracted:
    """Read the values that the cells show; formulas by their last result, hidden sheets not at all.

    Raises:
        UnreadableDocument: it is damaged or has too many cells.
        TooMuchText: it has more than `MAX_CHARS` characters.
    """
    refuse_doctypes(data)
    from openpyxl import load_workbook

    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    # Besides, a part is missing (KeyError, OSError), is no XML (SyntaxError), or has other contents (TypeError).
    except (*DAMAGED_ARCHIVE, KeyError, OSError, SyntaxError, TypeError) as error:
        raise UnreadableDocument(DAMAGED) from error
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    text = normalise(markdown.blocks(bounded(part for sheet in sheets for part in _sheet(sheet))))
    title = markdown.one_line(book.properties.title or "")[: markdown.MAX_HEADING_CHARS]
    return Extracted(text, markdown=True, title=title or None)


def _sheet(sheet: Any) -> Iterator[str]:
    sheet.reset_dimensions()  # what a file says of its size is often wrong
    named = False
    for block in _tables(sheet):
        if not named:
            yield markdown.heading(1, sheet.title)
            named = True
        yield markdown.records(block)


def _tables(sheet: Any) -> Iterator[list[list[str]]]:
    """Yield the rows of each table; an empty row ends one."""
    cells = 0
    rows: list[list[str]] = []
    for row in sheet.iter_rows():
        cells += len(row)
        if cells > MAX_CELLS:
            raise UnreadableDocument(f"The file has more than {MAX_CELLS:,} cells. Split it into smaller files.")
        values = [_shown(cell) for cell in row]
        if any(values):
            rows.append(values)
        elif rows:
            yield rows
            rows = []
    if rows:
        yield rows


def _shown(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        format_code = cell.number_format
        return f"{value * 100:.10g}%" if "%" in format_code and '"' not in format_code else f"{value:.15g}"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value)
