"""What people write on documents to find them by: tags and metadata, and their rules."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kyrochat.rules import Rules

MAX_TAGS = 20
MAX_TAG_CHARS = 50
MAX_KEYS = 32
MAX_VALUE_CHARS = 500
MAX_VALUES = 50
MAX_METADATA_CHARS = 8_000
# Beyond that numbers lose their last digits on their way through JSON.
MAX_NUMBER = 2**53

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

Metadata = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Labels:
    """The tags, each once, in the order given, and the metadata: texts, numbers, booleans and lists of texts by key."""

    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)


NO_LABELS = Labels()


def checked_labels(rules: Rules, labels: Labels) -> Labels:
    """Return the labels as they are stored; note at `tags` and `metadata` what is wrong with them."""
    return Labels(checked_tags(rules, labels.tags), checked_metadata(rules, labels.metadata))


def checked_tags(rules: Rules, tags: Sequence[str]) -> tuple[str, ...]:
    """Return the tags without white space around them and without repeats; note at `tags` what is wrong."""
    return tuple(dict.fromkeys(rules.texts("tags", tags, most=MAX_TAGS, max_chars=MAX_TAG_CHARS)))


def checked_metadata(rules: Rules, metadata: object) -> Metadata:
    """Return the metadata; note at `metadata` what is wrong with it."""
    if not isinstance(metadata, Mapping):
        rules.add("metadata", 'It is an object, such as {"language": "en", "year": 2026}.')
        return {}
    if len(metadata) > MAX_KEYS:
        rules.add("metadata", f"It has {len(metadata)} keys; at most {MAX_KEYS} are allowed.")
        return {}
    for key, value in metadata.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            rules.add("metadata", "Keys begin with a letter and have up to 64 letters, digits and _ . -")
        elif (wrong := _wrong_with(value)) is not None:
            rules.add("metadata", f"{key}: {wrong}")
    if not rules.issues and len(json.dumps(metadata, ensure_ascii=False)) > MAX_METADATA_CHARS:
        rules.add("metadata", f"It is longer than {MAX_METADATA_CHARS:,} characters as JSON.")
    return metadata


def _wrong_with(value: object) -> str | None:
    match value:
        case bool():
            return None
        case int() | float():
            return None if abs(value) <= MAX_NUMBER else "The number is too large."
        case str():
            return _wrong_with_text(value)
        case list() if all(isinstance(each, str) for each in value):
            if len(value) > MAX_VALUES:
                return f"The list has {len(value)} texts; at most {MAX_VALUES} are allowed."
            return next((wrong for each in value if (wrong := _wrong_with_text(each)) is not None), None)
        case _:
            return "A value is a text, a number, true, false or a list of texts."


def _wrong_with_text(value: str) -> str | None:
    if len(value) > MAX_VALUE_CHARS:
        return f"The text has {len(value):,} characters; up to {MAX_VALUE_CHARS} are allowed."
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        return "The text holds a NUL character or half of a surrogate pair. Remove it."
    return None
