"""Tables as text (CSV, TSV): each row an item that names its columns."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import Literal

from kyrochat.documents.decoding import decode, normalise
from kyrochat.documents.extracted import MAX_CHARS, Extracted, TooMuchText
from kyrochat.documents.formats import markdown
from kyrochat.errors import UnreadableDocument

MAX_CELLS = 2_000_000
MAX_CELL_LINES = 200  # a longer one began with a quote that nobody meant

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_ROWS = 50
_SAMPLE_CHARS = 64 * 1024


def parse_csv(data: bytes) -> Extracted:
    """Read rows with the delimiter that fits best; Excel's `sep=` line is obeyed.

    Raises:
        UnreadableDocument: it is binary, or has too many cells.
        TooMuchText: it has more than `MAX_CHARS` characters.
    """
    text = normalise(decode(data))
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first) == len("sep=;"):
        return _read(rest, first[-1])
    return _read(text, _delimiter(text[:_SAMPLE_CHARS]))


def parse_tsv(data: bytes) -> Extracted:
    """Read rows whose cells are parted by tabs; otherwise as `parse_csv`."""
    return _read(normalise(decode(data)), "\t")


def _read(text: str, delimiter: str) -> Extracted:
    if len(text) > MAX_CHARS:
        raise TooMuchText
    rows = _all_rows(text, delimiter, csv.QUOTE_MINIMAL)
    if any(cell.count("\n") > MAX_CELL_LINES for row in rows for cell in row):
        rows = _all_rows(text, delimiter, csv.QUOTE_NONE)
    return Extracted(normalise(markdown.records(rows)), markdown=True)


def _all_rows(text: str, delimiter: str, quoting: Literal[0, 3]) -> list[list[str]]:
    cells = 0
    rows = []
    for row in _rows(text, delimiter, quoting):
        cells += len(row)
        if cells > MAX_CELLS:
            raise UnreadableDocument(f"The file has more than {MAX_CELLS:,} cells. Split it into smaller files.")
        rows.append(row)
    return rows


def _rows(text: str, delimiter: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_CHARS)
    lines = io.StringIO(text, newline="\n")
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, quoting=quoting)


def _delimiter(sample: str) -> str:
    """Return the delimiter that parts the first rows into the most columns of one number."""

    def fit(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in islice(_rows(sample, delimiter), _SAMPLE_ROWS) if row]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return widths.count(widths[0]) / len(widths), widths[0]

    return max(_DELIMITERS, key=fit)
