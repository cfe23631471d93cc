"""What objects of one answer share is loaded together, and shown with each of them."""

import pytest

from tests.graphql.conftest import Owner

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
