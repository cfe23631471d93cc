"""A server whose key is changed, lost and given back, as its operator and its users see it."""

import subprocess
from dataclasses import replace
from pathlib import Path

import jwt

from kyrochat.db.access import DatabaseAccess
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.runtime import running
from kyrochat.settings import Settings
from tests.graphql_client import REGISTER, GraphQLClient, register, visiting
from tests.server_process import environment, kyrochat, serving

ME = "{ me { email } }"
REFRESH = """mutation ($token: String!) {
  refreshSession(input: {refreshToken: $token}) { __typename ... on Session { accessToken } }
}"""


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        kyrochat(*arguments), capture_output=True, text=True, timeout=60, env=environment(), cwd=Path("/")
    )


async def codes(client: GraphQLClient) -> list[str]:
    answer = await client.answer(ME)
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


def signed_with(client: GraphQLClient) -> str:
    assert client.token is not None
    return str(jwt.get_unverified_header(client.token)["kid"])


async def test_a_rotation_signs_nobody_out_and_a_lost_key_keeps_the_server_from_starting(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        before = await register(visitor)

    rotated = run("secret", "rotate", "--data-dir", data_dir)

    assert (rotated.returncode, rotated.stderr) == (0, "")
    assert str(data_dir / "secret.key.previous") in rotated.stdout
    async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        user, newcomer = before.at(server.graphql_url), await register(visitor)
        user = replace(user, http=visitor.http)
        assert await codes(user) == []
        assert signed_with(newcomer) != signed_with(user)
        refreshed = await user.run(REFRESH, token=user.refresh_token)
        after = replace(user, token=refreshed["accessToken"])
        assert await codes(after) == []
        assert signed_with(after) == signed_with(newcomer)

    # The operator removes the old key; what it signed is believed no longer.
    (data_dir / "secret.key.previous").unlink()
    async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        assert await codes(replace(after, url=server.graphql_url, http=visitor.http)) == []
        assert await codes(replace(before, url=server.graphql_url, http=visitor.http)) == ["UNAUTHENTICATED"]

    # Then he loses the new one.
    (data_dir / "secret.key").unlink()
    refused = run("serve", "--port", "0", "--data-dir", data_dir)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "kyrochat secret accept" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    accepted = run("secret", "accept", "--data-dir", data_dir)
    assert accepted.returncode == 0
    async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        assert await codes(replace(after, url=server.graphql_url, http=visitor.http)) == ["UNAUTHENTICATED"]
        session = await visitor.run(REGISTER, email="new@example.org", password="correct horse battery staple")
        assert session["__typename"] == "Session"


def test_where_there_is_no_key_there_is_none_to_rotate(tmp_path: Path) -> None:
    done = run("secret", "rotate", "--data-dir", tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert "no key" in done.stderr
    assert list(tmp_path.iterdir()) == []


async def test_all_processes_ask_for_the_same_setup_code(urls: DatabaseUrls, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, host="0.0.0.0", workers=0)
    access = DatabaseAccess(urls)

    async with running(settings, access) as one, running(settings, access) as other:
        code = one.services.registration.setup_code
        assert code is not None
        assert len(code) == 10
        assert other.services.registration.setup_code == code
    async with running(settings.model_copy(update={"host": "127.0.0.1"}), access) as local:
        assert local.services.registration.setup_code is None
