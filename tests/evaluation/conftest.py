from pathlib import Path

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.documents.storage import open_store
from tests.documents.scene import Library
from tests.evaluation.scene import Lab
from tests.factories import make_bot, make_document, make_viewer


@pytest.fixture
def lab(database: Database, worker_database: Database, tmp_path: Path) -> Lab:
    changes = Changes()
    return Lab(Library(database, worker_database, changes, open_store(tmp_path / "files"), tmp_path / "files"), changes)


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database, "ada@example.com")


@pytest.fixture
async def bob(database: Database) -> Viewer:
    return await make_viewer(database, "bob@example.com")


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    bot = await make_bot(database, ada)
    await make_document(database, bot, "# Ponds\n\nA pond has ducks.", "Pond")
    await make_document(database, bot, "# Lakes\n\nA lake has geese.", "Lake")
    return bot
