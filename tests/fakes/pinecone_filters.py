"""Pinecone's filter expressions, as strict as its documentation."""

from collections.abc import Callable, Mapping
from typing import Any


class Refused(Exception):
    """Pinecone would answer 400; the text says why."""


_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda value, bound: value > bound,
    "$gte": lambda value, bound: value >= bound,
    "$lt": lambda value, bound: value < bound,
    "$lte": lambda value, bound: value <= bound,
}


def matches(condition: object, document: Mapping[str, Any], data_fields: frozenset[str]) -> bool:
    """Whether the document meets the condition. A list of strings meets $eq and $in by any of its items."""
    if not isinstance(condition, dict) or not condition:
        raise Refused("a filter is an object with at least one entry.")
    # All of them are looked at, so that what is wrong behind a mismatch is refused, too.
    results = [_meets(name, predicate, document, data_fields) for name, predicate in condition.items()]
    return all(results)


def _meets(name: str, predicate: object, document: Mapping[str, Any], data_fields: frozenset[str]) -> bool:
    if name in ("$and", "$or"):
        if not isinstance(predicate, list) or not predicate:
            raise Refused(f"{name} takes a list of filters.")
        results = [matches(part, document, data_fields) for part in predicate]
        return all(results) if name == "$and" else any(results)
    if name.startswith("$"):
        raise Refused(f"{name} is no operator here.")
    if name in data_fields:
        raise Refused(f"{name} is a data field; comparisons are for metadata.")
    operators = predicate if isinstance(predicate, dict) else {"$eq": predicate}
    if not operators:
        raise Refused(f"{name} has no operator.")
    results = [_holds(operator, operand, document.get(name)) for operator, operand in operators.items()]
    return all(results)


def _holds(operator: str, operand: object, value: Any) -> bool:
    values = value if isinstance(value, list) else [] if value is None else [value]
    match operator:
        case "$eq" | "$ne":
            if not isinstance(operand, str | int | float):
                raise Refused(f"{operator} takes a string, a number or a boolean.")
            return (operand in values) is (operator == "$eq")
        case "$in" | "$nin":
            if not isinstance(operand, list) or not operand:
                raise Refused(f"{operator} takes a list.")
            return any(item in operand for item in values) is (operator == "$in")
        case "$exists":
            if not isinstance(operand, bool):
                raise Refused("$exists takes a boolean.")
            return (value is not None) is operand
        case "$gt" | "$gte" | "$lt" | "$lte":
            if isinstance(operand, bool) or not isinstance(operand, int | float):
                raise Refused(f"{operator} takes a number.")
            return isinstance(value, int | float) and _ORDERINGS[operator](value, operand)
        case _:
            raise Refused(f"{operator} is no operator.")
