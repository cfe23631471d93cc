"""Whatever a client sends, it gets an answer that it can use: a problem, a code or a 4xx, never a bug of ours."""

import json
from typing import Any

import pytest

from tests.graphql.conftest import Owner
from tests.graphql.operations import Operation, operations
from tests.graphql.sending import codes, send
from tests.graphql_client import GraphQLClient, Refused
from tests.journey.steps import ADD_TEXT, CREATE_BOT, EVENTS, SEND, UPLOAD, new_bot, until_read
from tests.server_process import Server

pytestmark = pytest.mark.usefixtures("no_faults")
HALF_PAIR = "a\ud800b"
TEXTS: list[object] = [
    "",
    " ",
    "\x00",
    "a\x00b",
    HALF_PAIR,
    "\udfff",
    "x" * 100_000,
    "\u202e\ufeff\U0001f600",
    "'; DROP TABLE users; --",
    "%s{}",
]
INTS: list[object] = [-(2**31), -1, 0, 51, 101, 2**31 - 1]
FLOATS: list[object] = [-1, 1e308, 5e-324, 2.0000001]
ODD: dict[str, list[object]] = {
    "String": TEXTS,
    "ID": ["", "a\x00b", HALF_PAIR, "x" * 100_000],
    "Int": INTS,
    "Float": FLOATS,
}
# They would end what the other tests use.
ENDING = {"logout", "deleteBot", "deleteDocument", "deleteConversation"}
ODD_CASES = [(operation, path, kind) for operation in operations() for path, kind in operation.leaves() if kind in ODD]


@pytest.mark.parametrize(("operation", "path", "kind"), ODD_CASES, ids=lambda one: str(one))
async def test_no_value_of_any_argument_is_a_bug(owner: Owner, operation: Operation, path: Any, kind: str) -> None:
    """For every scalar of every argument in the schema; the other arguments fit."""
    own = operation.with_ids(owner.ids)
    for value in ODD[kind]:
        answer = await send(owner.user, own, own.with_value(path, value))
        assert "INTERNAL_SERVER_ERROR" not in codes(answer), f"{value!r:.80}"
        assert codes(answer) or "data" in answer


@pytest.mark.parametrize(
    ("query", "variables", "path"),
    [
        (CREATE_BOT, {"name": ""}, ["input", "name"]),
        (CREATE_BOT, {"name": " \t\n"}, ["input", "name"]),
        (CREATE_BOT, {"name": "x" * 101}, ["input", "name"]),
        (CREATE_BOT, {"name": "a\x00b"}, ["input", "name"]),
        (ADD_TEXT, {"title": "", "text": "text"}, ["input", "title"]),
        (ADD_TEXT, {"title": "a\x00", "text": "text"}, ["input", "title"]),
        (ADD_TEXT, {"title": "title", "text": " "}, ["input", "text"]),
        (SEND, {"text": ""}, ["input", "text"]),
        (SEND, {"text": "x" * 20_001}, ["input", "text"]),
        (SEND, {"text": "a\x00b"}, ["input", "text"]),
        (SEND, {"text": "fine", "key": "k" * 201}, ["input", "idempotencyKey"]),
        (SEND, {"text": "fine", "key": ""}, ["input", "idempotencyKey"]),
    ],
)
async def test_a_rule_that_is_broken_is_told_with_its_place(
    owner: Owner, query: str, variables: dict[str, Any], path: list[str]
) -> None:
    ids = {"bot": owner.ids["Bot"], "conversation": owner.ids["Conversation"]}
    needed = {name: id_ for name, id_ in ids.items() if f"${name}:" in query}
    detailed = query.replace("... on Problem", "... on InvalidInputProblem { issues { path message } } ... on Problem")
    problem = await owner.user.run(detailed, **needed, **variables)

    assert problem["__typename"] == "InvalidInputProblem"
    assert [issue["path"] for issue in problem["issues"]] == [path]


@pytest.mark.parametrize("text", [HALF_PAIR, "\\ud800", "\udc00\ud800"])
async def test_half_a_surrogate_pair_is_refused_in_any_spelling(owner: Owner, text: str) -> None:
    """Python writes lone surrogates as escapes, which is valid JSON, and no PostgreSQL takes them."""
    body = json.dumps({"query": CREATE_BOT, "variables": {"name": text}}).replace("\\\\u", "\\u")
    response = await owner.user.post(body)
    assert (response.status_code, codes(response.json())) == (400, ["BAD_USER_INPUT"])


PAGES = """query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { bot(id: $id) {
  documents(first: $first, after: $after, last: $last, before: $before) { nodes { id } } } }"""
LISTS = [
    PAGES,
    PAGES.replace("documents(", "conversations("),
    PAGES.replace("bot(", "conversation(").replace("documents(", "messages("),
    """query ($first: Int, $after: String, $last: Int, $before: String) {
      bots(first: $first, after: $after, last: $last, before: $before) { nodes { id } } }""",
    """query ($first: Int, $after: String, $last: Int, $before: String) {
      workspaces(first: $first, after: $after, last: $last, before: $before) { nodes { id } } }""",
]


@pytest.mark.parametrize("query", LISTS, ids=["documents", "conversations", "messages", "bots", "workspaces"])
@pytest.mark.parametrize(
    "page",
    [
        {"first": 0},
        {"first": 101},
        {"first": -1},
        {"first": 2**31 - 1},
        {"last": 0},
        {"last": 101},
        {"first": None},
        *(
            {name: cursor}
            for name in ("after", "before")
            for cursor in ("garbage", "", "\u00e9", "azo", "azo5OTk5OTk5OTk5")
        ),
        {"after": "k" * 5000},
    ],
    ids=str,
)
async def test_pages_that_cannot_be_are_bad_user_input(owner: Owner, query: str, page: dict[str, Any]) -> None:
    kind = "Conversation" if "messages(" in query else "Bot"
    needed = {"id": owner.ids[kind]} if "$id" in query else {}
    if page == {"first": None} and "messages(" not in query:
        page = {"first": 1000}
    answer = await owner.user.answer(query, {**needed, **page})
    assert codes(answer) == ["BAD_USER_INPUT"]
    assert answer["errors"][0]["extensions"]["issues"][0]["path"] == [next(iter(page))]


@pytest.mark.parametrize("query", LISTS, ids=["documents", "conversations", "messages", "bots", "workspaces"])
async def test_of_both_sizes_the_last_one_holds(owner: Owner, query: str) -> None:
    kind = "Conversation" if "messages(" in query else "Bot"
    needed = {"id": owner.ids[kind]} if "$id" in query else {}
    both = await owner.user.answer(query, {**needed, "first": 1, "last": 1})
    last = await owner.user.answer(query, {**needed, "last": 1})
    assert "errors" not in both
    assert both == last


@pytest.mark.parametrize("query", LISTS, ids=["documents", "conversations", "messages", "bots", "workspaces"])
async def test_an_empty_page_tells_on_which_side_the_list_is(owner: Owner, query: str) -> None:
    kind = "Conversation" if "messages(" in query else "Bot"
    needed = {"id": owner.ids[kind]} if "$id" in query else {}
    sides = query.replace("nodes { id }", "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }")

    async def page(**arguments: object) -> dict[str, Any]:
        found: Any = await owner.user.run(sides, **needed, **arguments)
        return dict(found["pageInfo"] if "pageInfo" in found else next(iter(found.values()))["pageInfo"])

    oldest = (await page(last=1))["endCursor"]
    newest = (await page(first=1))["startCursor"]

    nothing = {"startCursor": None, "endCursor": None}
    assert await page(after=oldest) == {"hasNextPage": False, "hasPreviousPage": True, **nothing}
    assert await page(before=newest) == {"hasNextPage": True, "hasPreviousPage": False, **nothing}


@pytest.mark.parametrize("after", [-1, -(2**31)])
async def test_events_from_before_the_first_are_bad_user_input(owner: Owner, after: int) -> None:
    operation = next(one for one in operations() if one.name == "answerEvents").with_ids(owner.ids)
    assert codes(await send(owner.user, operation, operation.with_value(("after",), after))) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("after", [1000, 2**31 - 1])
async def test_events_from_after_the_last_are_none(owner: Owner, after: int) -> None:
    assert [event async for event in owner.user.watch(EVENTS, id=owner.ids["Message"], after=after)] == []


@pytest.mark.parametrize("after", ["garbage", 1.5, 2**31, True, [], {}])
async def test_an_after_that_is_no_number_is_bad_user_input(owner: Owner, after: object) -> None:
    operation = next(one for one in operations() if one.name == "answerEvents").with_ids(owner.ids)
    answer = await send(owner.user, operation, operation.with_value(("after",), after))
    assert codes(answer) == ["BAD_USER_INPUT"]


async def test_a_text_of_ten_megabytes_ends_in_a_state_that_says_why(owner: Owner) -> None:
    content = b"The quick brown fox jumps over the lazy dog. " * 240_000
    bot_id = await new_bot(owner.user, "Large")
    document = await owner.user.upload(UPLOAD, "large.txt", content, bot=bot_id)
    assert document["__typename"] == "Document"
    last = (await until_read(owner.user, document["id"]))[-1]
    assert last["status"] == "READY" or (last["status"] == "FAILED" and "characters" in last["failure"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.txt", b""),
        ("spaces.txt", b" \n\t\n"),
        ("binary.bin", bytes(range(256)) * 50),
        ("nul.txt", b"a\x00b"),
        ("../../etc/passwd", b"root and so on"),
        ("a\u202e\ud83d\ude00.txt".encode("utf-16", "surrogatepass").decode("utf-16"), b"A note of its own."),
        ("pdf.txt", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
        ("old.txt", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("latin.txt", "Stra\u00dfe".encode("latin-1")),
        ("x" * 400 + ".txt", b"Another note of its own."),
        ("", b"A third note of its own."),
    ],
)
async def test_any_upload_is_taken_or_refused_with_a_reason(
    owner: Owner, server: Server, name: str, content: bytes
) -> None:
    try:
        document = await owner.user.upload(UPLOAD, name, content, bot=owner.ids["Bot"])
    except Refused as refused:
        document = {"__typename": "", "message": refused.codes == ["BAD_USER_INPUT"]}
    if document["__typename"] != "Document":
        assert document["message"]
        return
    last = (await until_read(owner.user, document["id"]))[-1]
    assert last["status"] == "READY" or (last["status"], bool(last["failure"])) == ("FAILED", True)
    assert "/" not in last["title"]
    assert str(server.data_dir) not in str(last)


async def test_the_server_still_answers(visitor: GraphQLClient) -> None:
    assert (await visitor.run("{ serverInfo { offlineMode } }")) == {"offlineMode": True}
