"""What the durable log costs beside a bare relay: `python -m benchmarks.streaming [STREAMS ...]`.

The same model on the wire, the same client, two servers: ours as users run it, where every piece is committed before it
is shown, and one that passes pieces on and does nothing else. Answers begin within some seconds, and then go on at
their model's pace; when a server cannot follow, fewer tokens arrive a second. The ratios count; machines differ.

`first` is from asking to the first words, less what that takes when the model is read directly; `delay` is from the
model's socket to the client's, for each token.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import uvloop

from benchmarks.streaming_client import Socket, Stream, open_socket
from benchmarks.streaming_relay import pieces
from tests.db.embedded.processes import postmaster_of
from tests.graphql_client import GraphQLClient, register, visiting
from tests.journey.steps import SEND, new_conversation
from tests.server_process import serving

EVENTS = """subscription ($id: ID!, $after: Int) { answerEvents(messageId: $id, after: $after) {
  __typename ... on TextDelta { sequence text } ... on AnswerFailed { sequence reason } } }"""
CREATE_BOT = """mutation ($model: String!) { createBot(input: {name: "Streamer", model: $model}) {
  __typename ... on Bot { id } ... on Problem { message } } }"""
STREAMS = (1, 10, 100, 200)
SOCKETS_PER_USER = 90


@dataclass(frozen=True)
class Load:
    """So many pieces a second in each stream, so many in all; streams begin within `spread_s`."""

    name: str
    rate: int
    count: int
    spread_s: float = 4.0

    @property
    def model(self) -> str:
        return f"pieces-{self.rate}-{self.count}"


# So many answers, each of them alone: for the time that first words take.
ALONE = 40
SHORT = Load("one short answer after another", 50, 5, spread_s=0.3 * ALONE)
HARD = Load("a token a chunk, 50 chunks/s", 50, 400)
REALISTIC = Load("8 chunks/s", 8, 80)


@dataclass(frozen=True)
class Figures:
    """What one server did with one load."""

    tokens_per_s: float
    first_ms: float
    delays_ms: tuple[float, float]
    cpu_s_per_1000: float
    database_s_per_1000: float


def of_streams(streams: Sequence[Stream], direct_ms: float, cpu_s: float, database_s: float) -> Figures:
    tokens = sum(len(stream.delays_s) for stream in streams)
    delays_ms = sorted(1000 * delay_s for stream in streams for delay_s in stream.delays_s)
    took_s = max(stream.last_at for stream in streams) - min(stream.asked_at for stream in streams)
    first_ms = statistics.median(1000 * (stream.first_at - stream.asked_at) for stream in streams)
    return Figures(
        tokens / took_s,
        first_ms - direct_ms,
        (delays_ms[len(delays_ms) // 2], delays_ms[len(delays_ms) * 99 // 100]),
        1000 * cpu_s / tokens,
        1000 * database_s / tokens,
    )


@asynccontextmanager
async def program(*arguments: str) -> AsyncGenerator[tuple[Process, int], None]:
    """Run one of ours that prints its port."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, stdout=PIPE)
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def direct_ms(port: int, load: Load) -> float:
    """Return how long the first words take from the model itself."""
    took = []
    for _ in range(20):
        began = time.monotonic()
        stream = pieces(port, replace(load, count=1).model)
        await anext(stream)
        took.append(1000 * (time.monotonic() - began))
        await stream.aclose()
    return statistics.median(took)


async def on_relay(model_port: int, load: Load, count: int, base_ms: float) -> Figures:
    async with program("benchmarks.streaming_relay", str(model_port), load.model) as (process, port):
        sockets = [await open_socket(f"http://127.0.0.1:{port}", {}) for _ in range(count)]
        await sockets[0].watch("", {}, Stream())  # warm
        before_s = cpu_s(process.pid)

        async def one(place: int) -> Stream:
            await asyncio.sleep(load.spread_s * place / count)
            stream = Stream(asked_at=time.monotonic())
            await sockets[place].watch("", {}, stream)
            return stream

        streams = await asyncio.gather(*map(one, range(count)))
        spent_s = cpu_s(process.pid) - before_s
        for socket in sockets:
            socket.transport.abort()
    return of_streams(streams, base_ms, spent_s, 0)


async def on_server(model_port: int, load: Load, count: int, base_ms: float) -> Figures:
    with tempfile.TemporaryDirectory() as directory:
        settings = {
            "KYROCHAT_GEMINI_API_KEY": "key",
            "KYROCHAT_GEMINI_BASE_URL": f"http://127.0.0.1:{model_port}",
            "KYROCHAT_WORKERS": "0",
        }
        async with serving(Path(directory) / "data", **settings) as server, visiting(server.graphql_url) as visitor:
            asked: list[tuple[Socket, str]] = []
            while len(asked) < count:
                asked += await ready(visitor, load, min(SOCKETS_PER_USER, count - len(asked)))
            warm = await ready(visitor, replace(load, rate=50, count=20), 5)
            await asyncio.gather(*(answer(socket, conversation) for socket, conversation in warm))
            pid = server.process.pid
            before_s, database_before_s = cpu_s(pid), database_cpu_s(directory)

            async def one(place: int) -> Stream:
                await asyncio.sleep(load.spread_s * place / count)
                return await answer(*asked[place])

            streams = await asyncio.gather(*map(one, range(count)))
            spent_s, database_s = cpu_s(pid) - before_s, database_cpu_s(directory) - database_before_s
            for socket, _ in (*asked, *warm):
                socket.transport.abort()
            assert server.faults() == []
    short = [stream.failure for stream in streams if len(stream.delays_s) != load.count]
    assert all(short), "an answer has lost text, and does not say why"
    if short:
        print(f"  {len(short)} answers failed: {set(short)}")
    return of_streams([stream for stream in streams if not stream.failure], base_ms, spent_s, database_s)


async def ready(visitor: GraphQLClient, load: Load, count: int) -> list[tuple[Socket, str]]:
    """Return sockets of a new user, each with a conversation of its own."""
    user = await register(visitor)
    bot = await user.run(CREATE_BOT, model=load.model)
    conversations = [await new_conversation(user, bot["id"]) for _ in range(count)]
    return [(await open_socket(user.url, user.credentials), each) for each in conversations]


async def answer(socket: Socket, conversation: str) -> Stream:
    stream = Stream(asked_at=time.monotonic())
    exchange = await socket.insist(SEND, {"conversation": conversation, "text": "Go on."})
    await socket.watch(EVENTS, {"id": exchange["answer"]["id"]}, stream)
    return stream


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def database_cpu_s(directory: str) -> float:
    """Return what all processes of the server's PostgreSQL have used."""
    postmaster = psutil.Process(postmaster_of(Path(directory) / "data"))
    times = [each.cpu_times() for each in (postmaster, *postmaster.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def line(name: str, figures: Figures) -> str:
    return (
        f"  {name:<10} {figures.tokens_per_s:>8.0f}/s {figures.first_ms:>9.1f} ms {figures.delays_ms[0]:>8.1f} ms"
        f" {figures.delays_ms[1]:>8.1f} ms {figures.cpu_s_per_1000:>8.3f} s {figures.database_s_per_1000:>8.3f} s"
    )


async def main(counts: Sequence[int] = STREAMS, loads: Sequence[Load] = (HARD, REALISTIC)) -> None:
    print("Streams: ours, where every token is stored before it is shown, and a bare relay")
    async with AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(program("benchmarks.streaming_model"))
        base_ms = await direct_ms(port, SHORT)
        ours, bare = await on_server(port, SHORT, ALONE, base_ms), await on_relay(port, SHORT, ALONE, base_ms)
        print(
            f"{SHORT.name}: first words {ours.first_ms:.1f} ms after the model's own,"
            f" {bare.first_ms:.1f} ms at the relay"
        )
        for load in loads:
            base_ms = await direct_ms(port, load)
            print(f"{load.name}, {load.count} in each answer; the model itself takes {base_ms:.1f} ms")
            print(
                f"  {'':<10} {'tokens':>10} {'first':>12} {'delay':>11} {'p99':>11} {'CPU/1000':>10} {'database':>10}"
            )
            for count in counts:
                bare = await on_relay(port, load, count, base_ms)
                ours = await on_server(port, load, count, base_ms)
                print(f" {count} at once: {ours.tokens_per_s / bare.tokens_per_s:.2f} of the relay's tokens/s")
                print(line("ours", ours))
                print(line("relay", bare), flush=True)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    chosen = [load for load in (HARD, REALISTIC) if load.name.split()[0] in sys.argv[1:]] or [HARD, REALISTIC]
    uvloop.run(main(numbers or STREAMS, chosen))
