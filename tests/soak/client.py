"""Somebody who asks and watches over servers that come and go, and never gives up."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx2
from websockets.exceptions import WebSocketException

from tests.graphql_client import GraphQLClient, Refused
from tests.journey.steps import FINAL, MESSAGE, SEND, START, STOP
from tests.soak.plan import Watcher
from tests.soak.servers import Servers

T = TypeVar("T")

PAUSE_S = 0.1
EVENTS = """subscription ($id: ID!, $after: Int) { answerEvents(messageId: $id, after: $after) {
  __typename ... on PassagesFound { sequence } ... on TextDelta { sequence text } ... on CitationAdded { sequence }
  ... on AnswerCompleted { sequence message { status text } } ... on AnswerStopped { sequence message { status text } }
  ... on AnswerInterrupted { sequence message { status text } }
  ... on AnswerFailed { sequence reason retryable message { status text } }
} }"""


REFRESH = """mutation ($token: String!) { refreshSession(input: {refreshToken: $token}) {
  __typename ... on Session { accessToken refreshToken } } }"""


class Lost(Exception):
    """The server went away, or was too busy."""


LOST = (Lost, OSError, TimeoutError, EOFError, WebSocketException, httpx2.TransportError)


@dataclass
class Seen:
    """What a watcher has. `sequences` rise, or it is an error at once."""

    text: str = ""
    last: int = 0
    end: dict[str, Any] | None = None
    # What happened when, in seconds since the first connection.
    story: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def note(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self.began:.1f} {what}")

    def take(self, event: dict[str, Any]) -> None:
        assert self.end is None, "something came after the end"
        assert event["sequence"] > self.last, f"{event['sequence']} came after {self.last}"
        self.last = event["sequence"]
        self.text += event.get("text", "")
        if event["__typename"] in FINAL:
            self.end = event


@dataclass
class Client:
    """A user, wherever his servers are. `counts` tells how often he was lost, and came back."""

    user: GraphQLClient
    bot_id: str
    servers: Servers
    counts: Counter[str] = field(default_factory=Counter)

    async def ask(self, question: str, key: str, senders: int, luck: random.Random) -> str:
        """Ask with one key, several times at once; return the id of the one answer."""
        conversation = await self.insist(luck, lambda at: at.run(START, bot=self.bot_id))
        asked = {"conversation": conversation["id"], "text": question, "key": key}
        seeds = [luck.random() for _ in range(senders)]
        exchanges = await asyncio.gather(
            *(self.insist(random.Random(seed), lambda at: at.run(SEND, **asked)) for seed in seeds)
        )
        ids = {exchange["answer"]["id"] for exchange in exchanges}
        assert len(ids) == 1, f"one key gave {len(ids)} answers"
        return str(ids.pop())

    async def stop(self, answer_id: str, luck: random.Random) -> dict[str, Any]:
        stopped: dict[str, Any] = await self.insist(luck, lambda at: at.run(STOP, id=answer_id))
        return stopped

    async def stored(self, answer_id: str, luck: random.Random) -> dict[str, Any]:
        message: dict[str, Any] = await self.insist(luck, lambda at: at.run(MESSAGE, id=answer_id))
        return message

    async def renew(self, luck: random.Random) -> None:
        """Go on with new tokens."""
        session = await self.insist(luck, lambda at: at.run(REFRESH, token=self.user.refresh_token))
        self.user = replace(self.user, token=session["accessToken"], refresh_token=session["refreshToken"])

    async def insist(self, luck: random.Random, request: Callable[[GraphQLClient], Awaitable[T]]) -> T:
        """Ask servers until one answers."""
        while True:
            try:
                return await request(self.user.at(self.servers.any(luck)))
            except (*LOST, ValueError) as error:
                self.counts[f"asked again: {type(error).__name__}"] += 1
            except Refused as refused:
                if refused.codes != ["OVERLOADED"]:
                    raise
                self.counts["asked again: OVERLOADED"] += 1
            await asyncio.sleep(PAUSE_S)

    async def watch(self, answer_id: str, watcher: Watcher, seen: Seen) -> None:
        """Watch to the end, over as many connections as that takes."""
        luck = random.Random(watcher.seed)
        cuts = list(watcher.cuts)
        await asyncio.sleep(watcher.late_s)
        while seen.end is None:
            until_cut = cuts.pop(0) if cuts else None
            try:
                events = self._by_socket if watcher.by_socket else self._by_events
                url = self.servers.any(luck)
                seen.note(f"goes to {url} after {seen.last}")
                async with aclosing(events(url, answer_id, seen.last)) as incoming:
                    while until_cut != 0 and (event := await anext(incoming, None)) is not None:
                        seen.take(event)
                        until_cut = None if until_cut is None else until_cut - 1
                        await asyncio.sleep(watcher.pause_s)
                    self.counts["cut"] += until_cut == 0
            except LOST as error:
                seen.note(f"lost it: {type(error).__name__}")
                self.counts["lost"] += 1
                await asyncio.sleep(PAUSE_S)
            except Refused as refused:
                if refused.codes != ["OVERLOADED"]:
                    raise
                seen.note("it is busy")
                self.counts["busy"] += 1
                await asyncio.sleep(PAUSE_S)

    async def _by_socket(self, url: str, answer_id: str, after: int) -> AsyncGenerator[dict[str, Any], None]:
        async with self.user.at(url).socket() as socket:
            try:
                async for event in socket.watch(EVENTS, id=answer_id, after=after):
                    yield event
            finally:
                socket.abort()

    async def _by_events(self, url: str, answer_id: str, after: int) -> AsyncGenerator[dict[str, Any], None]:
        body = {"query": EVENTS, "variables": {"id": answer_id, "after": after}}
        headers = {"Accept": "text/event-stream", **self.user.headers}
        async with self.user.http.stream("POST", url, json=body, headers=headers) as response:
            if response.status_code != 200:
                raise Lost
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    answer = json.loads(line.removeprefix("data: "))
                    if "errors" in answer:
                        raise Refused(answer["errors"])
                    yield answer["data"]["answerEvents"]
