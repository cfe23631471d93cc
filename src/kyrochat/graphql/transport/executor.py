"""Reads plain attributes without the machinery that resolvers need; whatever is not plain takes the usual way."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLObjectType,
    GraphQLString,
    Undefined,
    get_nullable_type,
    is_non_null_type,
    is_scalar_type,
)
from graphql.pyutils import AwaitableOrValue, Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

# The types of values that leave as they are: for each scalar one class, and no class that derives from it.
PLAIN = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool, GraphQLInt: int, GraphQLFloat: float}
INT_LIMIT = 2**31

# How to read a field's value from its object, its class, and whether it may be null.
Leaf = tuple[Callable[[Any], Any], type, bool]


class Executor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, with a short way for leaves.

    A field takes it when its resolver is Strawberry's own reading of an attribute, with no extension and no permission
    around it, its type a builtin scalar, and its value an instance of just that scalar's class. Errors, nulls in the
    wrong place, values of other classes and everything else go the usual way, and come out the same.
    """

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: Mapping[str, Any],
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        """Execute the fields of one object."""
        leaves = leaves_of(parent_type)
        results: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for response_name, details in grouped_field_set.items():
            leaf = leaves.get(details[0].node.name.value)
            if leaf is not None:
                read, plain, nullable = leaf
                try:
                    value = read(source_value)
                except Exception:  # told in the usual way, with its place
                    value = Undefined
                if (value is None and nullable) or (value.__class__ is plain and fits(value)):
                    results[response_name] = value
                    continue
            # Holds the place: answers come in the order of the selection.
            results[response_name] = Undefined
            others[response_name] = details
        if not others:
            return results
        executed = super().execute_fields(parent_type, source_value, path, others, position_context)
        if isinstance(executed, dict):
            return _merged(results, executed)

        async def merged() -> dict[str, Any]:
            return _merged(results, await executed)

        return merged()


def _merged(results: dict[str, Any], executed: dict[str, Any]) -> dict[str, Any]:
    results.update(executed)
    if len(results) == len(executed):
        return results
    # A field that the type does not have is left out, as it would be.
    return {name: value for name, value in results.items() if value is not Undefined}


def fits(value: Any) -> bool:
    """Say whether a number is one that its scalar takes."""
    if value.__class__ is int:
        return bool(-INT_LIMIT <= value < INT_LIMIT)
    return value.__class__ is not float or isfinite(value)


# By identity; a process has one schema, and tests a few small ones.
@lru_cache(maxsize=4_096)
def leaves_of(parent_type: GraphQLObjectType) -> Mapping[str, Leaf]:
    """Return those fields of a type that are read the short way."""
    name = parent_type.name
    found: dict[str, Leaf] = {"__typename": (lambda _: name, str, False)}
    for field_name, field in parent_type.fields.items():
        leaf = _leaf(field)
        if leaf is not None:
            found[field_name] = leaf
    return found


def _leaf(field: GraphQLField) -> Leaf | None:
    output, resolve = field.type, field.resolve
    named = get_nullable_type(output)
    plain = PLAIN.get(named) if is_scalar_type(named) else None
    # Its name tells Strawberry's reading of an attribute from everything that wraps one: permissions wrap it, too.
    if plain is None or field.args or resolve is None or resolve.__name__ != "_get_basic_result":
        return None
    definition = field.extensions.get("strawberry-definition")
    if definition is None or definition.default_resolver is not getattr:
        return None
    return attrgetter(definition.python_name), plain, not is_non_null_type(output)
