"""No query and no mutation runs for ever, nor on for a client that has left."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive
from strawberry.extensions import SchemaExtension
from strawberry.types.graphql import OperationType

from kyrochat.errors import TimedOut

# As long as a statement of the database may take.
OPERATION_LIMIT_S = 30.0
# Work that is done by then is not worth a look at who waits for it.
UNWATCHED_S = 0.02

T = TypeVar("T")


class TimeLimit(SchemaExtension):
    """Cancels an operation that takes too long, with what it waits for: the statement in the database, too.

    Subscriptions may wait for ever. For a limit of your own, give the schema a function that makes it.
    """

    def __init__(self, limit_s: float = OPERATION_LIMIT_S) -> None:
        super().__init__()
        self._limit_s = limit_s

    async def on_execute(self) -> AsyncIterator[None]:
        """Run it within the limit."""
        if self.execution_context.operation_type is OperationType.SUBSCRIPTION:
            yield
            return
        limit = asyncio.timeout(self._limit_s)
        try:
            async with limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise TimedOut(self._limit_s) from None
            raise


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of the work for a request whose body has been read.

    Raises:
        ClientDisconnect: the client is gone; the work was cancelled, and has ended.
    """
    # Without a time of its own: it is ended from outside.
    patience = asyncio.timeout(None)
    try:
        async with patience:
            watch = _Watch(receive, patience)
            try:
                return await work
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
