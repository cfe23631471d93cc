"""An answer that goes on where it was when the connection breaks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from random import SystemRandom
from time import monotonic
from typing import Any, TypeVar

import httpx2

from kyrochat.client import operations
from kyrochat.client.connection import AWAY, Connection, StreamBroken
from kyrochat.client.types import AnswerFailed, Citation, ConnectionLost, KyroChatError, citation_from

# How long the server may be away before an answer is given up; the server keeps it all the same.
PATIENCE_S = 120.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
# It is busy or about to restart: the same request may succeed a little later.
PASSING = ("OVERLOADED", "RATE_LIMITED", "TIMED_OUT", AWAY)

T = TypeVar("T")


@dataclass(slots=True)
class Patience:
    """Waits between tries, longer each time, until it is at its end."""

    limit_s: float
    _since: float | None = None
    _pause_s: float = FIRST_PAUSE_S

    def renew(self) -> None:
        """Begin anew: something came through."""
        self._since, self._pause_s = None, FIRST_PAUSE_S

    async def wait(self, reason: Exception) -> None:
        """Wait before the next try.

        Raises:
            KyroChatError: that is the reason, and will not pass.
            ConnectionLost: there were enough of them.
        """
        if isinstance(reason, KyroChatError) and reason.code not in PASSING:
            raise reason
        now = monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since >= self.limit_s:
            raise ConnectionLost(type(reason).__name__) from reason
        # Spread, so that all clients of a server that restarts do not come back together.
        await asyncio.sleep(self._pause_s * SystemRandom().uniform(0.5, 1.0))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


async def again(work: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """Do what may be done twice until it is done.

    Raises:
        ConnectionLost: the server stayed away.
        KyroChatError: it refused.
    """
    patience = Patience(patience_s)
    while True:
        try:
            return await work()
        except (httpx2.TransportError, KyroChatError) as error:
            await patience.wait(error)


@dataclass(slots=True)
class Answer:
    """The answer to one question: iterate over it for its text, as it is written.

    What has come is told by `text`, `citations`, `sequence` (of the last event) and `status`; at the end `text` and
    `citations` are those that are stored. `id` names the message, to watch it from somewhere else.
    """

    _connection: Connection
    _begin: Callable[[], Awaitable[tuple[str, str]]]
    _patience_s: float = PATIENCE_S
    id: str = ""
    conversation_id: str = ""
    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    status: str = "STREAMING"
    grounded: bool | None = None
    sequence: int = 0
    _failure: str | None = None
    _retryable: bool = True
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)

    def __aiter__(self) -> AsyncIterator[str]:
        """Yield the pieces of the text that have not come yet."""
        return self.pieces()

    async def whole(self) -> "Answer":
        """Wait for the end, and return the answer itself."""
        async for _ in self:
            pass
        return self

    async def stop(self) -> None:
        """End the answer with the text so far; whoever iterates gets what there is, and then the end."""
        await self._ask()
        await again(lambda: self._connection.run(operations.STOP, {"id": self.id}), self._patience_s)

    async def _ask(self) -> None:
        # Who stops it may come while the question is on its way.
        async with self._asking:
            if not self.id:
                self.id, self.conversation_id = await self._begin()

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Yield the pieces of the text that have not come yet, up to the answer's end.

        Raises:
            AnswerFailed: it has ended without being an answer; `text` has what there is of it.
            ConnectionLost: the server stayed away. Iterate again to go on.
        """
        await self._ask()
        patience, after = Patience(self._patience_s), self.sequence
        while self.status == "STREAMING":
            # Kept up to date: when the session is renewed meanwhile, the stream begins again with them.
            variables = {"id": self.id, "after": after}
            try:
                async with aclosing(self._connection.watch(operations.EVENTS, variables)) as events:
                    async for event in events:
                        patience.renew()
                        if event.get("sequence", 0) <= self.sequence and "message" not in event:
                            continue
                        self.sequence = variables["after"] = event["sequence"]
                        piece = self._take(event)
                        if piece:
                            yield piece
                # Where nothing comes any more, the end was among what is known: it is read once more.
                after = 0
            except (httpx2.TransportError, StreamBroken, KyroChatError) as error:
                after = self.sequence
                await patience.wait(error)
        if self.status in ("FAILED", "INTERRUPTED"):
            raise AnswerFailed(self._failure or "The answer was interrupted. Ask again.", retryable=self._retryable)

    def _take(self, event: dict[str, Any]) -> str:
        match event["__typename"]:
            case "TextDelta":
                self.text += event["text"]
                return str(event["text"])
            case "CitationAdded":
                self.citations.append(citation_from(event["citation"]))
            case "AnswerCompleted" | "AnswerStopped" | "AnswerInterrupted" | "AnswerFailed":
                self._failure, self._retryable = event.get("reason"), event.get("retryable", True)
                message = event["message"]
                self.status, self.grounded = message["status"], message["grounded"]
                self.citations = [citation_from(citation) for citation in message["citations"]]
                # All of it has come: that is what the log promises.
                self.text = message["text"]
            case _:
                pass  # an event of a newer server
        return ""
