"""Sockets of the whole server: each operation on one is checked anew, and its credentials can be renewed."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.graphql.conftest import Owner, settled
from tests.graphql_client import GraphQLClient, Refused, register, visiting
from tests.journey.steps import ADD_TEXT, DEADLINE_S, EVENTS, PROGRESS, new_bot
from tests.server_process import serving

pytestmark = pytest.mark.usefixtures("no_faults")
REFRESH_SOCKET = """mutation ($token: String!) { refreshSocket(input: {accessToken: $token}) {
  __typename ... on RefreshedSocket { expiresAt } ... on Problem { message } } }"""
REFRESH_SESSION = """mutation ($token: String!) { refreshSession(input: {refreshToken: $token}) {
  ... on Session { accessToken expiresAt } } }"""


async def only(values: Any) -> Any:
    """Return the one value of a query or a mutation over a socket."""
    (value,) = [value async for value in values]
    return value


async def test_a_socket_takes_a_new_token_of_its_account(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    async with user.socket() as socket:
        session = await user.run(REFRESH_SESSION, token=user.refresh_token)

        refreshed = await only(socket.watch(REFRESH_SOCKET, token=session["accessToken"]))

        assert refreshed["__typename"] == "RefreshedSocket"
        off = datetime.fromisoformat(refreshed["expiresAt"]) - datetime.fromisoformat(session["expiresAt"])
        assert abs(off) < timedelta(seconds=2)
        assert datetime.fromisoformat(refreshed["expiresAt"]) > datetime.now(UTC)
        assert (await only(socket.watch("{ me { id } }")))["id"]


async def test_a_socket_takes_no_token_of_others_nor_garbage(visitor: GraphQLClient, stranger: Owner) -> None:
    user = await register(visitor)
    async with user.socket() as socket:
        me = await only(socket.watch("{ me { id } }"))
        for token in (stranger.user.token, "garbage", "", "Bearer " + str(user.token)):
            refused = await only(socket.watch(REFRESH_SOCKET, token=token))
            assert refused["__typename"] == "InvalidCredentialsProblem", token
        assert await only(socket.watch("{ me { id } }")) == me


async def test_a_socket_that_nobody_signed_in_on_stays_nobodys(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    async with visitor.socket() as socket:
        refused = await only(socket.watch(REFRESH_SOCKET, token=user.token))
        assert refused["__typename"] == "InvalidCredentialsProblem"


async def test_over_http_a_socket_cannot_be_refreshed(owner: Owner) -> None:
    refused = await owner.user.run(REFRESH_SOCKET, token=owner.user.token)
    assert refused["__typename"] == "NotASocketProblem"
    assert "HTTP" in refused["message"]


async def test_each_watch_and_each_resume_asks_anew_whose_the_answer_is(owner: Owner, stranger: Owner) -> None:
    async with owner.user.socket() as socket:
        for after in (0, 1, 0, 2):
            own = [event async for event in socket.watch(EVENTS, id=owner.ids["Message"], after=after)]
            assert own
            with pytest.raises(Refused) as refused:
                await only(socket.watch(EVENTS, id=stranger.ids["Message"], after=after))
            assert refused.value.codes == ["BAD_USER_INPUT"]


async def test_what_was_deleted_meanwhile_cannot_be_resumed_on_an_open_socket(visitor: GraphQLClient) -> None:
    user = await settled(visitor)
    delete = "mutation ($id: ID!) { deleteConversation(id: $id) { __typename } }"
    async with user.user.socket() as socket:
        assert [event async for event in socket.watch(EVENTS, id=user.ids["Message"], after=0)]
        await user.user.run(delete, id=user.ids["Conversation"])

        with pytest.raises(Refused) as refused:
            await only(socket.watch(EVENTS, id=user.ids["Message"], after=1))
        assert refused.value.codes == ["BAD_USER_INPUT"]


async def test_after_logout_the_open_socket_is_closed(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    async with user.socket() as socket, visitor.socket() as other:
        await user.run("mutation { logout }")

        await asyncio.wait_for(socket.connection.wait_closed(), DEADLINE_S)

        assert (socket.connection.close_code, socket.connection.close_reason) == (4403, "The session has ended")
        assert await only(other.watch("{ serverInfo { offlineMode } }"))


async def test_an_event_stream_ends_with_its_session(tmp_path: Path) -> None:
    # Without workers a document is never read, and its stream would go on for ever.
    async with serving(tmp_path / "data", KYROCHAT_WORKERS="0") as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        document = await user.run(ADD_TEXT, bot=await new_bot(user), title="Clock", text="It is wound on Mondays.")
        body = {"query": PROGRESS, "variables": {"id": document["id"]}}
        headers = {"Accept": "text/event-stream", **user.headers}
        async with user.http.stream("POST", user.url, json=body, headers=headers) as response:
            lines = response.aiter_lines()
            assert await anext(lines) == "event: next"

            await user.run("mutation { logout }")

            async with asyncio.timeout(DEADLINE_S):
                rest = [line async for line in lines]

    assert "The session has ended" in rest[-5]
    assert rest[-3:] == ["event: complete", "data: ", ""]
