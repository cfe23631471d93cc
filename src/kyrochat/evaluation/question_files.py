"""Question sets as files: JSON Lines, or CSV."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kyrochat.db.storable import storable
from kyrochat.errors import InvalidInput
from kyrochat.evaluation.filters import read_filter
from kyrochat.evaluation.types import Question

MAX_QUESTIONS = 5_000
MAX_QUESTION_CHARS = 4_000
MAX_NEEDS = 50
MAX_NEED_CHARS = 4_000
MAX_KEY_CHARS = 200
MAX_FILE_BYTES = 64 << 20
SEPARATOR = "|"
_FIELDS = {
    "id": "key",
    "key": "key",
    "question": "text",
    "query": "text",
    "text": "text",
    "document": "documents",
    "documents": "documents",
    "expected_documents": "documents",
    "title": "documents",
    "url": "documents",
    "urls": "documents",
    "quote": "quotes",
    "quotes": "quotes",
    "expected_quote": "quotes",
    "answerable": "answerable",
    "filter": "filter",
}


def read_questions(path: Path) -> list[Question]:
    """Read a question set: `.csv` is CSV, anything else JSON Lines.

    A line has a `question`, and `documents` (titles, ids or addresses) or `quotes` that it should find, one or a list;
    in CSV lists are separated by `|`. `id`, `filter` and `answerable` are optional. Without anything to find, a line
    must say `"answerable": false`, so that a forgotten column is no silent zero.

    Raises:
        InvalidInput: a line is wrong; the message names it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise InvalidInput.at("questions", f"{path} has more than {MAX_FILE_BYTES >> 20} MiB.")
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise InvalidInput.at("questions", f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InvalidInput.at("questions", f"{path} is not UTF-8.") from error
    rows = _csv_rows(text, path) if path.suffix.lower() == ".csv" else _json_rows(text, path)
    questions = [_question(row, f"{path}, line {line}", place) for place, (line, row) in enumerate(rows, start=1)]
    if not 1 <= len(questions) <= MAX_QUESTIONS:
        raise InvalidInput.at("questions", f"{path} has {len(questions):,} questions; 1 to {MAX_QUESTIONS:,} will do.")
    keys = [question.key for question in questions]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidInput.at("questions", f"{path}: the id {twice!r} is there twice.")
    return questions


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    # Not by splitlines: JSON may hold characters that are line breaks to Unicode.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidInput.at("questions", f"{path}, line {number}: this is not JSON.") from error
        if not isinstance(row, dict):
            raise InvalidInput.at("questions", f"{path}, line {number}: a line is an object, in braces.")
        yield number, row


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for row in _sound(reader, path):
        cells = {name.strip().lower(): cell for name, cell in row.items() if name and cell and cell.strip()}
        if cells:
            yield reader.line_num, {name: _cell(name, cell) for name, cell in cells.items()}


def _sound(reader: "csv.DictReader[str]", path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        yield from reader
    except csv.Error as error:  # such as an unclosed quote, which makes one cell of all that follows
        line = reader.reader.line_num
        raise InvalidInput.at("questions", f"{path}, line {line}: this is not CSV ({error}).") from error


def _cell(name: str, cell: str) -> str | list[str]:
    return cell.split(SEPARATOR) if _FIELDS.get(name) in ("documents", "quotes") else cell


def _question(row: Mapping[str, Any], where: str, place: int) -> Question:
    fields: dict[str, Any] = {}
    for name, value in row.items():
        known = _FIELDS.get(name.strip().lower())
        if known is None or value is None:
            continue
        if known in ("documents", "quotes"):
            fields[known] = (*fields.get(known, ()), *_texts(value, name, where))
        else:
            fields[known] = value
    answerable = _flag(fields.pop("answerable", None), where)
    question = Question(
        key=_key(fields.get("key", place), where),
        text=_text(fields.get("text"), where),
        documents=fields.get("documents", ()),
        quotes=fields.get("quotes", ()),
        filter=_filter(fields.get("filter"), where),
    )
    if answerable is False and question.is_answerable:
        raise InvalidInput.at("questions", f"{where}: it is not answerable, and yet something is to be found.")
    if answerable is not False and not question.is_answerable:
        raise InvalidInput.at(
            "questions",
            f'{where}: name `documents` or `quotes` that it should find, or say that it has none: "answerable": false.',
        )
    return question


def _key(value: Any, where: str) -> str:
    key = _told(str(value), where) if isinstance(value, str | int) else ""
    if not 1 <= len(key) <= MAX_KEY_CHARS:
        raise InvalidInput.at("questions", f"{where}: an `id` is a number, or has 1 to {MAX_KEY_CHARS} characters.")
    return key


def _told(text: str, where: str) -> str:
    if storable(text) != text:
        raise InvalidInput.at("questions", f"{where}: a text holds a NUL character, or half of a surrogate pair.")
    return text


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= MAX_QUESTION_CHARS:
        raise InvalidInput.at("questions", f"{where}: a `question` has 1 to {MAX_QUESTION_CHARS:,} characters.")
    return _told(value.strip(), where)


def _texts(value: Any, name: str, where: str) -> Sequence[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in values) or len(values) > MAX_NEEDS:
        raise InvalidInput.at("questions", f"{where}: `{name}` is a text, or a list of up to {MAX_NEEDS} texts.")
    found = [_told(each.strip(), where) for each in values if each.strip()]
    if any(len(each) > MAX_NEED_CHARS for each in found):
        raise InvalidInput.at("questions", f"{where}: no text in `{name}` has more than {MAX_NEED_CHARS:,} characters.")
    return list(dict.fromkeys(found))


def _flag(value: Any, where: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(str(value).lower())
    if known is None:
        raise InvalidInput.at("questions", f"{where}: `answerable` is true or false.")
    return known


def _filter(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise InvalidInput.at("questions", f"{where}: `filter` is an object, as `search` takes it.")
    try:
        read_filter(value)
    except InvalidInput as error:
        raise InvalidInput.at("questions", f"{where}: `filter`: {error.issues[0].message}") from error
    return value
