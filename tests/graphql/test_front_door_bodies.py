import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from tests.graphql.front_door_toy import Toy, codes, serving
from tests.graphql.socket_client import events_of

HELLO = {"query": "{ hello }"}
QUERY = b'{"query": "{ hello }"'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def toy() -> AsyncIterator[Toy]:
    async with serving(upload_max_bytes=1024 * 1024) as toy:
        yield toy


async def test_a_query_and_a_mutation_with_input_are_answered(toy: Toy) -> None:
    assert await toy.run("{ hello }") == {"data": {"hello": "world"}}
    doubled = await toy.run("mutation ($input: EchoInput!) { echo(input: $input) }", input={"text": "ä😀", "count": 2})
    assert doubled == {"data": {"echo": "ä😀ä😀"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'"x"',
        b"1",
        b"[]",
        b'[{"query": "{ hello }"}]',
        b"{}",
        b'{"query": null}',
        b'{"query": {}}',
        b'{"query": ""}',
        b'{"query": "{ hello }\\u0000"}',
        b'{"query": "{ hello } # \\ud800"}',
        QUERY + b', "variables": []}',
        QUERY + b', "variables": "x"}',
        QUERY + b', "variables": {"a": ["\\udfff"]}}',
        QUERY + b', "variables": {"\\ud83d": 1}}',
        QUERY + b', "variables": {"a": NaN}}',
        QUERY + b', "variables": {"a": -Infinity}}',
        QUERY + b', "variables": {"a": 1e999}}',
        QUERY + b', "variables": {"a": ' + b"9" * 10_000 + b"}}",
        QUERY + b', "variables": {"a": ' + b"[" * 70 + b"]" * 70 + b"}}",
        QUERY + b', "extensions": 1}',
        QUERY + b', "operationName": 1}',
        QUERY + b', "operationName": "Nobody"}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 40_000,
        b"\xff\xfe",
        b'{"query": "{ hello }\xff"}',
        '{"query": "{ hello }"}'.encode("utf-16"),
        b"{",
    ],
)
async def test_a_malformed_body_gets_a_json_error_and_never_a_500(toy: Toy, body: bytes) -> None:
    answer = await toy.post(body)

    assert (answer.status_code, codes(answer.json())) == (400, ["BAD_USER_INPUT"])
    assert "data" not in answer.json()
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert await toy.run("{ hello }") == {"data": {"hello": "world"}}


async def test_a_byte_order_mark_and_a_nul_in_a_variable_pass(toy: Toy) -> None:
    assert (await toy.post(b"\xef\xbb\xbf" + QUERY + b"}")).json() == {"data": {"hello": "world"}}
    assert await toy.run("query ($t: String!) { echo(text: $t) }", t="a\0b") == {"data": {"echo": "a\0b"}}


async def test_a_whole_surrogate_pair_is_text(toy: Toy) -> None:
    body = b'{"query": "query ($t: String!) { echo(text: $t) }", "variables": {"t": "\\ud83d\\ude00"}}'
    assert (await toy.post(body)).json() == {"data": {"echo": "😀"}}


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json", "application/jsonp",
     "application/json; charset=utf-16"],
)  # fmt: skip
async def test_another_content_type_gets_415_and_learns_what_to_send(toy: Toy, content_type: str) -> None:
    answer = await toy.post(HELLO, content_type=content_type)

    assert (answer.status_code, codes(answer.json())) == (415, ["BAD_USER_INPUT"])
    assert answer.headers["accept-post"] == "application/json, multipart/form-data"


async def test_a_compressed_body_is_refused_unread(toy: Toy) -> None:
    bomb = gzip.compress(json.dumps({"query": "{ hello }" + " " * 1_000_000}).encode())
    answer = await toy.post(bomb, content_encoding="gzip")
    assert (answer.status_code, codes(answer.json())) == (415, ["BAD_USER_INPUT"])


@pytest.mark.parametrize("accept", ["text/html", "image/png", "multipart/mixed", "application/json;q=0"])
async def test_an_accept_header_that_we_cannot_serve_gets_406(toy: Toy, accept: str) -> None:
    assert (await toy.post(HELLO, accept=accept)).status_code == 406


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("", "application/json"),
        ("application/json, application/graphql-response+json;q=0.9", "application/json"),
        ("application/graphql-response+json, application/json;q=0.9", "application/graphql-response+json"),
        # What urql sends with every query.
        (
            "application/graphql-response+json, application/graphql+json, application/json, "
            "text/event-stream, multipart/mixed",
            "application/graphql-response+json",
        ),
        ("text/event-stream, application/json", "application/json"),
    ],
)
async def test_json_goes_before_events(toy: Toy, accept: str, media_type: str) -> None:
    answer = await toy.post(HELLO, accept=accept)

    assert answer.json() == {"data": {"hello": "world"}}
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($unused: Int) { hello }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($t: String!) { echo(text: $t) }", "BAD_USER_INPUT"),
    ],
)
async def test_a_request_error_is_400_for_new_clients_and_200_for_old_ones(toy: Toy, query: str, code: str) -> None:
    new = await toy.post({"query": query}, accept="application/graphql-response+json")
    old = await toy.post({"query": query}, accept="application/json")

    assert (new.status_code, old.status_code) == (400, 200)
    assert codes(new.json()) == codes(old.json()) == [code]
    assert "data" not in new.json()


async def test_other_methods_get_405_and_get_runs_nothing(toy: Toy) -> None:
    async with httpx2.AsyncClient() as client:
        for method in ("GET", "PUT", "DELETE", "HEAD"):
            answer = await client.request(method, toy.url, params=HELLO)
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
        page = await client.get(toy.url, headers={"accept": "text/html"})
    assert page.status_code == 405


async def test_a_browser_is_sent_to_graphiql_when_it_is_on() -> None:
    async with serving({"root_path": "/api"}, graphiql=True) as toy, httpx2.AsyncClient() as client:
        page = await client.get(toy.url, headers={"accept": "text/html,*/*;q=0.8"})
        data = await client.get(toy.url, headers={"accept": "application/json"})

    assert (page.status_code, page.headers["location"]) == (303, "/api/graphiql/")
    assert data.status_code == 405


async def test_queries_over_get_are_an_option_and_mutations_never() -> None:
    async with serving(get_queries=True) as toy, httpx2.AsyncClient() as client:
        query = {"query": "query ($t: String!) { echo(text: $t) }", "variables": '{"t": "x"}'}
        mutation = {"query": 'mutation Echo { echo(input: {text: "x"}) }'}
        echoed = await client.get(toy.url, params=query)
        changed = await client.get(toy.url, params=mutation)
        streamed = await client.get(toy.url, params=mutation, headers={"accept": "text/event-stream"})
        broken = await client.get(toy.url, params={"query": "{ hello }", "variables": "{"})

    assert echoed.json() == {"data": {"echo": "x"}}
    assert [(each.status_code, each.headers["allow"]) for each in (changed, streamed)] == [(405, "POST")] * 2
    assert broken.status_code == 400


async def test_what_is_empty_in_a_url_is_not_there() -> None:
    async with serving(get_queries=True) as toy, httpx2.AsyncClient() as client:
        nothing = dict.fromkeys(("operationName", "variables", "extensions", "documentId"), "")
        unnamed = await client.get(toy.url, params={"query": "{ hello }", **nothing})
        unknown = await client.get(toy.url, params={"query": "{ hello }", "operationName": "null"})

    assert unnamed.json() == {"data": {"hello": "world"}}
    assert codes(unknown.json()) == ["BAD_USER_INPUT"]


async def test_queries_and_subscriptions_are_streamed_over_get_and_so_are_their_errors() -> None:
    async with serving(get_queries=True) as toy, httpx2.AsyncClient() as client:
        streams = [
            events_of(
                (await client.get(toy.url, params={"query": query}, headers={"accept": "text/event-stream"})).text
            )
            for query in ("{ hello }", "subscription { count(to: 1) }", "{ hello", "{ nothing }")
        ]

    (hello, _), (count, _), (unfinished, _), (unknown, _) = streams
    assert (hello, count) == (("next", {"data": {"hello": "world"}}), ("next", {"data": {"count": 0}}))
    assert [codes(payload) for _, payload in (unfinished, unknown)] == [
        ["GRAPHQL_PARSE_FAILED"],
        ["GRAPHQL_VALIDATION_FAILED"],
    ]


async def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(toy: Toy) -> None:
    body = QUERY + b"}"
    assert (await toy.post(body + b" " * (256 * 1024 - len(body)))).json() == {"data": {"hello": "world"}}

    answer = await toy.post(body + b" " * (256 * 1024 - len(body) + 1))

    assert (answer.status_code, codes(answer.json())) == (413, ["PAYLOAD_TOO_LARGE"])
    assert "262,144 bytes" in answer.json()["errors"][0]["message"]
    assert "uploadDocument" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("framing", ["chunked", "declared"])
async def test_200_mb_are_refused_without_growing_and_the_client_reads_why(toy: Toy, framing: str) -> None:
    tracemalloc.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", toy.port)
    length = "Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {200 * 2**20}"
    writer.write(f"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode())
    piece = b" " * 2**20
    for _ in range(200):
        writer.write(b"100000\r\n" + piece + b"\r\n" if framing == "chunked" else piece)
        await writer.drain()
    if framing == "chunked":
        writer.write(b"0\r\n\r\n")

    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"PAYLOAD_TOO_LARGE" in answer
    # The client's own buffers live in this process too: a few pieces of 1 MB.
    assert peak_bytes < 8 * 2**20


async def test_a_huge_declared_length_is_refused_before_the_body_is_sent(toy: Toy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", toy.port)
    head = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Expect: 100-continue\r\nContent-Length: 300000\r\n\r\n".encode())

    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


async def test_a_body_that_trickles_is_cut_off() -> None:
    async with serving(body_grace_s=0.2) as toy:
        reader, writer = await asyncio.open_connection("127.0.0.1", toy.port)
        head = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 22\r\n\r\n{{".encode())

        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")
