"""Operations of one socket take turns, so that a client that does not read holds up few results of its own."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

# About so many objects may be in the results that one socket's operations make at a time.
CAPACITY = 10
# Who takes longer than this waits for something slow, and lets others go ahead meanwhile.
PATIENCE_S = 1.0

Drained = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Turns:
    """The turns of one socket; `drained` waits until its client has read what was sent."""

    drained: Drained
    capacity: int = CAPACITY
    patience_s: float = PATIENCE_S
    _taken: int = 0
    _waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)

    async def _acquire(self, weight: int) -> None:
        if not self._waiting and self._taken + weight <= self.capacity:
            self._taken += weight
            return
        # In the order of arrival: heavy ones must not wait for ever behind light ones.
        place = (weight, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        try:
            await place[1]
        except asyncio.CancelledError:
            if not place[1].cancelled():
                self._release(weight)
            elif place in self._waiting:
                self._waiting.remove(place)
                self._let_in()
            raise

    def _release(self, weight: int) -> None:
        self._taken -= weight
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._taken + self._waiting[0][0] <= self.capacity:
            weight, admitted = self._waiting.popleft()
            # One that was cancelled just now has not had the time yet to leave.
            if not admitted.done():
                self._taken += weight
                admitted.set_result(None)


@dataclass(slots=True)
class Turn:
    """One operation's turn."""

    turns: Turns
    was_taken: bool = False
    _weight: int = 0
    _timer: asyncio.TimerHandle | None = None

    async def take(self, weight: int) -> None:
        """Wait until nothing hinders an operation whose result has about `weight` objects."""
        self.was_taken = True
        weight = max(1, min(weight, self.turns.capacity))
        await self.turns._acquire(weight)
        self._weight = weight
        await self.turns.drained()
        self._timer = asyncio.get_running_loop().call_later(self.turns.patience_s, self.give_back)

    def give_back(self) -> None:
        """Let the next ones go ahead; again does no harm."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        weight, self._weight = self._weight, 0
        if weight:
            self.turns._release(weight)


# The turn of the operation that this task runs; None over HTTP, where an operation has a connection to itself.
current_turn: ContextVar[Turn | None] = ContextVar("current_turn", default=None)
