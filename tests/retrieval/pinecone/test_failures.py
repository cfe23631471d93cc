import asyncio
import logging
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

import pytest

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.pinecone import PineconeIndex
from tests.fakes.pinecone import FakePinecone
from tests.fakes.pinecone_steps import QUOTA_EXCEEDED, RATE_LIMITED, Cut, Hang, HttpError, Raw, Step
from tests.retrieval.pinecone.conftest import DOCUMENT, NORTH, OTHER_WORKSPACES_SET, SET, WORKSPACE, chunk

VECTORS = [(chunk(1), NORTH)]
KEY = "pcsk_very_secret"


@pytest.fixture
async def filled(index: PineconeIndex) -> PineconeIndex:
    await index.upsert(SET, DOCUMENT, 1, VECTORS)
    return index


@pytest.mark.parametrize("fault", [RATE_LIMITED, HttpError(500), HttpError(503)], ids=repr)
async def test_a_passing_fault_is_not_noticed(filled: PineconeIndex, fake: FakePinecone, fault: Step) -> None:
    fake.script("search", fault, fault, fault)

    assert await filled.search(SET, NORTH, 10) == [(chunk(1), 1.0)]
    assert len(fake.sent("search")) == 4


@pytest.mark.parametrize(
    ("fault", "message", "retryable"),
    [
        (RATE_LIMITED, "rate limit is used up for now. Try again in 1 s.", True),
        (HttpError(500), "overloaded or down", True),
        (HttpError(503, html="<h1>Bad gateway</h1>"), "overloaded or down", True),
        (Cut(), "connection broke off", True),
        (Raw(b"{"), "cannot be read", True),
        (Raw(b"{}"), "cannot be read", True),
        (HttpError(400), "did not accept", False),
        (HttpError(401), "key was refused. Check KYROCHAT_PINECONE_API_KEY", False),
        (HttpError(402), "quota is used up", False),
        (HttpError(403, "FORBIDDEN"), "may not do this. Check KYROCHAT_PINECONE_API_KEY", False),
        (QUOTA_EXCEEDED, "quota is used up", False),
    ],
    ids=repr,
)
async def test_a_lasting_fault_is_explained(
    filled: PineconeIndex, fake: FakePinecone, fault: Step, message: str, retryable: bool
) -> None:
    fake.script("search", *[fault] * 4)

    with pytest.raises(ProviderUnavailable) as failed:
        await filled.search(SET, NORTH, 10)

    assert message in failed.value.message
    assert failed.value.retryable is retryable
    assert failed.value.__cause__ is failed.value.__context__ is None


async def test_a_hanging_index_costs_no_more_than_the_deadline(
    opened: Callable[..., PineconeIndex], filled: PineconeIndex, fake: FakePinecone
) -> None:
    index = opened(timeouts=replace(filled.connection.timeouts, search_s=0.5))
    await index.warm_up()
    fake.script("search", *[Hang()] * 4)
    started = time.perf_counter()

    with pytest.raises(ProviderUnavailable, match="took too long") as failed:
        await index.search(SET, NORTH, 10)

    assert time.perf_counter() - started < 2
    assert failed.value.retryable
    await asyncio.wait_for(fake.sent("search")[0].abandoned.wait(), 30)
    await index.close()


async def test_an_attempt_that_hangs_is_given_up_and_repeated(
    opened: Callable[..., PineconeIndex], filled: PineconeIndex, fake: FakePinecone
) -> None:
    index = opened(timeouts=replace(filled.connection.timeouts, attempt_s=0.3))
    await index.warm_up()
    fake.script("search", Hang())

    assert await index.search(SET, NORTH, 10) == [(chunk(1), 1.0)]
    assert len(fake.sent("search")) == 2
    await index.close()


async def test_a_long_pause_that_pinecone_asks_for_ends_at_the_deadline(
    opened: Callable[..., PineconeIndex], filled: PineconeIndex, fake: FakePinecone
) -> None:
    index = opened(timeouts=replace(filled.connection.timeouts, search_s=0.3))
    await index.warm_up()
    fake.script("search", HttpError(429, retry_after=30))

    with pytest.raises(ProviderUnavailable, match="took too long"):
        await index.search(SET, NORTH, 10)

    assert len(fake.sent("search")) == 1
    await index.close()


async def test_whoever_stops_waiting_closes_the_request(filled: PineconeIndex, fake: FakePinecone) -> None:
    fake.script("search", Hang())
    search = asyncio.create_task(filled.search(SET, NORTH, 10))
    async with asyncio.timeout(30):
        while not fake.sent("search"):
            await asyncio.sleep(0)
    search.cancel()

    with pytest.raises(asyncio.CancelledError):
        await search
    await asyncio.wait_for(fake.sent("search")[0].abandoned.wait(), 30)


async def test_a_plan_without_room_for_a_namespace_says_so(filled: PineconeIndex, fake: FakePinecone) -> None:
    fake.script("upsert", QUOTA_EXCEEDED)

    with pytest.raises(ProviderUnavailable, match="quota is used up") as failed:
        await filled.upsert(OTHER_WORKSPACES_SET, DOCUMENT, 1, VECTORS)

    assert not failed.value.retryable


async def test_neither_errors_nor_logs_tell_the_key(
    opened: Callable[..., PineconeIndex], fake: FakePinecone, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.api_key = "another"
    index = opened(api_key=KEY)

    with pytest.raises(ProviderUnavailable, match="key was refused") as failed:
        await index.search(SET, NORTH, 10)
    await index.close()

    assert not failed.value.retryable
    assert KEY not in "".join(traceback.format_exception(failed.value))
    assert KEY not in caplog.text
    assert "Pinecone refused a request: 401." in caplog.messages


@pytest.mark.parametrize("key", ["", " ", "pcsk_secret\n", "pcsk_sécret"])
async def test_a_key_that_is_none_is_refused_here(
    opened: Callable[..., PineconeIndex], fake: FakePinecone, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)
    index = opened(api_key=key)

    with pytest.raises(ProviderUnavailable, match="Check KYROCHAT_PINECONE_API_KEY") as failed:
        await index.search(SET, NORTH, 10)
    await index.close()

    assert not failed.value.retryable
    assert "secret" not in "".join(traceback.format_exception(failed.value))
    assert fake.requests == []


async def test_nobody_listening_is_a_passing_fault(opened: Callable[..., PineconeIndex]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        index = opened(host=f"http://127.0.0.1:{taken.getsockname()[1]}")

        with pytest.raises(ProviderUnavailable, match="cannot be reached") as failed:
            await index.search(SET, NORTH, 10)
        await index.close()

    assert failed.value.retryable


async def test_nothing_works_after_closing(filled: PineconeIndex, fake: FakePinecone) -> None:
    await filled.close()
    asked = len(fake.requests)

    for attempt in (
        filled.upsert(SET, DOCUMENT, 1, VECTORS),
        filled.search(SET, NORTH, 10),
        filled.delete_document(WORKSPACE, DOCUMENT),
    ):
        with pytest.raises(ProviderUnavailable, match="shutting down"):
            await attempt
    await filled.close()

    assert len(fake.requests) == asked


async def test_an_outage_does_not_last_longer_than_it_does(filled: PineconeIndex, fake: FakePinecone) -> None:
    # After some fifty failures the SDK stops repeating requests; single ones must still get through.
    fake.script("search", *[HttpError(503)] * 60)
    while fake.scripts["search"]:
        with pytest.raises(ProviderUnavailable, match="overloaded"):
            await filled.search(SET, NORTH, 10)

    assert await filled.search(SET, NORTH, 10) == [(chunk(1), 1.0)]
