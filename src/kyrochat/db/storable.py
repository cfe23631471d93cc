"""Texts and JSON that nobody has checked, such as a model's, as PostgreSQL can hold them."""

import math

_MAX_DEPTH = 20


def storable(text: str) -> str:
    """Return the text without NUL characters and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()


def storable_json(value: object, depth: int = 0) -> object:
    """Return what `json.loads` made as JSONB can hold it: its texts storable, NaN and infinities as texts.

    What is nested deeper than 20 levels is left out: writing it would cost the whole stack.
    """
    match value:
        case str():
            return storable(value)
        case float() if not math.isfinite(value):
            return str(value)
        case dict() | list() if depth >= _MAX_DEPTH:
            return "…"
        case dict():
            return {storable(str(name)): storable_json(each, depth + 1) for name, each in value.items()}
        case list():
            return [storable_json(each, depth + 1) for each in value]
        case _:
            return value
