"""Doorbells: who waits for a change is woken, in every process, through LISTEN/NOTIFY.

A bell carries no data and may be lost or ring for nothing: whoever hears it reads the row, which is the truth.
Waiting is therefore always bounded. As long as the connection that listens proves once a second that it is alive, no
bell is lost and the bound is long, so that thousands may wait; otherwise everybody looks every two seconds, or less
often when there are too many of them. Either way a lost bell costs about two seconds.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.listener import ECHO_EVERY_S, listening
from kyrochat.db.outage import FIRST_PAUSE_S, Outage
from kyrochat.pauses import spread

POLL_S = 2.0
# How long to wait without a bell where none is lost.
CALM_S = 300.0
# So many look at their rows in a second when bells may have been lost: more would crowd out everybody else.
MAX_LOOKS_PER_S = 200
MAX_LOOKS_AT_ONCE = 20
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


def evaluation_topic(evaluation_id: UUID) -> str:
    """Return the topic of an evaluation's state."""
    return f"evaluation:{evaluation_id}"


JOBS_TOPIC = "jobs"
# Rings when somebody may do less than before (a session, a key, an account or a membership has ended), and when he
# was let into a workspace, so that its loss is noticed later.
ACCESS_TOPIC = "access"


@dataclass(slots=True, eq=False)
class Bell:
    """Rings for one topic. A ring before `wait` is kept until then."""

    changes: "Changes | None" = None
    _rung: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self) -> None:
        """Wake whoever waits, or will."""
        self._rung.set()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Return at the next ring, or after `timeout_s` all the same; say whether it rang.

        Without `timeout_s` it is as long as may be while bells are heard, and else as short as many watchers allow.
        """
        if timeout_s is None:
            timeout_s = POLL_S if self.changes is None else self.changes.patience_s
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

    echo_every_s: float = ECHO_EVERY_S
    _bells: dict[str, set[Bell]] = field(default_factory=dict)
    _count: int = 0
    _hears: bool = False
    # In the order in which they will be.
    _to_ring: dict[Bell, None] = field(default_factory=dict)
    _ringing: asyncio.Task[None] | None = None

    @property
    def patience_s(self) -> float:
        """How long to wait for a bell before looking all the same."""
        if self._hears:
            # Apart from each other, so that they will not look all at once.
            return spread(CALM_S)
        return max(POLL_S, self._count / MAX_LOOKS_PER_S)

    @contextmanager
    def watch(self, topic: str) -> Iterator[Bell]:
        """Give a bell for `topic`. Watch first, read then, wait last: so no change is missed."""
        bell = Bell(self)
        self._bells.setdefault(topic, set()).add(bell)
        self._count += 1
        try:
            yield bell
        finally:
            self._count -= 1
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
        """Wake all watchers: bells may have been missed. A crowd is woken little by little, each in its turn."""
        self._to_ring |= dict.fromkeys(self._each_bell())
        self._ring_some()
        if self._to_ring and (self._ringing is None or self._ringing.done()):
            self._ringing = asyncio.create_task(self._ring_the_others(), name="changes-ring-all")

    async def _ring_the_others(self) -> None:
        while self._to_ring:
            await asyncio.sleep(MAX_LOOKS_AT_ONCE / MAX_LOOKS_PER_S)
            self._ring_some()

    def _ring_some(self) -> None:
        for bell in list(islice(self._to_ring, MAX_LOOKS_AT_ONCE)):
            del self._to_ring[bell]
            bell.ring()

    def _each_bell(self) -> Iterator[Bell]:
        for bells in self._bells.values():
            yield from bells

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
            for each in (task, self._ringing):
                if each is not None:
                    each.cancel()
                    await asyncio.wait([each])

    async def _listen(self, engine: AsyncEngine) -> None:
        outage = Outage("Listening for changes")
        while True:
            try:
                await self._listen_once(engine, outage)
                await asyncio.sleep(FIRST_PAUSE_S)  # whoever cut the connection may do so again
            except Exception as error:  # whatever broke the connection: the polls go on, and so does this
                await asyncio.sleep(outage.goes_on(error))

    async def _listen_once(self, engine: AsyncEngine, outage: Outage) -> None:
        async with listening(engine, CHANNEL, self._hear, self.echo_every_s) as listener:
            outage.is_over()
            self._hears = True
            # What rang while nobody listened.
            self.ring_all()
            try:
                await listener.until_deaf()
            finally:
                self._hears = False
                # Those who wait have to know that they cannot rely on bells any more.
                self.ring_all()

    def _hear(self, payload: str) -> None:
        self.ring(payload.split())


_NOTIFY = text("SELECT pg_notify(:channel, :payload)")
