"""Sends one request again and again, and prints how many came back a second: for `benchmarks.access`.

In a process of its own, and written to need little of the machine: `python -m benchmarks.access_client PORT COUNT
AT_ONCE TOKEN`, with the body on standard input.
"""

import asyncio
import sys
import time


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


async def main(port: int, count: int, at_once: int, token: str) -> None:
    """Print the rate."""
    body = sys.stdin.buffer.read()
    head = (
        "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    began_at = time.perf_counter()
    await asyncio.gather(*(send(port, head.encode() + body, count // at_once) for _ in range(at_once)))
    sys.stdout.write(str(count / (time.perf_counter() - began_at)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
