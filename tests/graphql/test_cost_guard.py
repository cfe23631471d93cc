"""Hostile documents against the schema of the server: refused by counts, before anything is validated or run."""

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import parse
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionResult

from kyrochat.graphql.cost import measure
from kyrochat.graphql.limits import QUERY_TOO_EXPENSIVE, CostGuard, QueryLimits
from kyrochat.graphql.overlaps import MAX_VISITS, TOO_MANY, count_comparisons
from kyrochat.graphql.schema import Mutation, Query, Subscription, schema_config
from kyrochat.graphql.transport.document_cache import MAX_TOKENS, VALIDATION_FAILED
from kyrochat.graphql.transport.schema_setup import KyroSchema
from tests.graphql.front_door_toy import codes, serving
from tests.graphql.operations import SCHEMA
from tests.graphql.socket_client import connected, events_of


class NothingRuns(SchemaExtension):
    def on_execute(self) -> Iterator[None]:
        raise AssertionError("A hostile document was run.")
        yield


def guarded(*extensions: type[SchemaExtension]) -> KyroSchema:
    return KyroSchema(
        Query,
        Mutation,
        Subscription,
        extensions=[CostGuard, *extensions],
        config=schema_config(),
    )


def bomb(fragments: int, inner: str = "") -> str:
    """Each fragment spreads the next one twice, which makes 2 to the power of `fragments` of them."""
    chain = " ".join(f"fragment F{n} on Query {{ {inner} ...F{n + 1} ...F{n + 1} }}" for n in range(fragments - 1))
    return f"{{ ...F0 }} {chain} fragment F{fragments - 1} on Query {{ __typename }}"


def nested(levels: int, last: str = "id") -> str:
    return "{ me { " + "conversation { bot { " * (levels // 2) + last + " } }" * (levels // 2) + " } }"


LOGIN = 'login(input: {email: "a@example.org", password: "guess"}) { __typename }'
LOGINS = " ".join(f"a{n}: {LOGIN}" for n in range(6))
PAGE = "first: 100"
PRODUCT = f"bots({PAGE}) {{ nodes {{ documents({PAGE}) {{ nodes {{ id }} }} }} }}"

ATTACKS = {
    "fragment bomb of 14": (bomb(14, "me { id }"), "points"),
    "fragment bomb of 49": (bomb(49, "me { id }"), "comparisons"),
    "fragment bomb of 100": (bomb(100), "fragments"),
    "fragments nobody spreads": ("{ me { id } } " + "fragment F on User { id } " * 200, "fragments"),
    "every fragment spreads all others": (
        "{ me { ...F0 } } "
        + " ".join(
            f"fragment F{n} on User {{ id {' '.join(f'...F{m}' for m in range(n + 1, 30))} }}" for n in range(30)
        ),
        "comparisons",
    ),
    "a leaf again and again": ("{ me { " + "id " * 1900 + "} }", "nodes"),
    "a leaf 200 times": ("{ me { " + "id " * 200 + "} }", "comparisons"),
    "an object again and again": ("{ " + "me { id } " * 390 + "}", "comparisons"),
    "directives": ("{ me " + "@a " * 900 + "{ id } }", "directives"),
    "directives of an operation": ("query " + "@a " * 51 + "{ me { id } }", "directives"),
    "aliases": ("{ " + " ".join(f"a{n}: me {{ id }}" for n in range(330)) + " }", "aliases"),
    "logins": ("mutation { " + " ".join(f"a{n}: {LOGIN}" for n in range(50)) + " }", "mutation_fields"),
    "six logins": (f"mutation {{ {LOGINS} }}", "mutation_fields"),
    "six logins in a fragment": (f"mutation {{ ...F }} fragment F on Mutation {{ {LOGINS} }}", "mutation_fields"),
    "six logins under @include": (
        f"mutation ($yes: Boolean = true) {{ ... @include(if: $yes) {{ ... on Mutation {{ {LOGINS} }} }} }}",
        "mutation_fields",
    ),
    "many root fields": ("{ " + " ".join(f"a{n}: me {{ id }}" for n in range(21)) + " }", "root_fields"),
    "30 levels": (nested(30), "depth"),
    "levels hidden in fragments": (
        "{ me { ...F0 } } "
        + " ".join(f"fragment F{n} on Bot {{ workspace {{ bot {{ ...F{n + 1} }} }} }}" for n in range(12)),
        "depth",
    ),
    "levels hidden in inline fragments": ("{ me { " + "... { x { " * 20 + "id" + " } }" * 20 + " } }", "depth"),
    "150 inline fragments": ("{ me { " + "... { " * 150 + "id" + " }" * 150 + " } }", "depth"),
    "pages in pages": (f"{{ {PRODUCT} }}", "points"),
    "pages in pages under @skip": (f"{{ ... @skip(if: true) {{ {PRODUCT} }} }}", "points"),
    "pages in pages of fragments": (
        "{ ...A } fragment A on Query { bots(last: 100) { ...B } } "
        "fragment B on BotConnection { edges { node { ...C } } } "
        f"fragment C on Bot {{ conversations({PAGE}) {{ nodes {{ id }} }} }}",
        "points",
    ),
    "a long list": ("{ nodes(ids: [" + '"x" ' * 251 + "]) { id } }", "list_items"),
    "operations": (" ".join(f"query Q{n} {{ me {{ id }} }}" for n in range(200)), "operations"),
    "names that do not exist": ("{ me { " + " ".join(f"nam{n}" for n in range(100)) + " } }", "unknown_names"),
    "types that do not exist": (
        "query (" + " ".join(f"$v{n}: Bot{n}" for n in range(100)) + ") { me { id } }",
        "unknown_names",
    ),
    "a name that is repeated by every error": (
        f"query {'Q' * 100_000} {{ " + " ".join(f"bot(id: $x{n}) {{ id }}" for n in range(30)) + " }",
        "name_chars",
    ),
    "an input that is repeated by every error": (
        "mutation { createBot(input: {" + " ".join(f"nam{n}: 1" for n in range(600)) + "}) { __typename } }",
        "input_values",
    ),
    "a long text that is repeated by every error": (
        'mutation { createBot(input: {name: "'
        + "x" * 200_000
        + '"'
        + " ".join(f" nam{n}: 1" for n in range(24))
        + "}) { __typename } }",
        "input_values",
    ),
}


@pytest.mark.parametrize(("query", "limit"), ATTACKS.values(), ids=list(ATTACKS))
async def test_an_attack_is_refused_before_it_is_validated(query: str, limit: str) -> None:
    schema = guarded(NothingRuns)
    name = "Q0" if limit == "operations" else None

    result = await schema.execute(query, operation_name=name)

    (extensions,) = _extensions(result)
    assert (extensions["code"], extensions["limit"]) == (QUERY_TOO_EXPENSIVE, limit)
    assert extensions["measured"] > extensions["maximum"] == getattr(QueryLimits(), limit)
    assert all(entry.errors is None for entry in schema.documents._entries.values())
    # Each token was looked at once, whatever the fragments make of it.
    document = parse(query)
    assert measure(document, SCHEMA, name).nodes <= MAX_TOKENS
    assert result.data is None
    assert len(str((result.errors or [])[0].message)) < 200


async def test_a_bomb_without_a_charge_is_harmless() -> None:
    result = await guarded().execute(bomb(49))
    assert (result.data, result.errors) == ({"__typename": "Query"}, None)
    assert measure(parse(bomb(49)), SCHEMA).nodes == 1 + 48 * 2 + 1


@pytest.mark.parametrize(
    "query",
    [
        "{ me { " + "@a " * 20_000 + "id } }",
        "{ me { " + "id " * 2_000 + "} }",
        nested(300),
        nested(3_000),
        bomb(300),
    ],
    ids=["directives", "fields", "300 levels", "3000 levels", "fragments"],
)
async def test_what_is_far_too_long_or_deep_is_not_even_parsed(query: str) -> None:
    result = await guarded(NothingRuns).execute(query)
    assert [type(error).__name__ for error in result.errors or ()] == ["GraphQLSyntaxError"]


@pytest.mark.parametrize(
    "query",
    [
        "{ me { ...A } } fragment A on User { ...B } fragment B on User { ...A }",
        "{ me { ...A } } fragment A on User { ...A }",
        "{ me { ...A } } fragment A on User { x { ...A } y { ...A } }",
        "{ me { nothing } }",
        "{ ...Missing }",
        "{ me { id } } fragment A on Nothing { id }",
        "{ me { id } } fragment A on User { id } fragment A on User { name }",
        "{ me }",
        "{ me { id { name } } }",
        "{ bots(first: {a: 1}) { nodes { id } } }",
        "query ($a: [[Nothing!]]!) { me { id } }",
        "{ __type { name } }",
    ],
)
async def test_mistakes_are_left_to_validation(query: str) -> None:
    result = await guarded(NothingRuns).execute(query)
    assert {extensions["code"] for extensions in _extensions(result)} == {VALIDATION_FAILED}


def test_counting_what_is_compared_ends_early() -> None:
    # Which fragments meet at a path differs from path to path: 2 to the power of 12 groups.
    parts = [f"a {{ ...F{n + 1} }} b {{ ...F{n + 1} ...G{n} }}" for n in range(12)]
    query = "{ ...F0 } " + " ".join(
        f"fragment F{n} on Query {{ {part} }} fragment G{n} on Query {{ {part} c{n} }}" for n, part in enumerate(parts)
    )
    document = parse(query)

    compared = count_comparisons(
        [node for node in document.definitions if node.kind == "operation_definition"],  # type: ignore[misc]
        [node for node in document.definitions if node.kind == "fragment_definition"],  # type: ignore[misc]
    )

    assert MAX_VISITS < compared <= TOO_MANY


async def test_a_page_of_one_hundred_thousand_is_counted_as_one_hundred_and_left_to_its_resolver() -> None:
    for arguments in ("first: 100000", "first: -1", "first: 5, last: 100000"):
        cost = measure(parse(f"{{ bots({arguments}) {{ nodes {{ id }} }} }}"), SCHEMA)
        assert cost.points in (2, 101)


async def test_results_say_what_they_cost() -> None:
    asked = await guarded().execute("{ __schema { queryType { name } } }")
    refused = await guarded().execute(f"{{ {PRODUCT} }}")

    assert asked.data == {"__schema": {"queryType": {"name": "Query"}}}
    assert asked.extensions == {"cost": {"requested": 1, "maximum": 5_000}}
    assert refused.extensions == {"cost": {"requested": 1 + 100 * (1 + 1 + 100), "maximum": 5_000}}
    assert [str(error.message) for error in refused.errors or ()] == [
        "Too expensive: 10,201 points, and at most 5,000 may be. "
        "Ask for smaller pages with `first`, or for fewer lists in lists."
    ]


async def test_limits_are_the_schemas_to_choose() -> None:
    schema = KyroSchema(Query, extensions=[lambda: CostGuard(QueryLimits(depth=1))], config=schema_config())
    assert [extensions["limit"] for extensions in _extensions(await schema.execute("{ me { id } }"))] == ["depth"]


async def test_every_transport_tells_the_refusal_and_the_cost() -> None:
    expensive = "{ " + " ".join(f"a{n}: hello" for n in range(51)) + " }"
    async with serving(extensions=[CostGuard]) as toy, connected(toy) as client:
        over_http = await toy.post({"query": expensive}, accept="application/graphql-response+json")
        over_events = await toy.post({"query": expensive}, accept="text/event-stream")
        (over_socket,) = await client.run("1", expensive)
        mutation = await toy.run('mutation { echo(input: {text: "x"}) }')
        counted = await client.run("2", "subscription { count(to: 2) }")

    assert over_http.status_code == 400
    assert codes(over_http.json()) == [QUERY_TOO_EXPENSIVE]
    assert [codes(data) for name, data in events_of(over_events.text) if name == "next"] == [[QUERY_TOO_EXPENSIVE]]
    assert codes({"errors": over_socket["payload"]}) == [QUERY_TOO_EXPENSIVE]
    assert mutation == {"data": {"echo": "x"}, "extensions": {"cost": {"requested": 11, "maximum": 5_000}}}
    assert [message["payload"] for message in counted[:-1]] == [{"data": {"count": 0}}, {"data": {"count": 1}}]


async def test_a_guarded_document_is_still_validated_once() -> None:
    async with serving(extensions=[CostGuard]) as toy:
        for _ in range(3):
            assert (await toy.run("{ hello }"))["data"] == {"hello": "world"}
        assert (toy.cache.misses, toy.cache.hits) == (1, 2)


def _extensions(result: ExecutionResult) -> list[dict[str, Any]]:
    return [dict(error.extensions or {}) for error in result.errors or ()]
