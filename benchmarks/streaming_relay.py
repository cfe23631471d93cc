"""What any server of streams does at least: `python -m benchmarks.streaming_relay MODEL_PORT MODEL`.

Starlette takes a WebSocket, and for each subscription passes on the pieces of one model's stream, framed by hand as
graphql-transport-ws. Nothing is stored, checked, searched or resumed. It prints its port.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

BODY = json.dumps({"contents": [{"role": "user", "parts": [{"text": "Go on."}]}]}).encode()


async def pieces(port: int, model: str) -> AsyncGenerator[str, None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = (
            f"POST /v1/models/{model}:streamGenerateContent?alt=sse HTTP/1.1\r\nhost: m\r\ncontent-length: {len(BODY)}"
        )
        writer.write(head.encode() + b"\r\n\r\n" + BODY)
        async for line in reader:
            if line.startswith(b"data: "):
                for candidate in json.loads(line[6:])["candidates"]:
                    for part in candidate.get("content", {}).get("parts", ()):
                        yield part["text"]
            elif line == b"0\r\n":
                return
    finally:
        writer.close()


async def relay(socket_: WebSocket) -> None:
    await socket_.accept("graphql-transport-ws")
    port, model = int(sys.argv[1]), sys.argv[2]

    async def answer(id_: str) -> None:
        sequence = 0
        async for text in pieces(port, model):
            sequence += 1
            event = {"__typename": "TextDelta", "sequence": sequence, "text": text}
            message = {"type": "next", "id": id_, "payload": {"data": {"answerEvents": event}}}
            await socket_.send_text(json.dumps(message))
        await socket_.send_text(json.dumps({"type": "complete", "id": id_}))

    running = set()
    try:
        while True:
            message = json.loads(await socket_.receive_text())
            if message["type"] == "connection_init":
                await socket_.send_text('{"type": "connection_ack"}')
            elif message["type"] == "subscribe":
                running.add(asyncio.create_task(answer(message["id"])))
    except WebSocketDisconnect:
        pass


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


if __name__ == "__main__":
    app = Starlette(routes=[WebSocketRoute("/graphql", relay)])
    config = uvicorn.Config(app, port=0, ws="websockets-sansio", ws_per_message_deflate=False, log_config=None)
    Server(config).run()
