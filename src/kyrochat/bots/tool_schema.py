"""The part of JSON Schema that tools' parameters are written in, which all models understand, and its checks."""

import re
from collections.abc import Mapping
from typing import Any

from kyrochat.db.storable import storable
from kyrochat.rules import Rules

FIELD = "parameters"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
SCALARS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
MAX_PARAMETERS = 20
MAX_DESCRIPTION_CHARS = 500
MAX_ENUM = 50
MAX_ITEMS = 50
MAX_TEXT_CHARS = 2_000
# Beyond, other programs' numbers are not exact any more.
MAX_NUMBER = 2**53


def checked_schema(rules: Rules, schema: object) -> dict[str, Any]:
    """Return the schema with what counts of it; note what is not understood."""
    if not isinstance(schema, dict) or schema.get("type") != "object" or not _is_object(schema.get("properties")):
        rules.add(FIELD, 'It is a JSON Schema object: {"type": "object", "properties": {…}, "required": […]}.')
        return {}
    _only(rules, schema, {"type", "properties", "required", "additionalProperties", "description"}, "the schema")
    properties, required = schema["properties"], schema.get("required", [])
    if len(properties) > MAX_PARAMETERS:
        rules.add(FIELD, f"There are {len(properties)} parameters; at most {MAX_PARAMETERS} are allowed.")
        return {}
    if not isinstance(required, list) or not all(isinstance(name, str) and name in properties for name in required):
        rules.add(FIELD, "`required` is a list of names of its properties.")
        required = []
    checked = {name: _checked_parameter(rules, name, each) for name, each in properties.items()}
    # Each once, however often it is named: the schema goes with each question to the model.
    return {"type": "object", "properties": checked, "required": list(dict.fromkeys(required))}


def problem_of(schema: Mapping[str, Any], arguments: Mapping[str, object]) -> str | None:
    """Return what is wrong with a model's arguments; None when they fit the schema."""
    properties = schema["properties"]
    for name in schema["required"]:
        if name not in arguments:
            return f"`{name}` is missing."
    for name, value in arguments.items():
        if name not in properties:
            return f"There is no parameter `{storable(name)[:64]}`."
        if wrong := _wrong(properties[name], value):
            return f"`{name}` must be {wrong}."
    return None


def _checked_parameter(rules: Rules, name: str, parameter: object) -> dict[str, Any]:
    if not NAME.fullmatch(name):
        rules.add(FIELD, f"`{name[:64]}` is no name for a parameter: letters, digits and _, and no digit first.")
    kind = parameter.get("type") if isinstance(parameter, dict) else None
    if not isinstance(parameter, dict) or not isinstance(kind, str) or kind not in (*SCALARS, "array"):
        rules.add(FIELD, f"`{name[:64]}` needs a type: {', '.join(SCALARS)} or array.")
        return {}
    _only(rules, parameter, {"type", "description", "enum", "items"}, f"`{name[:64]}`")
    checked: dict[str, Any] = {"type": kind}
    if "description" in parameter:
        said = parameter["description"]
        said = rules.text(FIELD, said if isinstance(said, str) else "", max_chars=MAX_DESCRIPTION_CHARS)
        checked["description"] = said
    if "enum" in parameter:
        values = parameter["enum"]
        if kind != "string" or not isinstance(values, list) or not 0 < len(values) <= MAX_ENUM:
            rules.add(FIELD, f"The `enum` of `{name[:64]}` is a list of 1 to {MAX_ENUM} texts, of a string.")
        else:
            texts = [rules.text(FIELD, v if isinstance(v, str) else "", max_chars=200, min_chars=1) for v in values]
            checked["enum"] = list(dict.fromkeys(texts))
    if kind == "array":
        items = parameter.get("items")
        if not isinstance(items, dict) or items.get("type") not in tuple(SCALARS) or items.keys() != {"type"}:
            rules.add(FIELD, f'The `items` of `{name[:64]}` are {{"type": …}} of {", ".join(SCALARS)}.')
        else:
            checked["items"] = {"type": items["type"]}
    return checked


def _wrong(parameter: Mapping[str, Any], value: object) -> str | None:
    if parameter["type"] == "array":
        item = parameter["items"]
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            return f"a list of at most {MAX_ITEMS}"
        return next((f"a list, each of it {wrong}" for each in value if (wrong := _wrong(item, each))), None)
    if not isinstance(value, SCALARS[parameter["type"]]) or isinstance(value, bool) != (parameter["type"] == "boolean"):
        return f"of the type {parameter['type']}"
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
        return f"a text of at most {MAX_TEXT_CHARS:,} characters"
    if isinstance(value, str) and storable(value) != value:
        return "a text without NUL and without halves of characters"
    if isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
        return "a number of ordinary size"
    if "enum" in parameter and value not in parameter["enum"]:
        return f"one of {', '.join(parameter['enum'][:20])}"
    return None


def _is_object(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _only(rules: Rules, found: Mapping[str, object], known: set[str], where: str) -> None:
    if unknown := sorted(found.keys() - known):
        rules.add(FIELD, f"In {where} `{unknown[0][:64]}` is not understood. Known are {', '.join(sorted(known))}.")
