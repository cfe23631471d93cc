"""The client of `benchmarks.face`, in a process of its own.

`post PORT PATH COUNT AT_ONCE TOKEN` sends the body on standard input again and again; `watch PORT PATH QUERY` reads a
subscription to its end.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol


async def send(port: int, request: bytes, count: int) -> None:
    """Send a request so often, one after the other, over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        _, _, rest = head.partition(b"content-length:")
        answer = await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
        assert b'"errors"' not in answer, answer
    writer.close()


async def post(port: int, path: str, count: int, at_once: int, token: str = "") -> None:
    body = sys.stdin.buffer.read()
    credentials = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"{credentials}Content-Length: {len(body)}\r\n\r\n"
    )
    await asyncio.gather(*(send(port, head.encode() + body, count // at_once) for _ in range(at_once)))


async def watch(port: int, path: str, query: str) -> None:
    url = f"ws://127.0.0.1:{port}{path}"
    async with connect(url, proxy=None, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None) as socket:
        await socket.send('{"type":"connection_init"}')
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": query}}))
        events = 0
        while '"next"' in (message := str(await socket.recv())):
            events += 1
        assert '"complete"' in message, message
        assert events > 1_000


if __name__ == "__main__":
    kind, port_, path_, *more = sys.argv[1:]
    if kind == "watch":
        asyncio.run(watch(int(port_), path_, *more))
    else:
        asyncio.run(post(int(port_), path_, int(more[0]), int(more[1]), *more[2:]))
