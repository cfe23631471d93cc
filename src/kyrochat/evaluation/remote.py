"""Asks questions of a bot on a server, over its API."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kyrochat.errors import KyroError, RateLimited
from kyrochat.evaluation.types import Answered, Hit, Question

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 60.0
DEFAULT_PASSAGES = 10
# A question waits so often for its turn, and no longer each time.
MAX_WAITS, LONGEST_WAIT_S = 5, 120.0

SEARCH = """
query Evaluate($bot: ID!, $query: String!, $first: Int!, $settings: SearchSettingsInput) {
  search(botId: $bot, query: $query, first: $first, settings: $settings) { text score document { id title url } }
}
"""
BOTS = """
query Bots($after: String) {
  bots(first: 100, after: $after) { nodes { id name } pageInfo { hasNextPage endCursor } }
}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server's API, under a key or an access token that may search."""

    client: "httpx2.AsyncClient"
    address: str

    async def call(self, query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the data of an operation.

        Raises:
            RateLimited: it was one too many.
            KyroError: the server cannot be reached, or refuses.
        """
        import httpx2

        try:
            response = await self.client.post(self.address, json={"query": query, "variables": dict(variables)})
        except httpx2.HTTPError as error:
            raise KyroError(f"The server cannot be reached ({type(error).__name__}).") from error
        try:
            result = response.json()
        except ValueError as error:
            raise KyroError(
                f"HTTP {response.status_code}, and no JSON. Is a KyroChat server at this address?"
            ) from error
        if not isinstance(result, dict) or result.get("errors") or not isinstance(result.get("data"), dict):
            raise _refusal(result.get("errors") if isinstance(result, dict) else None)
        data: Mapping[str, Any] = result["data"]
        return data

    async def find_bot(self, name: str) -> str:
        """Return the id of the bot that has this name or id.

        Raises:
            KyroError: there is none.
        """
        after = None
        while True:
            bots = (await self.call(BOTS, {"after": after}))["bots"]
            for bot in bots["nodes"]:
                if name in (bot["id"], bot["name"]):
                    return str(bot["id"])
            if not bots["pageInfo"]["hasNextPage"]:
                raise KyroError(f"There is no bot {name!r} on the server, for this key.")
            after = bots["pageInfo"]["endCursor"]


@dataclass(frozen=True, slots=True)
class RemoteAsker:
    """Asks a bot of a server. Latencies have the way there in them."""

    server: Server
    bot: str
    top_k: int = DEFAULT_PASSAGES
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def ask(self, question: Question) -> Answered:
        """Return what the server's `search` finds, after a wait where it says that there is one.

        Raises:
            KyroError: the server cannot be reached or refuses.
        """
        wanted: dict[str, Any] = {"bot": self.bot, "query": question.text, "first": self.top_k}
        if question.filter:
            wanted["settings"] = {"filter": question.filter}
        data, milliseconds = await self._found(wanted)
        return Answered(
            tuple(
                Hit(
                    found["document"]["id"],
                    found["document"]["title"],
                    found["text"],
                    found["score"],
                    frozenset(filter(None, (found["document"]["url"],))),
                )
                for found in data["search"]
            ),
            milliseconds,
            degraded=None,  # `search` does not say
        )

    async def _found(self, wanted: Mapping[str, Any]) -> tuple[Mapping[str, Any], float]:
        """Return what came of a search, and how many milliseconds it took once it had its turn."""
        waits = 0
        while True:
            began_at = time.perf_counter()
            try:
                data = await self.server.call(SEARCH, wanted)
            except RateLimited as error:
                waits += 1
                if waits > MAX_WAITS or error.retry_after_s > LONGEST_WAIT_S:
                    raise
                await self.sleep(error.retry_after_s)
            else:
                return data, 1000 * (time.perf_counter() - began_at)


def _refusal(errors: Any) -> KyroError:
    if not isinstance(errors, list) or not errors:
        return KyroError("The server refuses: no data came")
    about = errors[0].get("extensions") or {}
    if about.get("code") == "RATE_LIMITED":
        return RateLimited(float(about.get("retryAfterSeconds", 1)))
    return KyroError(f"The server refuses: {errors[0].get('message')}")


@asynccontextmanager
async def open_server(url: str, key: str) -> AsyncGenerator[Server, None]:
    """Open the API of the server at `url`, its root or its path of GraphQL."""
    import httpx2

    root = url.rstrip("/")
    address = root if root.endswith("/graphql") else f"{root}/graphql"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=TIMEOUT_S) as client:
        yield Server(client, address)
