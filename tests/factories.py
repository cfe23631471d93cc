"""Rows to start from: somebody, his bot, its documents as an ingestion would leave them."""

from hashlib import sha256
from typing import Any

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Chunk, Document, DocumentVersion, User, Workspace, WorkspaceMember
from kyrochat.db.states import DocumentStatus, WorkspaceRole
from kyrochat.retrieval.chunking import split
from kyrochat.retrieval.encodings import Encoding
from kyrochat.retrieval.languages import AUTO
from kyrochat.retrieval.lexical import encode_chunk
from kyrochat.retrieval.repository import add_chunks


async def make_viewer(database: Database, email: str = "ada@example.com") -> Viewer:
    """A user with a personal workspace. His password is nothing's hash: nobody can sign in as him."""
    user = User(email=email, name=email.partition("@")[0], password_hash="!")
    workspace = Workspace(name=f"{user.name}'s workspace")
    async with database.begin() as session:
        session.add_all([user, workspace])
        await session.flush()
        session.add(
            WorkspaceMember(workspace_id=workspace.id, user_id=user.id, role=WorkspaceRole.OWNER, is_personal=True)
        )
    return Viewer(user.id, None, {workspace.id: WorkspaceRole.OWNER}, workspace.id)


async def make_bot(database: Database, viewer: Viewer, name: str = "Librarian", **fields: Any) -> Bot:
    """A bot in the viewer's personal workspace; `fields` are columns of `Bot`."""
    async with database.begin([viewer.default_workspace_id]) as session:
        fields = {"encoding": Encoding(language=fields.get("language", AUTO)).number, **fields}
        bot = Bot(workspace_id=viewer.default_workspace_id, name=name, **fields)
        session.add(bot)
        await session.flush()
        await session.refresh(bot)
    return bot


async def make_document(database: Database, bot: Bot, text: str, title: str = "Handbook", **fields: Any) -> Document:
    """A READY Markdown document of the bot, chunked and indexed; `fields` are columns of `Document`."""
    async with database.begin([bot.workspace_id]) as session:
        document = Document(
            workspace_id=bot.workspace_id,
            bot_id=bot.id,
            title=title,
            media_type="text/markdown",
            byte_size=len(text.encode()),
            content_hash=sha256(text.encode()).digest(),
            status=DocumentStatus.READY,
            progress=1.0,
            live_version=1,
            **fields,
        )
        chunks = [
            Chunk(
                id=new_id(),
                workspace_id=bot.workspace_id,
                bot_id=bot.id,
                document_id=document.id,
                version=document.version,
                ordinal=ordinal,
                start=chunk.start,
                end=chunk.end,
                text=chunk.text,
                heading=chunk.heading,
                page=chunk.page,
            )
            for ordinal, chunk in enumerate(split(text, markdown=True))
        ]
        document.chunk_count = len(chunks)
        session.add(document)
        await session.flush()
        session.add(DocumentVersion(document_id=document.id, version=1, workspace_id=bot.workspace_id, text=text))
        encoding = Encoding.from_number(bot.encoding)
        vectors = {chunk.id: encode_chunk(title, chunk.text, encoding.language, chunk.heading) for chunk in chunks}
        await add_chunks(session, chunks, vectors, encoding)
        await session.refresh(document)
    return document
