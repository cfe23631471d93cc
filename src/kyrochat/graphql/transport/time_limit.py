"""No query and no mutation runs for ever, nor on for a client that has left."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from kyrochat.errors import TimedOut
from kyrochat.graphql.transport.begun import Begun

# As long as a statement of the database may take.
OPERATION_LIMIT_S = 30.0
# Work that is done by then is not worth a look at who waits for it.
UNWATCHED_S = 0.02

T = TypeVar("T")


async def within(limit_s: float, work: Awaitable[T]) -> T:
    """Return the result of the work; after so long it is cancelled, with what it waits for: a statement, too.

    Raises:
        TimedOut: it took longer.
    """
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise TimedOut(limit_s) from None
        raise


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Return the result of the work for a request whose body has been read.

    Raises:
        ClientDisconnect: the client is gone; the work was cancelled, and has ended.
    """
    begun = Begun(work)
    if begun.is_over:
        return begun.result
    # Without a time of its own: it is ended from outside.
    patience = asyncio.timeout(None)
    try:
        async with patience:
            watch = _Watch(receive, patience)
            try:
                return await begun
            finally:
                watch.end()
    except TimeoutError:
        if patience.expired():
            raise ClientDisconnect from None
        raise


class _Watch:
    """Looks whether the client is gone, once the work has taken a moment: most of it never does."""

    __slots__ = ("_patience", "_receive", "_start", "_task")

    def __init__(self, receive: Receive, patience: asyncio.Timeout) -> None:
        self._receive, self._patience = receive, patience
        self._task: asyncio.Task[None] | None = None
        self._start = asyncio.get_running_loop().call_later(UNWATCHED_S, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.create_task(_until_gone(self._receive, self._patience))

    def end(self) -> None:
        """Look no more."""
        self._start.cancel()
        if self._task is not None:
            self._task.cancel()


async def _until_gone(receive: Receive, patience: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    patience.reschedule(asyncio.get_running_loop().time())
