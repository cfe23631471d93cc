"""Accounts over the API: sessions to see and end, credentials to change, and what administrators do."""

import asyncio
from typing import Any

import pytest

from tests.graphql.sending import codes
from tests.graphql_client import GraphQLClient, Refused, register
from tests.journey.steps import DEADLINE_S

pytestmark = pytest.mark.usefixtures("no_faults")
PASSWORD, NEW = "correct horse battery staple", "four odd words here"
SESSIONS = "{ sessions { totalCount nodes { id createdAt refreshedAt expiresAt address userAgent isCurrent } } }"
END = "mutation ($id: ID!) { endSession(id: $id) { __typename ... on EndedSession { id } ... on Problem { message } } }"
EVERYWHERE = """mutation ($keep: Boolean!) { logoutEverywhere(input: {keepCurrent: $keep}) {
  ... on EndedSessions { count } } }"""
LOGIN = """mutation ($email: String!, $password: String!) { login(input: {email: $email, password: $password}) {
  __typename ... on Session { accessToken user { lastActiveAt } } ... on Problem { message } } }"""
CHANGE_PASSWORD = """mutation ($current: String!, $new: String!) {
  changePassword(input: {currentPassword: $current, newPassword: $new}) {
    __typename ... on User { email } ... on InvalidInputProblem { issues { path } } ... on Problem { message } } }"""
CHANGE_EMAIL = """mutation ($current: String!, $new: String!) {
  changeEmail(input: {currentPassword: $current, newEmail: $new}) {
    __typename ... on User { email } ... on Problem { message } } }"""
ME = "{ me { id email name isAdmin disabledAt lastActiveAt } }"
USERS = """query ($email: String, $status: UserStatus) { users(email: $email, status: $status) {
  totalCount nodes { id email isAdmin disabledAt lastActiveAt } } }"""
DISABLE = """mutation ($id: ID!, $disabled: Boolean!) { setUserDisabled(input: {userId: $id, disabled: $disabled}) {
  __typename ... on User { disabledAt } ... on Problem { message } } }"""
ADMIN = """mutation ($id: ID!, $isAdmin: Boolean!) { setUserAdmin(input: {userId: $id, isAdmin: $isAdmin}) {
  __typename ... on User { isAdmin } ... on Problem { message } } }"""
LINK = """mutation ($id: ID!) { createPasswordResetLink(input: {userId: $id}) {
  __typename ... on PasswordResetLink { url token expiresAt user { email } } ... on Problem { message } } }"""
RESET = """mutation ($token: String!, $new: String!) { resetPassword(input: {token: $token, newPassword: $new}) {
  __typename ... on PasswordResetDone { email } ... on InvalidInputProblem { issues { path } }
  ... on Problem { message } } }"""
REQUEST = """mutation ($email: String!) { requestPasswordReset(input: {email: $email}) {
  __typename ... on PasswordResetRequest { message } ... on Problem { message } } }"""


async def again(user: GraphQLClient, password: str = PASSWORD) -> GraphQLClient:
    """Sign the same user in once more."""
    email = (await user.run("{ me { email } }"))["email"]
    session = await user.nobody().run(LOGIN, email=email, password=password)
    assert session["__typename"] == "Session"
    return GraphQLClient(user.url, user.http, session["accessToken"])


async def is_signed_in(user: GraphQLClient) -> bool:
    answer = await user.answer("{ me { id } }")
    assert codes(answer) in ([], ["UNAUTHENTICATED"])
    return "errors" not in answer


async def test_sessions_are_shown_with_which_one_this_is_and_can_be_ended(visitor: GraphQLClient) -> None:
    laptop = await register(visitor)
    phone = await again(laptop)

    shown = await phone.run(SESSIONS)

    assert [(one["isCurrent"], one["address"]) for one in shown["nodes"]] == [(True, "127.0.0.1"), (False, "127.0.0.1")]
    assert all("python" in one["userAgent"] and one["createdAt"] < one["expiresAt"] for one in shown["nodes"])
    laptops_id = shown["nodes"][1]["id"]
    assert (await phone.run("query ($id: ID!) { node(id: $id) { id } }", id=laptops_id)) == {"id": laptops_id}
    assert await phone.run(END, id=laptops_id) == {"__typename": "EndedSession", "id": laptops_id}
    assert (await is_signed_in(laptop), await is_signed_in(phone)) == (False, True)
    assert (await phone.run(END, id=laptops_id))["__typename"] == "NotFoundProblem"
    assert (await phone.run(SESSIONS))["totalCount"] == 1


async def test_signing_out_everywhere_closes_the_sockets_of_all_others(visitor: GraphQLClient) -> None:
    first = await register(visitor)
    second = await again(first)
    async with first.socket() as socket:
        assert await second.run(EVERYWHERE, keep=True) == {"count": 1}
        await asyncio.wait_for(socket.connection.wait_closed(), DEADLINE_S)
        assert socket.connection.close_code == 4403

    assert (await is_signed_in(first), await is_signed_in(second)) == (False, True)
    assert await second.run(EVERYWHERE, keep=False) == {"count": 1}
    assert not await is_signed_in(second)


async def test_a_password_is_changed_by_whoever_knows_it(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    other = await again(user)

    wrong = await user.run(CHANGE_PASSWORD, current="wrong", new=NEW)
    weak = await user.run(CHANGE_PASSWORD, current=PASSWORD, new="password1")
    right = await user.run(CHANGE_PASSWORD, current=PASSWORD, new=NEW)

    assert (wrong["__typename"], wrong["message"]) == ("InvalidCredentialsProblem", "The current password is wrong.")
    assert weak["issues"] == [{"path": ["input", "newPassword"]}]
    assert right["__typename"] == "User"
    assert (await is_signed_in(user), await is_signed_in(other)) == (True, False)
    assert await again(user, NEW)


async def test_address_and_name_are_changed(visitor: GraphQLClient, administrator: GraphQLClient) -> None:
    user = await register(visitor)
    taken = (await administrator.run(ME))["email"]

    assert (await user.run(CHANGE_EMAIL, current=PASSWORD, new=taken))["__typename"] == "ConflictProblem"
    changed = await user.run(CHANGE_EMAIL, current=PASSWORD, new="Countess@Example.org")
    named = await user.run("""mutation { updateProfile(input: {name: " Ada King "}) { ... on User { name } } }""")

    assert changed == {"__typename": "User", "email": "countess@example.org"}
    assert named == {"name": "Ada King"}
    me = await user.run(ME)
    assert (me["email"], me["name"], me["disabledAt"]) == ("countess@example.org", "Ada King", None)
    assert me["lastActiveAt"] is not None


async def test_what_is_for_administrators_is_for_nobody_else(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    me = await user.run(ME)

    for query, variables in (
        (USERS, {}),
        (DISABLE, {"id": me["id"], "disabled": True}),
        (ADMIN, {"id": me["id"], "isAdmin": True}),
        (LINK, {"id": me["id"]}),
    ):
        with pytest.raises(Refused) as refused:
            await user.run(query, **variables)
        assert refused.value.codes == ["FORBIDDEN"]

    assert (await user.run(ME))["isAdmin"] is False


async def test_a_disabled_user_is_out_within_five_seconds_on_every_path(
    visitor: GraphQLClient, administrator: GraphQLClient
) -> None:
    user = await register(visitor)
    me = await user.run(ME)
    key = await user.run(
        """mutation { createApiKey(input: {name: "Key", scopes: [READ]}) { ... on ApiKeyCreated { secret } } }"""
    )
    by_key = GraphQLClient(user.url, user.http, key["secret"])
    assert (await by_key.run("{ bots { totalCount } }")) == {"totalCount": 0}

    async with user.socket() as socket, by_key.socket() as key_socket:
        disabled = await administrator.run(DISABLE, id=me["id"], disabled=True)
        async with asyncio.timeout(30):
            await socket.connection.wait_closed()
            await key_socket.connection.wait_closed()
    assert disabled["disabledAt"]

    assert not await is_signed_in(user)
    assert codes(await by_key.answer("{ bots { totalCount } }")) == ["UNAUTHENTICATED"]
    refused = await visitor.run(LOGIN, email=me["email"], password=PASSWORD)
    unknown = await visitor.run(LOGIN, email="nobody@example.org", password=PASSWORD)
    assert refused == unknown
    listed = await administrator.run(USERS, email=me["email"].upper(), status="DISABLED")
    assert [(one["id"], one["disabledAt"]) for one in listed["nodes"]] == [(me["id"], disabled["disabledAt"])]
    assert listed["nodes"][0]["lastActiveAt"] is not None

    await administrator.run(DISABLE, id=me["id"], disabled=False)
    assert (await visitor.run(LOGIN, email=me["email"], password=PASSWORD))["__typename"] == "Session"
    assert (await by_key.run("{ bots { totalCount } }")) == {"totalCount": 0}


async def test_administrators_make_others_and_cannot_shut_themselves_out(
    visitor: GraphQLClient, administrator: GraphQLClient
) -> None:
    user = await register(visitor)
    me, root = await user.run(ME), await administrator.run(ME)

    assert (await administrator.run(ADMIN, id=root["id"], isAdmin=False))["__typename"] == "ConflictProblem"
    assert (await administrator.run(DISABLE, id=root["id"], disabled=True))["__typename"] == "ConflictProblem"
    assert await administrator.run(ADMIN, id=me["id"], isAdmin=True) == {"__typename": "User", "isAdmin": True}
    assert (await user.run(USERS, email=root["email"]))["totalCount"] == 1
    assert await administrator.run(ADMIN, id=me["id"], isAdmin=False) == {"__typename": "User", "isAdmin": False}
    assert (await administrator.run(ADMIN, id="garbage", isAdmin=True))["__typename"] == "NotFoundProblem"
    with pytest.raises(Refused, match="FORBIDDEN"):
        await user.run(USERS)


async def test_a_link_from_an_administrator_sets_a_password_once(
    visitor: GraphQLClient, administrator: GraphQLClient
) -> None:
    user = await register(visitor)
    me = await user.run(ME)
    async with user.socket() as socket:
        link: dict[str, Any] = await administrator.run(LINK, id=me["id"])

        weak = await visitor.run(RESET, token=link["token"], new=me["email"])
        done = await visitor.run(RESET, token=link["token"], new=NEW)
        twice = await visitor.run(RESET, token=link["token"], new="yet another one")
        await asyncio.wait_for(socket.connection.wait_closed(), DEADLINE_S)

    assert link["url"].endswith(f"/reset-password#{link['token']}")
    assert link["user"] == {"email": me["email"]}
    assert weak["issues"] == [{"path": ["input", "newPassword"]}]
    assert done == {"__typename": "PasswordResetDone", "email": me["email"]}
    assert twice["__typename"] == "InvalidCredentialsProblem"
    assert not await is_signed_in(user)
    assert (await visitor.run(LOGIN, email=me["email"], password=PASSWORD))["__typename"] != "Session"
    assert (await visitor.run(LOGIN, email=me["email"], password=NEW))["__typename"] == "Session"


async def test_without_a_mail_server_asking_for_a_link_says_where_to_get_one(visitor: GraphQLClient) -> None:
    answers = [await visitor.run(REQUEST, email=email) for email in ("user1@example.org", "nobody@example.org", "\x00")]
    assert answers == [answers[0]] * 3
    assert answers[0]["__typename"] == "NotConfiguredProblem"
    assert "kyrochat users reset-link" in answers[0]["message"]


async def test_what_is_not_asked_for_is_not_taken(visitor: GraphQLClient) -> None:
    """No input has a field that raises rights: such a request is refused as a whole."""
    for field in ("isAdmin: true", 'role: "OWNER"', 'id: "1"', "disabledAt: null", 'userId: "1"'):
        answer = await visitor.answer(
            f'mutation {{ register(input: {{email: "m@example.org", password: "{NEW}", {field}}}) {{ __typename }} }}'
        )
        assert codes(answer) == ["GRAPHQL_VALIDATION_FAILED"]
    refused = await visitor.run(LOGIN, email="m@example.org", password=NEW)
    assert refused["__typename"] == "InvalidCredentialsProblem"
