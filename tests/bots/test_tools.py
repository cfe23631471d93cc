"""Tools of bots: who may declare them, what is understood, and what becomes of the secrets."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import select

from kyrochat.accounts.viewer import KeyLimits, Viewer
from kyrochat.bots.tools import MAX_TOOLS, OFF, BotToolService, NewTool
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import AuditEntry, Bot, BotTool
from kyrochat.db.states import ApiKeyScope, ToolMethod, WorkspaceRole
from kyrochat.errors import Conflict, Forbidden, InvalidInput, NotConfigured, NotFound
from kyrochat.outbound.allowed_hosts import AllowedHosts
from kyrochat.signing.sealing import Sealer
from tests.factories import make_bot, make_viewer

SEALER = Sealer(b"k" * 32)
ORDER: dict[str, Any] = {"type": "string", "description": "Its number."}
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"order": ORDER}, "required": ["order"]}
ORDERS = NewTool("orders", "Says where an order is.", ToolMethod.GET, "https://shop.example/orders/{order}", PARAMETERS)


@pytest.fixture
def tools(database: Database) -> BotToolService:
    return BotToolService(database, AllowedHosts.parse("shop.example, *.shop.example"), SEALER)


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database)


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    return await make_bot(database, ada)


async def test_a_tool_is_stored_and_replaced_by_its_name(tools: BotToolService, ada: Viewer, bot: Bot) -> None:
    first = await tools.set(ada, bot.id, replace(ORDERS, headers=[("X-Key", "0123456789")]))
    kept = await tools.set(ada, bot.id, replace(ORDERS, description="Better.", enabled=False, timeout_seconds=3))
    (found,) = await tools.of_bots(ada, [bot.id])

    assert (first.id, first.workspace_id) == (found.id, bot.workspace_id)
    assert (kept.description, kept.enabled, kept.timeout_seconds) == ("Better.", False, 3)
    # Without headers it keeps those that it has.
    assert (kept.header_names, kept.sealed_headers) == (["X-Key"], first.sealed_headers)
    assert SEALER.open(found.sealed_headers, found.id.bytes) == b'{"X-Key": "0123456789"}'
    assert b"0123456789" not in found.sealed_headers
    emptied = await tools.set(ada, bot.id, replace(ORDERS, headers=[]))
    assert (emptied.header_names, SEALER.open(emptied.sealed_headers, emptied.id.bytes)) == ([], b"{}")


async def test_what_a_schema_says_twice_is_stored_once(tools: BotToolService, ada: Viewer, bot: Bot) -> None:
    order = {"type": "string", "enum": ["A7", "B8", "A7"]}
    said = {"type": "object", "properties": {"order": order}, "required": ["order"] * 10_000}

    tool = await tools.set(ada, bot.id, replace(ORDERS, parameters=said))

    assert tool.parameters == {
        "type": "object",
        "properties": {"order": {"type": "string", "enum": ["A7", "B8"]}},
        "required": ["order"],
    }


async def test_what_is_done_is_in_the_audit_log_without_any_secret(
    tools: BotToolService, database: Database, ada: Viewer, bot: Bot
) -> None:
    tool = await tools.set(ada, bot.id, replace(ORDERS, headers=[("X-Key", "0123456789")]))
    await tools.remove(ada, tool.id)

    async with database.begin(ada.workspaces) as session:
        entries = (await session.exec(select(AuditEntry).order_by(AuditEntry.id))).all()  # type: ignore[arg-type]  # a column
        assert (await session.exec(select(BotTool))).all() == []
    assert [(entry.act, entry.object_type, entry.object_id, entry.details) for entry in entries] == [
        ("BOT_TOOL_SET", "BotTool", tool.id, {"enabled": True, "headers": ["X-Key"]}),
        ("BOT_TOOL_REMOVED", "BotTool", tool.id, {}),
    ]


async def test_secrets_do_not_follow_a_tool_to_another_server(tools: BotToolService, ada: Viewer, bot: Bot) -> None:
    first = await tools.set(ada, bot.id, replace(ORDERS, headers=[("X-Key", "0123456789")]))

    with pytest.raises(InvalidInput) as refused:
        await tools.set(ada, bot.id, replace(ORDERS, url="https://eu.shop.example/orders/{order}"))
    (kept,) = await tools.of_bots(ada, [bot.id])
    nearby = await tools.set(ada, bot.id, replace(ORDERS, url="https://shop.example/v2/{order}"))
    moved = await tools.set(ada, bot.id, replace(ORDERS, url="https://eu.shop.example/{order}", headers=[]))

    assert [issue.path for issue in refused.value.issues] == [("headers",)]
    assert (kept.url, kept.sealed_headers) == (first.url, first.sealed_headers)
    assert (nearby.header_names, nearby.sealed_headers) == (["X-Key"], first.sealed_headers)
    assert (moved.url, moved.header_names) == ("https://eu.shop.example/{order}", [])


@pytest.mark.parametrize("role", [WorkspaceRole.VIEWER, WorkspaceRole.EDITOR])
async def test_only_owners_in_person_see_and_change_tools(
    tools: BotToolService, ada: Viewer, bot: Bot, role: WorkspaceRole
) -> None:
    tool = await tools.set(ada, bot.id, ORDERS)
    member = replace(ada, workspaces={bot.workspace_id: role})
    key = replace(ada, key=KeyLimits(new_id(), frozenset(ApiKeyScope)))

    for somebody in (member, key):
        for change in (tools.set(somebody, bot.id, ORDERS), tools.remove(somebody, tool.id)):
            with pytest.raises(Forbidden):
                await change
        assert await tools.of_bots(somebody, [bot.id]) == []
        assert await tools.many(somebody, [tool.id]) == []
    assert [each.id for each in await tools.many(ada, [tool.id])] == [tool.id]


async def test_tools_of_others_look_like_none(tools: BotToolService, database: Database, ada: Viewer, bot: Bot) -> None:
    tool = await tools.set(ada, bot.id, ORDERS)
    bob = await make_viewer(database, "bob@example.com")

    for change in (tools.set(bob, bot.id, ORDERS), tools.remove(bob, tool.id), tools.remove(ada, new_id())):
        with pytest.raises(NotFound):
            await change
    assert (await tools.of_bots(bob, [bot.id]), await tools.many(bob, [tool.id])) == ([], [])


async def test_a_tool_is_for_hosts_that_the_operator_named(
    tools: BotToolService, database: Database, ada: Viewer, bot: Bot
) -> None:
    with pytest.raises(NotConfigured) as off:
        await BotToolService(database, AllowedHosts(), SEALER).set(ada, bot.id, ORDERS)
    assert off.value.message == OFF
    await tools.set(ada, bot.id, replace(ORDERS, url="https://api.eu.shop.example/x", parameters=_without("order")))

    for url in (
        "http://shop.example/x",
        "https://shop.example:8443/x",
        "https://shop.example.evil.example/x",
        "https://evilshop.example/x",
        "https://127.0.0.1/x",
    ):
        with pytest.raises(NotConfigured, match="does not let tools call"):
            await tools.set(ada, bot.id, replace(ORDERS, url=url))


def _without(name: str) -> dict[str, Any]:
    properties = {each: kind for each, kind in PARAMETERS["properties"].items() if each != name}
    return {"type": "object", "properties": properties}


def _of(**parameter: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"order": ORDER, "other": parameter}, "required": ["order"]}


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "search_documents"}, "name", "search_documents"),
    ({"name": "9lives"}, "name", "no digit first"),
    ({"name": "a-b"}, "name", "letters, digits"),
    ({"name": ""}, "name", "letters, digits"),
    ({"name": "x" * 65}, "name", "up to 64"),
    ({"description": " "}, "description", "characters"),
    ({"description": "x" * 1_001}, "description", "characters"),
    ({"timeout_seconds": 0}, "timeoutSeconds", "1 to 20"),
    ({"timeout_seconds": 21}, "timeoutSeconds", "1 to 20"),
    ({"url": "shop.example"}, "url", "no scheme"),
    ({"url": "https://{order}.shop.example/"}, "url", "in the path only"),
    ({"url": "https://shop.example/?q={order}"}, "url", "in the path only"),
    ({"url": "https://user@shop.example/"}, "url", "user name"),
    ({"url": "https://shop.example/{}"}, "url", "name of a parameter"),
    ({"url": "https://shop.example/{nothing}"}, "url", "must be a required parameter"),
    ({"parameters": None}, "parameters", "JSON Schema object"),
    ({"parameters": []}, "parameters", "JSON Schema object"),
    ({"parameters": {"type": "string"}}, "parameters", "JSON Schema object"),
    ({"parameters": {"type": "object", "properties": {}, "$ref": "#"}}, "parameters", "`$ref` is not understood"),
    ({"parameters": {**PARAMETERS, "required": ["other"]}}, "parameters", "names of its properties"),
    ({"parameters": _of(type="object")}, "parameters", "needs a type"),
    ({"parameters": _of(type=["string"])}, "parameters", "needs a type"),
    ({"parameters": _of(type="string", pattern="(a+)+$")}, "parameters", "`pattern` is not understood"),
    ({"parameters": _of(type="string", enum=[])}, "parameters", "list of 1 to 50"),
    ({"parameters": _of(type="array")}, "parameters", "`items`"),
    ({"parameters": _of(type="array", items={"type": "array"})}, "parameters", "`items`"),
    ({"parameters": _of(type="string", description="\x00")}, "parameters", "NUL"),
    ({"headers": [("Host", "evil.example")]}, "headers", "no header that can be set"),
    ({"headers": [("Content-Length", "7")]}, "headers", "no header that can be set"),
    ({"headers": [("X Key", "a")]}, "headers", "no header that can be set"),
    ({"headers": [("X-Key", "a\r\nHost: evil.example")]}, "headers", "letters that no header has"),
    ({"headers": [("X-Key", "ü")]}, "headers", "letters that no header has"),
    ({"headers": [("X-Key", "")]}, "headers", "is empty"),
    ({"headers": [(f"X-{n}", "a") for n in range(11)]}, "headers", "at most 10"),
    ({"headers": [("x-key", "a"), ("X-Key", "b")]}, "headers", "each once"),
    ({"headers": [("X-Key", "a"), ("X-Key", "a")]}, "headers", "each once"),
]


@pytest.mark.parametrize(("fields", "field", "said"), BAD, ids=[f"{next(iter(f))}-{said}" for f, _, said in BAD])
async def test_what_is_not_right_is_told_and_nothing_is_stored(
    tools: BotToolService, ada: Viewer, bot: Bot, fields: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await tools.set(ada, bot.id, replace(ORDERS, **fields))

    assert [issue.path for issue in refused.value.issues] == [(field,)] * len(refused.value.issues)
    assert said in " ".join(issue.message for issue in refused.value.issues)
    assert await tools.of_bots(ada, [bot.id]) == []


async def test_a_bot_has_a_few_tools_also_when_many_come_at_once(tools: BotToolService, ada: Viewer, bot: Bot) -> None:
    new = [replace(ORDERS, name=f"tool_{n}") for n in range(MAX_TOOLS + 2)]

    made = await asyncio.gather(*(tools.set(ada, bot.id, each) for each in new), return_exceptions=True)
    same = await asyncio.gather(*(tools.set(ada, bot.id, made_before) for made_before in [_first(made)] * 5))

    assert sum(isinstance(each, BotTool) for each in made) == MAX_TOOLS
    assert [type(each) for each in made if not isinstance(each, BotTool)] == [Conflict, Conflict]
    assert len({tool.id for tool in same}) == 1
    assert len(await tools.of_bots(ada, [bot.id])) == MAX_TOOLS


def _first(made: list[Any]) -> NewTool:
    return replace(ORDERS, name=next(each.name for each in made if isinstance(each, BotTool)))
