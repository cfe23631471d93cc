"""A stream of a provider that is closed at once, whenever its reader closes it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.types import Finished, ModelEvent

Put = Callable[[ModelEvent], None]


async def pumped(
    read: Callable[[Put], Awaitable[Finished]], timeout_s: float, too_slow: Callable[[], ProviderUnavailable]
) -> AsyncGenerator[ModelEvent, None]:
    """Yield what `read` puts, in order, and then the end that it returns; what it raises is raised here.

    A task reads, since closing an SDK's own stream may leave the request open: only a cancellation that arrives while
    waiting for the network closes it for certain. The queue has no limit for the same reason: the task waits for
    nothing else. What piles up is at most one answer.

    Raises:
        ProviderUnavailable: `too_slow()` after `timeout_s` for all of it.
    """
    events: asyncio.Queue[ModelEvent | Exception] = asyncio.Queue()

    async def pump() -> None:
        try:
            async with asyncio.timeout(timeout_s):
                events.put_nowait(await read(events.put_nowait))
        except TimeoutError:
            events.put_nowait(too_slow())
        except Exception as error:
            events.put_nowait(error)

    reader = asyncio.create_task(pump())
    try:
        while True:
            event = await events.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Finished):
                return
    finally:
        reader.cancel()
        await asyncio.wait([reader])
