"""A model that says what it is told to, and waits where it is told to."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from kyrochat.retrieval.types import Finished, ModelEvent, Prompt, TextPiece, Usage

USAGE = Usage(prompt_tokens=120, completion_tokens=30)


@dataclass(slots=True, eq=False)
class Pause:
    """A point where the model is silent until it is released, like a provider that hangs."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self.released.set()


Step = str | Pause | Finished | Exception
Script = Sequence[Step]


@dataclass(slots=True, eq=False)
class ScriptedModel:
    """Plays `script` to whoever asks; a callable makes one from each prompt."""

    script: Script | Callable[[Prompt], Script] = ()
    finished: Finished | None = field(default_factory=lambda: Finished(USAGE))
    prompts: list[Prompt] = field(default_factory=list)
    open_streams: int = 0

    @property
    def name(self) -> str:
        return "scripted"

    def model_of(self, wanted: str) -> str:
        return wanted or self.name

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        self.prompts.append(prompt)
        self.open_streams += 1
        try:
            for step in self.script(prompt) if callable(self.script) else self.script:
                match step:
                    case str():
                        # As from a socket: whoever else is ready has his turn between two pieces.
                        await asyncio.sleep(0)
                        yield TextPiece(step)
                    case Pause():
                        step.reached.set()
                        await step.released.wait()
                    case Finished():
                        yield step
                        return
                    case Exception():
                        raise step
            if self.finished is not None:
                yield self.finished
        finally:
            self.open_streams -= 1
