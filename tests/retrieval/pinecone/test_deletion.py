from collections.abc import Callable
from dataclasses import replace

import pytest

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.pinecone import PineconeIndex
from tests.fakes.pinecone import FakePinecone
from tests.fakes.pinecone_steps import HttpError
from tests.retrieval.pinecone.conftest import (
    DOCUMENT,
    EAST,
    INDEX,
    NAMESPACE,
    NORTH,
    OTHER_BOTS_SET,
    OTHER_DOCUMENT,
    OTHER_WORKSPACES_SET,
    SET,
    WORKSPACE,
    Polls,
    chunk,
    name,
)

THREE = [(chunk(1), NORTH), (chunk(2), EAST), (chunk(3), [-1.0, 0.0, 0.0, 0.0])]


async def store_three(index: PineconeIndex, version: int = 1) -> None:
    await index.upsert(SET, DOCUMENT, version, THREE)


async def test_a_deleted_document_is_counted_and_gone(index: PineconeIndex, fake: FakePinecone, polls: Polls) -> None:
    await store_three(index)
    await index.upsert(SET, OTHER_DOCUMENT, 1, [(chunk(4), NORTH)])

    assert await index.delete_document(WORKSPACE, DOCUMENT) == 3

    assert fake.stored(INDEX, NAMESPACE).keys() == {name(4)}
    assert await index.search(SET, NORTH, 10) == [(chunk(4), 1.0)]
    assert polls.seconds == []


async def test_deleting_again_counts_nothing(index: PineconeIndex) -> None:
    await store_three(index)
    await index.delete_document(WORKSPACE, DOCUMENT)

    assert await index.delete_document(WORKSPACE, DOCUMENT) == 0


async def test_only_other_versions_are_deleted_when_one_is_kept(index: PineconeIndex, fake: FakePinecone) -> None:
    await store_three(index, version=1)
    await index.upsert(SET, DOCUMENT, 2, [(chunk(4), NORTH)])

    assert await index.delete_document(WORKSPACE, DOCUMENT, keep_version=2) == 3

    assert fake.stored(INDEX, NAMESPACE).keys() == {name(4)}


async def test_another_workspace_keeps_its_vectors(index: PineconeIndex) -> None:
    await store_three(index)
    await index.upsert(OTHER_WORKSPACES_SET, DOCUMENT, 1, [(chunk(9), NORTH)])

    await index.delete_document(WORKSPACE, DOCUMENT)

    assert await index.search(OTHER_WORKSPACES_SET, NORTH, 10) == [(chunk(9), 1.0)]


async def test_a_whole_workspace_is_counted_and_gone_and_no_other(index: PineconeIndex, fake: FakePinecone) -> None:
    await store_three(index)
    await index.upsert(OTHER_BOTS_SET, OTHER_DOCUMENT, 2, [(chunk(4), NORTH)])
    await index.upsert(OTHER_WORKSPACES_SET, DOCUMENT, 1, [(chunk(9), NORTH)])

    assert await index.delete_workspace(WORKSPACE) == 4

    assert fake.stored(INDEX, NAMESPACE) == {}
    assert await index.search(OTHER_WORKSPACES_SET, NORTH, 10) == [(chunk(9), 1.0)]
    assert await index.delete_workspace(WORKSPACE) == 0


async def test_it_waits_until_searches_see_the_deletion(index: PineconeIndex, fake: FakePinecone, polls: Polls) -> None:
    await store_three(index)
    fake.visibility.after_searches = 3

    assert await index.delete_document(WORKSPACE, DOCUMENT) == 3

    assert polls.seconds == [1.0, 1.0, 1.0]
    assert len(fake.sent("delete")) == 1
    assert await index.search(SET, NORTH, 10) == []


async def test_an_empty_search_that_has_not_seen_the_writes_proves_nothing(
    index: PineconeIndex, fake: FakePinecone, polls: Polls
) -> None:
    fake.visibility.held = True
    await store_three(index)
    empty = await index.search(SET, NORTH, 10)
    polls.then = fake.settle

    assert await index.delete_document(WORKSPACE, DOCUMENT) == 0  # never visible, hence never counted

    assert empty == []
    assert polls.seconds == [1.0]
    assert fake.stored(INDEX, NAMESPACE) == {}


async def test_vectors_that_the_deletion_missed_are_deleted_again(
    index: PineconeIndex, fake: FakePinecone, polls: Polls
) -> None:
    fake.visibility.held = fake.visibility.deletes_what_is_visible = True
    await store_three(index)
    polls.then = fake.settle

    assert await index.delete_document(WORKSPACE, DOCUMENT) == 3

    assert len(fake.sent("delete")) == 2
    assert await index.search(SET, NORTH, 10) == []


@pytest.mark.parametrize("counts", [False, True])
async def test_it_works_without_pinecone_saying_how_far_it_is(
    index: PineconeIndex, fake: FakePinecone, counts: bool
) -> None:
    await store_three(index)
    fake.visibility = replace(fake.visibility, tells_positions=False, counts_matches=counts, after_searches=2)

    assert await index.delete_document(WORKSPACE, DOCUMENT) == 3

    assert await index.search(SET, NORTH, 10) == []


async def test_a_deletion_that_never_shows_is_not_called_verified(
    opened: Callable[..., PineconeIndex], fake: FakePinecone
) -> None:
    index = opened()
    hasty = opened(timeouts=replace(index.connection.timeouts, verify_s=0.3, poll_s=0.02))
    await store_three(index)
    fake.visibility.held = True

    with pytest.raises(ProviderUnavailable, match="took too long") as failed:
        await hasty.delete_document(WORKSPACE, DOCUMENT)
    await index.close()
    await hasty.close()

    assert failed.value.retryable
    assert len(fake.sent("delete")) == 1


@pytest.mark.parametrize("gives_404", [False, True])
async def test_a_workspace_without_vectors_has_nothing_to_delete(
    index: PineconeIndex, fake: FakePinecone, gives_404: bool
) -> None:
    await index.warm_up()
    fake.missing_namespace_is_404 = gives_404

    assert await index.delete_document(WORKSPACE, DOCUMENT) == 0


async def test_without_an_index_there_is_nothing_to_delete(index: PineconeIndex, fake: FakePinecone) -> None:
    assert await index.delete_document(WORKSPACE, DOCUMENT) == 0
    assert fake.indexes == {}


async def test_a_deletion_that_is_refused_is_not_called_verified(index: PineconeIndex, fake: FakePinecone) -> None:
    await store_three(index)
    fake.script("delete", *[HttpError(503)] * 4)

    with pytest.raises(ProviderUnavailable, match="overloaded") as failed:
        await index.delete_document(WORKSPACE, DOCUMENT)

    assert failed.value.retryable
    assert len(fake.stored(INDEX, NAMESPACE)) == 3
