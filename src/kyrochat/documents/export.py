"""What an export of somebody's data has of bots and documents: those of the workspaces that he owns."""

import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kyrochat.accounts.viewer import Viewer
from kyrochat.accounts.zip_stream import Entry, json_entry
from kyrochat.bots import repository as bots
from kyrochat.bots import tool_repository
from kyrochat.db.engine import Database
from kyrochat.db.keyset import MAX_PAGE, PageRequest
from kyrochat.db.models import Bot, BotTool, Document
from kyrochat.db.states import WorkspaceRole
from kyrochat.db.tenancy import Reach
from kyrochat.documents import repository
from kyrochat.documents.storage import FileStore

# A slice of an extracted text, of which several are read one after the other.
TEXT_SLICE_CHARS = 250_000
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


@dataclass(frozen=True, slots=True)
class DocumentExport:
    """The part of an export that documents are."""

    database: Database
    store: FileStore

    async def __call__(self, viewer: Viewer) -> AsyncGenerator[Entry, None]:
        """Yield each bot, and of each of its documents what is known of it, its texts and its file."""
        owned = [each for each, role in viewer.workspaces.items() if role is WorkspaceRole.OWNER]
        for workspace_id in sorted(owned):
            async for bot in self._bots(workspace_id):
                folder = f"workspaces/{workspace_id}/bots/{bot.id}"
                async with self.database.begin([workspace_id]) as session:
                    tools = await tool_repository.of_bots(session, [bot.id])
                yield json_entry(f"{folder}/bot.json", {**_bot(bot), "tools": [*map(_tool, tools)]})
                async for document in self._documents(bot):
                    async for entry in self._entries(document, f"{folder}/documents/{document.id}"):
                        yield entry

    async def _bots(self, workspace_id: UUID) -> AsyncGenerator[Bot, None]:
        after = None
        while True:
            async with self.database.begin([workspace_id]) as session:
                page = await bots.page_of(session, PageRequest(MAX_PAGE, after), reach=Reach.of(workspace_id))
            for bot in page.rows:
                yield bot
            if not page.has_next:
                return
            after = page.rows[-1].id

    async def _documents(self, bot: Bot) -> AsyncGenerator[Document, None]:
        after, reach = None, Reach.of(bot.workspace_id)
        while True:
            async with self.database.begin([bot.workspace_id]) as session:
                request = PageRequest(MAX_PAGE, after)
                page = await repository.page_of(session, bot.id, request, reach=reach, status=None)
            for document in page.rows:
                yield document
            if not page.has_next:
                return
            after = page.rows[-1].id

    async def _entries(self, document: Document, folder: str) -> AsyncGenerator[Entry, None]:
        yield json_entry(f"{folder}/document.json", _document(document))
        async with self.database.begin([document.workspace_id]) as session:
            versions = await repository.versions(session, document.id, reach=Reach.of(document.workspace_id))
        for version in versions:
            yield Entry(f"{folder}/text-{version}.txt", self._text(document, version))
        if await self.store.exists(document.storage_key):
            # The rest of the title is the client's: it does not become a path on anybody's disk.
            suffix = _SUFFIX.search(document.title)
            yield Entry(
                f"{folder}/original{suffix[0] if suffix else ''}",
                self._original(document),
                is_compressed=not document.media_type.startswith("text/"),
                size=document.byte_size,
            )

    async def _text(self, document: Document, version: int) -> AsyncGenerator[bytes, None]:
        start = 0
        while True:
            async with self.database.begin([document.workspace_id]) as session:
                end = start + TEXT_SLICE_CHARS
                part = await repository.excerpt(session, document.id, version, start, end)
            if not part:
                return
            yield part.encode("utf-8", "replace")
            start = end

    async def _original(self, document: Document) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in self.store.pieces(document.storage_key):
                yield piece
        except FileNotFoundError:
            return  # deleted since it was looked for


def _bot(bot: Bot) -> Mapping[str, Any]:
    return {
        "id": bot.id,
        "workspaceId": bot.workspace_id,
        "name": bot.name,
        "description": bot.description,
        "instructions": bot.instructions,
        "model": bot.model,
        "temperature": bot.temperature,
        "topK": bot.top_k,
        "minScore": bot.min_score,
        "alpha": bot.alpha,
        "agentic": bot.agentic,
        "greeting": bot.greeting,
        "suggestedQuestions": bot.suggested_questions,
        "suggestsFollowUps": bot.suggests_follow_ups,
        "language": bot.language,
        "createdAt": bot.created_at,
        "updatedAt": bot.updated_at,
    }


def _tool(tool: BotTool) -> Mapping[str, Any]:
    """Return all but the values of its headers: they are secrets of somebody else's server."""
    return {
        "name": tool.name,
        "description": tool.description,
        "method": tool.method,
        "url": tool.url,
        "parameters": tool.parameters,
        "headerNames": tool.header_names,
        "timeoutSeconds": tool.timeout_seconds,
        "enabled": tool.enabled,
    }


def _document(document: Document) -> Mapping[str, Any]:
    return {
        "id": document.id,
        "botId": document.bot_id,
        "title": document.title,
        "tags": document.tags,
        "metadata": document.attributes,
        "source": document.source,
        "url": document.url,
        "mediaType": document.media_type,
        "byteSize": document.byte_size,
        "sha256": document.content_hash.hex(),
        "status": document.status,
        "failure": document.failure,
        "version": document.version,
        "liveVersion": document.live_version,
        "createdAt": document.created_at,
        "updatedAt": document.updated_at,
    }
