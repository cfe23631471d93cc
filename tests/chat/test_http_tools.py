"""Models that call their bot's HTTP tools: what is sent where, what comes back, and what nobody gets to see."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import unquote

import pytest

from kyrochat.bots.tools import BotToolService, NewTool
from kyrochat.chat.events import LogEntry, ToolCalled
from kyrochat.chat.http_tools import MAX_RESULT_CHARS, HttpTools
from kyrochat.chat.tool_use import MAX_STEPS
from kyrochat.db.models import BotTool, Message
from kyrochat.db.states import MessageStatus, ToolMethod
from kyrochat.outbound.allowed_hosts import AllowedHosts
from kyrochat.outbound.calling import MAX_ANSWER_BYTES, Caller
from kyrochat.retrieval.types import Finished, Prompt, ToolCall, Usage
from kyrochat.signing.sealing import Sealer
from tests.chat.scene import Chat, Process, process, text_of
from tests.chat.scripted_model import Script
from tests.outbound.wire import AGENT, PUBLIC, RULES, TRUSTING_NOBODY, Names, Talk, Wire, answer, listening, saying

SECRET = "Bearer 0123456789abcdef"
SEALER = Sealer(b"k" * 32)
ORDER = {"type": "string", "description": "Its number."}
PARAMETERS = {"type": "object", "properties": {"order": ORDER, "lang": {"type": "string"}}, "required": ["order"]}
ORDERS = NewTool(
    "orders",
    "Says where an order is.",
    ToolMethod.GET,
    "http://shop.example/orders/{order}",
    PARAMETERS,
    [("Authorization", SECRET)],
    timeout_seconds=1,
)
ON_ITS_WAY = answer(b'{"order": "A7", "status": "on its way"}', content_type="application/json")


@dataclass
class Shop:
    """A chat whose bot has a tool, and the server of the tool."""

    chat: Chat
    process: Process
    service: BotToolService
    names: Names
    wire: Wire
    tool: BotTool

    async def answer(self, *calls: Mapping[str, object] | None) -> tuple[Message, list[LogEntry], str]:
        """Have the model call the tool, and return the answer, its log, and what the model was told."""
        wanted = Finished(
            Usage(10, 2), calls=tuple(ToolCall(str(n), "orders", each) for n, each in enumerate(calls)), raw="signed"
        )
        self.chat.model.script = lambda prompt: ["It is on its way."] if prompt.steps else [wanted]
        exchange = await self.process.service.send(self.chat.viewer, await self.chat.conversation(), "Where is A7?")
        entries = await self.chat.watch(exchange.answer.id, on=self.process)
        told = "\n".join(result for step in self.chat.model.prompts[-1].steps for result in step.results)
        return await self.chat.message(exchange.answer.id), entries, told


@asynccontextmanager
async def shopping(
    chat: Chat, talk: Talk, *, new: NewTool = ORDERS, later: AllowedHosts | None = None
) -> AsyncGenerator[Shop, None]:
    resolve = Names({"shop.example": [[PUBLIC]]})
    async with listening(talk) as wire:
        hosts = AllowedHosts.parse(f"http://shop.example:{wire.port}")
        service = BotToolService(chat.database, hosts, SEALER)
        new = replace(new, url=new.url.replace("shop.example", f"shop.example:{wire.port}"))
        tool = await service.set(chat.viewer, chat.bot.id, new)
        caller = Caller(AGENT, RULES, resolve, ssl_context=TRUSTING_NOBODY)
        http = HttpTools(caller, later or hosts, SEALER)
        async with process(chat.url, chat.model, http=http) as running:
            yield Shop(chat, running, service, resolve, wire, tool)


def calls_of(entries: list[LogEntry]) -> list[ToolCalled]:
    return [entry.event for entry in entries if isinstance(entry.event, ToolCalled)]


async def test_a_model_calls_a_tool_and_goes_on_with_what_it_says(chat: Chat) -> None:
    async with shopping(chat, saying(ON_ITS_WAY)) as shop:
        message, entries, told = await shop.answer({"order": "A/7 ?", "lang": "de"})

    (request,) = shop.wire.requests
    assert (request.method, request.target) == ("GET", "/orders/A%2F7%20%3F?lang=de")
    assert request.headers["authorization"] == SECRET
    assert request.headers["host"] == f"shop.example:{shop.wire.port}"
    assert (request.headers["user-agent"], "cookie" in request.headers) == (AGENT, False)
    first, _ = chat.model.prompts
    assert [(tool.name, tool.description) for tool in first.tools] == [("orders", "Says where an order is.")]
    assert first.tools[0].parameters == PARAMETERS
    assert '"status": "on its way"' in told
    assert told.startswith("<<result of orders ")
    assert calls_of(entries) == [ToolCalled("orders", {"order": "A/7 ?", "lang": "de"})]
    assert await chat.stored(message.id) == entries
    # What a tool said is in no document, so nothing is quoted for it.
    assert (message.text, message.status, message.grounded) == ("It is on its way.", MessageStatus.COMPLETED, False)


async def test_a_post_sends_its_arguments_as_json(chat: Chat) -> None:
    new = replace(ORDERS, method=ToolMethod.POST)
    async with shopping(chat, saying(ON_ITS_WAY), new=new) as shop:
        await shop.answer({"order": "A7", "lang": "dé\r\nX: y"})

    (request,) = shop.wire.requests
    assert (request.method, request.target) == ("POST", "/orders/A7")
    assert json.loads(request.body) == {"lang": "dé\r\nX: y"}
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("secret", "echo"),
    [
        (SECRET, f"You sent {SECRET}, that is 0123456789abcdef."),
        ('0123456789abcdef/"', r'{"got": "0123456789abcdef\/\""}'),
        ('0123456789abcdef/"', r'{"got": "0123456789abcdef/\""}'),
    ],
)
async def test_what_was_sealed_is_told_to_nobody_even_if_the_server_says_it(chat: Chat, secret: str, echo: str) -> None:
    new = replace(ORDERS, headers=[("Authorization", secret)])
    async with shopping(chat, saying(answer(echo.encode(), content_type="text/plain")), new=new) as shop:
        message, entries, told = await shop.answer({"order": "A7"})

    rows = await chat.column("SELECT to_jsonb(bot_tools)::text || encode(sealed_headers, 'escape') FROM bot_tools")
    seen = f"{told} {entries} {message} {chat.model.prompts} {rows} {shop.tool}"
    assert "(hidden)" in told
    assert "0123456789abcdef" not in seen
    assert shop.tool.header_names == ["Authorization"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (None, "The arguments are no JSON object."),
        ({}, "`order` is missing."),
        ({"order": 7}, "`order` must be of the type string."),
        ({"order": "A7", "admin": True}, "There is no parameter `admin`."),
        ({"order": ".."}, "`order` cannot stand in the tool's address."),
        ({"order": "."}, "`order` cannot stand in the tool's address."),
        ({"order": ""}, "`order` cannot stand in the tool's address."),
        ({"order": "x" * 2_001}, "`order` must be a text of at most 2,000 characters."),
        ({"order": "A7", "lang": "d\0e"}, "`lang` must be a text without NUL and without halves of characters."),
        ({"order": "\ud83d"}, "`order` must be a text without NUL and without halves of characters."),
        ({"order": "A7", "\0ad\ud83dmin": 1}, "There is no parameter `admin`."),
        ({"order": float("nan")}, "`order` must be of the type string."),
        ({"order": json.loads("[" * 900 + "]" * 900)}, "`order` must be of the type string."),
    ],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model_and_sent_to_nobody(
    chat: Chat, arguments: dict[str, object] | None, problem: str
) -> None:
    async with shopping(chat, saying(ON_ITS_WAY)) as shop:
        message, entries, told = await shop.answer(arguments)

    assert (told, shop.wire.connections, message.status) == (problem, 0, MessageStatus.COMPLETED)
    (called,) = calls_of(entries)
    assert called.problem == problem


@pytest.mark.parametrize("order", ["../../admin", "a/../../b", "..%2f..", "%2e%2e", "\\..\\", "a/.", "a\n"])
async def test_an_argument_that_servers_take_for_steps_in_a_path_is_not_sent(chat: Chat, order: str) -> None:
    async with shopping(chat, saying(ON_ITS_WAY)) as shop:
        _, _, told = await shop.answer({"order": order})

    assert (told, shop.wire.connections) == ("`order` cannot stand in the tool's address.", 0)


@pytest.mark.parametrize("order", ["@evil.example", "?x=1#y", "a b", "‥", "..a", "//evil.example", ":80", "ö"])
async def test_no_argument_leads_to_another_place(chat: Chat, order: str) -> None:
    async with shopping(chat, saying(ON_ITS_WAY)) as shop:
        await shop.answer({"order": order})

    (request,) = shop.wire.requests
    assert unquote(request.target) == f"/orders/{order}"
    assert (request.target.count("/"), request.target.count("?")) == (2, 0)


async def endless(_request: object, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def silent(_request: object, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


HOSTILE: list[tuple[Talk, str]] = [
    (endless, f"The server's answer has more than {MAX_ANSWER_BYTES // 1024} KiB."),
    (silent, "The server took more than 1 s."),
    (saying(answer(b"\x89PNG", content_type="image/png")), "The tool's answer is neither JSON nor text."),
    (saying(b"nonsense\r\n\r\n"), "The site does not answer as a web server does, or not completely."),
    (
        saying(answer(b"x", content_encoding="gzip")),
        "The server packs its answer in a way that was not asked for.",
    ),
]


@pytest.mark.parametrize(("talk", "problem"), HOSTILE, ids=[problem[:30] for _, problem in HOSTILE])
async def test_a_server_that_does_not_behave_is_told_to_the_model(chat: Chat, talk: Talk, problem: str) -> None:
    async with shopping(chat, talk) as shop:
        message, entries, told = await shop.answer({"order": "A7"})

    assert (told, message.status) == (problem, MessageStatus.COMPLETED)
    assert [called.problem for called in calls_of(entries)] == [problem]


async def test_a_redirect_is_not_followed_and_an_error_is_told_with_what_was_said(chat: Chat) -> None:
    elsewhere = answer(b"", status="302 Found", location="http://127.0.0.1/latest/meta-data/")
    async with shopping(chat, saying(elsewhere)) as shop:
        _, entries, told = await shop.answer({"order": "A7"})
        assert shop.wire.connections == 1
        assert shop.names.asked == ["shop.example"]

    assert "The tool answered with status 302." in told
    assert [called.problem for called in calls_of(entries)] == ["The tool answered with status 302."]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1"])
async def test_a_name_that_leads_into_a_private_network_is_not_called(chat: Chat, address: str) -> None:
    async with shopping(chat, saying(ON_ITS_WAY)) as shop:
        shop.names.script = {"shop.example": [[PUBLIC], [address]]}
        await shop.answer({"order": "A7"})
        _, entries, _ = await shop.answer({"order": "A7"})

        assert shop.wire.connections == 1
    (called,) = calls_of(entries)
    assert "private network" in (called.problem or "")
    assert address not in (called.problem or "")


async def test_a_host_that_the_operator_has_taken_away_is_not_called_any_more(chat: Chat) -> None:
    async with shopping(chat, saying(ON_ITS_WAY), later=AllowedHosts.parse("other.example")) as shop:
        _, _, told = await shop.answer({"order": "A7"})

    assert (told, shop.wire.connections) == ("This server does not let tools call that host any more.", 0)


async def test_secrets_under_a_lost_key_are_told_and_not_sent(chat: Chat) -> None:
    async with shopping(chat, saying(ON_ITS_WAY)) as shop:
        await chat.run("UPDATE bot_tools SET id = gen_random_uuid()")  # sealed for another one
        message, _, told = await shop.answer({"order": "A7"})

    assert told == "The tool's secrets cannot be read any more. Its owner must set it again."
    assert (shop.wire.connections, message.status) == (0, MessageStatus.COMPLETED)


async def test_tools_that_are_off_are_not_offered(chat: Chat) -> None:
    async with shopping(chat, saying(ON_ITS_WAY), new=replace(ORDERS, enabled=False)) as shop:
        message, _, _ = await shop.answer({"order": "A7"})
        assert (message.status, shop.wire.connections) == (MessageStatus.FAILED, 0)
        await shop.service.set(chat.viewer, chat.bot.id, replace(ORDERS, url=shop.tool.url, headers=None))

        # And not on a server that lets tools call nobody.
        _, entries = await chat.answer()

    assert [prompt.tools for prompt in chat.model.prompts] == [(), ()]
    assert calls_of(entries) == []


async def test_calls_are_bounded_in_number_and_in_what_they_bring(chat: Chat) -> None:
    long = answer(b"word " * 12_000, content_type="text/plain")

    def script(prompt: Prompt) -> Script:
        wanted = Finished(Usage(10, 2), calls=(ToolCall("1", "orders", {"order": "A7"}),) * 6, raw="signed")
        return [wanted] if prompt.may_call else ["So be it."]

    async with shopping(chat, saying(long)) as shop:
        chat.model.script = script
        exchange = await shop.process.service.send(chat.viewer, await chat.conversation(), "Where is A7?")
        entries = await chat.watch(exchange.answer.id, on=shop.process)

    last = chat.model.prompts[-1]
    results = [result for step in last.steps for result in step.results]
    assert len(chat.model.prompts) <= MAX_STEPS + 1
    assert all(len(result) < MAX_RESULT_CHARS + 200 for result in results)
    assert sum(len(result) for result in results) < 4 * 16_000 + MAX_RESULT_CHARS
    assert "Only 4 calls are made at once." in results
    assert text_of(entries) == "So be it."


async def test_stopping_while_a_tool_is_called_ends_the_call(chat: Chat) -> None:
    called, gone = asyncio.Event(), asyncio.Event()

    async def waiting(_request: object, writer: asyncio.StreamWriter) -> None:
        called.set()
        await writer.wait_closed()
        gone.set()

    async with shopping(chat, waiting, new=replace(ORDERS, timeout_seconds=20)) as shop:
        chat.model.script = ["Let me see.", Finished(Usage(1, 1), calls=(ToolCall("1", "orders", {"order": "A7"}),))]
        exchange = await shop.process.service.send(chat.viewer, await chat.conversation(), "Where is A7?")
        async with asyncio.timeout(30):
            await called.wait()
            message = await shop.process.service.stop(chat.viewer, exchange.answer.id)
        async with aclosing(shop.process.service.events(chat.viewer, exchange.answer.id, 0)) as events:
            entries = [entry async for entry in events]

    assert (message.status, message.text, text_of(entries)) == (MessageStatus.STOPPED, "Let me see.", "Let me see.")
    assert calls_of(entries) == []
