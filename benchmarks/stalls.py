"""What clients that stop reading cost a server, and when they are cut: `python -m benchmarks.stalls`.

A server as users run it, and clients of bare sockets that ask for much and read nothing. The figure is the growth of
the server's memory for each of them, at its highest and once they are cut. It runs on Linux only.
"""

import asyncio
import base64
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from tests.graphql_client import GraphQLClient, register, visiting
from tests.journey.steps import EVENTS, SEND, UPLOAD, new_bot, new_conversation, until_read, watched
from tests.server_process import Server, serving

SOCKETS = 10
OPERATIONS = 20
CUT_WITHIN_S = 90.0
MB = 1024 * 1024
BOTS_WITH_LONG_INSTRUCTIONS = 45

SET_INSTRUCTIONS = """mutation ($name: String!, $text: String!) {
  createBot(input: {name: $name, instructions: $text}) { __typename }
}"""
WORDS = "The quick brown fox jumps over the lazy dog and runs on. "


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(pid)


async def prepare(visitor: GraphQLClient) -> dict[str, tuple[str, dict[str, object]]]:
    """Return what the clients ask for: (operation, variables) by name."""
    user = await register(visitor)
    for number in range(BOTS_WITH_LONG_INSTRUCTIONS):
        await user.run(SET_INSTRUCTIONS, name=f"Bot {number}", text="x" * 20_000)
    bot_id = await new_bot(user, "Reader")
    document = await user.upload(UPLOAD, "long.txt", (WORDS * 20_000).encode(), bot=bot_id)
    await until_read(user, document["id"])
    conversation_id = await new_conversation(user, bot_id)
    answer_id = ""
    for number in range(40):
        exchange = await user.run(SEND, conversation=conversation_id, text=f"{number} " + WORDS * 340)
        answer_id = exchange["answer"]["id"]
        await watched(user, answer_id)
    global TOKEN
    TOKEN = str(user.token)
    return {
        "900 kB of instructions": ("{ bots(first: 100) { nodes { name instructions } } }", {}),
        "a text of 1.1 MB": ("query ($id: ID!) { document(id: $id) { text } }", {"id": document["id"]}),
        "800 kB of messages": (
            "query ($id: ID!) { conversation(id: $id) { messages(first: 100) { nodes { text } } } }",
            {"id": conversation_id},
        ),
        "a log of events": (EVENTS, {"id": answer_id, "after": 0}),
    }


TOKEN = ""


def frame(message: object) -> bytes:
    payload = json.dumps(message).encode()
    head = bytes([0x81, 0x80 | len(payload)]) if len(payload) < 126 else b"\x81\xfe" + len(payload).to_bytes(2, "big")
    # A mask of zeros leaves the payload as it is.
    return head + b"\0\0\0\0" + payload


@asynccontextmanager
async def stalled(server: Server, query: str, variables: dict[str, object]) -> AsyncIterator[socket.socket]:
    """Connect, ask twenty times, and read nothing more."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    address = urlsplit(server.url)
    await loop.sock_connect(client, (address.hostname, address.port))
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /graphql HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    await loop.sock_sendall(client, head.encode())
    await loop.sock_recv(client, 4096)
    init = {"type": "connection_init", "payload": {"Authorization": f"Bearer {TOKEN}"}}
    await loop.sock_sendall(client, frame(init))
    asked = b"".join(
        frame({"type": "subscribe", "id": str(number), "payload": {"query": query, "variables": variables}})
        for number in range(OPERATIONS)
    )
    await loop.sock_sendall(client, asked)
    try:
        yield client
    finally:
        client.close()


async def measure(server: Server, name: str, query: str, variables: dict[str, object]) -> None:
    pid = server.process.pid
    before_mb = highest_mb = rss_mb(pid)
    began_at = time.monotonic()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(stalled(server, query, variables)) for _ in range(SOCKETS)]
        settled_mb, first_cut_s = 0.0, 0.0
        while (left := not_cut(clients)) > 0 and time.monotonic() < began_at + CUT_WITHIN_S:
            await asyncio.sleep(0.05)
            highest_mb = max(highest_mb, rss_mb(pid))
            if not settled_mb and time.monotonic() > began_at + 15:
                settled_mb = rss_mb(pid)
            if not first_cut_s and left < SOCKETS:
                first_cut_s = time.monotonic() - began_at
        all_cut_s = time.monotonic() - began_at
    await asyncio.sleep(1)
    print(
        f"{name:<24} {(highest_mb - before_mb) / SOCKETS:>8.2f} MB {(settled_mb - before_mb) / SOCKETS:>8.2f} MB "
        f"{(rss_mb(pid) - before_mb) / SOCKETS:>8.2f} MB   {SOCKETS - left} of {SOCKETS} cut, "
        f"after {first_cut_s:.0f} to {all_cut_s:.0f} s"
    )


def not_cut(clients: Sequence[socket.socket]) -> int:
    """Return how many of them the server still holds; a client's own end may know nothing of having been cut."""
    ports = {f"{client.getsockname()[1]:04X}" for client in clients}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].partition(":")[2] in ports and row[3] == "01" and row[9] != "0" for row in rows)


async def main() -> None:
    print(f"{SOCKETS} sockets with {OPERATIONS} operations each, and none is read.")
    print(f"{'each asks for':<24} {'highest':>11} {'after 15 s':>11} {'left over':>11}")
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "data"
        async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
            asked = await prepare(visitor)
        for name, (query, variables) in asked.items():
            if not sys.argv[1:] or sys.argv[1] in name:
                # Each begins with a fresh process: memory that was freed is seldom given back.
                async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
                    await warm_up(visitor, query, variables)
                    await measure(server, name, query, variables)


async def warm_up(visitor: GraphQLClient, query: str, variables: dict[str, object]) -> None:
    """Have every connection to the database opened, and every module loaded."""
    user = replace(visitor, token=TOKEN)
    if query.startswith("subscription"):
        async for _ in user.watch(query, **variables):
            pass
    else:
        await asyncio.gather(*(user.answer(query, variables) for _ in range(12)))


if __name__ == "__main__":
    asyncio.run(main())
