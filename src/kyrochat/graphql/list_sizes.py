"""How long the list of a field may be, told from its arguments before anything runs."""

from collections.abc import Hashable, Mapping

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_nullable_type,
    is_list_type,
)

# All counts stop here: nobody needs the digits of 100 to the 300th power.
SATURATED = 1_000_000
MAX_PAGE_SIZE = 100
# Lists that take no size are short: the citations of an answer, the issues of an input.
LIST_ITEMS = 5

Variables = Mapping[str, object]


def values_of(operation: OperationDefinitionNode | None, sent: Variables) -> Variables:
    """Return the variables that have a value: what was sent, and defaults, as literals, for the rest."""
    definitions = (operation.variable_definitions if operation else None) or ()
    defaults = {each.variable.name.value: each.default_value for each in definitions if each.default_value is not None}
    return {**defaults, **sent}


def items(node: FieldNode, definition: GraphQLField, values: Variables) -> int:
    """Return how many items the list or the page of a field has at most: 1 to `MAX_PAGE_SIZE`."""
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    # In this order: `last` takes the place of `first`.
    for name in ("last", "first"):
        if name in definition.args:
            size = _value(given.get(name), definition.args[name], values)
            if size is not None:
                return _page_size(size)
    for name, argument in definition.args.items():
        if is_list_type(get_nullable_type(argument.type)):
            listed = _value(given.get(name), argument, values)
            return _page_size(len(listed) if isinstance(listed, list | tuple) else 1)
    return MAX_PAGE_SIZE if "first" in definition.args else LIST_ITEMS


def longest_list(variables: Variables) -> int:
    """Return how many items the longest list in the variables has."""
    longest, remaining = 0, list(variables.values())
    while remaining:
        value = remaining.pop()
        if isinstance(value, list):
            longest = max(longest, len(value))
            remaining.extend(value)
        elif isinstance(value, dict):
            remaining.extend(value.values())
    return longest


def shape_of(variables: Variables) -> Hashable:
    """Return all of the variables that a cost depends on: numbers, the lengths of lists, and what is not there."""
    return tuple((name, _shape(value)) for name, value in variables.items())


def _shape(value: object) -> Hashable:
    match value:
        case bool() | str():
            return True
        case int() | float() | None:
            return value
        case list():
            return len(value), longest_list({"": value})
        case _:
            return "", longest_list({"": value})


def _value(literal: ValueNode | None, argument: GraphQLArgument, values: Variables) -> object:
    """Return the value of an argument, or None. The items of lists are good for counting only."""
    # A variable without a value is an argument that was left out.
    value = values.get(literal.name.value, Undefined) if isinstance(literal, VariableNode) else literal
    if literal is None or value is Undefined:
        value = _default(argument)
    match value:
        case IntValueNode():
            # Python refuses to read thousands of digits.
            return int(value.value) if len(value.value) < 10 else SATURATED
        case ListValueNode():
            return value.values
        case NullValueNode():
            return None
        case _:
            return value


def _default(argument: GraphQLArgument) -> object:
    # graphql-core has an old and a new way to say it: Strawberry uses one, its own builder of schemas the other.
    if argument.default is not None:
        return argument.default.literal or argument.default.value
    return None if argument.default_value is Undefined else argument.default_value


def _page_size(value: object) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return max(1, min(int(value), MAX_PAGE_SIZE))
    # Whatever it is, its resolver refuses it.
    return MAX_PAGE_SIZE
