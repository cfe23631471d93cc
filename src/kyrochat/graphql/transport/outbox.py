"""What a socket says: messages of graphql-transport-ws, and in the end why it closes."""

from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from kyrochat.graphql.transport.refusals import encode_json
from kyrochat.graphql.transport.ws_protocol import DRAINED

MAX_CLOSE_REASON_BYTES = 123


class Outbox:
    """The sending side of one socket. Who waits for `drained` before making more holds nothing for a stalled client."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.drained = socket.scope.get("extensions", {}).get(DRAINED, _at_once)
        self.is_closed = False

    async def send(self, kind: str, id_: str | None = None, payload: object = None) -> None:
        """Send a message, and wait until the client has read most of it; nothing happens when the socket is closed."""
        await self.write(message_text(kind, id_, payload))
        del payload
        await self.drained()

    async def write(self, text: str) -> None:
        """Send a message that is encoded already, without that wait."""
        if self.is_closed:
            return
        try:
            await self._socket.send_text(text)
        except WebSocketDisconnect:
            # The client is gone: the frame that says so is on its way to the receiving side.
            self.is_closed = True

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, unless it is closed."""
        if self.is_closed:
            return
        self.is_closed = True
        reason = reason.encode(errors="replace")[:MAX_CLOSE_REASON_BYTES].decode(errors="ignore")
        # The client may have closed first.
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(code, reason)


def message_text(kind: str, id_: str | None = None, payload: object = None) -> str:
    """Return a message as it is sent."""
    message: dict[str, object] = {"type": kind}
    if id_ is not None:
        message["id"] = id_
    if payload is not None:
        message["payload"] = payload
    return encode_json(message)


async def _at_once() -> None:
    """Stand in for servers other than ours, which do not say whether a client reads."""
