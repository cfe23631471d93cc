"""uvicorn's WebSocket protocol, with bounds for what a client may pile up in it."""

from typing import cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from kyrochat.graphql.transport.stall_guard import CutsStalledClients, cut

# How long a close frame may wait behind unread data before the connection is cut.
ABORT_AFTER_S = 5.0
# Empty fragments make a message no larger, and have to be kept all the same.
MAX_FRAGMENTS = 256
# Messages that came in one piece of data and were not handled yet; reading stops after each piece.
MAX_QUEUED_MESSAGES = 512
BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
# In the scope's extensions: waits until the client has read most of what was sent to it.
DRAINED = "kyrochat.drained"


class AbortingWS(CutsStalledClients, WebSocketsSansIOProtocol):
    """Cuts a client which stopped reading or died, and one that floods."""

    abort_after_s = ABORT_AFTER_S
    _pongs_pile_up = False

    def data_received(self, data: bytes) -> None:
        """Take in data; a handshake comes in one piece, so that one which is not understood now never will be."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()) or BAD_HANDSHAKE)
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        """Begin to serve; the application may know whether its client reads."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            cast("dict[str, object]", self.scope["extensions"])[DRAINED] = self.writable.wait

    async def send(self, message: ASGISendEvent) -> None:
        """Send; a handshake that is refused with a response is complete, which uvicorn logs as an error otherwise."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment, unless there are too many."""
        if len(self.frames) >= MAX_FRAGMENTS and not self.close_sent:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "Too many fragments")
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Pass a message on, unless it is no text or there are too many of them."""
        if self.close_sent:
            super().send_receive_event_to_app()
        elif self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            # uvicorn would log it with a traceback.
            self._fail(CloseCode.INVALID_DATA, "Text is not UTF-8")
        elif self.queue.qsize() >= MAX_QUEUED_MESSAGES:
            self._fail(CloseCode.POLICY_VIOLATION, "Too many messages at once")
        else:
            super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer, and read no more pings as long as the answers pile up."""
        super().handle_ping()
        if not self.writable.is_set() and not self.transport.is_closing():
            self._pongs_pile_up = True
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again, unless the application has to catch up first."""
        super().resume_writing()
        if self._pongs_pile_up:
            self._pongs_pile_up = False
            if not self.read_paused and not self.transport.is_closing():
                self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        """Close, and cut the connection when the close cannot get out."""
        super().keepalive_timeout()
        self.loop.call_later(self.abort_after_s, cut, self.transport)

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
