"""One server for the journey, and a library that it has read."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.graphql_client import register, visiting
from tests.journey.steps import ADD_TEXT, DOCUMENTS, UPLOAD, Library, new_bot, until_read
from tests.server_process import Server, serving

NOTE = "The reading room of the library opens at nine. Ladders must be returned to the north wall every evening.\n"


@pytest.fixture(scope="package")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    data_dir: Path = tmp_path_factory.mktemp("journey") / "data"
    async with serving(data_dir) as server:
        yield server
        assert server.faults() == []


@pytest.fixture(scope="package")
async def library(server: Server) -> AsyncGenerator[Library, None]:
    """A registered user with a bot that has read the five documents and a note."""
    async with visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        added = {path.name: await user.upload(UPLOAD, path.name, path.read_bytes(), bot=bot_id) for path in DOCUMENTS}
        added["note"] = await user.run(ADD_TEXT, bot=bot_id, title="House rules", text=NOTE)
        assert {document["__typename"] for document in added.values()} == {"Document"}
        ids = {name: document["id"] for name, document in added.items()}
        for document_id in ids.values():
            states = await until_read(user, document_id)
            assert states[-1]["status"] == "READY"
        yield Library(user, bot_id, ids)
