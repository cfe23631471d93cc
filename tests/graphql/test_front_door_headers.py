"""Headers of all answers, the addresses that proxies tell, and what a schema that keeps to itself says."""

from ipaddress import ip_network

import httpx2
import pytest

from kyrochat.graphql.schema import build_schema
from tests.graphql.front_door_toy import codes, serving
from tests.graphql.raw_client import raw
from tests.graphql.socket_client import connected

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
HERE = [ip_network("127.0.0.0/8")]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/graphql", b'{"query": "{ hello }"}', 200),
        ("POST", "/graphql", b"[]", 400),
        ("POST", "/graphql", b" " * 300_000, 413),
        ("GET", "/graphql", b"", 405),
        ("GET", "/nothing", b"", 404),
        ("HEAD", "/nothing", b"", 404),
        ("OPTIONS", "/graphql", b"", 405),
    ],
)
async def test_every_answer_has_the_headers(method: str, path: str, body: bytes, status: int) -> None:
    async with serving() as toy, httpx2.AsyncClient() as client:
        url = f"http://127.0.0.1:{toy.port}{path}"
        answer = await client.request(method, url, content=body, headers={"content-type": "application/json"})

        assert answer.status_code == status
        assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers
        assert "server" not in answer.headers


async def test_an_event_stream_has_them_and_is_not_kept_either() -> None:
    async with serving() as toy:
        answer = await toy.post({"query": "subscription { count(to: 1) }"}, accept="text/event-stream")

        assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS
        assert answer.headers["cache-control"] == "no-cache, no-store, no-transform"


async def test_what_is_no_http_at_all_is_not_sniffed_either() -> None:
    async with serving() as toy, raw(toy.port, "NONSENSE\r\n\r\n") as client:
        assert b"x-content-type-options: nosniff" in await client.rest()


@pytest.mark.parametrize(
    ("trusted", "forwarded", "is_asked"),
    [
        (HERE, "https", True),
        (HERE, "HTTPS", True),
        (HERE, "http, https", True),
        (HERE, "https, http", False),
        (HERE, "http", False),
        (HERE, "", False),
        ([], "https", False),
        ([ip_network("10.0.0.0/8")], "https", False),
    ],
)
async def test_browsers_are_asked_for_tls_where_a_trusted_proxy_speaks_it(
    trusted: list[object], forwarded: str, is_asked: bool
) -> None:
    async with serving(trusted_proxies=trusted) as toy:
        answer = await toy.post({"query": "{ hello }"}, x_forwarded_proto=forwarded)
        assert answer.headers.get("strict-transport-security") == ("max-age=31536000" if is_asked else None)


@pytest.mark.parametrize(
    ("trusted", "forwarded_for", "address"),
    [
        ([], "198.51.100.1", "127.0.0.1"),
        ([ip_network("10.0.0.0/8")], "198.51.100.1", "127.0.0.1"),
        (HERE, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (HERE, "2001:db8::1", "2001:db8::1"),
        (HERE, "garbage", "127.0.0.1"),
    ],
)
async def test_the_address_is_the_peers_unless_a_trusted_proxy_tells_another(
    trusted: list[object], forwarded_for: str, address: str
) -> None:
    async with serving(trusted_proxies=trusted) as toy:
        await toy.post({"query": "{ hello }"}, x_forwarded_for=forwarded_for)
        assert toy.bell.addresses == [address]


async def test_uvicorn_believes_no_proxy_by_itself() -> None:
    async with serving() as toy:
        await toy.post({"query": "{ hello }"}, x_forwarded_for="198.51.100.1", x_forwarded_proto="https")
        assert toy.bell.peers == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("query", "variables", "hint"),
    [
        ("{ __schema { types { name } } }", {}, "introspection"),
        ('{ __type(name: "Query") { name } }', {}, "introspection"),
        ("{ ...F } fragment F on Query { ... on Query { __schema { queryType { name } } } }", {}, "introspection"),
        ("{ helo }", {}, "helo"),
        ("{ echo(txt: 1) }", {}, "txt"),
        ("query ($a: Strin) { echo(text: $a) }", {}, "Strin"),
        ("mutation ($a: EchoInput!) { echo(input: $a) }", {"a": {"text": "x", "cont": 1}}, "cont"),
        ('mutation { echo(input: {text: "x", cont: 1}) }', {}, "cont"),
    ],
)
async def test_a_schema_that_keeps_to_itself_tells_no_names(
    query: str, variables: dict[str, object], hint: str
) -> None:
    async with serving(introspection=False) as toy, connected(toy) as client:
        over_http = await toy.run(query, **variables)
        (over_socket,) = await client.run("1", query, **variables)
        plain = await toy.run("{ __typename hello }")

    for errors in (over_http["errors"], over_socket["payload"]):
        assert codes({"errors": errors})[0] in ("GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT")
        assert hint in errors[0]["message"]
        assert "Did you mean" not in str(errors)
        for name in ("hello", "echo", "text", "String", "count"):
            assert f"'{name}'" not in str(errors) or name in query + str(variables)
    assert plain == {"data": {"__typename": "Query", "hello": "world"}}


async def test_otherwise_it_suggests_and_tells() -> None:
    async with serving() as toy:
        assert "Did you mean 'hello'?" in str(await toy.run("{ helo }"))
        assert (await toy.run("{ __schema { queryType { name } } }"))["data"]


async def test_the_servers_schema_has_the_switch() -> None:
    asked = await build_schema(introspection=False).execute("{ __schema { queryType { name } } }")
    assert [error.message for error in asked.errors or ()] == [
        "GraphQL introspection has been disabled, but the requested query contained the field '__schema'.",
        "GraphQL introspection has been disabled, but the requested query contained the field 'queryType'.",
    ]
