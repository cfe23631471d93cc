"""Answers in a process of its own, to be killed, stopped and resumed: `python -m tests.chat.answer_process JSON`.

It asks, prints the answer's id, and its model says one word for each line on standard input. It prints `ended` once
it writes no answer any more.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.states import WorkspaceRole
from kyrochat.retrieval.types import Finished, ModelEvent, Prompt, TextPiece, Usage
from tests.chat.scene import QUESTION, process
from tests.jobs.scene import until


@dataclass(frozen=True)
class Options:
    url: str
    user_id: str
    workspace_id: str
    bot_id: str
    lease_s: float


class Dictated:
    """A model that says what comes in."""

    name = "dictated"

    def model_of(self, wanted: str) -> str:
        return wanted or self.name

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            yield TextPiece(line.decode().rstrip("\n"))
        yield Finished(Usage(0, 0))


async def main(options: Options) -> None:
    workspace_id = UUID(options.workspace_id)
    viewer = Viewer(UUID(options.user_id), None, {workspace_id: WorkspaceRole.OWNER}, workspace_id)
    async with process(options.url, Dictated(), lease=timedelta(seconds=options.lease_s)) as here:
        conversation = await here.service.start(viewer, UUID(options.bot_id), None)
        exchange = await here.service.send(viewer, conversation.id, QUESTION)
        print(exchange.answer.id, flush=True)
        await until(lambda: not here.log.is_open(exchange.answer.id), timeout_s=60)
        print("ended", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Options(**json.loads(sys.argv[1]))))
