"""What belongs to somebody else answers exactly like what does not exist; made from the schema."""

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from kyrochat.graphql.permissions import ROOT_FIELDS, Who
from tests.graphql.conftest import NOTE, Owner
from tests.graphql.operations import Operation, Path, operations
from tests.graphql.sending import codes, send

pytestmark = pytest.mark.usefixtures("no_faults")
CASES = [(operation, path) for operation in operations() for path in operation.id_paths()]
EVERYTHING = """query ($bot: ID!, $document: ID!, $conversation: ID!) {
  bot(id: $bot) { name updatedAt documents { totalCount } conversations { totalCount } }
  document(id: $document) { title status text }
  conversation(id: $conversation) { title updatedAt messages { nodes { role status text } } }
}"""


def random_id(kind: str) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{uuid4()}".encode()).rstrip(b"=").decode()


def name(case: Any) -> str:
    return ".".join(map(str, case)) if isinstance(case, tuple) else str(case)


async def answer_to(owner: Owner, operation: Operation, path: Path, id_: str) -> str:
    """Return what comes back, without the id itself."""
    own = operation.with_ids(owner.ids)
    return json.dumps(await send(owner.user, own, own.with_value(path, id_))).replace(id_, "<id>")


@pytest.mark.parametrize(("operation", "path"), CASES, ids=name)
async def test_other_peoples_ids_are_like_unknown_ones(
    owner: Owner, stranger: Owner, operation: Operation, path: Path
) -> None:
    kind = operation.kind_of(path)
    unknown = await answer_to(owner, operation, path, random_id(kind))
    # They are no administrators of the server, who may know of everybody.
    is_closed = ROOT_FIELDS[f"{operation.kind.title()}.{operation.name}"] is Who.ADMINISTRATOR
    assert codes(json.loads(unknown)) in ([["FORBIDDEN"]] if is_closed else [[], ["BAD_USER_INPUT"]])

    assert await answer_to(owner, operation, path, stranger.ids[kind]) == unknown
    if operation.name == "node" or operation.name == "nodes":
        for other in stranger.ids.values():
            assert await answer_to(owner, operation, path, other) == unknown


@pytest.mark.parametrize(("operation", "path"), CASES, ids=name)
async def test_ids_that_are_none_are_like_unknown_ones(owner: Owner, operation: Operation, path: Path) -> None:
    kind = operation.kind_of(path)
    unknown = await answer_to(owner, operation, path, random_id(kind))
    others = [owner.ids["User" if kind != "User" else "Bot"]] if operation.name not in ("node", "nodes") else []
    for id_ in [*others, "garbage", "=", "QQ", "\u00e9", "1" * 5000, random_id(kind)[:-3], random_id("Nothing")]:
        assert await answer_to(owner, operation, path, id_) == unknown, id_


async def test_the_stranger_has_everything_still(stranger: Owner) -> None:
    """This runs after the tests above, and alone it must hold as well."""
    answer = await stranger.user.answer(
        EVERYTHING,
        {
            "bot": stranger.ids["Bot"],
            "document": stranger.ids["Document"],
            "conversation": stranger.ids["Conversation"],
        },
    )
    data = answer["data"]
    assert "errors" not in answer
    assert (data["bot"]["name"], data["bot"]["documents"]["totalCount"]) == ("Clerk", 1)
    assert data["bot"]["conversations"]["totalCount"] == 1
    assert (data["document"]["title"], data["document"]["text"].strip()) == ("Clock", NOTE)
    assert [node["status"] for node in data["conversation"]["messages"]["nodes"]] == ["COMPLETED"] * 2


async def test_every_node_is_found_by_its_id(owner: Owner) -> None:
    nodes = await owner.user.run(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=[*owner.ids.values()]
    )
    assert nodes == [{"__typename": kind, "id": id_} for kind, id_ in owner.ids.items()]
