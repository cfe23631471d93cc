"""Limits over the wire, on every transport: what is refused, how, and when to come again."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from graphql import get_introspection_query
from websockets.asyncio.client import connect

from kyrochat.rates.limits import POINTS_PER_ADDRESS, POINTS_PER_USER, REGISTER_PER_ADDRESS, SOCKETS_PER_USER
from tests.graphql.socket_client import INIT, PROTOCOL, SocketClient, events_of
from tests.graphql_client import GraphQLClient, register, visiting
from tests.server_process import Server, serving

INTROSPECTION = get_introspection_query()
LOGIN = """mutation ($email: String!, $password: String!) {
  login(input: {email: $email, password: $password}) {
    __typename ... on RateLimitedProblem { message retryAfterSeconds }
  }
}"""
GUESS = 'login(input: {email: "ada@example.org", password: "guess"}) { __typename }'


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    directory = tmp_path_factory.mktemp("rates") / "data"
    async with serving(directory, KYROCHAT_RATE_LIMITS="on", KYROCHAT_TRUSTED_PROXIES="127.0.0.1") as server:
        yield server
        assert server.faults() == []


@pytest.fixture
async def visitor(server: Server) -> AsyncGenerator[GraphQLClient, None]:
    async with visiting(server.graphql_url) as client:
        yield client


async def post(visitor: GraphQLClient, address: str, query: str, accept: str = "application/json", **more: str) -> Any:
    """Send a query from an address, as the proxy in front tells it."""
    body = json.dumps({"query": query})
    headers = {"Accept": accept, "X-Forwarded-For": address, **more}
    return await visitor.post(body, "application/json", **headers)


async def test_points_run_out_for_an_address_and_the_status_says_when_to_come_again(visitor: GraphQLClient) -> None:
    address = "198.51.100.1"
    first = (await post(visitor, address, INTROSPECTION)).json()["extensions"]["cost"]
    assert first["remaining"] == POINTS_PER_ADDRESS.amount - first["requested"]

    answered = 1
    while (response := await post(visitor, address, INTROSPECTION)).status_code == 200:
        answered += 1

    assert answered == POINTS_PER_ADDRESS.amount // first["requested"]
    forms = ("application/json", "application/graphql-response+json")
    over_http = [response, *[await post(visitor, address, INTROSPECTION, accept) for accept in forms]]
    for refused in over_http:
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 120
    told = [refused.json() for refused in over_http]
    assert all("data" not in answer for answer in told)
    assert {answer["errors"][0]["extensions"]["code"] for answer in told} == {"RATE_LIMITED"}
    waits = {answer["errors"][0]["extensions"]["retryAfterSeconds"] for answer in told}
    assert 0 < min(waits) <= max(waits) <= 120
    events = events_of((await post(visitor, address, INTROSPECTION, "text/event-stream")).text)
    assert [data["errors"][0]["extensions"]["code"] for name, data in events if name == "next"] == ["RATE_LIMITED"]
    # Less is still there, and others have not paid for it.
    assert (await post(visitor, address, "{ __typename }")).status_code == 200
    assert (await post(visitor, "198.51.100.2", INTROSPECTION)).status_code == 200


async def test_a_refused_document_costs_points_too(visitor: GraphQLClient) -> None:
    aliases = "{ " + " ".join(f"a{number}: __typename" for number in range(60)) + " }"

    refused = [await post(visitor, "198.51.100.3", aliases) for _ in range(21)]

    codes = [each.json()["errors"][0]["extensions"]["code"] for each in refused]
    assert codes == ["QUERY_TOO_EXPENSIVE"] * 20 + ["RATE_LIMITED"]
    assert (refused[0].status_code, refused[-1].status_code) == (200, 429)


async def test_who_is_signed_in_has_points_of_his_own_wherever_he_is(server: Server, visitor: GraphQLClient) -> None:
    user = await register(visitor)

    costs = [
        (await post(user, address, INTROSPECTION)).json()["extensions"]["cost"]
        for address in ("198.51.100.4", "198.51.100.5")
    ]

    assert [cost["remaining"] for cost in costs] == [
        POINTS_PER_USER.amount - costs[0]["requested"] * times for times in (1, 2)
    ]
    async with user.socket() as socket:
        (message,) = [value async for value in socket.watch("{ __typename }")]
        assert message == "Query"


async def test_a_socket_hears_of_the_limit_for_its_operation_and_stays_open(visitor: GraphQLClient) -> None:
    address = "198.51.100.6"
    url = visitor.url.replace("http", "ws", 1)
    async with connect(
        url, proxy=None, subprotocols=[PROTOCOL], additional_headers={"X-Forwarded-For": address}
    ) as connection:
        client = SocketClient(connection)
        await client.send(INIT)
        assert (await client.receive())["type"] == "connection_ack"
        outcomes = [await client.run(str(number), INTROSPECTION) for number in range(30)]
        alive = await client.run("small", "{ __typename }")

    refused = [messages[0]["payload"] for messages in outcomes if messages[0]["type"] == "error"]
    assert 0 < len(refused) < 30
    assert {error["extensions"]["code"] for errors in refused for error in errors} == {"RATE_LIMITED"}
    assert [message["type"] for message in alive] == ["next", "complete"]


async def test_sockets_that_are_opened_again_and_again_are_told_to_try_later(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    for _ in range(SOCKETS_PER_USER.amount):
        async with user.socket():
            pass

    url = user.url.replace("http", "ws", 1)
    async with connect(url, proxy=None, subprotocols=[PROTOCOL]) as connection:
        client = SocketClient(connection)
        await client.send({"type": "connection_init", "payload": user.headers})
        code, reason = await client.closing()

    assert code == 1013
    assert reason.startswith("Too many requests. Try again in ")
    async with (await register(visitor)).socket():
        pass


async def test_guesses_in_one_mutation_count_one_by_one_and_the_owner_signs_in_elsewhere(
    server: Server, visitor: GraphQLClient
) -> None:
    five = "mutation { " + " ".join(f"a{number}: {GUESS}" for number in range(5)) + " }"

    answers = [(await post(visitor, "198.51.100.7", five)).json()["data"] for _ in range(3)]

    outcomes = [value["__typename"] for answer in answers for value in answer.values()]
    assert outcomes == ["InvalidCredentialsProblem"] * 10 + ["RateLimitedProblem"] * 5
    # The proxy adds the address at the right; what the client wrote itself does not help.
    forged = [
        (await post(visitor, f"203.0.113.{number}, 198.51.100.7", f"mutation {{ {GUESS} }}")) for number in range(5)
    ]
    assert {each.json()["data"]["login"]["__typename"] for each in forged} == {"RateLimitedProblem"}
    elsewhere = (await post(visitor, "198.51.100.8", f"mutation {{ {GUESS} }}")).json()
    assert elsewhere["data"]["login"]["__typename"] == "InvalidCredentialsProblem"


async def test_five_hundred_sign_ins_at_once_are_answered_and_so_is_everybody_else(
    server: Server, visitor: GraphQLClient
) -> None:
    async def attempt(number: int) -> str:
        variables = {"email": f"nobody{number}@example.org", "password": "guess"}
        body = json.dumps({"query": LOGIN, "variables": variables})
        response = await visitor.post(body, **{"X-Forwarded-For": f"2001:db8:5:{number:x}::1"})
        answer = response.json()
        if "errors" in answer:
            return str(answer["errors"][0]["extensions"]["code"])
        return str(answer["data"]["login"]["__typename"])

    attempts = asyncio.gather(*(attempt(number) for number in range(500)))
    alive = await visitor.http.get(server.url + "/livez")
    outcomes = await attempts

    assert alive.status_code == 200
    assert set(outcomes) <= {"InvalidCredentialsProblem", "RateLimitedProblem", "OVERLOADED"}
    assert 50 <= outcomes.count("InvalidCredentialsProblem") < 500
    assert "OVERLOADED" in outcomes


async def test_the_sixth_account_of_an_hour_has_to_wait(visitor: GraphQLClient) -> None:
    mutation = """mutation { register(input: {email: "u%d@example.org", password: "correct horse battery staple"}) {
      __typename ... on RateLimitedProblem { retryAfterSeconds message } } }"""

    outcomes = [
        (await post(visitor, "198.51.100.9", mutation % number)).json()["data"]["register"]
        for number in range(REGISTER_PER_ADDRESS.amount + 1)
    ]

    assert [each["__typename"] for each in outcomes] == ["Session"] * 5 + ["RateLimitedProblem"]
    assert 3_000 < outcomes[-1]["retryAfterSeconds"] <= 3_601
