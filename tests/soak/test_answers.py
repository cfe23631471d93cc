"""Answers, while servers are killed and connections break: no character lost, doubled or moved, and each has its end.

The long one: SOAK_ANSWERS=1000. What went wrong in one run is planned again, alone, with SOAK_SEED and SOAK_ONLY; the
moments at which servers die are not.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text

from kyrochat.chat.compaction import LogCompaction
from kyrochat.db.embedded import EmbeddedPostgres
from kyrochat.db.engine import Database, open_database
from kyrochat.graphql.ids import split_id
from tests.db.embedded.processes import stop_what_is_left
from tests.fakes.gemini import API_KEY, FakeGemini, running_fake_gemini
from tests.graphql_client import GraphQLClient, register
from tests.journey.steps import new_bot
from tests.soak.client import Client, Seen
from tests.soak.plan import Plan, Watcher, model
from tests.soak.servers import Servers, two_servers

SEED = int(os.environ.get("SOAK_SEED", "1"))
ANSWERS = int(os.environ.get("SOAK_ANSWERS", "200"))
AT_ONCE = int(os.environ.get("SOAK_AT_ONCE", "40"))
ONLY = os.environ.get("SOAK_ONLY")
SHORT_ANSWERS = 30
USERS = 6
LEASE_S = 4.0
# An answer takes its model some seconds, its server's death a lease, and a machine that does other things its time.
DEADLINE_S = 600.0
# Access tokens live for a quarter of an hour.
RENEW_S = 300.0


@pytest.fixture
def data_dir(tmp_path: Path) -> Generator[Path, None, None]:
    yield tmp_path / "data"
    stop_what_is_left(tmp_path / "data")


@pytest.fixture
async def gemini() -> AsyncGenerator[FakeGemini, None]:
    async with running_fake_gemini() as fake:
        fake.answer_to = lambda body: tuple(model(body))
        yield fake


@dataclass
class Soak:
    """The runs of one test, and what came of them."""

    servers: Servers
    users: Sequence[Client]
    database: Database
    workspaces: Sequence[UUID]
    statuses: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    answer_ids: list[str] = field(default_factory=list)
    watching: dict[int, list[Seen]] = field(default_factory=dict)
    chars: int = 0
    compacted: int = 0

    async def run(self, plan: Plan) -> None:
        """Ask, watch, perhaps stop, and check what everybody has."""
        luck = random.Random(f"{plan.seed} {plan.number} run")
        client = self.users[plan.number % len(self.users)]
        answer_id = await client.ask(plan.question, plan.key, plan.senders, luck)
        seen = self.watching[plan.number] = [Seen() for _ in plan.watchers]
        stopping = asyncio.create_task(self._stop(client, plan, answer_id))
        await asyncio.gather(
            *(client.watch(answer_id, watcher, each) for watcher, each in zip(plan.watchers, seen, strict=True))
        )
        await stopping
        # Whoever comes now, has all of it.
        late = Seen()
        seen.append(late)
        await client.watch(answer_id, Watcher(f"{plan.number} late", True, (), 0, 0), late)
        message = await client.stored(answer_id, luck)

        for each in seen:
            assert each.text == message["text"]
            assert each.end is not None
            assert each.end["message"] == {"status": message["status"], "text": message["text"]}
            assert each.end["__typename"] == "Answer" + message["status"].capitalize()
        assert plan.text.startswith(message["text"])
        if message["status"] == "COMPLETED":
            assert message["text"] == plan.text
        elif message["status"] == "FAILED":
            # A server that was frozen, or has no time left, gives up a search or a request, and says so.
            assert late.end is not None
            assert late.end["retryable"], late.end
            self.failures[late.end["reason"]] += 1
        self.statuses[message["status"]] += 1
        self.answer_ids.append(answer_id)
        self.chars += len(message["text"])
        del self.watching[plan.number]
        if len(self.answer_ids) % 50 == 0:
            print(f"{len(self.answer_ids)} answers: {dict(self.statuses)}", flush=True)

    async def _stop(self, client: Client, plan: Plan, answer_id: str) -> None:
        if plan.stop_after is None:
            return
        luck = random.Random(f"{plan.seed} {plan.number} stop")
        watching = Watcher(f"{plan.number} stop", True, (plan.stop_after,), 0, 0)
        seen = Seen()
        with suppress(TimeoutError):
            async with asyncio.timeout(luck.uniform(0, 4)):
                await client.watch(answer_id, watching, seen)
        stopped = await client.stop(answer_id, luck)
        assert stopped["__typename"] == "Message"
        assert stopped["text"].startswith(seen.text)

    async def compact_for_ever(self) -> None:
        """Make logs small as soon as they have ended, under the eyes of those who read them."""
        while True:
            await asyncio.sleep(0.5)
            async with self.database.begin(self.workspaces) as session:
                await (await session.connection()).execute(
                    text("UPDATE messages SET compact_log_at = now() WHERE compact_log_at > now() AND random() < 0.5")
                )
            self.compacted += await LogCompaction(self.database).sweep()

    async def renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for user in self.users:
                await user.renew(random.Random(SEED))

    async def check_the_rest(self) -> None:
        """Each key has one question with one answer, no answer is without its end, and no lease is left."""
        async with self.database.begin(self.workspaces) as session:
            connection = await session.connection()

            async def rows(query: str) -> list[Any]:
                return list(await connection.execute(text(query)))

            assert await rows("SELECT 1 FROM messages WHERE status = 'STREAMING'") == []
            assert await rows("SELECT 1 FROM answer_leases") == []
            questions = await rows("SELECT idempotency_key, count(*) FROM messages WHERE role = 'USER' GROUP BY 1")
            answers = await rows("SELECT id FROM messages WHERE role = 'ASSISTANT'")
        assert {count for _, count in questions} == {1}
        assert len(questions) == len(answers) == len(set(self.answer_ids))


async def soak(gemini: FakeGemini, data_dir: Path, numbers: Sequence[int], harm_every_s: tuple[float, float]) -> None:
    began = time.monotonic()
    postgres = await asyncio.to_thread(EmbeddedPostgres.start, data_dir, durable=False)
    async with AsyncExitStack() as stack:
        stack.callback(postgres.stop)
        database = open_database(postgres.urls.app, pool_size=2)
        stack.push_async_callback(database.close)
        through = {"KYROCHAT_GEMINI_API_KEY": API_KEY, "KYROCHAT_GEMINI_BASE_URL": gemini.url}
        servers = await stack.enter_async_context(two_servers(data_dir, LEASE_S, **through))
        limits = httpx2.Limits(max_connections=400)
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=15, trust_env=False, limits=limits))
        users = [await newcomer(servers, http) for _ in range(USERS)]
        workspaces = [await workspace_of(user) for user in users]
        it = Soak(servers, users, database, workspaces)
        places = asyncio.Semaphore(AT_ONCE)

        async def in_turn(plan: Plan) -> None:
            async with places:
                try:
                    async with asyncio.timeout(DEADLINE_S):
                        await it.run(plan)
                except Exception as error:
                    again = f"SOAK_SEED={plan.seed} SOAK_ONLY={plan.number}"
                    stories = [each.story for each in it.watching.get(plan.number, [])]
                    what = f"{type(error).__name__}: {str(error)[:2000]}"
                    raise AssertionError(f"{again}: {what}; {plan}; {stories}; {servers.story}") from error

        harming = servers.harm_them(random.Random(f"{SEED} harm"), harm_every_s)
        meanwhile = [asyncio.create_task(work) for work in (harming, it.compact_for_ever(), it.renew_for_ever())]
        try:
            async with asyncio.TaskGroup() as group:
                for number in numbers:
                    group.create_task(in_turn(Plan.of(SEED, number)))
        finally:
            for task in meanwhile:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await it.check_the_rest()
        counts = sum((user.counts for user in users), Counter[str]())
        print(
            f"\n{len(numbers)} answers in {time.monotonic() - began:.0f} s, {it.chars:,} characters:"
            f" {dict(it.statuses)} {dict(it.failures)}; servers {dict(servers.harm)};"
            f" {it.compacted} logs compacted; watchers and senders {dict(counts)}"
        )
    assert servers.faults() == []
    assert servers.harm["killed"] > 0


async def newcomer(servers: Servers, http: httpx2.AsyncClient) -> Client:
    user = await register(GraphQLClient(servers.running[0].graphql_url, http))
    return Client(user, await new_bot(user), servers)


async def workspace_of(client: Client) -> UUID:
    found = await client.user.run("{ workspaces { nodes { id } } }")
    parted = split_id(found["nodes"][0]["id"])
    assert parted is not None
    return parted[1]


@pytest.mark.timeout(600)
async def test_no_character_is_lost_doubled_or_moved_in_a_few_answers(gemini: FakeGemini, data_dir: Path) -> None:
    await soak(gemini, data_dir, range(SHORT_ANSWERS), harm_every_s=(0.5, 2))


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_no_character_is_lost_doubled_or_moved_in_many_answers(gemini: FakeGemini, data_dir: Path) -> None:
    numbers = range(ANSWERS) if ONLY is None else [int(ONLY)]
    await soak(gemini, data_dir, numbers, harm_every_s=(3, 9))
