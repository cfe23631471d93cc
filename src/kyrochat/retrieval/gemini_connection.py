"""One connection pool to Gemini for the process, opened with the first request."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import httpx2

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.timeouts import Timeouts

if TYPE_CHECKING:
    from google import genai

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
MAX_CONNECTIONS = 400
MAX_IDLE_CONNECTIONS = 100
# Their INFO lines come with every call, and those of the transport spell out URLs.
_CHATTY_LOGGERS = ("google_genai", "httpx2", "httpcore2")

_responses: ContextVar[list[httpx2.Response] | None] = ContextVar("_responses", default=None)


class GeminiConnection:
    """The SDK's client, made on first use: importing it takes a second of CPU and 60 MB."""

    def __init__(self, api_key: str, base_url: str | None, api_version: str, timeouts: Timeouts) -> None:
        self.api_key = api_key
        self._base_url = base_url or DEFAULT_BASE_URL
        self._api_version = api_version
        self._timeouts = timeouts
        self._transport: httpx2.AsyncClient | None = None
        self._opening: asyncio.Task[genai.Client] | None = None
        self._closed = False

    async def client(self) -> "genai.Client":
        """Return the client. Hold on to this connection meanwhile: a forgotten client closes itself.

        Raises:
            ProviderUnavailable: the connection was closed.
        """
        if self._closed:
            raise ProviderUnavailable("The server is shutting down.")
        if self._opening is None:
            # In a thread, so that answers in flight keep flowing; as a task, so that whoever stops waiting stops alone.
            self._opening = asyncio.create_task(asyncio.to_thread(self._open))
        return await asyncio.shield(self._opening)

    async def streaming(self, model: str) -> tuple[httpx2.AsyncClient, str]:
        """Return the transport, and where a model's answers are streamed from.

        Raises:
            ProviderUnavailable: the connection was closed.
        """
        await self.client()
        assert self._transport is not None
        path = model if "/" in model else f"models/{model}"
        return self._transport, f"{self._base_url.rstrip('/')}/{self._api_version}/{path}:streamGenerateContent"

    async def close(self) -> None:
        """Close all connections; requests in flight end with ProviderUnavailable."""
        self._closed = True
        if self._opening is None:
            return
        client = await self._opening
        client.close()
        await client.aio.aclose()
        if self._transport is not None:
            await self._transport.aclose()

    def _open(self) -> "genai.Client":
        from google import genai
        from google.genai import types

        for name in _CHATTY_LOGGERS:
            logger = logging.getLogger(name)
            logger.setLevel(max(logger.level, logging.WARNING))
        # Injected, since the SDK would take aiohttp where that is installed: other errors, other timeouts.
        self._transport = httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE_CONNECTIONS),
            event_hooks={"request": [self._set_timeouts], "response": [_remember]},
        )
        # Whatever is left out here the SDK reads from the environment, which is the settings' business.
        return genai.Client(
            enterprise=False,
            api_key=self.api_key,
            http_options=types.HttpOptions(
                base_url=self._base_url, api_version=self._api_version, httpx_async_client=self._transport
            ),
        )

    async def _set_timeouts(self, request: httpx2.Request) -> None:
        # The SDK sends every request with one timeout for all phases, none by default, and so
        # overrules those of the transport.
        request.extensions["timeout"] = self._timeouts.for_transport().as_dict()


async def _remember(response: httpx2.Response) -> None:
    responses = _responses.get()
    if responses is not None:
        responses.append(response)


@asynccontextmanager
async def closing_responses() -> AsyncGenerator[None, None]:
    """Close, at the end of the block, each response that came in it.

    The SDK leaves a stream that failed half way to the garbage collector; until that runs, Gemini goes on sending.
    """
    responses: list[httpx2.Response] = []
    token = _responses.set(responses)
    try:
        yield
    finally:
        _responses.reset(token)
        for response in responses:
            await response.aclose()
