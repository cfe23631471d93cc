"""`kyrochat users` beside a running server, which follows at once."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.graphql.test_api_accounts import LOGIN, ME, NEW, PASSWORD, RESET
from tests.graphql_client import GraphQLClient, Refused, register, visiting
from tests.server_process import Server, serving
from tests.test_cli import fails_with_one_line, run


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    async with serving(tmp_path_factory.mktemp("users") / "data") as server:
        yield server


@pytest.fixture(scope="module")
async def visitor(server: Server) -> AsyncGenerator[GraphQLClient, None]:
    async with visiting(server.graphql_url) as client:
        yield client


@pytest.fixture(scope="module")
async def root(visitor: GraphQLClient) -> GraphQLClient:
    """The administrator."""
    return await register(visitor)


async def users(server: Server, *arguments: str, fails: bool = False) -> str:
    """Run `kyrochat users …` on the server's data, and return what it says."""
    done = await asyncio.to_thread(
        run, "users", *arguments, "--data-dir", server.data_dir, KYROCHAT_PUBLIC_URL="https://chat.example.com"
    )
    if fails:
        return fails_with_one_line(done)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def test_help_says_what_each_command_does(tmp_path: Path) -> None:
    group = run("users", "--help").stdout
    for command in ("list", "invite", "reset-link", "disable", "enable", "make-admin", "export", "delete"):
        assert f"  {command} " in group
        words = run("users", command, "-h").stdout
        assert "--data-dir" in words
        assert "EMAIL" in words or command in ("list", "invite")


async def test_accounts_are_listed_with_what_is_special_about_them(
    server: Server, visitor: GraphQLClient, root: GraphQLClient
) -> None:
    user = await register(visitor)
    email, admin = (await user.run(ME))["email"], (await root.run(ME))["email"]
    await user.run('mutation { updateProfile(input: {name: "Ada\\u001b[31m\\u009b2J\\nKing"}) { __typename } }')

    lines = (await users(server, "list")).splitlines()

    assert [line.split("  ")[0] for line in lines] == [email, admin]
    assert lines[0].split("  ")[1] == "Ada\ufffd[31m\ufffd2J\ufffdKing"
    assert lines[0].split("  ")[2].startswith("last here 20")
    assert lines[1].endswith("  admin")
    assert (await users(server, "list", "--email", email.upper())).splitlines() == lines[:1]
    assert await users(server, "list", "--status", "disabled") == "There are no such accounts.\n"


async def test_a_link_sets_a_password_and_is_printed_alone_for_scripts(
    server: Server, visitor: GraphQLClient, root: GraphQLClient
) -> None:
    user = await register(visitor)
    email = (await user.run(ME))["email"]

    url, explanation = (await users(server, "reset-link", email)).splitlines()

    assert url.startswith("https://chat.example.com/reset-password#kcp_")
    assert email in explanation
    done = await visitor.run(RESET, token=url.partition("#")[2], new=NEW)
    assert done == {"__typename": "PasswordResetDone", "email": email}
    assert (await visitor.run(LOGIN, email=email, password=NEW))["__typename"] == "Session"


async def test_an_account_is_shut_at_once_and_opened_again(
    server: Server, visitor: GraphQLClient, root: GraphQLClient
) -> None:
    user = await register(visitor)
    email = (await user.run(ME))["email"]

    async with user.socket() as socket:
        said = await users(server, "disable", email.upper())
        async with asyncio.timeout(30):
            await socket.connection.wait_closed()

    assert said.startswith(f"The account {email} is disabled")
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        await user.run(ME)
    assert (await users(server, "list", "--status", "disabled")).splitlines()[0].endswith("  disabled")
    assert "Enable it first" in await users(server, "reset-link", email, fails=True)
    assert await users(server, "enable", email) == f"The account {email} works.\n"
    assert (await visitor.run(LOGIN, email=email, password=PASSWORD))["__typename"] == "Session"


async def test_an_administrator_is_made_and_the_last_one_cannot_be_shut_out(
    server: Server, visitor: GraphQLClient, root: GraphQLClient
) -> None:
    user = await register(visitor)
    email, admin = (await user.run(ME))["email"], (await root.run(ME))["email"]

    assert "last administrator" in await users(server, "disable", admin, fails=True)
    assert await users(server, "make-admin", email) == f"{email} administers this server.\n"

    assert (await user.run(ME))["isAdmin"] is True
    assert (await user.run("{ users { totalCount } }"))["totalCount"] >= 2


@pytest.mark.parametrize("command", ["reset-link", "disable", "enable", "make-admin"])
async def test_an_unknown_address_is_one_line(server: Server, root: GraphQLClient, command: str) -> None:
    line = await users(server, command, "nobody@example.org", fails=True)
    assert line == "Error: There is no such account as nobody@example.org."
