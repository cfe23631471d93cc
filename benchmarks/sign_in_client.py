"""Signs in very often at once, over HTTP, and prints what came of it: for `benchmarks.sign_in`.

In a process of its own, and written to need little of the machine: `python -m benchmarks.sign_in_client PORT COUNT
NETWORKS`.
"""

import asyncio
import json
import sys
from collections import Counter

LOGIN = 'mutation ($email: String!) { login(input: {email: $email, password: "guess"}) { __typename } }'


async def sign_in(number: int, network: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Send one wrong password on an open connection, and return the type or the code of the answer."""
    body = json.dumps({"query": LOGIN, "variables": {"email": f"{number}@example.org"}}).encode()
    head = (
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Forwarded-For: 2001:db8:1:{network:x}::1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    headers = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    (length,) = (int(line.partition(":")[2]) for line in headers if line.startswith("content-length:"))
    answer = json.loads(await reader.readexactly(length))
    writer.close()
    if "errors" in answer:
        return str(answer["errors"][0]["extensions"]["code"])
    return str(answer["data"]["login"]["__typename"])


async def main(port: int, count: int, networks: int) -> None:
    """Print the outcomes as JSON: how often each."""
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(count)))
    outcomes = await asyncio.gather(
        *(sign_in(number, number % networks, *connection) for number, connection in enumerate(opened))
    )
    sys.stdout.write(json.dumps(Counter(outcomes)))


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
