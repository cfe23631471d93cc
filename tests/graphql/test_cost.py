"""What operations are said to cost: by rules that a naive expansion of the document follows too, only much slower."""

from collections.abc import Mapping
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    parse,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from kyrochat.graphql.cost import measure
from kyrochat.graphql.limits import QueryLimits, find_breach
from kyrochat.graphql.list_sizes import SATURATED
from kyrochat.graphql.measures import Cost
from tests.graphql.operations import SCHEMA, Operation, operations

RICH = """query Bot($id: ID!, $size: Int = 20) {
  bot(id: $id) {
    id name description instructions model greeting suggestedQuestions workspace { id name }
    documents(first: $size) { totalCount pageInfo { hasNextPage endCursor } nodes { ...Card } }
    conversations(first: $size) {
      totalCount
      nodes { id title messages(last: 10) { nodes { id role text status grounded citations { ...Quote } } } }
    }
  }
}
fragment Card on Document { id title status progress failure chunkCount }
fragment Quote on Citation { number quote start end page document { ...Card } }"""


def cost_of(query: str, name: str | None = None, variables: Mapping[str, object] | None = None) -> Cost:
    return measure(parse(query), SCHEMA, name, variables)


def points(query: str, **variables: object) -> int:
    return measure(parse(query), SCHEMA, None, variables).points


def test_a_page_with_everything_on_it_passes_with_room() -> None:
    cost, limits = cost_of(RICH, variables={"id": "x"}), QueryLimits()
    assert find_breach(cost, limits) is None
    # A bot and its workspace; a page of documents; 20 conversations of 10 messages of 5 citations of a document.
    assert cost.points == 2 + (1 + 1 + 1 + 20) + (1 + 1 + 20 * (1 + 1 + 10 * (1 + 5 * 2)))
    assert cost.points * 2 < limits.points
    assert (cost.depth, cost.fragments) == (8, 2)


@pytest.mark.parametrize("operation", operations(), ids=str)
def test_each_field_of_the_schema_can_be_asked_for(operation: Operation) -> None:
    cost = measure(parse(operation.query), SCHEMA, None, operation.variables)
    assert find_breach(cost, QueryLimits()) is None


def test_introspection_of_the_whole_schema_passes_and_much_more_does_not() -> None:
    whole = cost_of(get_introspection_query(input_value_deprecation=True, specified_by_url=True))
    assert find_breach(whole, QueryLimits()) is None
    assert whole.depth == 1

    part = "__schema { types { fields { type { fields { args { type { name } } } } } } }"
    once = points(f"{{ {part} }}")
    assert 3 < once / len(SCHEMA.type_map) < 8
    assert points("{ " + " ".join(f"a{n}: {part}" for n in range(11)) + " }") == 11 * once > QueryLimits().points


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ("", 20),
        ("(first: 3)", 3),
        ("(last: 4)", 4),
        ("(first: 3, last: 4)", 4),
        ("(first: 3, last: null)", 3),
        ("(first: null)", 100),
        ("(first: 100000)", 100),
        ("(first: -5)", 1),
        ("(first: 0)", 1),
        (f"(first: {'9' * 5000})", 100),
        ('(first: "5")', 100),
        ("(first: $sent)", 7),
        ("(first: $defaulted)", 9),
        ("(first: $absent)", 20),
        ("(first: $null)", 100),
        ("(first: $text)", 100),
        ("(first: $huge)", 100),
        ("(first: $nobody)", 20),
    ],
)
def test_the_size_of_a_page(arguments: str, size: int) -> None:
    head = "query ($sent: Int, $defaulted: Int = 9, $absent: Int, $null: Int, $text: Int, $huge: Int)"
    query = f"{head} {{ bots{arguments} {{ nodes {{ id }} }} }}"
    assert points(query, sent=7, null=None, text="12", huge=10**400) == 1 + size


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ me { id name } }", 1),
        ("{ bots(first: 10) { totalCount } }", 2),
        ("{ bots(first: 10) { edges { cursor node { id } } } }", 1 + 10 * 2),
        ("{ bots(first: 10) { ...Page } } fragment Page on BotConnection { nodes { id } }", 1 + 10),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', 3),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", 40),
        ('{ search(botId: "x", query: "y", first: 30) { text document { title } } }', 60),
        ('{ document(id: "x") { a: text(start: 1) b: text(start: 2) } }', 3),
        ("mutation { a: logout b: logout }", 20),
        ('subscription { documentProgress(id: "x") { id } }', 6),
        ("{ me @skip(if: true) { id } }", 1),
        ("{ nothing { at { all } } }", 2),
        ("{ me { ...missing } }", 1),
        ("{ ...on Nothing { x { y } } }", 1),
        ("fragment F on User { id }", 0),
    ],
)
def test_points(query: str, expected: int) -> None:
    assert points(query, ids=["x"] * 40) == expected


def test_only_the_named_operation_is_paid_for_but_the_whole_document_is_looked_at() -> None:
    query = "query A { me { id } } query B { bots(first: 50) { nodes { b: id } } }"
    a, b, none = cost_of(query, "A"), cost_of(query, "B"), cost_of(query, "C")
    assert [(cost.points, cost.depth, cost.aliases, cost.operations) for cost in (a, b, none)] == [
        (1, 3, 1, 2),
        (51, 3, 1, 2),
        (0, 3, 1, 2),
    ]
    assert (a.kind, none.kind) == (OperationType.QUERY, None)


def test_lists_in_variables_are_seen_at_any_depth() -> None:
    assert cost_of("{ me { id } }", variables={"a": {"b": [[], [{"c": [1] * 300}]]}}).list_items == 300


PAGES = st.sampled_from(["", "(first: 3)", "(last: 2)", "(first: $size)", "(first: 500)"])
COMPOSITE = sorted(
    name for name, found in SCHEMA.type_map.items() if isinstance(found, GraphQLObjectType) and name[0] != "_"
)
ROOTS = {"Query", "Mutation", "Subscription"}


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw a query with fragments that spread those after them, several times, and pages in pages."""
    types = draw(st.lists(st.sampled_from([name for name in COMPOSITE if name not in ROOTS]), max_size=8))

    def selections(name: str, after: int, budget: int) -> str:
        parent = SCHEMA.type_map[name]
        assert isinstance(parent, GraphQLObjectType)
        parts = ["__typename"]
        for field_name in draw(st.lists(st.sampled_from(sorted(parent.fields)), max_size=4)):
            definition = parent.fields[field_name]
            output = get_named_type(definition.type)
            call = draw(PAGES) if "last" in definition.args else ""
            if not is_composite_type(output):
                parts.append(field_name)
            elif not isinstance(output, GraphQLObjectType) or budget == 0:
                parts.append(f"{field_name}{call} {{ __typename }}")
            else:
                parts.append(f"{field_name}{call} {{ {selections(output.name, after, budget - 1)} }}")
        parts += [f"...F{n}" for n in range(after, len(types)) if types[n] == name and draw(st.booleans())]
        if draw(st.booleans()):
            parts.append(f"... on {name} {{ {' '.join(parts)} }}")
        return " ".join(parts)

    fragments = [f"fragment F{n} on {name} {{ {selections(name, n + 1, 2)} }}" for n, name in enumerate(types)]
    return "\n".join([f"query ($size: Int) {{ {selections('Query', 0, 4)} }}", *fragments])


@settings(max_examples=150, deadline=None)
@given(documents(), st.integers(1, 100))
def test_one_walk_finds_what_a_naive_expansion_finds(query: str, size: int) -> None:
    document = parse(query)
    cost = measure(document, SCHEMA, None, {"size": size})

    expected, depth = _Naive(document, size).operation()
    assert cost.points == min(expected, SATURATED)
    assert cost.depth >= depth
    assert cost.nodes <= _tokens(document)


@pytest.mark.parametrize("levels", [5, 20, 49])
def test_fragments_that_double_cost_no_more_to_measure_than_to_read(levels: int) -> None:
    query = "{ ...F0 }" + "".join(
        f" fragment F{n} on Query {{ bots {{ nodes {{ workspace {{ id }} }} }} ...F{n + 1} ...F{n + 1} }}"
        for n in range(levels)
    )
    document = parse(query + f" fragment F{levels} on Query {{ me {{ id }} }}")

    cost = measure(document, SCHEMA)

    exact = 41 * (2**levels - 1) + 2**levels
    assert cost.points == min(exact, SATURATED)
    assert cost.nodes == 1 + levels * 6 + 2


class _Naive:
    """Expands every spread where it stands; page sizes are handed down, not multiplied on the way up."""

    def __init__(self, document: DocumentNode, size: int) -> None:
        self.size = size
        self.fragments: Mapping[str, FragmentDefinitionNode] = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        (self.root,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))

    def operation(self) -> tuple[int, int]:
        return self.expand(self.root.selection_set, "Query", 0)

    def expand(self, selection_set: SelectionSetNode, name: str, page: int) -> tuple[int, int]:
        total = deepest = 0
        for node in selection_set.selections:
            if isinstance(node, FragmentSpreadNode):
                found = self.expand(self.fragments[node.name.value].selection_set, name, page)
            elif isinstance(node, InlineFragmentNode):
                found = self.expand(node.selection_set, name, page)
            else:
                assert isinstance(node, FieldNode)
                found = self.field(node, name, page)
            total, deepest = total + found[0], max(deepest, found[1])
        return total, deepest

    def field(self, node: FieldNode, name: str, page: int) -> tuple[int, int]:
        parent = SCHEMA.type_map[name]
        fields: Mapping[str, Any] = getattr(parent, "fields", {})
        if node.selection_set is None:
            takes_arguments = node.name.value in fields and bool(fields[node.name.value].args)
            return int(node.name.value == "totalCount" or takes_arguments), 1
        definition = fields[node.name.value]
        output = get_named_type(definition.type)
        if output.name.endswith("Connection"):
            inner, depth = self.expand(node.selection_set, output.name, self.page(node, definition))
            return 1 + inner, depth + 1
        inner, depth = self.expand(node.selection_set, output.name, 0)
        times = 1
        if is_list_type(get_nullable_type(definition.type)):
            times = page or {"search": 8, "nodes": 1, "candidates": 20, "changes": 20}.get(node.name.value, 5)
        return times * (1 + inner), depth + 1

    def page(self, node: FieldNode, definition: GraphQLField) -> int:
        if not node.arguments:
            default = definition.args["first"].default
            return int(default.literal.value) if default and isinstance(default.literal, IntValueNode) else 20
        value = node.arguments[0].value
        return min(int(value.value), 100) if isinstance(value, IntValueNode) else self.size


def _tokens(document: DocumentNode) -> int:
    assert document.loc is not None
    count, token = 0, document.loc.start_token
    while token.next is not None:
        count, token = count + 1, token.next
    return count
