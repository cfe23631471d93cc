"""Work that is begun at once, so that what watches over it starts only when there is something to wait for."""

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """Work of the running task, run until it waits for the first time, or is over. Await it to go on.

    A timer, and all that goes with one, costs more than most of what it guards, which never waits. What is done in the
    first step could not be interrupted anyway.
    """

    __slots__ = ("_awaited", "_result", "_steps", "is_over")
    _result: T

    def __init__(self, work: Awaitable[T]) -> None:
        self._steps: Generator[Any, Any, T] = work.__await__()
        self.is_over = False
        try:
            # What it waits for, for the event loop.
            self._awaited = self._steps.send(None)
        except StopIteration as over:
            self.is_over, self._result = True, over.value

    @property
    def result(self) -> T:
        """What it returned, once it is over."""
        return self._result

    def __await__(self) -> Generator[Any, Any, T]:
        """Go on to the end."""
        while not self.is_over:
            try:
                try:
                    sent = yield self._awaited
                except GeneratorExit:
                    self._steps.close()
                    raise
                except BaseException as error:  # a cancellation, for what waits inside
                    self._awaited = self._steps.throw(error)
                else:
                    self._awaited = self._steps.send(sent)
            except StopIteration as over:
                self.is_over, self._result = True, over.value
        return self._result
