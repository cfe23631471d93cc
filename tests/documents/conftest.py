from pathlib import Path

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.documents.storage import open_store
from tests.documents.scene import Library
from tests.factories import make_bot, make_viewer


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
