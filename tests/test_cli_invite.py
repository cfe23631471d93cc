"""`kyrochat users invite` as an operator meets it, beside a running server."""

import asyncio
import re
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.graphql_client import GraphQLClient, visiting
from tests.server_process import Server, serving
from tests.test_cli import fails_with_one_line, run

REGISTER = """mutation ($email: String!, $token: String) {
  register(input: {email: $email, password: "correct horse battery staple", invitationToken: $token}) {
    __typename ... on Session { accessToken user { isAdmin } } ... on Problem { message } } }"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server, None]:
    async with serving(tmp_path / "data", KYROCHAT_REGISTRATION="invite") as server:
        yield server
        assert server.faults() == []


async def users(server: Server, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(run, "users", *arguments, "--data-dir", server.data_dir)


async def registered(visitor: GraphQLClient, email: str, token: str | None = None) -> str:
    answer = await visitor.answer(REGISTER, {"email": email, "token": token})
    if "errors" in answer:
        return str(answer["errors"][0]["extensions"]["code"])
    return str(answer["data"]["register"]["__typename"])


async def test_a_link_of_the_operator_lets_one_person_in(server: Server) -> None:
    async with visiting(server.graphql_url) as visitor:
        assert await registered(visitor, "admin@example.org") == "Session"
        assert await registered(visitor, "eve@example.org") == "FORBIDDEN"

        done = await users(server, "invite", "--email", "Eve@example.org", "--days", "1")

        assert done.returncode == 0, done.stderr
        url, words = done.stdout.splitlines()
        token = re.fullmatch(r"http://127\.0\.0\.1:8000/invitation#(kci_[\w-]{43})", url)
        assert token is not None
        assert words.startswith("For eve@example.org only, once, until ")
        assert await registered(visitor, "mallory@example.org", token[1]) == "InvalidInputProblem"
        assert await registered(visitor, "eve@example.org", token[1]) == "Session"
        assert await registered(visitor, "eva@example.org", token[1]) == "InvalidInputProblem"

    wrong = [await users(server, "invite", *options) for options in (("--email", "nobody"), ("--days", "31"))]
    assert [fails_with_one_line(done).split(": ")[1] for done in wrong] == ["email", "expiresInDays"]
