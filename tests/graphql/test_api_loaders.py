"""What objects of one answer share is loaded together, and shown with each of them."""

from pathlib import Path
from uuid import UUID

import pytest

from kyrochat.db.embedded import DatabaseUrls
from kyrochat.graphql.ids import global_id
from kyrochat.graphql.permissions import NODES
from kyrochat.setting_values import Switch
from tests.graphql.conftest import Owner
from tests.graphql.test_api_conversations import opened, statements_of

pytestmark = pytest.mark.usefixtures("no_faults")
TWICE = """query ($ids: [ID!]!) { nodes(ids: $ids) {
  ... on Message { id citations { quote } conversation { id } parent { id } }
  ... on Document { id bot { id } }
  ... on Bot { id workspace { id } }
} }"""


async def test_an_object_that_is_met_twice_is_shown_twice(owner: Owner) -> None:
    once = [owner.ids[kind] for kind in ("Message", "Document", "Bot")]
    shown = await owner.user.run(TWICE, ids=[*once, *once])

    assert shown[:3] == shown[3:]
    assert [node["id"] for node in shown[:3]] == once
    assert shown[0]["citations"] != []


async def test_many_objects_by_their_ids_take_as_many_statements_as_two(urls: DatabaseUrls, tmp_path: Path) -> None:
    async with opened(urls, tmp_path, titles=Switch.OFF) as api:
        me = (await api.run("{ me { id } }"))["id"]
        for kind in NODES:
            ids = [me if kind == "User" else global_id(kind, UUID(int=number)) for number in range(9)]
            taken = [
                await statements_of(api, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids[:count])
                for count in (2, 9)
            ]
            assert taken[0] == taken[1], kind
