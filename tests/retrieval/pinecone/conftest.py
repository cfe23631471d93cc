"""The real SDK against a fake Pinecone, with waits that are noted rather than waited for."""

from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import pytest

from kyrochat.db.models import VectorSet
from kyrochat.db.states import VectorStore
from kyrochat.retrieval.pinecone import PineconeIndex, open_pinecone
from kyrochat.retrieval.pinecone_connection import Timeouts
from kyrochat.retrieval.pinecone_names import vector_id
from tests.fakes.pinecone import FakePinecone, running_fake_pinecone

INDEX = "kyrochat"
DIMENSIONS = 4
WORKSPACE, OTHER_WORKSPACE = UUID(int=1), UUID(int=2)
BOT, OTHER_BOT = UUID(int=11), UUID(int=12)
DOCUMENT, OTHER_DOCUMENT = UUID(int=21), UUID(int=22)
NAMESPACE = f"ws-{WORKSPACE.hex}"
SCHEME = "compass/4"


def set_of(workspace_id: UUID, bot_id: UUID, scheme: str = SCHEME) -> VectorSet:
    return VectorSet(
        id=1, workspace_id=workspace_id, bot_id=bot_id, store=VectorStore.PINECONE, scheme=scheme, dimensions=DIMENSIONS
    )


SET, OTHER_BOTS_SET, OTHER_WORKSPACES_SET = (
    set_of(WORKSPACE, BOT),
    set_of(WORKSPACE, OTHER_BOT),
    set_of(OTHER_WORKSPACE, BOT),
)

NORTH, EAST, NORTH_EAST = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.8, 0.6, 0.0, 0.0]


def chunk(number: int) -> UUID:
    return UUID(int=1_000 + number)


def name(number: int, scheme: str = SCHEME) -> str:
    """What the vector of a chunk is called in Pinecone."""
    return vector_id(chunk(number), scheme)


@dataclass
class Polls:
    """The seconds that were asked to be waited between two looks; `then` happens with each."""

    seconds: list[float] = field(default_factory=list)
    then: Callable[[], object] = lambda: None

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.then()


@pytest.fixture(scope="package")
async def running_fake() -> AsyncGenerator[FakePinecone, None]:
    async with running_fake_pinecone() as fake:
        yield fake


@pytest.fixture(autouse=True)
def _sdk_retries(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    """Make the SDK's own pauses short, and its retry budget full.

    The budget is one per host for the whole process: without this, tests of failures would switch off the
    retries of the tests after them. Neither has a public handle.
    """
    from pinecone._internal import http_client
    from pinecone._internal.config import RetryConfig

    monkeypatch.setattr(http_client, "_compute_backoff", lambda config, attempt, previous: 0.001)
    assert RetryConfig().max_retries == 3
    http_client.get_budget_registry()._reset()
    yield
    http_client.get_budget_registry()._reset()


@pytest.fixture
def fake(running_fake: FakePinecone) -> Generator[FakePinecone, None, None]:
    running_fake.reset()
    yield running_fake
    assert running_fake.complaints == []


@pytest.fixture
def polls() -> Polls:
    return Polls()


@pytest.fixture
def opened(fake: FakePinecone, polls: Polls) -> Callable[..., PineconeIndex]:
    """`open_pinecone` for the fake; whoever calls it closes what it returns."""
    timeouts = Timeouts(attempt_s=5, search_s=5, write_s=5, create_s=5, verify_s=5, sleep=polls.sleep)
    return partial(
        open_pinecone,
        api_key=fake.api_key,
        host=fake.url,
        index_name=INDEX,
        dimensions=DIMENSIONS,
        timeouts=timeouts,
    )


@pytest.fixture
async def index(opened: Callable[..., PineconeIndex]) -> AsyncGenerator[PineconeIndex, None]:
    adapter = opened()
    yield adapter
    await adapter.close()
