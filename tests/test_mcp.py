"""The official MCP client on a running server."""

import json
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from starlette.types import Message

from kyrochat.errors import Overloaded
from kyrochat.mcp_api.endpoint import MCPEndpoint
from tests.graphql_client import GraphQLClient, register, visiting
from tests.journey.steps import ADD_TEXT, new_bot, until_read
from tests.server_process import Server, serving

NOTE = "The tower clock is wound on Mondays. The keys hang behind the counter. Ask the porter for the lamp."
CREATE_KEY = """mutation ($scopes: [ApiKeyScope!]!) {
  createApiKey(input: {name: "Client", scopes: $scopes}) { ... on ApiKeyCreated { secret } }
}"""


@dataclass
class Desk:
    server: Server
    user: GraphQLClient
    bot_id: str
    document_id: str
    key: str


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    async with serving(tmp_path_factory.mktemp("mcp") / "data") as server:
        yield server
        assert server.faults() == []


async def desk_of(server: Server, visitor: GraphQLClient, scopes: list[str]) -> Desk:
    user = await register(visitor)
    bot_id = await new_bot(user)
    document = await user.run(ADD_TEXT, bot=bot_id, title="Clock", text=NOTE)
    await until_read(user, document["id"])
    key = await user.run(CREATE_KEY, scopes=scopes)
    return Desk(server, user, bot_id, document["id"], key["secret"])


@pytest.fixture(scope="module")
async def desk(server: Server) -> AsyncGenerator[Desk, None]:
    async with visiting(server.graphql_url) as visitor:
        yield await desk_of(server, visitor, ["CHAT", "READ"])


@asynccontextmanager
async def connected(desk: Desk) -> AsyncGenerator[Client, None]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {desk.key}"}) as http,
        Client(streamable_http_client(desk.server.url + "/mcp", http_client=http)) as client,
    ):
        yield client


async def called(client: Client, tool: str, **arguments: object) -> Any:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, types.CallToolResult)
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    if result.is_error:
        return content.text
    assert json.loads(content.text) == result.structured_content
    return result.structured_content


async def test_a_program_finds_bots_searches_and_asks(desk: Desk) -> None:
    async with connected(desk) as client:
        tools = (await client.list_tools()).tools
        bots = await called(client, "list_bots")
        found = await called(client, "search_documents", bot="clerk", query="tower clock", limit=3)
        answer = await called(client, "ask_bot", bot=desk.bot_id, question="When is the tower clock wound?")
        more = await called(
            client,
            "ask_bot",
            bot=desk.bot_id,
            question="Where do the keys hang?",
            conversation=answer["conversation"],
        )

    assert [tool.name for tool in tools] == ["list_bots", "search_documents", "ask_bot"]
    assert bots == {"bots": [{"id": desk.bot_id, "name": "Clerk", "description": ""}]}
    (passage,) = found["passages"]
    assert (passage["text"], passage["document"]) == (NOTE[passage["start"] : passage["end"]], "Clock")
    assert "Mondays" in answer["answer"]
    assert answer["grounded"] is True
    assert all(citation["quote"] in NOTE for citation in answer["citations"])
    assert "counter" in more["answer"]
    assert more["conversation"] == answer["conversation"]


async def test_documents_are_resources(desk: Desk) -> None:
    async with connected(desk) as client:
        (template,) = (await client.list_resource_templates()).resource_templates
        found = await called(client, "search_documents", bot=desk.bot_id, query="porter")
        uri = found["passages"][0]["document_uri"]
        read = await client.read_resource(uri)
        with pytest.raises(MCPError, match="There is no such document"):
            await client.read_resource("kyrochat://documents/nothing")

    assert template.uri_template == "kyrochat://documents/{id}"
    assert uri == f"kyrochat://documents/{desk.document_id}"
    (content,) = read.contents
    assert isinstance(content, types.TextResourceContents)
    assert content.text.strip() == NOTE


@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [
        ("search_documents", {"bot": "clerk"}, "query: It is a text, and not empty."),
        ("search_documents", {"bot": "clerk", "query": "x", "limit": 21}, "limit: It is a number from 1 to 20."),
        ("search_documents", {"bot": "nobody", "query": "x"}, "There is no such bot."),
        ("ask_bot", {"bot": "clerk", "question": "x", "conversation": "y"}, "There is no such conversation."),
        ("ask_bot", {"bot": "clerk", "question": "x", "model": "y"}, "ask_bot takes bot, question, conversation"),
        ("list_bots", {"all": True}, "list_bots takes nothing, and nothing else."),
    ],
)
async def test_what_is_wrong_is_told_to_the_model(
    desk: Desk, tool: str, arguments: dict[str, object], reason: str
) -> None:
    async with connected(desk) as client:
        assert reason in await called(client, tool, **arguments)


async def test_another_ones_bots_are_not_there(server: Server, desk: Desk) -> None:
    async with visiting(server.graphql_url) as visitor:
        stranger = await desk_of(server, visitor, ["CHAT", "READ"])
    async with connected(stranger) as client:
        bots = await called(client, "list_bots")
        foreign = [
            await called(client, "search_documents", bot=desk.bot_id, query="clock"),
            await called(client, "ask_bot", bot=desk.bot_id, question="When?"),
        ]
        with pytest.raises(MCPError, match="There is no such document"):
            await client.read_resource(f"kyrochat://documents/{desk.document_id}")

    assert [bot["id"] for bot in bots["bots"]] == [stranger.bot_id]
    assert foreign == ["There is no such bot."] * 2


async def test_a_key_does_what_its_scopes_say(server: Server) -> None:
    async with visiting(server.graphql_url) as visitor:
        reader = await desk_of(server, visitor, ["READ"])
    async with connected(reader) as client:
        assert "CHAT" in await called(client, "ask_bot", bot=reader.bot_id, question="When?")


async def test_nobody_comes_in_without_credentials(server: Server) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with httpx2.AsyncClient() as http:
        for headers in ({}, {"Authorization": "Bearer kyro_wrong"}, {"Authorization": "Basic x"}):
            answer = await http.post(server.url + "/mcp", json=call, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_malformed_requests_are_refused_and_not_a_fault(server: Server, desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {desk.key}", "Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(headers=headers) as http:
        for body in (b"", b"{", b"[]", b'{"jsonrpc": "2.0"}', b"\xff", b"1" * 300_000):
            answer = await http.post(server.url + "/mcp", content=body, headers={"Content-Type": "application/json"})
            assert 400 <= answer.status_code < 500, (body[:20], answer.text)


async def test_there_is_nothing_to_listen_to_and_nothing_to_end(server: Server, desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {desk.key}", "Accept": "text/event-stream"}
    async with httpx2.AsyncClient(headers=headers) as http:
        answers = [await http.request(method, server.url + "/mcp") for method in ("GET", "DELETE", "PUT")]

    assert [(answer.status_code, answer.headers["allow"]) for answer in answers] == [(405, "POST")] * 3


async def test_who_leaves_before_his_request_is_whole_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    pieces: Iterator[Message] = iter(
        [{"type": "http.request", "body": b'{"jsonrpc"', "more_body": True}, {"type": "http.disconnect"}]
    )
    sent = []

    async def receive() -> Message:
        return next(pieces)

    async def send(message: Message) -> None:
        sent.append(message)

    endpoint = MCPEndpoint(no_services, anybody, "1")
    headers = [(b"authorization", b"Bearer kck"), (b"content-type", b"application/json"), (b"accept", b"*/*")]
    await endpoint({"type": "http", "method": "POST", "path": "/mcp", "headers": headers}, receive, send)
    await endpoint.close()

    assert sent == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def no_services() -> Any:
    raise AssertionError("Nothing was asked for.")


async def anybody(request: object) -> Any:
    del request


@pytest.mark.parametrize(
    ("fault", "told"),
    [(ValueError("SELECT secret"), "Internal server error"), (ConnectionRefusedError("secret"), Overloaded().message)],
)
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/read", {"uri": "kyrochat://documents/x"}),
        ("tools/call", {"name": "list_bots", "arguments": {}}),
    ],
)
async def test_of_a_fault_nothing_is_told(fault: Exception, told: str, method: str, params: dict[str, Any]) -> None:
    def broken() -> Any:
        raise fault

    endpoint = MCPEndpoint(broken, anybody, "1")
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"Authorization": "Bearer kck", "Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(endpoint), headers=headers) as http:
        answer = await http.post("http://127.0.0.1/mcp", json=call)
    await endpoint.close()

    assert told in answer.text
    assert "secret" not in answer.text
