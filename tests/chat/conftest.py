from collections.abc import AsyncGenerator

import pytest

from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database
from tests.chat.scene import HANDBOOK, Chat, Process, process
from tests.chat.scripted_model import ScriptedModel
from tests.factories import make_bot, make_document, make_viewer


@pytest.fixture
def model() -> ScriptedModel:
    """What process A answers with. Give it a script before asking."""
    return ScriptedModel()


@pytest.fixture
async def chat(urls: DatabaseUrls, database: Database, model: ScriptedModel) -> AsyncGenerator[Chat, None]:
    """Somebody in front of process A."""
    viewer = await make_viewer(database)
    bot = await make_bot(database, viewer)
    document = await make_document(database, bot, HANDBOOK)
    async with process(urls.app, model) as a:
        yield Chat(a, model, viewer, bot, document, database, urls.app)


@pytest.fixture
async def b(urls: DatabaseUrls) -> AsyncGenerator[Process, None]:
    """Another process on the same database, with bells and a log of its own."""
    async with process(urls.app, ScriptedModel()) as other:
        yield other
