import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from kyrochat.graphql.transport.masking import MAX_LOGGED_PATH_CHARS
from tests.graphql.front_door_toy import SECRET, Toy, codes, serving
from tests.graphql.socket_client import connected, events_of

EXPECTED: dict[str, dict[str, Any]] = {
    "unauthenticated": {"code": "UNAUTHENTICATED"},
    "forbidden": {"code": "FORBIDDEN"},
    "invalid": {
        "code": "BAD_USER_INPUT",
        "issues": [{"path": ["name"], "message": "A name has 1 to 80 characters."}],
    },
    "missing": {"code": "BAD_USER_INPUT"},
    "rate": {"code": "RATE_LIMITED", "retryAfterSeconds": 2.5},
    "overloaded": {"code": "OVERLOADED"},
    "coded": {"code": "QUERY_TOO_EXPENSIVE"},
}
TRANSPORTS = ["query", "mutation", "sse", "sse-subscription", "socket", "socket-subscription", "mid-stream"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def toy() -> AsyncIterator[Toy]:
    async with serving() as toy:
        yield toy


async def failed(toy: Toy, transport: str, kind: str) -> dict[str, Any]:
    """Return the one error that a failure of `kind` makes on `transport`."""
    query = f'{{ fail(kind: "{kind}") }}'
    if transport == "mid-stream":
        query = f'subscription {{ failLater(kind: "{kind}", after: 2) }}'
    elif transport.endswith("subscription"):
        query = f'subscription {{ failLater(kind: "{kind}", after: 0) }}'
    elif transport == "mutation":
        query = f"mutation {query}"
    if transport in ("query", "mutation"):
        answers = [await toy.run(query)]
    elif transport.startswith("sse"):
        answer = await toy.post({"query": query}, accept="text/event-stream")
        events = events_of(answer.text)
        assert events[-1] == ("complete", None)
        answers = [data for name, data in events if name == "next"]
    else:
        async with connected(toy) as client:
            messages = await client.run("1", query)
        answers = [
            {"errors": message["payload"]} if message["type"] == "error" else message["payload"]
            for message in messages
            if message["type"] != "complete"
        ]
    assert len(answers) == (3 if transport == "mid-stream" else 1)
    (error,) = answers[-1]["errors"]
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_bug_is_masked_and_logged_once_with_the_id_the_client_got(
    toy: Toy, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        error = await failed(toy, transport, "bug")

    assert error["message"] == "Internal server error"
    assert error["extensions"] == {
        "code": "INTERNAL_SERVER_ERROR",
        "requestId": error["extensions"]["requestId"],
    }
    assert SECRET not in str(error)
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (record.name, record.levelno) == ("kyrochat.graphql", logging.ERROR)
    assert error["extensions"]["requestId"] in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is RuntimeError
    assert record.exc_info[2] is not None
    assert "kind:" not in caplog.text


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", EXPECTED)
async def test_an_expected_failure_keeps_its_message_and_its_code_and_makes_no_noise(
    toy: Toy, transport: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "kyrochat.graphql"):
        error = await failed(toy, transport, kind)

    assert error["message"] != "Internal server error"
    assert error["extensions"] == EXPECTED[kind]
    ours = [record for record in caplog.records if record.name == "kyrochat.graphql"]
    assert [record.levelno for record in ours] == [logging.INFO]
    assert ours[0].exc_info is None


async def test_what_only_operators_may_know_is_masked(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    assert (await failed(toy, "query", "config"))["message"] == "Internal server error"


async def test_a_value_of_ours_that_does_not_fit_its_type_is_our_bug(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await toy.run("query Marker { wrongType }")

    assert codes(answer) == ["INTERNAL_SERVER_ERROR"]
    assert SECRET not in str(answer)
    assert "Marker" not in caplog.text


async def test_a_null_in_a_non_null_field_takes_data_with_it_but_is_no_request_error(toy: Toy) -> None:
    body = {"query": '{ failHard(kind: "forbidden") }'}
    answer = await toy.post(body, accept="application/graphql-response+json")

    assert (answer.status_code, answer.json()["data"], codes(answer.json())) == (200, None, ["FORBIDDEN"])


async def test_client_mistakes_leave_one_short_line_that_repeats_nothing_of_them(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    long = "x" * 100_000
    caplog.set_level(logging.DEBUG, "kyrochat.graphql")
    for body in (
        {"query": "{ " + long + " "},
        {"query": "{ " + long + " }"},
        {"query": "query ($t: Int!) { " + long + "(a: $t) }"},
        {"query": "query ($t: Int!) { echo(text: $t) }"},
        {"query": "query ($t: String!) { echo(text: $t) }", "variables": {"t": [long]}},
        {"query": "query ($" + long + ": String!) { echo(text: $" + long + ") }"},
    ):
        caplog.clear()
        assert (await toy.post(body)).status_code == 200
        (record,) = [record for record in caplog.records if record.name == "kyrochat.graphql"]
        assert record.levelno == logging.INFO
        assert len(record.getMessage()) < 200
        assert "xxx" not in record.getMessage()


async def test_a_long_alias_does_not_flood_the_log(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    await toy.run("{ " + "y" * 100_000 + ': fail(kind: "bug") }')

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(record.getMessage()) < MAX_LOGGED_PATH_CHARS + 200


async def test_many_failures_of_one_answer_make_one_traceback(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    answer = await toy.run("{" + " ".join(f'a{n}: fail(kind: "bug")' for n in range(50)) + "}")

    assert len(answer["errors"]) == 50
    assert len({error["extensions"]["requestId"] for error in answer["errors"]}) == 1
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "50 in all" in record.getMessage()


@pytest.mark.parametrize(
    ("kind", "status", "header"),
    [
        ("unauthenticated", 401, ("www-authenticate", "Bearer")),
        ("forbidden", 403, None),
        ("rate", 429, ("retry-after", "3")),
        ("overloaded", 503, None),
        ("bug", 500, None),
    ],
)
async def test_a_context_that_fails_fails_its_operation_with_the_fitting_status(
    toy: Toy, kind: str, status: int, header: tuple[str, str] | None
) -> None:
    for accept in ("application/json", "application/graphql-response+json", "text/event-stream"):
        answer = await toy.post({"query": "{ hello }"}, authorization=kind, accept=accept)

        assert (answer.status_code, "data" in answer.json()) == (status, False)
        assert codes(answer.json()) == [EXPECTED.get(kind, {"code": "INTERNAL_SERVER_ERROR"})["code"]]
        assert header is None or answer.headers[header[0]] == header[1]
        assert SECRET not in answer.text
