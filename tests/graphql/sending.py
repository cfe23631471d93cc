"""Sends an operation by the transport that it needs, and returns what came back."""

import json
from typing import Any

import httpx2

from tests.graphql.operations import FILE, Operation
from tests.graphql_client import GraphQLClient, Refused


async def send(client: GraphQLClient, operation: Operation, variables: dict[str, Any] | None = None) -> Any:
    """Return the whole answer, errors included; of a subscription, its first event or its errors.

    Strings may be anything that JSON can carry, halves of surrogate pairs included.
    """
    sent = dict(operation.variables if variables is None else variables)
    if operation.kind == "subscription":
        try:
            async for event in client.watch(operation.query, **sent):
                return {"data": {operation.name: event}}
        except Refused as refused:
            return {"errors": refused.errors}
        return {"data": None}
    response = await (post_file if operation.has_file else post_json)(client, operation, sent)
    assert response.status_code < 500, response.text
    return response.json()


async def post_json(client: GraphQLClient, operation: Operation, variables: dict[str, Any]) -> httpx2.Response:
    return await client.post(json.dumps({"query": operation.query, "variables": variables}))


async def post_file(client: GraphQLClient, operation: Operation, variables: dict[str, Any]) -> httpx2.Response:
    sent = json.dumps(
        {"query": operation.query, "variables": variables}, default=lambda value: None if value is FILE else repr(value)
    )
    return await client.http.post(
        client.url,
        data={"operations": sent, "map": '{"0": ["variables.input.file"]}'},
        files={"0": ("note.txt", b"A note.")},
        headers={"GraphQL-Require-Preflight": "1", **client.headers},
    )


def codes(answer: dict[str, Any]) -> list[str]:
    """Return the codes of an answer's errors."""
    return [error["extensions"]["code"] for error in answer.get("errors", [])]
