"""Somebody deletes his account, and the server is killed meanwhile: no rows, files or vectors of him are left."""

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest

from kyrochat.db.embedded import EmbeddedPostgres
from tests.db.embedded.processes import rows
from tests.fakes.gemini import FakeGemini, running_fake_gemini
from tests.fakes.pinecone import FakePinecone, running_fake_pinecone
from tests.fakes.pinecone_steps import Hang
from tests.graphql.test_api_members import ACCEPT, INVITE
from tests.graphql.test_api_own_data import DELETE, KEY, PASSWORD
from tests.graphql.test_api_workspaces import CREATE, CREATE_BOT
from tests.graphql_client import GraphQLClient, register, visiting
from tests.journey.steps import ADD_TEXT, UPLOAD, new_conversation, until_read
from tests.journey.test_providers import vectors
from tests.journey.test_restarts import data_dir, lapsed_leases
from tests.remains import remains
from tests.server_process import Server, serving

__all__ = ["data_dir"]

SEND = """mutation ($conversation: ID!, $text: String!) {
  sendMessage(input: {conversationId: $conversation, text: $text}) { ... on Exchange { answer { id } } } }"""
DONE_WITHIN_S = 90


@dataclass(frozen=True)
class Providers:
    gemini: FakeGemini
    pinecone: FakePinecone

    @property
    def settings(self) -> dict[str, str]:
        return {
            "KYROCHAT_GEMINI_API_KEY": self.gemini.api_key,
            "KYROCHAT_GEMINI_BASE_URL": self.gemini.url,
            # What it is asked is counted here.
            "KYROCHAT_GENERATED_TITLES": "off",
            "KYROCHAT_PINECONE_API_KEY": self.pinecone.api_key,
            "KYROCHAT_PINECONE_HOST": self.pinecone.url,
            "NO_PROXY": "127.0.0.1,localhost",
        }


@pytest.fixture
async def providers() -> AsyncGenerator[Providers, None]:
    async with running_fake_gemini() as gemini, running_fake_pinecone() as pinecone:
        yield Providers(gemini, pinecone)


@dataclass(frozen=True)
class Person:
    """Whom nobody shall find any more: the ids of her and of all that was hers alone, and her address."""

    user: GraphQLClient
    needles: list[str]


def uuid_of(global_id: str) -> str:
    decoded = base64.urlsafe_b64decode(global_id + "=" * (-len(global_id) % 4)).decode()
    return str(UUID(decoded.partition(":")[2]))


async def settled(root: GraphQLClient, visitor: GraphQLClient, shared: str) -> Person:
    """Ada, with two workspaces of her own, documents, vectors, a key, invitations, and a seat in somebody else's."""
    ada = await register(visitor)
    me = await ada.run("{ me { id email } }")
    harbour = (await ada.run(CREATE, name="Harbour"))["id"]
    [home] = [
        node["id"] for node in (await ada.run("{ workspaces { nodes { id } } }"))["nodes"] if node["id"] != harbour
    ]
    found = [me["id"], harbour, home]
    for number, workspace_id in enumerate((home, harbour)):
        bot = await ada.run(CREATE_BOT, name="Clerk", **{"in": workspace_id})
        text = await ada.run(
            ADD_TEXT, bot=bot["id"], title="Clock", text=f"The tower clock {number} is wound on Mondays."
        )
        file = await ada.upload(UPLOAD, "tides.md", b"# Tides\n\nHigh water comes twice a day.\n", bot=bot["id"])
        for document in (text, file):
            await until_read(ada, document["id"])
        conversation = await new_conversation(ada, bot["id"])
        await ada.run(SEND, conversation=conversation, text="When is the clock wound?")
        await ada.run(INVITE, **{"in": workspace_id}, email=f"guest{number}@example.org")
        found += [bot["id"], text["id"], file["id"], conversation]
    found.append((await ada.run(KEY))["apiKey"]["id"])
    link = await root.run(INVITE, **{"in": shared}, email=me["email"])
    assert (await ada.run(ACCEPT, token=link["token"]))["__typename"] == "Workspace"
    theirs = (await root.run("query ($id: ID) { bots(workspaceId: $id) { nodes { id } } }", id=shared))["nodes"][0][
        "id"
    ]
    conversation = await new_conversation(ada, theirs)
    await ada.run(SEND, conversation=conversation, text="What does Ada ask here?")
    return Person(ada, [*map(uuid_of, [*found, conversation]), me["email"], "What does Ada ask here?"])


def files(server: Server) -> set[Path]:
    return {path for path in (server.data_dir / "files").rglob("*") if path.is_file()}


@asynccontextmanager
async def owner_of(data_dir: Path) -> AsyncGenerator[str, None]:
    """Give the URL of who owns the server's tables."""
    postgres = await asyncio.to_thread(EmbeddedPostgres.start, data_dir)
    try:
        yield postgres.urls.owner
    finally:
        await asyncio.to_thread(postgres.stop)


@pytest.mark.parametrize("killed_at", ["once it is asked for", "search", "delete"])
async def test_no_row_no_file_and_no_vector_of_a_deleted_account_is_left_although_the_server_is_killed(
    data_dir: Path, providers: Providers, killed_at: str
) -> None:
    async with serving(data_dir, **providers.settings) as server, visiting(server.graphql_url) as visitor:
        root = await register(visitor)
        [workspace] = (await root.run("{ workspaces { nodes { id } } }"))["nodes"]
        bot = await root.run(CREATE_BOT, name="Clerk")
        document = await root.run(ADD_TEXT, bot=bot["id"], title="Root", text="The mayor is called Quill.")
        await until_read(root, document["id"])
        kept_files, kept_vectors = files(server), vectors(providers.pinecone)
        ada = await settled(root, visitor, workspace["id"])
        assert len(files(server)) == len(kept_files) + 4
        assert vectors(providers.pinecone) == kept_vectors + 4
        async with owner_of(data_dir) as owner:
            before = await remains(owner, *ada.needles)
        assert len(before) >= 15, before
        if killed_at in ("search", "delete"):
            providers.pinecone.script(killed_at, Hang())  # type: ignore[arg-type]
        asked_before = len(providers.pinecone.requests)

        deleted = await ada.user.run(DELETE, password=PASSWORD)

        assert deleted["__typename"] == "DeletedAccount"
        if killed_at in ("search", "delete"):
            async with asyncio.timeout(DONE_WITHIN_S):
                while killed_at not in [one.operation for one in providers.pinecone.requests[asked_before:]]:
                    await asyncio.sleep(0.01)
        await server.kill()

    async with lapsed_leases(data_dir):
        pass
    async with (
        serving(data_dir, **providers.settings) as server,
        owner_of(data_dir) as owner,
        visiting(server.graphql_url) as visitor,
    ):
        async with asyncio.timeout(DONE_WITHIN_S):
            while await rows(owner, "SELECT id FROM jobs"):
                await asyncio.sleep(0.1)

        assert await remains(owner, *ada.needles) == {}
        assert files(server) == kept_files
        assert vectors(providers.pinecone) == kept_vectors
        # What somebody else has is as it was.
        rooted = replace(visitor, token=root.token)
        page = await rooted.run(
            "query ($id: ID!) { bot(id: $id) { name documents { nodes { status } } } }", id=bot["id"]
        )
        assert page == {"name": "Clerk", "documents": {"nodes": [{"status": "READY"}]}}
        members = await rooted.run(
            "query ($id: ID!) { workspace(id: $id) { members { totalCount } } }", id=workspace["id"]
        )
        assert members["members"]["totalCount"] == 1
        acts = await remains(owner, "ACCOUNT_DELETED")
        assert acts == {"audit_entries": 1}
        assert server.faults() == []
