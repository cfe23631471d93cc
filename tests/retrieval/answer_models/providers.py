"""The same things said by different providers, each in its own words on the wire."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

from kyrochat.retrieval.gemini import open_gemini
from kyrochat.retrieval.openai_compatible import open_openai
from kyrochat.retrieval.ports import AnswerModel
from kyrochat.retrieval.retries import Retries
from kyrochat.retrieval.timeouts import Timeouts
from kyrochat.retrieval.types import Tool
from tests.fakes import gemini_steps, openai_steps
from tests.fakes.gemini import FakeGemini
from tests.fakes.openai import FakeOpenAI

TIMEOUTS = Timeouts()


@dataclass(frozen=True)
class Says:
    text: str


@dataclass(frozen=True)
class Ends:
    """At its own end, at a limit ("limit"), or by a filter ("filter")."""

    how: str = "end"


@dataclass(frozen=True)
class Calls:
    name: str
    arguments: str


@dataclass(frozen=True)
class Fails:
    status: int
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Hangs:
    pass


@dataclass(frozen=True)
class Cuts:
    pass


@dataclass(frozen=True)
class Garbles:
    pass


@dataclass(frozen=True)
class FailsInBand:
    pass


@dataclass(frozen=True)
class Waits:
    event: asyncio.Event


Word = Says | Ends | Calls | Fails | Hangs | Cuts | Garbles | FailsInBand | Waits


class Closable(Protocol):
    async def close(self) -> None: ...


class Wire(Protocol):
    """A provider on the wire, and how its adapter is opened; `opened` are to be closed."""

    opened: list[Closable]

    @property
    def open_streams(self) -> int: ...

    @property
    def requests(self) -> list[Any]: ...

    def script(self, *words: Word) -> None: ...

    def model(
        self, retries: Retries, timeouts: Timeouts = TIMEOUTS, answer_timeout_s: float = 60.0, url: str = ""
    ) -> AnswerModel: ...

    def told(self, number: int) -> str:
        """All that a request told the model, rules aside, as one text."""
        ...

    def tools(self, number: int) -> list[str]:
        """The names of the tools that a request offered."""
        ...


@dataclass
class GeminiWire:
    fake: FakeGemini
    opened: list[Closable] = field(default_factory=list)

    @property
    def open_streams(self) -> int:
        return self.fake.open_streams

    @property
    def requests(self) -> list[Any]:
        return self.fake.requests

    def script(self, *words: Word) -> None:
        self.fake.script(*[_in_gemini(word) for word in words])

    def model(
        self, retries: Retries, timeouts: Timeouts = TIMEOUTS, answer_timeout_s: float = 60.0, url: str = ""
    ) -> AnswerModel:
        opened = open_gemini(
            self.fake.api_key,
            url or self.fake.url,
            "v1",
            "gemini-3.5-flash",
            "gemini-embedding-001",
            retries=retries,
            timeouts=timeouts,
            answer_timeout_s=answer_timeout_s,
        )
        self.opened.append(opened)
        return opened.answer_model

    def told(self, number: int) -> str:
        contents = self.fake.requests[number].body["contents"]
        return "\n".join(part.get("text", "") for content in contents for part in content["parts"])

    def tools(self, number: int) -> list[str]:
        tools = self.fake.requests[number].body.get("tools", [])
        return [declared["name"] for tool in tools for declared in tool["functionDeclarations"]]


@dataclass
class OpenAIWire:
    fake: FakeOpenAI
    opened: list[Closable] = field(default_factory=list)

    @property
    def open_streams(self) -> int:
        return self.fake.open_streams

    @property
    def requests(self) -> list[Any]:
        return self.fake.requests

    def script(self, *words: Word) -> None:
        self.fake.script(*[_in_openai(word) for word in words])

    def model(
        self, retries: Retries, timeouts: Timeouts = TIMEOUTS, answer_timeout_s: float = 60.0, url: str = ""
    ) -> AnswerModel:
        opened = open_openai(
            self.fake.api_key,
            url or self.fake.url,
            "fake-1",
            retries=retries,
            timeouts=timeouts,
            answer_timeout_s=answer_timeout_s,
        )
        self.opened.append(opened)
        return opened

    def told(self, number: int) -> str:
        return "\n".join(message["content"] or "" for message in self.fake.requests[number].body["messages"][1:])

    def tools(self, number: int) -> list[str]:
        return [tool["function"]["name"] for tool in self.fake.requests[number].body.get("tools", [])]


def _in_gemini(word: Word) -> gemini_steps.Step:
    match word:
        case Says(text):
            return gemini_steps.Text(text)
        case Ends(how):
            return gemini_steps.Finish({"end": "STOP", "limit": "MAX_TOKENS", "filter": "SAFETY"}[how])
        case Calls(name, arguments):
            return gemini_steps.Call(name, arguments, signature="c2lnbmVk")
        case Fails(status, None):
            return gemini_steps.HttpError(status)
        case Fails(status, seconds):
            return gemini_steps.HttpError(status, retry_delay=f"{seconds:g}s")
        case Hangs():
            return gemini_steps.Hang()
        case Cuts():
            return gemini_steps.Cut()
        case Garbles():
            return gemini_steps.Raw(b'data: {"candidates": [}\r\n\r\n')
        case FailsInBand():
            return gemini_steps.InBandError(500)
        case Waits(event):
            return gemini_steps.Wait(event)


def _in_openai(word: Word) -> openai_steps.Step:
    match word:
        case Says(text):
            return openai_steps.Text(text)
        case Ends(how):
            return openai_steps.Finish({"end": "stop", "limit": "length", "filter": "content_filter"}[how])
        case Calls(name, arguments):
            half = len(arguments) // 2
            return openai_steps.Call("call_7", name, (arguments[:half], arguments[half:]))
        case Fails(status, None):
            return openai_steps.HttpError(status)
        case Fails(status, seconds):
            return openai_steps.HttpError(status, retry_after=f"{seconds:g}")
        case Hangs():
            return openai_steps.Hang()
        case Cuts():
            return openai_steps.Cut()
        case Garbles():
            return openai_steps.Raw(b'data: {"choices": [}\n\n')
        case FailsInBand():
            return openai_steps.InBandError()
        case Waits(event):
            return openai_steps.Wait(event)


LOOK = Tool("look", "Looks.", {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]})
