"""The fake is worth as much as it differs from a dictionary: what the SDK sees of it."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pinecone import AsyncIndex, AsyncPinecone
from pinecone.errors import ApiError, ConflictError, NotFoundError, UnauthorizedError

from tests.fakes.pinecone import FakePinecone
from tests.retrieval.pinecone.conftest import EAST, NORTH

SCHEMA: dict[str, Any] = {"fields": {"v": {"type": "dense_vector", "dimension": 4, "metric": "dotproduct"}}}
DEPLOYMENT = {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"}
BY_NORTH = [{"type": "dense_vector", "field": "v", "values": NORTH}]


@pytest.fixture
async def client(fake: FakePinecone) -> AsyncGenerator[AsyncPinecone, None]:
    async with AsyncPinecone(api_key=fake.api_key, host=fake.url) as opened:
        yield opened


@pytest.fixture
async def books(client: AsyncPinecone) -> AsyncGenerator[AsyncIndex, None]:
    await client.indexes.create(name="books", schema=SCHEMA, deployment=DEPLOYMENT)
    index = await client.index("books")
    documents = [{"_id": f"b{n}", "v": NORTH, "page": n, "kind": kind} for n, kind in enumerate("xyz")]
    await index.documents.upsert(namespace="n", documents=documents)
    yield index
    await index.close()


async def test_an_index_can_be_made_once_listed_and_dropped(client: AsyncPinecone, fake: FakePinecone) -> None:
    await client.indexes.create(name="books", schema=SCHEMA, deployment=DEPLOYMENT)
    with pytest.raises(ConflictError):
        await client.indexes.create(name="books", schema=SCHEMA, deployment=DEPLOYMENT)

    assert [index.name async for index in client.indexes.list()] == ["books"]
    await client.indexes.delete("books")
    assert not await client.indexes.exists("books")


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"kind": "x"}, {"b0"}),
        ({"kind": {"$in": ["x", "z"]}}, {"b0", "b2"}),
        ({"kind": {"$nin": ["x", "z"]}}, {"b1"}),
        ({"$and": [{"kind": {"$ne": "x"}}, {"page": {"$gte": 2}}]}, {"b2"}),
        ({"$or": [{"page": {"$lt": 1}}, {"page": 1}]}, {"b0", "b1"}),
        ({"author": {"$exists": False}}, {"b0", "b1", "b2"}),
    ],
)
async def test_filters_choose(books: AsyncIndex, condition: dict[str, Any], found: set[str]) -> None:
    answer = await books.documents.search(namespace="n", score_by=BY_NORTH, top_k=10, filter=condition)

    assert {match.id for match in answer.matches} == found


@pytest.mark.parametrize(
    "condition", [{"v": {"$eq": 1}}, {"kind": {"$like": "x"}}, {"$and": []}, {"page": {"$gt": "1"}}]
)
async def test_filters_that_pinecone_refuses_are_complained_about(
    books: AsyncIndex, fake: FakePinecone, condition: dict[str, Any]
) -> None:
    with pytest.raises(ApiError):
        await books.documents.search(namespace="n", score_by=BY_NORTH, top_k=10, filter=condition)

    assert len(fake.complaints) == 1
    fake.complaints.clear()


@pytest.mark.parametrize(
    "document",
    [{"page": 1}, {"v": [0.0] * 4}, {"v": [1.0]}, {"v": NORTH, "_x": 1}, {"v": NORTH, "deep": {"a": 1}}],
)
async def test_documents_that_pinecone_refuses_are_complained_about(
    books: AsyncIndex, fake: FakePinecone, document: dict[str, Any]
) -> None:
    with pytest.raises(ApiError):
        await books.documents.upsert(namespace="n", documents=[{"_id": "good", "v": NORTH}, {"_id": "b", **document}])

    assert "good" not in fake.stored("books", "n")
    assert len(fake.complaints) == 1
    fake.complaints.clear()


async def test_fetches_see_a_write_before_searches_do(books: AsyncIndex, fake: FakePinecone) -> None:
    fake.visibility.after_searches = 1
    written = await books.documents.upsert(namespace="n", documents=[{"_id": "new", "v": EAST, "page": 9}])

    fetched = await books.documents.fetch(namespace="n", ids=["new"])
    searches = [await books.documents.search(namespace="n", score_by=BY_NORTH, top_k=10) for _ in range(2)]

    assert fetched.documents["new"].to_dict() == {"_id": "new", "v": EAST, "page": 9.0}
    assert [len(search.matches) for search in searches] == [3, 4]
    assert written.response_info is not None
    assert written.response_info.lsn_committed is not None
    assert [
        search.response_info is not None and search.response_info.is_reconciled(written.response_info.lsn_committed)
        for search in searches
    ] == [False, True]


async def test_deletions_take_one_way_to_choose(books: AsyncIndex, fake: FakePinecone) -> None:
    assert (await books.documents.delete(namespace="n", ids=["b0", "absent"])).matched_records is None
    assert (await books.documents.delete(namespace="n", filter={"kind": "y"})).matched_records == 1
    await books.documents.delete(namespace="n", delete_all=True)
    with pytest.raises(NotFoundError):
        await books.documents.delete(namespace="absent", ids=["b0"])

    assert fake.stored("books", "n") == {}


async def test_a_wrong_key_opens_nothing(fake: FakePinecone) -> None:
    async with AsyncPinecone(api_key="wrong", host=fake.url) as stranger:
        with pytest.raises(UnauthorizedError):
            await stranger.indexes.describe("books")
