"""What an operation may cost, told from its document alone: each fragment is walked once, however often it is spread.

Points stand for the work of answering: an object is 1 and a plain leaf 0. A leaf that takes arguments, and
`totalCount`, is 1, for each is a query of its own. What is inside a list counts for every item that the list may have.
Fields under `@skip` and `@include` count, whatever their condition. A field at the root of a mutation is 10 more, of a
subscription 5. Everything else stands for the work of validation.

Mistakes are for validation to report: what is unknown or circular is tolerated here, and still counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    ListTypeNode,
    ListValueNode,
    NamedTypeNode,
    NonNullTypeNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    TokenKind,
    TypeNode,
    ValueNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

from kyrochat.graphql.list_sizes import LIST_ITEMS, MAX_PAGE_SIZE, SATURATED, Variables, items, longest_list, values_of
from kyrochat.graphql.measures import ROOT_FIELD_POINTS, Cost
from kyrochat.graphql.overlaps import count_comparisons, root_names

# Selection sets in each other, spreads included. Deeper ones are not walked but called saturated, so that this
# recursion never meets Python's. GraphiQL's introspection has 19.
MAX_LEVELS = 100
# Introspection only reads what is in memory: so many of its objects cost what one of ours does.
INTROSPECTED_PER_POINT = 50
CHARS_PER_VALUE = 25_000
# There are many more types to suggest than fields of one type.
UNKNOWN_NAMES_PER_TYPE = 3


def measure(
    document: DocumentNode, schema: GraphQLSchema, operation_name: str | None = None, variables: Variables | None = None
) -> Cost:
    """Return the cost of the operation of that name, or else of the first one. Raises nothing."""
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    chosen = next(
        (node for node in operations if operation_name is None or (node.name and node.name.value == operation_name)),
        None,
    )
    by_name = {node.name.value: node for node in fragments}
    walk = _Walk(schema, by_name, values_of(chosen, variables or {}))
    walk.list_items = longest_list(variables or {})
    points, depth = 0, 0
    for operation in operations:
        walk.directives_of(operation.directives)
        for variable in operation.variable_definitions or ():
            walk.directives_of(variable.directives)
            walk.type_named(_named(variable.type))
            if variable.default_value is not None:
                walk.literal(variable.default_value)
        tally = walk.selections(operation.selection_set, schema.get_root_type(operation.operation), 1)
        depth = max(depth, tally.depth)
        if operation is chosen:
            points = tally.total(MAX_PAGE_SIZE)
    for fragment in fragments:
        # One whose name is taken is not reached by its name, but validated all the same.
        is_named = by_name[fragment.name.value] is fragment
        depth = max(depth, (walk.fragment(fragment.name.value, 1) if is_named else walk.definition(fragment, 1)).depth)
    root_fields = 0 if chosen is None else len(root_names(chosen, by_name))
    if chosen is not None:
        points = min(points + root_fields * ROOT_FIELD_POINTS[chosen.operation], SATURATED)
    return Cost(
        kind=chosen.operation if chosen else None,
        points=points,
        root_fields=root_fields,
        depth=depth,
        aliases=walk.aliases,
        directives=walk.directives,
        fragments=len(fragments),
        operations=len(operations),
        comparisons=min(count_comparisons(operations, fragments), SATURATED),
        list_items=walk.list_items,
        input_values=walk.input_values,
        unknown_names=walk.unknown_names,
        name_chars=_longest_name(document),
        nodes=walk.nodes,
        texts=walk.texts,
    )


class _Tally(NamedTuple):
    """The points of a selection set: `fixed`, and `per_item` for each item of the page that it may be about."""

    fixed: int = 0
    per_item: int = 0
    depth: int = 0

    def total(self, items: int) -> int:
        return min(self.fixed + items * self.per_item, SATURATED)


_NOTHING = _Tally()
_TOO_DEEP = _Tally(SATURATED, SATURATED, SATURATED)


@dataclass(slots=True)
class _Walk:
    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    values: Variables
    aliases: int = 0
    directives: int = 0
    list_items: int = 0
    input_values: int = 0
    unknown_names: int = 0
    nodes: int = 0
    texts: int = 0
    _tallies: dict[str, _Tally] = field(default_factory=dict)

    def selections(self, selection_set: SelectionSetNode, parent: GraphQLNamedType | None, level: int) -> _Tally:
        if level > MAX_LEVELS:
            return _TOO_DEEP
        fixed = per_item = depth = 0
        for node in selection_set.selections:
            self.nodes += 1
            self.directives_of(node.directives)
            if isinstance(node, FieldNode):
                tally = self.field(node, parent, level)
            elif isinstance(node, FragmentSpreadNode):
                tally = self.fragment(node.name.value, level + 1)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = parent if condition is None else self.type_named(condition.name.value)
                tally = self.selections(node.selection_set, inner, level + 1)
            else:
                continue
            fixed += tally.fixed
            per_item += tally.per_item
            depth = max(depth, tally.depth)
        return _Tally(min(fixed, SATURATED), min(per_item, SATURATED), depth)

    def fragment(self, name: str, level: int) -> _Tally:
        if (tally := self._tallies.get(name)) is not None:
            return tally
        if (definition := self.fragments.get(name)) is None:
            self.unknown_names += 1
            return _NOTHING
        # What a circle finds on its way back to itself.
        self._tallies[name] = _NOTHING
        self._tallies[name] = tally = self.definition(definition, level)
        return tally

    def definition(self, fragment: FragmentDefinitionNode, level: int) -> _Tally:
        self.directives_of(fragment.directives)
        return self.selections(fragment.selection_set, self.type_named(fragment.type_condition.name.value), level)

    def field(self, node: FieldNode, parent: GraphQLNamedType | None, level: int) -> _Tally:
        self.aliases += node.alias is not None
        definition = self.definition_of(node.name.value, parent)
        self.arguments(node.arguments, definition)
        is_introspection = parent is not None and parent.name.startswith("__")
        own_depth = 0 if is_introspection else 1
        if node.selection_set is None:
            takes_arguments = definition is not None and bool(definition.args)
            self.texts += takes_arguments
            return _Tally(int(takes_arguments or node.name.value == "totalCount"), 0, own_depth)
        output = get_named_type(definition.type) if definition else None
        inner = self.selections(node.selection_set, output, level + 1)
        depth = min(inner.depth + own_depth, SATURATED)
        if node.name.value in ("__schema", "__type"):
            return _Tally(1 + inner.total(LIST_ITEMS) // INTROSPECTED_PER_POINT, 0, depth)
        if definition is None:
            return _Tally(1 + inner.total(MAX_PAGE_SIZE), 0, depth)
        if _is_connection(output):
            return _Tally(1 + inner.total(items(node, definition, self.values)), 0, depth)
        each = 1 + inner.total(MAX_PAGE_SIZE)
        if not is_list_type(get_nullable_type(definition.type)):
            return _Tally(each, 0, depth)
        if _is_connection(parent):
            return _Tally(0, each, depth)
        # The lists of __Schema have all types; the others of introspection are short.
        is_all_types = parent is not None and parent.name == "__Schema"
        count = len(self.schema.type_map) if is_all_types else items(node, definition, self.values)
        return _Tally(each * count, 0, depth)

    def definition_of(self, name: str, parent: GraphQLNamedType | None) -> GraphQLField | None:
        if parent is None or name == "__typename":
            return None
        found = None
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            found = self.schema.get_field(parent, name)
        self.unknown_names += found is None
        return found

    def type_named(self, name: str) -> GraphQLNamedType | None:
        found = self.schema.get_type(name)
        if found is None:
            self.unknown_names += UNKNOWN_NAMES_PER_TYPE
        return found

    def directives_of(self, directives: Iterable[DirectiveNode] | None) -> None:
        for directive in directives or ():
            self.directives += 1
            for argument in directive.arguments or ():
                self.literal(argument.value)

    def arguments(self, arguments: Iterable[ArgumentNode] | None, definition: GraphQLField | None) -> None:
        for argument in arguments or ():
            self.unknown_names += definition is not None and argument.name.value not in definition.args
            self.literal(argument.value)

    def literal(self, literal: ValueNode) -> None:
        remaining, values, fields, chars = [literal], 0, 0, 0
        while remaining:
            value = remaining.pop()
            values += 1
            if isinstance(value, ListValueNode):
                self.list_items = max(self.list_items, len(value.values))
                remaining.extend(value.values)
            elif isinstance(value, ObjectValueNode):
                fields += len(value.fields)
                remaining.extend(each.value for each in value.fields)
            elif isinstance(value, StringValueNode):
                chars += len(value.value)
        self.nodes += values
        if fields:
            # Validation repeats the whole input for each field that it does not know.
            self.input_values += values + fields * chars // CHARS_PER_VALUE


def _is_connection(output: GraphQLNamedType | None) -> bool:
    return isinstance(output, GraphQLObjectType) and "pageInfo" in output.fields


def _named(reference: TypeNode) -> str:
    while isinstance(reference, ListTypeNode | NonNullTypeNode):
        reference = reference.type
    return reference.name.value if isinstance(reference, NamedTypeNode) else ""


def _longest_name(document: DocumentNode) -> int:
    longest, token = 0, document.loc.start_token if document.loc else None
    while token is not None:
        if token.kind is TokenKind.NAME:
            longest = max(longest, token.end - token.start)
        token = token.next
    return longest
