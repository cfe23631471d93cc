"""The messages of graphql-transport-ws that a client may send, checked for their shape."""

from dataclasses import dataclass

from kyrochat.graphql.transport.operation import Operation, operation_from, parse_json
from kyrochat.graphql.transport.refusals import IllFormed, UnusableText

MAX_ID_CHARS = 128


class ProtocolViolation(Exception):
    """The client broke the protocol: the socket is closed with `code` (44xx) and `reason`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ConnectionInit:
    """Opens the conversation; `params` are what HTTP would carry in headers."""

    params: dict[str, object]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Starts an operation; `operation` is the reason against it when its text cannot be used."""

    id: str
    operation: Operation | UnusableText


@dataclass(frozen=True, slots=True)
class Complete:
    """The client wants no more results of the operation `id`."""

    id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a pong with the same payload."""

    payload: dict[str, object] | None


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping, or just says that the client is there."""


ClientMessage = ConnectionInit | Subscribe | Complete | Ping | Pong


def parse_message(text: str) -> ClientMessage:
    """Return the message in a text frame.

    Raises:
        ProtocolViolation: 4400, it is not one of the protocol's messages.
    """
    try:
        message = parse_json(text)
    except IllFormed as error:
        raise _invalid(error.message) from None
    if not isinstance(message, dict):
        raise _invalid("A message is a JSON object.")
    match message.get("type"):
        case "connection_init":
            return ConnectionInit(_payload(message) or {})
        case "subscribe":
            return Subscribe(_id(message), _operation(message))
        case "complete":
            return Complete(_id(message))
        case "ping":
            return Ping(_payload(message))
        case "pong":
            _payload(message)
            return Pong()
        case _:
            raise _invalid("The message has no known type.")


def _id(message: dict[str, object]) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not 1 <= len(id_) <= MAX_ID_CHARS:
        raise _invalid(f"An id is a string of 1 to {MAX_ID_CHARS} characters.")
    return id_


def _payload(message: dict[str, object]) -> dict[str, object] | None:
    payload = message.get("payload")
    if not isinstance(payload, dict | None):
        raise _invalid("A payload is an object or null.")
    return payload


def _operation(message: dict[str, object]) -> Operation | UnusableText:
    try:
        return operation_from(message.get("payload"))
    except IllFormed as error:
        raise _invalid(error.message) from None
    except UnusableText as error:
        return error


def _invalid(reason: str) -> ProtocolViolation:
    return ProtocolViolation(4400, reason)
