from uuid import UUID

import pytest

from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.jobs.queue import Queue
from tests.jobs.scene import Scene


@pytest.fixture
def scene(database: Database, changes: Changes) -> Scene:
    """The application's view: it enqueues, and looks at what became of it."""
    return Scene(database, changes)


@pytest.fixture
def queue(worker_database: Database) -> Queue:
    """A queue whose retries come at once."""
    return Queue(worker_database, backoff_s=0)


@pytest.fixture
async def workspace(scene: Scene) -> UUID:
    return await scene.workspace()


@pytest.fixture
async def neighbour(scene: Scene) -> UUID:
    """Another tenant."""
    return await scene.workspace()
