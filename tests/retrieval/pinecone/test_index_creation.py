import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.pinecone import PineconeIndex
from tests.fakes.pinecone import API_VERSION, FakePinecone
from tests.fakes.pinecone_steps import Cut, HttpError
from tests.retrieval.pinecone.conftest import DIMENSIONS, DOCUMENT, INDEX, NORTH, SET, WORKSPACE, Polls, chunk


async def test_a_missing_index_is_created_with_room_for_terms(index: PineconeIndex, fake: FakePinecone) -> None:
    await index.warm_up()

    (request,) = fake.sent("create")
    assert request.body == {
        "name": INDEX,
        "schema": {
            "fields": {
                "embedding": {"type": "dense_vector", "dimension": DIMENSIONS, "metric": "dotproduct"},
                "terms": {"type": "sparse_vector"},
            }
        },
        "deployment": {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"},
    }
    assert request.headers["x-pinecone-api-version"] == API_VERSION


async def test_an_index_that_exists_is_used(opened: Callable[..., PineconeIndex], fake: FakePinecone) -> None:
    first, second = opened(), opened()
    await first.upsert(SET, DOCUMENT, 1, [(chunk(1), NORTH)])

    assert await second.search(SET, NORTH, 10) == [(chunk(1), 1.0)]
    await first.close()
    await second.close()

    assert len(fake.sent("create")) == 1


async def test_the_place_of_a_new_index_can_be_chosen(opened: Callable[..., PineconeIndex], fake: FakePinecone) -> None:
    index = opened(cloud="gcp", region="europe-west4")
    await index.warm_up()
    await index.close()

    assert fake.indexes[INDEX].deployment == {
        "deployment_type": "managed",
        "cloud": "gcp",
        "region": "europe-west4",
    }


async def test_nothing_is_written_before_the_index_is_ready(
    index: PineconeIndex, fake: FakePinecone, polls: Polls
) -> None:
    fake.describes_until_ready = 2

    await index.upsert(SET, DOCUMENT, 1, [(chunk(1), NORTH)])

    assert [request.operation for request in fake.requests] == [
        *("describe", "create", "describe", "describe", "describe", "upsert"),
    ]
    assert polls.seconds == [1.0, 1.0]


async def test_racing_creators_share_the_index(opened: Callable[..., PineconeIndex], fake: FakePinecone) -> None:
    racers = [opened() for _ in range(4)]

    await asyncio.gather(*(racer.warm_up() for racer in racers))
    for racer in racers:
        await racer.close()

    assert len(fake.sent("create")) > 1
    assert fake.indexes.keys() == {INDEX}


async def test_a_lost_answer_to_its_creation_does_no_harm(index: PineconeIndex, fake: FakePinecone) -> None:
    fake.script("create", HttpError(504))  # the SDK asks again
    await index.warm_up()

    assert len(fake.sent("create")) == 2
    assert fake.indexes.keys() == {INDEX}


async def test_a_creation_that_breaks_off_can_be_repeated(index: PineconeIndex, fake: FakePinecone) -> None:
    fake.script("create", Cut())

    with pytest.raises(ProviderUnavailable) as failed:
        await index.warm_up()
    await index.warm_up()

    assert failed.value.retryable
    assert fake.indexes.keys() == {INDEX}


async def test_an_index_that_does_not_get_ready_is_not_waited_for_forever(
    opened: Callable[..., PineconeIndex], fake: FakePinecone, polls: Polls
) -> None:
    fake.describes_until_ready = 1_000_000
    index = opened(timeouts=replace(opened().connection.timeouts, create_s=0.3))

    with pytest.raises(ProviderUnavailable, match="took too long") as failed:
        await index.warm_up()
    with pytest.raises(ProviderUnavailable, match="not ready yet"):
        await index.search(SET, NORTH, 10)
    await index.close()

    assert failed.value.retryable


@pytest.mark.parametrize(
    "fields",
    [
        {"embedding": {"type": "dense_vector", "dimension": 1536, "metric": "dotproduct"}},
        {"embedding": {"type": "dense_vector", "dimension": DIMENSIONS, "metric": "cosine"}},
        {"_values": {"type": "dense_vector", "dimension": DIMENSIONS, "metric": "dotproduct"}},
    ],
)
async def test_an_index_of_something_else_is_left_alone(
    opened: Callable[..., PineconeIndex], index: PineconeIndex, fake: FakePinecone, fields: dict[str, dict[str, object]]
) -> None:
    await index.warm_up()
    fake.indexes[INDEX].fields = fields
    stranger = opened()

    for attempt in (
        stranger.upsert(SET, DOCUMENT, 1, [(chunk(1), NORTH)]),
        stranger.search(SET, NORTH, 10),
    ):
        with pytest.raises(ProviderUnavailable, match="KYROCHAT_PINECONE_INDEX") as failed:
            await attempt
        assert not failed.value.retryable
    await stranger.close()

    assert fake.sent("upsert") == []


async def test_a_plan_without_room_for_an_index_says_so(index: PineconeIndex, fake: FakePinecone) -> None:
    fake.max_indexes = 0

    with pytest.raises(ProviderUnavailable, match="quota is used up") as failed:
        await index.warm_up()

    assert not failed.value.retryable


async def test_an_index_that_was_removed_is_noticed(index: PineconeIndex, fake: FakePinecone) -> None:
    vectors = [(chunk(1), NORTH)]
    await index.upsert(SET, DOCUMENT, 1, vectors)
    del fake.indexes[INDEX]

    with pytest.raises(ProviderUnavailable, match="has gone") as failed:
        await index.upsert(SET, DOCUMENT, 1, vectors)
    assert failed.value.retryable
    assert await index.delete_document(WORKSPACE, DOCUMENT) == 0
    await index.upsert(SET, DOCUMENT, 1, vectors)

    assert await index.search(SET, NORTH, 10) == [(chunk(1), 1.0)]
