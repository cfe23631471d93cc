"""What a model may call while it writes one answer, and how much of it: searches, and the bot's own tools."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from kyrochat.chat.events import ToolCalled
from kyrochat.chat.http_tools import HttpTools, declared
from kyrochat.chat.output import Output
from kyrochat.chat.tool_use import MAX_CALLS, MAX_NAME_CHARS, SEARCH_DOCUMENTS, DocumentSearch, Room
from kyrochat.db.models import BotTool
from kyrochat.db.storable import storable
from kyrochat.retrieval.budgets import estimated_tokens
from kyrochat.retrieval.types import Tool, ToolCall

# All calls of one answer together: who asked waits meanwhile.
MAX_CALLING_S = 60.0


@dataclass(slots=True)
class Toolbox:
    """The tools of one answer, which share the room for tokens; `http` is None where those of bots are off."""

    output: Output
    room: Room
    search: DocumentSearch | None = None
    http: HttpTools | None = None
    bot_tools: Sequence[BotTool] = ()
    _spent_s: float = field(default=0.0)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What the model is told of."""
        searching = (SEARCH_DOCUMENTS,) if self.search else ()
        return (*searching, *map(declared, self.bot_tools))

    @property
    def has_room(self) -> bool:
        """Whether another call could bring anything."""
        return self.room.is_left and self._spent_s < MAX_CALLING_S

    async def use(self, call: ToolCall, *, is_too_many: bool = False) -> tuple[str, ToolCalled]:
        """Return what the model is told, and the event of it. Its mistakes are told it, and are no failures."""
        tool = next((each for each in self.bot_tools if each.name == call.name), None)
        if self.search is not None and call.name == SEARCH_DOCUMENTS.name:
            return await self.search.use(call, is_too_many=is_too_many)
        if tool is None or self.http is None:
            problem = "There is no such tool."
        elif is_too_many:
            problem = f"Only {MAX_CALLS} calls are made at once."
        elif not self.has_room:
            problem = "There is no room for another result. Answer with what you have."
        else:
            return await self._call(self.http, tool, call)
        return problem, ToolCalled(storable(call.name)[:MAX_NAME_CHARS], {}, problem=problem)

    async def _call(self, http: HttpTools, tool: BotTool, call: ToolCall) -> tuple[str, ToolCalled]:
        began = time.monotonic()
        try:
            told, event = await http.use(tool, call)
        finally:
            self._spent_s += time.monotonic() - began
        self.room.left_tokens -= estimated_tokens(told)
        # Addresses that it names may be repeated, as those of passages may.
        self.output.add((), [told])
        return told, event
