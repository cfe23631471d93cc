"""Tokens over the wire: each opens its own door and no other, and one that we did not sign opens none."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from kyrochat.accounts.tokens import KEY_PREFIX, REFRESH_PREFIX, RESET_PREFIX, new_secret
from kyrochat.signing.keys import derived_key
from tests.graphql.sending import codes
from tests.graphql.test_api_accounts import LINK, LOGIN, ME, NEW, RESET
from tests.graphql_client import GraphQLClient, register
from tests.server_process import Server

pytestmark = pytest.mark.usefixtures("no_faults")
REFRESH = """mutation ($token: String!) { refreshSession(input: {refreshToken: $token}) {
  __typename ... on Session { accessToken } ... on Problem { message } } }"""


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def opens(visitor: GraphQLClient, token: str) -> bool:
    """Whether an Authorization header with the token is somebody."""
    response = await GraphQLClient(visitor.url, visitor.http, token).post('{"query": "{ me { id } }"}')
    if response.status_code == 431:
        return False  # so long a header is not even read
    answer = response.json()
    assert codes(answer) in ([], ["UNAUTHENTICATED"], ["FORBIDDEN"])
    return "errors" not in answer


async def test_each_kind_of_token_is_good_at_its_own_door_only(
    visitor: GraphQLClient, administrator: GraphQLClient
) -> None:
    user = await register(visitor)
    me = await user.run(ME)
    key = await user.run(
        """mutation { createApiKey(input: {name: "Key", scopes: [ADMIN]}) { ... on ApiKeyCreated { secret } } }"""
    )
    link = await administrator.run(LINK, id=me["id"])
    access, refresh, secret, reset = str(user.token), user.refresh_token, key["secret"], link["token"]

    for token in (refresh, reset, secret):
        assert not await opens(visitor, token)
    for token in (access, reset, secret):
        assert (await visitor.run(REFRESH, token=token))["__typename"] == "InvalidCredentialsProblem"
    for token in (access, refresh, secret):
        assert (await visitor.run(RESET, token=token, new=NEW))["__typename"] == "InvalidCredentialsProblem"
    for token in (access, refresh, secret, reset):
        tried = await visitor.run(LOGIN, email=me["email"], password=token)
        assert tried["__typename"] == "InvalidCredentialsProblem"

    # All of them are still good, each where it belongs.
    assert await opens(visitor, access)
    assert (await GraphQLClient(visitor.url, visitor.http, secret).run("{ bots { totalCount } }"))["totalCount"] == 0
    assert (await visitor.run(REFRESH, token=refresh))["__typename"] == "Session"
    assert (await visitor.run(RESET, token=reset, new=NEW))["__typename"] == "PasswordResetDone"


async def test_forged_tokens_of_a_real_session_are_nobodys(visitor: GraphQLClient, server: Server) -> None:
    user = await register(visitor)
    header, body, signature = str(user.token).split(".")
    claims: dict[str, Any] = jwt.decode(str(user.token), options={"verify_signature": False})
    # What every secret of this server comes from: nobody has it, and even then a purpose has a key of its own.
    secret = (server.data_dir / "secret.key").read_bytes()
    key = derived_key(secret, "access")
    past = datetime.now(UTC) - timedelta(minutes=2)
    forged = {
        "alg none": f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "alg none with the signature": f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.{signature}",
        "alg RS256": f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{body}.{signature}",
        "no signature": f"{header}.{body}.",
        "signed by the secret itself": jwt.encode(claims, secret, "HS256"),
        "another secret": jwt.encode(claims, b"x" * 64, "HS256"),
        "another user": f"{header}.{part({**claims, 'sub': claims['sid']})}.{signature}",
        "another kid": f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': '../../dev/null'})}.{body}.{signature}",
        "a key in its header": f"{part({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': 'eA'}})}.{body}.{signature}",
        "expired": jwt.encode({**claims, "exp": past}, key, "HS256"),
        "for ever": jwt.encode({name: claims[name] for name in claims if name != "exp"}, key, "HS256"),
        "a refresh token by its type": jwt.encode({**claims, "typ": "refresh"}, key, "HS256"),
        "from elsewhere": jwt.encode({**claims, "iss": "elsewhere"}, key, "HS256"),
        "for somebody else": jwt.encode({**claims, "aud": "elsewhere"}, key, "HS256"),
        "another algorithm": jwt.encode(claims, key * 2, "HS512"),
        "huge": f"{header}.{body}{'A' * 20_000}.{signature}",
        "a made up refresh token": new_secret(REFRESH_PREFIX),
        "a made up key": new_secret(KEY_PREFIX),
        "a made up link": new_secret(RESET_PREFIX),
    }

    # One that is made by hand with the right key is taken, so the refusals mean something.
    assert await opens(visitor, jwt.encode(claims, key, "HS256"))
    for name, token in forged.items():
        assert not await opens(visitor, token), name
    assert await opens(visitor, str(user.token))
