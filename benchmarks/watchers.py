"""What subscriptions cost that wait while nothing happens: `python -m benchmarks.watchers`.

A server as users run it, and one account that holds as many sockets and watches as many answers as it may. The figures
are the statements that the waiting takes, the server's processor time, and how long a simple query takes meanwhile.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
from sqlalchemy import text

from kyrochat.db.embedded import EmbeddedPostgres
from kyrochat.db.engine import Database, open_database
from kyrochat.graphql.ids import split_id
from tests.graphql_client import GraphQLClient, Refused, Socket, register, visiting
from tests.journey.steps import EVENTS, SEND, new_bot, new_conversation, watched
from tests.server_process import Server, serving

SOCKETS = 100
# One of a socket's twenty places is for asking something meanwhile.
WATCHES = 19
SECONDS = 20.0
QUERY = "{ me { id } }"


async def reopen(database: Database, workspace_id: UUID, message_id: UUID) -> None:
    """Make an answer look as if some other process were still writing it."""
    async with database.begin([workspace_id]) as session:
        connection = await session.connection()
        ids = {"message": message_id, "workspace": workspace_id, "token": uuid4()}
        await connection.execute(text("UPDATE messages SET status = 'STREAMING' WHERE id = :message"), ids)
        await connection.execute(
            text(
                "INSERT INTO answer_leases (message_id, workspace_id, token, leased_until)"
                " VALUES (:message, :workspace, :token, now() + interval '1 day')"
            ),
            ids,
        )


def row_id(global_id: str) -> UUID:
    parted = split_id(global_id)
    assert parted is not None
    return parted[1]


async def transactions(database: Database) -> int:
    async with database.begin() as session:
        rows = await (await session.connection()).execute(
            text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        )
        return int(rows.scalar_one())


def processor_s(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(name: str, user: GraphQLClient, database: Database, server: Server) -> None:
    began_at, transactions_before, processor_before = (
        time.monotonic(),
        await transactions(database),
        processor_s(server),
    )
    times_ms: list[float] = []
    while time.monotonic() < began_at + SECONDS or len(times_ms) < 2:
        asked_at = time.monotonic()
        # What was refused, or not answered at all, took its time as well.
        with suppress(Refused, httpx2.TimeoutException):
            await user.run(QUERY)
        times_ms.append((time.monotonic() - asked_at) * 1000)
        await asyncio.sleep(0.05)
    took_s = time.monotonic() - began_at
    # Those of the queries themselves are left out: one for the credentials and one for the answer.
    others = (await transactions(database)) - transactions_before - 2 * len(times_ms)
    centiles = statistics.quantiles(times_ms, n=100)
    print(
        f"{name:<28} {others / took_s:>8.0f}/s {100 * (processor_s(server) - processor_before) / took_s:>9.0f} % "
        f"{centiles[49]:>9.1f} ms {centiles[94]:>9.1f} ms {max(times_ms):>9.1f} ms"
    )


@asynccontextmanager
async def watching(user: GraphQLClient, answer_id: str, after: int) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(user.socket()) for _ in range(SOCKETS)]
        payload = {"query": EVENTS, "variables": {"id": answer_id, "after": after}}
        for socket in sockets:
            for number in range(WATCHES):
                await socket.send({"type": "subscribe", "id": f"watch {number}", "payload": payload})
                # The beginning is no part of the waiting: each waits by the time that this is answered.
                assert [value async for value in socket.watch(QUERY)]
            # Pings have to be answered, and errors have to be seen.
            stack.callback(asyncio.create_task(first_message(socket)).cancel)
        yield


async def first_message(socket: Socket) -> None:
    print(await socket.receive())


async def main() -> None:
    print(f"{SOCKETS} sockets with {WATCHES} subscriptions each, whose answers do not go on.")
    print(f"{'':<28} {'transactions':>10} {'processor':>11} {'median':>12} {'95 of 100':>12} {'longest':>12}")
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "data"
        async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
            user = await register(visitor)
            conversation_id = await new_conversation(user, await new_bot(user))
            exchange = await user.run(SEND, conversation=conversation_id, text="Is anybody there?")
            answer_id = exchange["answer"]["id"]
            events = await watched(user, answer_id)
            workspaces = await user.run("{ workspaces { nodes { id } } }")
            postgres = await asyncio.to_thread(EmbeddedPostgres.start, data_dir)
            database = open_database(postgres.urls.app, pool_size=2)
            await reopen(database, row_id(workspaces["nodes"][0]["id"]), row_id(answer_id))
            await measure("nobody waits", user, database, server)
            async with watching(user, answer_id, len(list(events))):
                await asyncio.sleep(5)
                await measure(f"{SOCKETS * WATCHES:,} wait", user, database, server)
            await database.close()
            await asyncio.to_thread(postgres.stop)


if __name__ == "__main__":
    asyncio.run(main())
