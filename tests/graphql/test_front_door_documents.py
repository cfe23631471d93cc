from collections.abc import Iterator

import pytest
from graphql import GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.types.execution import PreExecutionError

from kyrochat.graphql.transport.document_cache import DocumentCache
from kyrochat.graphql.transport.schema_setup import KyroSchema
from tests.graphql.front_door_toy import SECRET, Query, codes, serving
from tests.graphql.socket_client import connected, events_of


async def test_a_document_is_parsed_and_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as toy:
        for n in range(5):
            answer = await toy.run("query ($t: String!) { echo(text: $t) }", t=str(n))
            assert answer == {"data": {"echo": str(n)}}
        assert (toy.cache.misses, toy.cache.hits) == (1, 4)

        for _ in range(2):
            assert codes(await toy.run("{ nothing }")) == ["GRAPHQL_VALIDATION_FAILED"]
        assert (toy.cache.misses, toy.cache.hits) == (2, 5)


def test_the_cache_is_bounded_by_characters_and_keeps_what_is_used() -> None:
    cache = DocumentCache(max_chars=100, max_document_chars=50)
    kept = "{ kept }"
    for n in range(100):
        cache.entry(f"{{ field{n} }}")
        assert cache.entry(kept) is cache.entry(kept)
        assert sum(len(query) for query in cache._entries) == cache._chars <= 100
    assert cache.misses == 101

    large = "{ " + "x" * 50 + " }"
    assert cache.entry(large) is not cache.entry(large)


async def test_a_document_of_too_many_tokens_is_not_even_parsed() -> None:
    async with serving() as toy:
        # A name, a colon and a name each.
        fits = await toy.run("{" + " ".join(f"a{n}: hello" for n in range(660)) + "}")
        refused = await toy.run("{" + " ".join(f"a{n}: hello" for n in range(670)) + "}")

    assert fits == {"data": {f"a{n}": "world" for n in range(660)}}
    assert codes(refused) == ["GRAPHQL_PARSE_FAILED"]
    assert "2000 tokens" in refused["errors"][0]["message"]


class Limiting(SchemaExtension):
    """Refuses what is named Expensive, and breaks on what is named Broken."""

    def on_validate(self) -> Iterator[None]:
        if "Expensive" in (self.execution_context.query or ""):
            raise GraphQLError("Too expensive.", extensions={"code": "QUERY_TOO_EXPENSIVE"})
        if "Broken" in (self.execution_context.query or ""):
            raise RuntimeError(SECRET)
        yield


async def test_an_extension_may_refuse_a_document_before_it_is_validated() -> None:
    schema = KyroSchema(Query, extensions=[Limiting])

    result = await schema.execute("query Expensive { nothing }")

    assert [error.extensions for error in result.errors or ()] == [{"code": "QUERY_TOO_EXPENSIVE"}]
    (entry,) = schema.documents._entries.values()
    assert entry.errors is None


@pytest.mark.parametrize(
    ("name", "status", "message", "code"),
    [
        ("Expensive", 400, "Too expensive.", "QUERY_TOO_EXPENSIVE"),
        ("Broken", 500, "Internal server error", "INTERNAL_SERVER_ERROR"),
    ],
)
async def test_an_extension_that_raises_is_heard_on_every_transport(
    name: str, status: int, message: str, code: str
) -> None:
    async with serving(extensions=[Limiting]) as toy, connected(toy) as client:
        body = {"query": f"query {name} {{ hello }}"}
        over_http = await toy.post(body, accept="application/graphql-response+json")
        over_events = await toy.post(body, accept="text/event-stream")
        (over_socket,) = await client.run("1", body["query"])

    events = events_of(over_events.text)
    assert over_http.status_code == status
    assert [event for event, _ in events] == ["next", "complete"]
    assert over_socket["type"] == "error"
    for found in (over_http.json()["errors"], events[0][1]["errors"], over_socket["payload"]):
        assert [(error["message"], error["extensions"]["code"]) for error in found] == [(message, code)]


async def test_a_syntax_error_is_a_result_of_a_stream_and_tears_nothing() -> None:
    schema = KyroSchema(Query)

    results = [result async for result in await schema.stream("{")]

    assert [type(result) for result in results] == [PreExecutionError]
