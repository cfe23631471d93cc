"""Doorbells: who waits for a change is woken, in every process, through LISTEN/NOTIFY.

A bell carries no data and may be lost or ring for nothing: whoever hears it reads the row, which is the truth.
Waiting is therefore always bounded, and a lost bell costs at most `POLL_S`.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.outage import FIRST_PAUSE_S, Outage

POLL_S = 2.0
CHANNEL = "kyrochat"
# PostgreSQL takes payloads below 8,000 bytes; a topic is about 45.
MAX_TOPICS = 150


def answer_topic(message_id: UUID) -> str:
    """Return the topic of an answer's log."""
    return f"answer:{message_id}"


def ended_topic(message_id: UUID) -> str:
    """Return the topic that rings when an answer ends, for the process that writes it."""
    return f"ended:{message_id}"


def document_topic(document_id: UUID) -> str:
    """Return the topic of a document's state."""
    return f"document:{document_id}"


def ingestion_topic(bot_id: UUID) -> str:
    """Return the topic of all of a bot's documents."""
    return f"ingestion:{bot_id}"


def crawl_topic(crawl_id: UUID) -> str:
    """Return the topic of a crawl's state."""
    return f"crawl:{crawl_id}"


JOBS_TOPIC = "jobs"
# Rings when somebody may do less than before (a session, a key, an account or a membership has ended), and when he
# was let into a workspace, so that its loss is noticed later.
ACCESS_TOPIC = "access"


@dataclass(slots=True, eq=False)
class Bell:
    """Rings for one topic. A ring before `wait` is kept until then."""

    _rung: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self) -> None:
        """Wake whoever waits, or will."""
        self._rung.set()

    async def wait(self, timeout_s: float = POLL_S) -> bool:
        """Return at the next ring, or after `timeout_s` all the same; say whether it rang."""
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the ring.
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        rang = self._rung.is_set()
        self._rung.clear()
        return rang


@dataclass(slots=True, eq=False)
class Changes:
    """The bells of one process."""

    _bells: dict[str, set[Bell]] = field(default_factory=dict)

    @contextmanager
    def watch(self, topic: str) -> Iterator[Bell]:
        """Give a bell for `topic`. Watch first, read then, wait last: so no change is missed."""
        bell = Bell()
        self._bells.setdefault(topic, set()).add(bell)
        try:
            yield bell
        finally:
            bells = self._bells[topic]
            bells.discard(bell)
            if not bells:
                del self._bells[topic]

    def ring(self, topics: Iterable[str]) -> None:
        """Wake this process' watchers of `topics` without waiting for the notification. Call it after the commit."""
        for topic in topics:
            for bell in self._bells.get(topic, ()):
                bell.ring()

    def ring_all(self) -> None:
        """Wake all watchers: bells may have been missed."""
        self.ring(list(self._bells))

    async def announce(self, session: AsyncSession, topics: Iterable[str]) -> None:
        """Ring in every process, this one included, once `session` commits: one NOTIFY for up to 150 topics."""
        names = list(topics)
        connection = await session.connection()
        for start in range(0, len(names), MAX_TOPICS):
            body = " ".join(names[start : start + MAX_TOPICS])
            await connection.execute(_NOTIFY, {"channel": CHANNEL, "payload": body})

    @asynccontextmanager
    async def listening(self, engine: AsyncEngine) -> AsyncGenerator[None, None]:
        """Hear other processes' bells meanwhile, over one connection that is opened anew when it breaks."""
        task = asyncio.create_task(self._listen(engine), name="changes-listener")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _listen(self, engine: AsyncEngine) -> None:
        outage = Outage("Listening for changes")
        while True:
            try:
                await self._listen_once(engine, outage)
                await asyncio.sleep(FIRST_PAUSE_S)  # whoever cut the connection may do so again
            except Exception as error:  # whatever broke the connection: the polls go on, and so does this
                await asyncio.sleep(outage.goes_on(error))

    async def _listen_once(self, engine: AsyncEngine, outage: Outage) -> None:
        closed = asyncio.Event()
        async with engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            raw.add_termination_listener(lambda _: closed.set())
            await raw.add_listener(CHANNEL, self._hear)
            outage.is_over()
            # What rang while nobody listened.
            self.ring_all()
            try:
                await closed.wait()
            finally:
                # It has a listener and must not go back to the pool.
                await connection.invalidate()

    def _hear(self, connection: object, pid: int, channel: str, payload: object) -> None:
        del connection, pid, channel
        self.ring(str(payload).split())


_NOTIFY = text("SELECT pg_notify(:channel, :payload)")
