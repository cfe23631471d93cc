"""The operations that run on one socket."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from strawberry.types import ExecutionResult

from kyrochat.graphql.transport.masking import is_request_error, new_request_id, present_exception, present_result
from kyrochat.graphql.transport.operation import Operation
from kyrochat.graphql.transport.outbox import Outbox, message_text
from kyrochat.graphql.transport.refusals import RequestRefused, UnusableText
from kyrochat.graphql.transport.socket_messages import ProtocolViolation, Subscribe
from kyrochat.graphql.transport.turns import Turn, Turns, current_turn

# Begins an operation in a fresh context, and returns its results.
Begin = Callable[[Operation], Awaitable[AsyncGenerator[ExecutionResult, None]]]


class SocketOperations:
    """At most `max_operations` at a time, which hold at most `max_held_bytes` of what their client has sent."""

    def __init__(self, outbox: Outbox, max_operations: int, max_held_bytes: int) -> None:
        self._outbox = outbox
        self._max_operations = max_operations
        self._max_held_bytes = max_held_bytes
        self._turns = Turns(outbox.drained)
        self._by_id: dict[str, asyncio.Task[None]] = {}
        # Also those that were told to stop, and still clean up; with the bytes that each holds.
        self._tasks: dict[asyncio.Task[None], int] = {}

    async def begin(self, message: Subscribe, begin: Begin) -> None:
        """Run an operation in the background, or say why not.

        Raises:
            ProtocolViolation: 4409, its id is in use.
        """
        if message.id in self._by_id:
            raise ProtocolViolation(4409, f"Subscriber for {message.id} already exists")
        operation = message.operation
        refused = operation if isinstance(operation, UnusableText) else self._refusal(operation)
        if refused is not None:
            await self._outbox.send("error", message.id, [refused.as_error()])
            return
        assert not isinstance(operation, UnusableText)
        task = asyncio.create_task(self._run(message.id, operation, begin))
        self._by_id[message.id] = task
        self._tasks[task] = operation.held_bytes
        task.add_done_callback(self._tasks.pop)

    def complete(self, id_: str) -> None:
        """Stop an operation whose results are not wanted any more."""
        # Not awaited: one operation that is slow to stop must not hold up the others.
        if task := self._by_id.pop(id_, None):
            task.cancel()

    def cancel(self) -> list[asyncio.Task[None]]:
        """Stop all operations, and return their tasks."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    def _refusal(self, operation: Operation) -> RequestRefused | None:
        limit = self._max_operations
        if len(self._by_id) >= limit or len(self._tasks) >= 2 * limit:
            return RequestRefused(429, "RATE_LIMITED", f"A socket holds at most {limit} operations at a time.")
        if sum(self._tasks.values()) + operation.held_bytes > self._max_held_bytes:
            return RequestRefused(
                429, "RATE_LIMITED", f"The operations of a socket hold at most {self._max_held_bytes:,} bytes together."
            )
        return None

    async def _run(self, id_: str, operation: Operation, begin: Begin) -> None:
        request_id = new_request_id()
        turn = Turn(self._turns)
        current_turn.set(turn)
        try:
            async with aclosing(await begin(operation)) as results:
                is_first = True
                async for result in results:
                    if not self._is_wanted(id_):
                        return
                    payload = present_result(result, request_id)
                    if is_first and is_request_error(result):
                        await self._finish("error", id_, payload["errors"])
                        return
                    text = message_text("next", id_, payload)
                    del payload, result
                    if turn.was_taken:
                        # There is no other result. What made it goes before it waits for the client.
                        await results.aclose()
                    await self._outbox.write(text)
                    del text
                    await self._outbox.drained()
                    is_first = False
            await self._finish("complete", id_)
        except Exception as error:
            await self._finish("error", id_, [present_exception(error, request_id)])
        finally:
            turn.give_back()

    def _is_wanted(self, id_: str) -> bool:
        """Whether the running task may speak: one that fails while it is stopped may find its id taken by another."""
        return self._by_id.get(id_) is asyncio.current_task()

    async def _finish(self, kind: str, id_: str, payload: object = None) -> None:
        if not self._is_wanted(id_):
            return
        # Forgotten first: the client may use the id again as soon as it has the message.
        del self._by_id[id_]
        await self._outbox.send(kind, id_, payload)
