from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.documents.storage import open_store
from kyrochat.documents.web.manners import Visitor
from tests.documents.web.scene import Site, WebLibrary
from tests.outbound.wire import Wire, fetcher, listening


@pytest.fixture
def library(database: Database, worker_database: Database, tmp_path: Path) -> WebLibrary:
    files = tmp_path / "files"
    return WebLibrary(database, worker_database, Changes(), open_store(files), files, Visitor(fetcher(), pause_s=0))


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def wire(site: Site) -> AsyncGenerator[Wire, None]:
    async with listening(site) as wire:
        yield wire
