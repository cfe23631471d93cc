"""JSON and JSON lines: each record a paragraph of `name: value` lines, with headings where the data has parts."""

import json
from collections.abc import Iterator
from typing import Any

from kyrochat.documents.decoding import decode, normalise
from kyrochat.documents.extracted import Extracted, bounded
from kyrochat.documents.formats import markdown

_MAX_HEADING_LEVEL = 3
_MAX_RECORD_LINES = 40  # a longer object gets headings for its parts


def parse_json(data: bytes) -> Extracted:
    """Read a JSON document. What turns out to be none (JSON with comments, a cut file) is read as plain text."""
    text = decode(data)
    try:
        value = _load(text)
    except ValueError:
        return Extracted(normalise(text), markdown=False)
    return _extracted(_parts(value, "", 1))


def parse_json_lines(data: bytes) -> Extracted:
    """Read a JSON value from each line; a line that holds none stays as it is."""
    return _extracted(_lines(decode(data)))


def _extracted(parts: Iterator[str]) -> Extracted:
    return Extracted(normalise(markdown.blocks(bounded(parts))), markdown=True)


def _lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        try:
            value = _load(line) if line.strip() else ""
        except ValueError:
            yield markdown.plain(line)
        else:
            yield _record(value)


def _load(text: str) -> Any:
    # Numbers stay as they are written: 1.10 is no 1.1, and one of ten thousand digits is no work. Objects are lists
    # of pairs in a tuple, so that a name that comes twice keeps both its values.
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=tuple)


def _is_plain(value: Any) -> bool:
    return not isinstance(value, (list, tuple))


def _parts(value: Any, path: str, level: int) -> Iterator[str]:
    """Yield what a value holds as headings and records."""
    if isinstance(value, list) and not all(map(_is_plain, value)):
        for entry in value:
            yield from _parts(entry, path, level) if _is_large(entry) else [_record(entry)]
    elif isinstance(value, tuple) and (level == 1 or _is_large(value)) and level <= _MAX_HEADING_LEVEL:
        flat = tuple(pair for pair in value if _is_plain(pair[1]) or not _is_large(pair[1]))
        yield _record(flat)
        for name, inner in value:
            if not _is_plain(inner) and _is_large(inner):
                full = f"{path}.{name}" if path else name
                yield markdown.heading(level, full)
                yield from _parts(inner, full, level + 1)
    else:
        yield _record(value)


def _is_large(value: Any) -> bool:
    """Return whether a value has so many lines that it should be parted."""
    left = _MAX_RECORD_LINES
    for _ in _pairs(value):
        left -= 1
        if not left:
            return True
    return isinstance(value, list) and any(isinstance(entry, tuple) for entry in value)


def _record(value: Any) -> str:
    return "\n".join(markdown.plain(f"{path}: {text}" if path else text) for path, text in _pairs(value) if text)


def _pairs(value: Any) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of the plain values inside, in order; no recursion, since nesting is the file's to choose."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, inner = waiting.pop()
        if isinstance(inner, tuple):
            waiting += [(f"{path}.{name}" if path else name, entry) for name, entry in reversed(inner)]
        elif isinstance(inner, list) and all(map(_is_plain, inner)):
            yield path, ", ".join(map(_text, inner))
        elif isinstance(inner, list):
            waiting += [(f"{path}[{place}]", inner[place]) for place in range(len(inner) - 1, -1, -1)]
        else:
            yield path, _text(inner)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return markdown.one_line(value) if len(value) < 200 else str(value).strip()
