"""One connection pool for the process to a server with OpenAI's API, opened with the first request."""

import asyncio
import logging
from typing import TYPE_CHECKING

import httpx2

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.timeouts import Timeouts

if TYPE_CHECKING:
    from openai import AsyncOpenAI

DEFAULT_BASE_URL = "https://api.openai.com/v1"
MAX_CONNECTIONS = 400
MAX_IDLE_CONNECTIONS = 100
# The SDK wants a key, and servers on one's own machine want none.
NO_KEY = "none"
_CHATTY_LOGGERS = ("openai", "httpx2", "httpcore2")


class OpenAIConnection:
    """The SDK's client, made on first use: importing it takes half a second of CPU."""

    def __init__(self, api_key: str | None, base_url: str | None, timeouts: Timeouts) -> None:
        self._api_key = api_key or NO_KEY
        self._base_url = base_url or DEFAULT_BASE_URL
        self._timeouts = timeouts
        self._opening: asyncio.Task[AsyncOpenAI] | None = None
        self._closed = False

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI itself, which has renamed parameters that others know by their old names."""
        return self._base_url == DEFAULT_BASE_URL

    async def client(self) -> "AsyncOpenAI":
        """Return the client.

        Raises:
            ProviderUnavailable: the connection was closed.
        """
        if self._closed:
            raise ProviderUnavailable("The server is shutting down.")
        if self._opening is None:
            # In a thread, so that answers in flight keep flowing; as a task, so that whoever stops waiting stops alone.
            self._opening = asyncio.create_task(asyncio.to_thread(self._open))
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Close all connections; requests in flight end with ProviderUnavailable."""
        self._closed = True
        if self._opening is not None:
            await (await self._opening).close()

    def _open(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI

        for name in _CHATTY_LOGGERS:
            logger = logging.getLogger(name)
            logger.setLevel(max(logger.level, logging.WARNING))
        timeout = self._timeouts.for_transport()
        # Whatever is left out here the SDK reads from the environment, which is the settings' business; empty ones
        # are sent as no header at all.
        return AsyncOpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            organization="",
            project="",
            timeout=timeout,
            max_retries=0,
            http_client=httpx2.AsyncClient(
                timeout=timeout,
                limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE_CONNECTIONS),
            ),
        )
