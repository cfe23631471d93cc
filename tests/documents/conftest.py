from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.documents.storage import open_store
from kyrochat.retrieval.pinecone_connection import Timeouts
from kyrochat.retrieval.pinecone_indexes import PineconeIndexes
from tests.documents.scene import PINECONE_NAME, Library, no_pause
from tests.factories import make_bot, make_viewer
from tests.fakes.pinecone import FakePinecone, running_fake_pinecone


@pytest.fixture
def library(database: Database, worker_database: Database, tmp_path: Path) -> Library:
    return Library(database, worker_database, Changes(), open_store(tmp_path / "files"), tmp_path / "files")


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database, "ada@example.com")


@pytest.fixture
async def bob(database: Database) -> Viewer:
    return await make_viewer(database, "bob@example.com")


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    return await make_bot(database, ada)


@pytest.fixture
async def fake() -> AsyncGenerator[FakePinecone, None]:
    """Pinecone, on the wire."""
    async with running_fake_pinecone() as fake:
        yield fake


@pytest.fixture
async def indexes(fake: FakePinecone) -> AsyncGenerator[PineconeIndexes, None]:
    opened = PineconeIndexes(fake.api_key, fake.url, PINECONE_NAME, Timeouts(sleep=no_pause))
    yield opened
    await opened.close()
