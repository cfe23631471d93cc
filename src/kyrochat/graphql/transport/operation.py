"""From JSON to one GraphQL operation that is safe to run."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isinf
from typing import NoReturn

from kyrochat.graphql.transport.refusals import IllFormed, UnusableText

# Deeper JSON than any input type has; a bound here spares every recursive reader after us.
MAX_JSON_DEPTH = 64
# Far more than any operation needs, whose lists end at 250 items: empty objects take thirty times their size in memory.
MAX_JSON_VALUES = 5_000
BYTES_PER_VALUE = 64
# What `documentId` and `extensions.persistedQuery.sha256Hash` are like.
SHA256 = re.compile("(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Operation:
    """One GraphQL request as the client sent it, in its right shape, but not yet parsed or validated.

    `document_hash` names the document by its SHA-256, and then `query` may be empty. `is_handshake` says that it was
    named in the way of clients that send the whole document after a refusal. `held_bytes` is about how much memory
    the operation takes.
    """

    query: str
    variables: dict[str, object] | None = None
    operation_name: str | None = None
    extensions: dict[str, object] | None = None
    document_hash: str | None = None
    is_handshake: bool = False
    held_bytes: int = field(default=0, compare=False)


def parse_json(text: str | bytes | bytearray) -> object:
    """Return the JSON value in `text`; bytes are UTF-8, with or without a byte order mark.

    Raises:
        IllFormed: it is not JSON, or too deep, or has numbers that JSON cannot carry.
    """
    try:
        if not isinstance(text, str):
            text = text.decode("utf-8-sig")
        value = _JSON.decode(text)
    except UnicodeDecodeError:
        raise IllFormed("The body is not valid UTF-8.") from None
    except RecursionError:
        raise IllFormed(f"The JSON is nested more than {MAX_JSON_DEPTH} levels deep.") from None
    except json.JSONDecodeError as error:
        raise IllFormed(f"The body is not valid JSON: {error.msg} at character {error.pos}.") from None
    except ValueError:
        raise IllFormed("The JSON has a number of thousands of digits.") from None
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH:
        _refuse_depth(value)
    return value


def operation_from(parameters: object) -> Operation:
    """Return the operation in the parameters of a request.

    Raises:
        IllFormed: a parameter has the wrong type, or `query` is missing.
        UnusableText: a string cannot be run or stored.
    """
    if isinstance(parameters, list):
        raise IllFormed("Batching is off: send one operation per request, as a JSON object.")
    if not isinstance(parameters, dict):
        raise IllFormed("The body must be a JSON object with a `query`.")
    query = parameters.get("query")
    extensions = _object_or_none(parameters, "extensions")
    document_hash, is_handshake = _document_hash(parameters, extensions or {})
    if query is None and document_hash is not None:
        query = ""
    if not isinstance(query, str):
        raise IllFormed("Send a GraphQL document as the string `query`, or the `documentId` of a registered one.")
    name = parameters.get("operationName")
    if not isinstance(name, str | None):
        raise IllFormed("`operationName` must be a string or null.")
    variables = _object_or_none(parameters, "variables")
    if not query.strip() and document_hash is None:
        raise UnusableText("`query` is empty.")
    if "\0" in query:
        raise UnusableText("`query` has a NUL character.")
    held_bytes = _checked_bytes(parameters)
    return Operation(query, variables, name, extensions, document_hash, is_handshake, held_bytes)


def _document_hash(parameters: Mapping[str, object], extensions: Mapping[str, object]) -> tuple[str | None, bool]:
    """Return the hash by which a document is named, if it is, and whether in Apollo's way."""
    named = parameters.get("documentId")
    persisted = extensions.get("persistedQuery")
    is_handshake = named is None and persisted is not None
    if is_handshake:
        named = persisted.get("sha256Hash") if isinstance(persisted, dict) else persisted
    if named is None:
        return None, False
    found = SHA256.fullmatch(named) if isinstance(named, str) else None
    if found is None:
        raise IllFormed("A document's id is its SHA-256: `sha256:` and 64 hexadecimal digits.")
    return found[1].lower(), is_handshake


def _object_or_none(parameters: Mapping[str, object], name: str) -> dict[str, object] | None:
    value = parameters.get(name)
    if not isinstance(value, dict | None):
        raise IllFormed(f"`{name}` must be an object or null.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise IllFormed(f"{name} is not a JSON number.")


def _finite(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise IllFormed("The JSON has a number that is too large.")
    return number


# json.loads would make one each time.
_JSON = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _refuse_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise IllFormed(f"The JSON is nested more than {MAX_JSON_DEPTH} levels deep.")


def _checked_bytes(value: object) -> int:
    """Return about how many bytes a JSON value takes, after a look at each string and name in it."""
    values, chars, remaining = 0, 0, [value]
    while remaining:
        values += 1
        current = remaining.pop()
        if isinstance(current, str):
            _refuse_lone_surrogate(current)
            chars += len(current)
        elif isinstance(current, dict):
            for name in current:
                _refuse_lone_surrogate(name)
                chars += len(name)
            remaining.extend(current.values())
        elif isinstance(current, list):
            remaining.extend(current)
        if values + len(remaining) > MAX_JSON_VALUES:
            raise IllFormed(f"The JSON has more than {MAX_JSON_VALUES:,} values.")
    return chars + values * BYTES_PER_VALUE


def _refuse_lone_surrogate(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(text[error.start]):04X}"
        raise UnusableText(f"A string holds half of a surrogate pair ({half}): it is not text.") from None


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
