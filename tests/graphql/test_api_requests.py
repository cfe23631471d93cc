"""Requests that are no operations, or too much of one, against the whole server."""

import json

import pytest

from tests.graphql.conftest import Owner
from tests.graphql.sending import codes
from tests.graphql_client import GraphQLClient
from tests.journey.steps import CREATE_BOT
from tests.server_process import Server

pytestmark = pytest.mark.usefixtures("no_faults")
INFO = '{"query": "{ serverInfo { version } }"}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("{", 400),
        ("null", 400),
        ("[]", 400),
        ("1", 400),
        ('"query"', 400),
        ("{}", 400),
        ('{"query": null}', 400),
        ('{"query": 1}', 400),
        ('{"query": "{ me { id } }", "variables": []}', 400),
        ('{"query": "{ me { id } }", "operationName": 1}', 400),
        (f"[{INFO}]", 400),
        (f"[{INFO},{INFO}]", 400),
        ("[" * 50_000, 400),
        (b"\xff\xfe", 400),
    ],
)
async def test_bodies_that_are_no_operation(visitor: GraphQLClient, body: str | bytes, status: int) -> None:
    response = await visitor.post(body)
    assert response.status_code == status
    assert codes(response.json()) in (["BAD_USER_INPUT"], ["GRAPHQL_PARSE_FAILED"])


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/mcp/", "/schema.graphql/", "/graphql/"])
async def test_a_slash_too_many_leads_nowhere_and_least_of_all_away_from_tls(
    server: Server, visitor: GraphQLClient, path: str
) -> None:
    response = await visitor.http.post(server.url + path, content="{}", headers={"X-Forwarded-Proto": "https"})
    assert (response.status_code, response.headers.get("location")) == (404, None)


async def test_a_body_of_300_kb_is_too_large(owner: Owner) -> None:
    response = await owner.user.post(json.dumps({"query": CREATE_BOT, "variables": {"name": "x" * 300_000}}))
    assert (response.status_code, codes(response.json())) == (413, ["PAYLOAD_TOO_LARGE"])


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/graphql", "application/x-www-form-urlencoded", "", "x"]
)
async def test_other_content_types_are_refused(visitor: GraphQLClient, media_type: str) -> None:
    response = await visitor.post(INFO, media_type)
    assert (response.status_code, codes(response.json())) == (415, ["BAD_USER_INPUT"])


async def test_queries_are_answered_over_get_and_mutations_are_not(visitor: GraphQLClient) -> None:
    answered = await visitor.http.get(visitor.url, params={"query": "{ serverInfo { offlineMode } }"})
    refused = await visitor.http.get(visitor.url, params={"query": "mutation { logout }"})

    assert answered.json()["data"] == {"serverInfo": {"offlineMode": True}}
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_are_refused(visitor: GraphQLClient, method: str) -> None:
    response = await visitor.http.request(method, visitor.url, params={"query": "{ serverInfo { version } }"})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


async def test_a_subscription_without_a_stream_says_what_to_do(owner: Owner) -> None:
    answer = await owner.user.answer('subscription { documentProgress(id: "x") { id } }')
    assert codes(answer) == ["SUBSCRIPTION_NEEDS_STREAM"]


@pytest.mark.parametrize(
    "query",
    [
        "{ me { bot { documents { nodes { " + "bot { documents { nodes { " * 10 + "id" + " }}}" * 10 + " } } } } }",
        "{ " + " ".join(f"a{n}: me {{ id }}" for n in range(2000)) + " }",
        "{ me { ...a } } fragment a on User { ...b } fragment b on User { ...a }",
        "{ me { " + "id " * 3000 + "} }",
        "query (" + " ".join(f"$v{n}: Int" for n in range(1500)) + ") { me { id } }",
        "{" * 3000,
        "query { nothing }",
        "query Q { me { id } } query Q { me { id } }",
        "fragment f on User { id }",
        "{ me { id @nothing } }",
        "\x00",
    ],
)
async def test_documents_that_cannot_run_are_refused(owner: Owner, query: str) -> None:
    answer = await owner.user.answer(query)
    assert set(codes(answer)) <= {
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "BAD_USER_INPUT",
        "QUERY_TOO_EXPENSIVE",
    }
    assert codes(answer)
    assert "data" not in answer


async def test_aliases_within_the_limit_are_answered(owner: Owner) -> None:
    """As many as fit into a document; each is a query of its own, and all must come back."""
    aliases = " ".join(f"a{n}: bots(first: 100) {{ totalCount }}" for n in range(150))
    answer = await owner.user.answer(f"{{ {aliases} }}")
    assert codes(answer) in ([], ["QUERY_TOO_EXPENSIVE"])


async def test_a_nested_query_goes_in_circles_as_far_as_it_asks(owner: Owner) -> None:
    deep = "bot { documents(first: 1) { nodes { " * 6 + "id" + " } } }" * 6
    answer = await owner.user.answer(
        f"query ($id: ID!) {{ document(id: $id) {{ {deep} }} }}", {"id": owner.ids["Document"]}
    )
    assert codes(answer) in ([], ["QUERY_TOO_EXPENSIVE"])


async def test_pages_beside_the_api(visitor: GraphQLClient, server: Server) -> None:
    found = {
        path: (await visitor.http.get(server.url + path)).status_code
        for path in (
            "/livez",
            "/readyz",
            "/schema.graphql",
            "/graphiql/",
            "/",
            "/nothing",
            "/graphiql/../../../etc/passwd",
        )
    }
    assert found == {
        "/livez": 200,
        "/readyz": 200,
        "/schema.graphql": 200,
        "/graphiql/": 200,
        "/": 307,
        "/nothing": 404,
        "/graphiql/../../../etc/passwd": 404,
    }


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/livez", "no-store"),
        ("/readyz", "no-store"),
        ("/schema.graphql", "no-store"),
        ("/graphiql/", "no-cache"),
        ("/reset-password", "no-store"),
        ("/nothing", "no-store"),
    ],
)
async def test_every_page_has_its_headers(visitor: GraphQLClient, server: Server, path: str, kept: str) -> None:
    answer = await visitor.http.get(server.url + path)

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["content-security-policy"].startswith("default-src 'none';")
    assert answer.headers["cache-control"] == kept
    assert "server" not in answer.headers


async def test_a_page_that_borrows_the_address_gets_nothing(visitor: GraphQLClient, server: Server) -> None:
    refused = await visitor.post(INFO, Host="evil.example")
    probed = await visitor.http.get(server.url + "/livez", headers={"Host": "10.0.0.7"})

    assert (refused.status_code, codes(refused.json())) == (421, ["BAD_USER_INPUT"])
    assert probed.status_code == 200
