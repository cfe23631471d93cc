"""The real SDK against a fake Gemini, with pauses that are noted rather than waited for."""

from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from functools import partial

import pytest

from kyrochat.retrieval.gemini import Gemini, open_gemini
from kyrochat.retrieval.retries import Retries
from tests.fakes.gemini import FakeGemini, running_fake_gemini

MODEL = "gemini-3.5-flash"
EMBEDDING_MODEL = "gemini-embedding-001"


@dataclass
class Pauses:
    """The seconds that were asked to be waited before each further attempt."""

    seconds: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture(scope="package", autouse=True)
def _no_proxy() -> Generator[None, None, None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NO_PROXY", "127.0.0.1,localhost")
        environment.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="package")
async def running_fake() -> AsyncGenerator[FakeGemini, None]:
    async with running_fake_gemini() as fake:
        yield fake


@pytest.fixture
def fake(running_fake: FakeGemini) -> FakeGemini:
    running_fake.reset()
    return running_fake


@pytest.fixture(scope="package")
def all_pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def pauses(all_pauses: Pauses) -> Pauses:
    all_pauses.seconds.clear()
    return all_pauses


@pytest.fixture(scope="package")
def opened(running_fake: FakeGemini, all_pauses: Pauses) -> Callable[..., Gemini]:
    """`open_gemini` for the fake; whoever calls it closes what it returns."""
    retries = Retries(first_pause_s=1.0, sleep=all_pauses.sleep, jitter=lambda: 1.0)
    return partial(
        open_gemini,
        api_key=running_fake.api_key,
        base_url=running_fake.url,
        api_version="v1",
        model=MODEL,
        embedding_model=EMBEDDING_MODEL,
        retries=retries,
    )


@pytest.fixture(scope="package")
async def gemini(opened: Callable[..., Gemini]) -> AsyncGenerator[Gemini, None]:
    adapter = opened()
    yield adapter
    await adapter.close()
