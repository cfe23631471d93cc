"""Who has not signed in gets nothing; made from the schema, so a new field is covered before it exists."""

import pytest

from kyrochat.graphql.permissions import ROOT_FIELDS, Who
from tests.graphql.conftest import Owner
from tests.graphql.operations import Operation, operations
from tests.graphql.sending import codes, send
from tests.graphql_client import GraphQLClient, Refused, register

PUBLIC = {coordinate.partition(".")[2] for coordinate, who in ROOT_FIELDS.items() if who is Who.ANYBODY}
PRIVATE = [operation for operation in operations() if operation.name not in PUBLIC]
LEAST = [operation for operation in operations(required_only=True) if operation.name not in PUBLIC]
pytestmark = pytest.mark.usefixtures("no_faults")

LOGIN = """mutation ($email: String!, $password: String!) { login(input: {email: $email, password: $password}) {
  __typename ... on Session { accessToken } ... on Problem { message } } }"""
REFRESH = """mutation ($token: String!) { refreshSession(input: {refreshToken: $token}) {
  __typename ... on Session { accessToken refreshToken } ... on Problem { message } } }"""


@pytest.mark.parametrize("operation", PRIVATE, ids=str)
async def test_every_field_wants_a_sign_in(visitor: GraphQLClient, operation: Operation) -> None:
    """Even when its arguments are garbage: those are not looked at before."""
    answer = await send(visitor, operation)
    assert codes(answer) == ["UNAUTHENTICATED"]
    assert not (answer.get("data") or {}).get(operation.name)


@pytest.mark.parametrize("operation", LEAST, ids=str)
async def test_every_field_wants_a_sign_in_that_holds(visitor: GraphQLClient, operation: Operation) -> None:
    forged = GraphQLClient(visitor.url, visitor.http, "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.")
    assert codes(await send(forged, operation)) == ["UNAUTHENTICATED"]


@pytest.mark.parametrize("operation", [one for one in operations() if one.name in PUBLIC], ids=str)
async def test_the_way_in_is_open(visitor: GraphQLClient, operation: Operation) -> None:
    assert codes(await send(visitor, operation)) == []


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Basic dXNlcjpwYXNz", "Bearer a b", "Bearer " + "x" * 8000, "a.b.c"]
)
async def test_odd_credentials_are_no_credentials(visitor: GraphQLClient, authorization: str) -> None:
    response = await visitor.post('{"query": "{ me { id } }"}', Authorization=authorization)
    assert (response.status_code, codes(response.json())) == (200, ["UNAUTHENTICATED"])


async def test_a_refresh_token_may_be_sent_again_until_the_next_one_was_used_and_then_ends_the_session(
    visitor: GraphQLClient,
) -> None:
    user = await register(visitor)
    renewed = await visitor.run(REFRESH, token=user.refresh_token)
    assert renewed["__typename"] == "Session"
    again = await visitor.run(REFRESH, token=user.refresh_token)
    assert again["refreshToken"] == renewed["refreshToken"]
    assert (await visitor.run(REFRESH, token=renewed["refreshToken"]))["__typename"] == "Session"
    stolen = await visitor.run(REFRESH, token=user.refresh_token)
    assert stolen["__typename"] == "InvalidCredentialsProblem"

    after = GraphQLClient(visitor.url, visitor.http, renewed["accessToken"])
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        await after.run("{ me { id } }")


async def test_after_logout_the_token_is_worth_nothing(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    assert await user.run("mutation { logout }") is True
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        await user.run("{ me { id } }")
    assert (await visitor.run(REFRESH, token=user.refresh_token))["__typename"] == "InvalidCredentialsProblem"


async def test_a_wrong_password_and_an_unknown_address_look_the_same(visitor: GraphQLClient, owner: Owner) -> None:
    me = await owner.user.run("{ me { email } }")
    wrong = await visitor.run(LOGIN, email=me["email"], password="wrong")
    unknown = await visitor.run(LOGIN, email="nobody@example.org", password="wrong")
    right = await visitor.run(LOGIN, email=me["email"].upper(), password="correct horse battery staple")

    assert wrong == unknown
    assert wrong["__typename"] == "InvalidCredentialsProblem"
    assert right["__typename"] == "Session"
