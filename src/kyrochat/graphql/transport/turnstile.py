"""Lets operations begin a few at a time, so that a crowd holds up nobody but itself."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

# An operation works for about a millisecond before it waits for the first time, if it waits at all.
PER_TURN = 10


@dataclass(slots=True, eq=False)
class Turnstile:
    """At most `per_turn` pass in one turn of the event loop, in the order in which they came.

    The loop takes whatever is ready before it looks at its clocks and sockets again: of 500 requests that came
    together, the last one would be begun half a second before anything else is heard. Nobody is held who could be
    begun: without a crowd passing costs nothing, and whoever has passed keeps no place.
    """

    per_turn: int = PER_TURN
    _passed: int = 0
    _waiting: "deque[asyncio.Future[None]]" = field(default_factory=deque)

    async def pass_through(self) -> None:
        """Wait for one's turn."""
        if self._passed == 0:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._passed < self.per_turn:
            self._passed += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _next_turn(self) -> None:
        self._passed = 0
        while self._waiting and self._passed < self.per_turn:
            turn = self._waiting.popleft()
            # Who has gone away meanwhile takes nobody's turn.
            if not turn.done():
                turn.set_result(None)
                self._passed += 1
        if self._passed:
            asyncio.get_running_loop().call_soon(self._next_turn)
