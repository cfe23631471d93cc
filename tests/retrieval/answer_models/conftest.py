"""Both providers on the wire, with pauses that are noted rather than waited for."""

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field

import pytest

from kyrochat.retrieval.ports import AnswerModel
from kyrochat.retrieval.retries import Retries
from tests.fakes.gemini import FakeGemini, running_fake_gemini
from tests.fakes.openai import FakeOpenAI, running_fake_openai
from tests.retrieval.answer_models.providers import GeminiWire, OpenAIWire, Wire


@dataclass
class Pauses:
    """The seconds that were asked to be waited before each further attempt."""

    seconds: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def retries(self) -> Retries:
        return Retries(first_pause_s=1.0, sleep=self.sleep, jitter=lambda: 1.0)


@pytest.fixture(scope="package", autouse=True)
def _no_proxy() -> Generator[None, None, None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NO_PROXY", "127.0.0.1,localhost")
        environment.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="package")
async def running_gemini() -> AsyncGenerator[FakeGemini, None]:
    async with running_fake_gemini() as fake:
        yield fake


@pytest.fixture(scope="package")
async def running_openai() -> AsyncGenerator[FakeOpenAI, None]:
    async with running_fake_openai() as fake:
        yield fake


@pytest.fixture
def gemini(running_gemini: FakeGemini) -> FakeGemini:
    running_gemini.reset()
    return running_gemini


@pytest.fixture
def openai(running_openai: FakeOpenAI) -> FakeOpenAI:
    running_openai.reset()
    return running_openai


@pytest.fixture
async def wires(gemini: FakeGemini, openai: FakeOpenAI) -> AsyncGenerator[dict[str, Wire], None]:
    both: dict[str, Wire] = {"gemini": GeminiWire(gemini), "openai": OpenAIWire(openai)}
    yield both
    for wire in both.values():
        for opened in wire.opened:
            await opened.close()


@pytest.fixture(params=["gemini", "openai"])
def wire(request: pytest.FixtureRequest, wires: dict[str, Wire]) -> Wire:
    return wires[request.param]


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def model(wire: Wire, pauses: Pauses) -> AnswerModel:
    return wire.model(pauses.retries())
