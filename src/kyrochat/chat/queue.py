"""Whose answer is written when: places are shared out between workspaces, and in them between those who ask."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from kyrochat.errors import Overloaded

MAX_RUNNING = 300
MAX_WAITING = 1_000
# A workspace may have so many places as are free, times this: alone it leaves one in nine to others, which is there
# before they come. The same with people, and one in five.
WORKSPACE_SHARE = 8
PERSON_SHARE = 4
# Of the queue a person may have half of what is free: alone a third of it.
PERSON_WAITING_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Asker:
    """Who waits for an answer: somebody, in a workspace."""

    workspace_id: UUID
    who: str


Waiting = deque["asyncio.Future[None]"]


@dataclass(slots=True, eq=False)
class AnswerQueue:
    """The places of one process, and who waits for one.

    The next place goes to the workspace whose turn it is, and in it to the person whose turn it is; one's own answers
    stay in their order.
    """

    max_running: int = MAX_RUNNING
    max_waiting: int = MAX_WAITING
    _running: Counter[Asker] = field(default_factory=Counter)
    _running_in: Counter[UUID] = field(default_factory=Counter)
    # Both dicts are in the order of turns.
    _waiting: dict[UUID, dict[str, Waiting]] = field(default_factory=dict)
    _waiting_in: Counter[UUID] = field(default_factory=Counter)
    _is_closed: bool = False

    @property
    def running(self) -> int:
        """How many places are taken."""
        return self._running_in.total()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return self._waiting_in.total()

    def must_have_room(self, asker: Asker) -> None:
        """Check that one more answer for `asker` can run or wait.

        Raises:
            Overloaded: it cannot. Whoever has nothing in line is refused only when it is full.
        """
        if not self.waiting and self._may_run(asker):
            return
        free = self.max_waiting - self.waiting
        if free <= 0:
            raise Overloaded
        own = len(self._waiting.get(asker.workspace_id, {}).get(asker.who, ()))
        if own >= max(1, free * PERSON_WAITING_SHARE) or self._waiting_in[asker.workspace_id] >= free:
            raise Overloaded("Too many of your answers wait to be written. Try again in a few seconds.")

    @asynccontextmanager
    async def place(self, asker: Asker) -> AsyncGenerator[bool, None]:
        """Have a place for the block, once it is one's turn; says whether that took waiting."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(asker.workspace_id, {}).setdefault(asker.who, deque()).append(turn)
        self._waiting_in[asker.workspace_id] += 1
        self._let_in()
        has_waited = not turn.done()
        try:
            await turn
            yield has_waited
        finally:
            if turn.done() and not turn.cancelled():
                self._leave(asker)
            else:
                self._forget(asker, turn)
            self._let_in()

    def close(self) -> None:
        """Let nobody in any more."""
        self._is_closed = True

    def _may_run(self, asker: Asker) -> bool:
        free = self.max_running - self.running
        return (
            self._running_in[asker.workspace_id] < WORKSPACE_SHARE * free and self._running[asker] < PERSON_SHARE * free
        )

    def _let_in(self) -> None:
        while not self._is_closed and self.running < self.max_running and (asker := self._next()) is not None:
            turn = self._waiting[asker.workspace_id][asker.who].popleft()
            self._came_first(asker)
            # Who was cancelled just now has not had the time yet to leave.
            if not turn.done():
                self._running[asker] += 1
                self._running_in[asker.workspace_id] += 1
                turn.set_result(None)

    def _next(self) -> Asker | None:
        for workspace_id, people in self._waiting.items():
            for who in people:
                if self._may_run(asker := Asker(workspace_id, who)):
                    return asker
        return None

    def _came_first(self, asker: Asker) -> None:
        """Put the workspace and the person at the end of the turns, or out of them when nothing of theirs waits."""
        people = self._waiting.pop(asker.workspace_id)
        waiting = people.pop(asker.who)
        if waiting:
            people[asker.who] = waiting
        if people:
            self._waiting[asker.workspace_id] = people
        self._less(self._waiting_in, asker.workspace_id)

    def _leave(self, asker: Asker) -> None:
        self._less(self._running_in, asker.workspace_id)
        self._running[asker] -= 1
        if not self._running[asker]:
            del self._running[asker]

    def _forget(self, asker: Asker, turn: "asyncio.Future[None]") -> None:
        people = self._waiting.get(asker.workspace_id, {})
        waiting = people.get(asker.who, deque())
        if turn not in waiting:
            return  # its turn came when it had left already
        waiting.remove(turn)
        if not waiting:
            del people[asker.who]
        if not people:
            del self._waiting[asker.workspace_id]
        self._less(self._waiting_in, asker.workspace_id)

    @staticmethod
    def _less(counter: Counter[UUID], workspace_id: UUID) -> None:
        counter[workspace_id] -= 1
        if not counter[workspace_id]:
            del counter[workspace_id]
