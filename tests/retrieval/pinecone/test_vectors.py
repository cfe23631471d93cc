import asyncio
from collections.abc import Callable

import pytest

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.pinecone import PineconeIndex
from kyrochat.retrieval.ports import VectorIndex
from tests.fakes.pinecone import FakePinecone
from tests.fakes.pinecone_steps import Answer, HttpError, Raw, StoreOnly
from tests.retrieval.pinecone.conftest import (
    BOT,
    DOCUMENT,
    EAST,
    INDEX,
    NAMESPACE,
    NORTH,
    NORTH_EAST,
    OTHER_BOTS_SET,
    OTHER_DOCUMENT,
    OTHER_WORKSPACES_SET,
    SCHEME,
    SET,
    WORKSPACE,
    Polls,
    chunk,
    name,
    set_of,
)


async def test_the_nearest_chunks_come_first(index: PineconeIndex) -> None:
    port: VectorIndex = index
    await port.upsert(SET, DOCUMENT, 1, [(chunk(1), EAST), (chunk(2), NORTH), (chunk(3), NORTH_EAST)])

    found = await port.search(SET, NORTH, 2)

    assert found == [(chunk(2), 1.0), (chunk(3), 0.8)]


async def test_a_chunk_is_stored_with_what_filters_need_and_nothing_else(
    index: PineconeIndex, fake: FakePinecone
) -> None:
    await index.upsert(SET, DOCUMENT, 3, [(chunk(1), NORTH)])

    assert fake.stored(INDEX, NAMESPACE) == {
        name(1): {
            "_id": name(1),
            "embedding": NORTH,
            "bot": str(BOT),
            "scheme": SCHEME,
            "document": str(DOCUMENT),
            "version": 3.0,
        }
    }
    assert [request.namespace for request in fake.sent("upsert")] == [NAMESPACE]


async def test_other_bots_and_workspaces_are_not_found(index: PineconeIndex) -> None:
    await index.upsert(SET, DOCUMENT, 1, [(chunk(1), EAST)])
    await index.upsert(OTHER_BOTS_SET, OTHER_DOCUMENT, 1, [(chunk(2), NORTH)])
    await index.upsert(OTHER_WORKSPACES_SET, OTHER_DOCUMENT, 1, [(chunk(3), NORTH)])

    assert await index.search(SET, NORTH, 10) == [(chunk(1), 0.0)]


async def test_vectors_of_two_schemes_never_meet_though_they_lie_in_one_namespace(
    index: PineconeIndex, fake: FakePinecone
) -> None:
    newer = set_of(WORKSPACE, BOT, "compass-2/4")
    await index.upsert(SET, DOCUMENT, 1, [(chunk(1), EAST)])
    await index.upsert(newer, DOCUMENT, 1, [(chunk(1), NORTH), (chunk(2), NORTH)])

    assert await index.search(SET, NORTH, 10) == [(chunk(1), 0.0)]
    assert await index.search(newer, NORTH, 10) == [(chunk(1), 1.0), (chunk(2), 1.0)]
    assert len(fake.stored(INDEX, NAMESPACE)) == 3

    assert await index.delete_set(SET) == 1
    assert await index.search(SET, NORTH, 10) == []
    assert len(await index.search(newer, NORTH, 10)) == 2


async def test_storing_again_replaces(index: PineconeIndex, fake: FakePinecone) -> None:
    await index.upsert(SET, DOCUMENT, 1, [(chunk(1), EAST)])
    await index.upsert(SET, DOCUMENT, 2, [(chunk(1), NORTH)])

    assert await index.search(SET, NORTH, 10) == [(chunk(1), 1.0)]
    assert len(fake.stored(INDEX, NAMESPACE)) == 1


async def test_no_vectors_need_no_request(index: PineconeIndex, fake: FakePinecone) -> None:
    await index.upsert(SET, DOCUMENT, 1, [])

    assert await index.search(SET, NORTH, 0) == []
    assert fake.requests == []


async def test_a_long_document_takes_batches_of_a_hundred(index: PineconeIndex, fake: FakePinecone) -> None:
    await index.upsert(SET, DOCUMENT, 1, [(chunk(number), NORTH) for number in range(201)])

    assert [len(request.body["documents"]) for request in fake.sent("upsert")] == [100, 100, 1]
    assert len(fake.stored(INDEX, NAMESPACE)) == 201


async def test_batches_of_long_vectors_stay_under_two_megabytes(
    opened: Callable[..., PineconeIndex], fake: FakePinecone
) -> None:
    index = opened(dimensions=3072)
    longest = -0.0012345678901234567  # as many characters as a number of that size can have
    await index.upsert(SET, DOCUMENT, 1, [(chunk(number), [longest] * 3072) for number in range(60)])
    await index.close()

    assert len(fake.stored(INDEX, NAMESPACE)) == 60
    assert max(request.size_bytes for request in fake.sent("upsert")) < 2_000_000


async def test_a_batch_that_is_stored_in_part_is_no_success(index: PineconeIndex, fake: FakePinecone) -> None:
    fake.script("upsert", Answer(), StoreOnly(60))

    with pytest.raises(ProviderUnavailable, match=r"^Pinecone stored 160 of 300 vectors\. Try again\.$") as failed:
        await index.upsert(SET, DOCUMENT, 1, [(chunk(number), NORTH) for number in range(300)])

    assert failed.value.retryable
    assert len(fake.sent("upsert")) == 2


async def test_a_refused_batch_ends_the_upsert_and_repeating_it_completes(
    index: PineconeIndex, fake: FakePinecone
) -> None:
    vectors = [(chunk(number), NORTH) for number in range(250)]
    fake.script("upsert", Answer(), *[HttpError(503)] * 4)

    with pytest.raises(ProviderUnavailable):
        await index.upsert(SET, DOCUMENT, 1, vectors)
    assert len(fake.stored(INDEX, NAMESPACE)) == 100
    await index.upsert(SET, DOCUMENT, 1, vectors)

    assert len(fake.stored(INDEX, NAMESPACE)) == 250


async def test_vectors_of_another_length_are_refused_for_good(index: PineconeIndex, fake: FakePinecone) -> None:
    with pytest.raises(ProviderUnavailable, match="did not accept") as failed:
        await index.upsert(SET, DOCUMENT, 1, [(chunk(1), [1.0, 0.0])])

    assert not failed.value.retryable
    assert len(fake.complaints) == 1
    fake.complaints.clear()


@pytest.mark.parametrize("gives_404", [False, True])
async def test_a_workspace_without_vectors_has_no_hits(
    index: PineconeIndex, fake: FakePinecone, gives_404: bool
) -> None:
    await index.upsert(OTHER_WORKSPACES_SET, DOCUMENT, 1, [(chunk(1), NORTH)])
    fake.missing_namespace_is_404 = gives_404

    assert await index.search(SET, NORTH, 10) == []


async def test_a_search_does_not_create_the_index(index: PineconeIndex, fake: FakePinecone) -> None:
    assert await index.search(SET, NORTH, 10) == []
    assert fake.indexes == {}


async def test_writes_show_in_searches_later(index: PineconeIndex, fake: FakePinecone) -> None:
    fake.visibility.held = True
    await index.upsert(SET, DOCUMENT, 1, [(chunk(1), NORTH)])
    assert await index.search(SET, NORTH, 10) == []

    fake.settle()

    assert await index.search(SET, NORTH, 10) == [(chunk(1), 1.0)]


async def test_new_vectors_are_waited_for_until_a_search_has_seen_their_write(
    index: PineconeIndex, fake: FakePinecone, polls: Polls
) -> None:
    assert await index.settle(SET)
    assert fake.requests == []  # nothing was stored, nothing is asked
    fake.visibility.after_searches = 3
    await index.upsert(SET, DOCUMENT, 1, [(chunk(1), NORTH)])

    assert await index.settle(SET)

    assert await index.search(SET, NORTH, 10) == [(chunk(1), 1.0)]
    assert polls.seconds == [1.0] * 3


async def test_new_vectors_that_do_not_show_are_not_waited_for_for_ever(
    index: PineconeIndex, fake: FakePinecone, polls: Polls
) -> None:
    fake.visibility.held = True
    await index.upsert(SET, DOCUMENT, 1, [(chunk(1), NORTH)])

    assert not await index.settle(SET)

    assert sum(polls.seconds) == 30


async def test_what_is_no_chunk_is_left_out(index: PineconeIndex, fake: FakePinecone) -> None:
    await index.warm_up()
    braced = "{" + str(chunk(2)) + "}" + name(2)[36:]
    matches = [("readme#3", 0.9), (braced, 0.8), (name(4, "other"), 0.75), (str(chunk(5)), 0.74), (name(1), 0.7)]
    found = ",".join(f'{{"_id": "{each}", "_score": {score}}}' for each, score in matches)
    no_score = f'{{"_id": "{name(3)}"}}'
    body = f'{{"matches": [{found},{no_score}], "namespace": "{NAMESPACE}", "usage": {{"read_units": 1}}}}'
    fake.script("search", Raw(body.encode()))

    assert await index.search(SET, NORTH, 10) == [(chunk(1), 0.7)]


async def test_more_than_pinecone_returns_may_be_asked_for(index: PineconeIndex, fake: FakePinecone) -> None:
    await index.upsert(SET, DOCUMENT, 1, [(chunk(1), NORTH)])

    assert await index.search(SET, NORTH, 1_000_000) == [(chunk(1), 1.0)]
    assert fake.sent("search")[0].body == {
        "score_by": [{"type": "dense_vector", "field": "embedding", "values": NORTH}],
        "filter": {"$and": [{"bot": {"$eq": str(BOT)}}, {"scheme": {"$eq": SCHEME}}]},
        "top_k": 10_000,
    }


async def test_many_searches_at_once_share_one_handle(index: PineconeIndex, fake: FakePinecone) -> None:
    await index.upsert(SET, DOCUMENT, 1, [(chunk(number), NORTH) for number in range(3)])

    answers = await asyncio.gather(*(index.search(SET, NORTH, 1) for _ in range(50)))

    assert answers == [[(chunk(0), 1.0)]] * 50
    assert len(fake.sent("describe")) <= 2
