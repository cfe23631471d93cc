"""Tables as text (CSV, TSV): each row an item that names its columns."""

import csv
import io
from collections.abc import Iterator
from itertools import islice

from kyrochat.documents.decoding import decode, normalise
from kyrochat.documents.extracted import MAX_CHARS, Extracted, TooMuchText
from kyrochat.documents.formats import markdown
from kyrochat.errors import UnreadableDocument

MAX_CELLS = 2_000_000

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
    cells = 0
    rows = []
    for row in _rows(text, delimiter):
        cells += len(row)
        if cells > MAX_CELLS:
            raise UnreadableDocument(f"The file has more than {MAX_CELLS:,} cells. Split it into smaller files.")
        rows.append(row)
    return Extracted(normalise(markdown.records(rows)), markdown=True)


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_CHARS)
    return csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, skipinitialspace=True)


def _delimiter(sample: str) -> str:
    """Return the delimiter that parts the first rows into the most columns of one number."""

    def fit(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in islice(_rows(sample, delimiter), _SAMPLE_ROWS) if row]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return widths.count(widths[0]) / len(widths), widths[0]

    return max(_DELIMITERS, key=fit)
