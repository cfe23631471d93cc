"""Doorbells: through PostgreSQL from process to process, on commit only, and again after the connection broke."""

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from sqlalchemy import text

from kyrochat.db.changes import MAX_TOPICS, POLL_S, Bell, Changes, answer_topic, document_topic, ended_topic
from kyrochat.db.columns import new_id
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database

# Far longer than anything here takes: who waits so long has missed the bell.
PATIENCE_S = 20.0
# Longer than a bell that was rung already needs to arrive.
SHORT_S = 0.05


@pytest.fixture
async def elsewhere(urls: DatabaseUrls) -> AsyncGenerator[Database, None]:
    """Another process' pool."""
    opened = open_database(urls.worker, pool_size=2)
    yield opened
    await opened.close()


async def listens(changes: Changes, database: Database) -> None:
    """Return when `changes` hears, and has rung everything, as a listener does once it is there."""
    async with asyncio.timeout(PATIENCE_S):
        while changes.patience_s <= POLL_S:
            await asyncio.sleep(0.01)
    with changes.watch("probe") as bell:
        for _ in range(200):
            async with database.begin() as session:
                await Changes().announce(session, ["probe"])
            if await bell.wait(0.1):
                return
    pytest.fail("It does not listen.")


async def test_a_bell_rings_in_every_process_that_watches_the_topic_and_in_no_other_topic(
    changes: Changes, database: Database, elsewhere: Database
) -> None:
    other = Changes()
    async with other.listening(elsewhere.engine):
        await listens(changes, database)
        await listens(other, database)
        with changes.watch("a") as here, other.watch("a") as there, other.watch("b") as unconcerned:
            async with database.begin() as session:
                await changes.announce(session, ["a"])

            assert await here.wait(PATIENCE_S)
            assert await there.wait(PATIENCE_S)
            assert not await unconcerned.wait(SHORT_S)


async def test_nothing_rings_before_the_commit_nor_after_a_rollback(
    changes: Changes, database: Database, elsewhere: Database
) -> None:
    await listens(changes, database)
    with changes.watch("kept") as kept, changes.watch("dropped") as dropped:
        async with elsewhere.begin() as session:
            await changes.announce(session, ["dropped"])
            await session.rollback()
        async with elsewhere.begin() as session:
            await changes.announce(session, ["kept"])
            assert not await kept.wait(SHORT_S)

        assert await kept.wait(PATIENCE_S)
        assert not await dropped.wait(SHORT_S)


async def test_a_ring_before_the_wait_is_kept_and_one_wait_takes_all_of_them() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()

    assert await bell.wait(PATIENCE_S)
    assert not await bell.wait(0)


async def test_more_topics_than_a_notification_holds_ring_each_of_them_and_nothing_else(
    changes: Changes, database: Database, elsewhere: Database
) -> None:
    await listens(changes, database)
    topics = [document_topic(new_id()) for _ in range(MAX_TOPICS + 1)]
    with (
        changes.watch(topics[0]) as first,
        changes.watch(topics[-1]) as last,
        changes.watch("unrelated") as unrelated,
    ):
        async with elsewhere.begin() as session:
            await changes.announce(session, topics)

        assert await first.wait(PATIENCE_S)
        assert await last.wait(PATIENCE_S)
        assert not await unrelated.wait(0)


@pytest.mark.parametrize("topic", [answer_topic, ended_topic, document_topic])
async def test_as_many_topics_as_allowed_fit_into_one_notification(
    changes: Changes, database: Database, topic: object
) -> None:
    assert callable(topic)
    await listens(changes, database)
    topics = [topic(UUID(int=number)) for number in range(MAX_TOPICS)]
    with changes.watch(topics[-1]) as last, changes.watch("unrelated") as unrelated:
        async with database.begin() as session:
            await changes.announce(session, topics)

        assert await last.wait(PATIENCE_S)
        assert not await unrelated.wait(SHORT_S)


async def test_a_broken_listening_connection_rings_everything_and_hears_again(
    changes: Changes, database: Database, elsewhere: Database
) -> None:
    await listens(changes, database)
    with changes.watch("a") as bell:
        async with database.begin() as session:
            ended = await (await session.connection()).execute(
                text(
                    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'kyrochat-listener'"
                )
            )
            assert ended.scalar_one() == 1

        # What was announced meanwhile is lost, so everyone looks.
        assert await bell.wait(PATIENCE_S)
        await listens(changes, elsewhere)


async def test_watchers_that_left_leave_nothing_behind() -> None:
    changes = Changes()
    for number in range(100):
        with changes.watch(f"topic {number}"), changes.watch(f"topic {number}"):
            changes.ring([f"topic {number}"])

    assert changes._bells == {}


async def test_ringing_everything_while_watchers_come_and_go_disturbs_nobody() -> None:
    changes = Changes()

    async def come_and_go() -> None:
        for _ in range(50):
            with changes.watch("a") as bell:
                await asyncio.sleep(0)
                changes.ring_all()
                assert await bell.wait(PATIENCE_S)

    await asyncio.gather(*(come_and_go() for _ in range(10)))

    assert changes._bells == {}
