"""Changes what documents are called and found by, without changing what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import Changes, document_topic
from kyrochat.db.engine import Database
from kyrochat.db.models import Document
from kyrochat.documents import repository
from kyrochat.documents.labels import Metadata, checked_metadata, checked_tags
from kyrochat.documents.reading import MAX_TITLE_CHARS
from kyrochat.documents.retitling import queue_retitling
from kyrochat.errors import NotFound
from kyrochat.rules import Rules


@dataclass(frozen=True, slots=True)
class Relabelling:
    """Titles, tags and metadata."""

    database: Database
    changes: Changes

    async def update(
        self,
        viewer: Viewer,
        document_id: UUID,
        *,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Metadata | None = None,
    ) -> Document:
        """Change the title, the tags or the metadata of a document, those that are given, and return it.

        The words of a new title count for all its passages as soon as a worker has weighed them anew; until then it
        is found by those of the old one.

        Raises:
            InvalidInput: one of them breaks a rule.
            NotFound, Forbidden: the viewer has no such document, or may not change it.
        """
        rules = Rules()
        title = None if title is None else rules.text("title", title, max_chars=MAX_TITLE_CHARS, min_chars=1)
        new_tags = None if tags is None else checked_tags(rules, tags)
        new_metadata = None if metadata is None else checked_metadata(rules, metadata)
        rules.enforce()
        async with self.database.begin(viewer.workspaces) as session:
            document = await repository.get(session, document_id, reach=viewer.reach, for_update=True)
            if document is None:
                raise NotFound("document")
            viewer.must(Act.INGEST, document.workspace_id)
            if new_tags is not None:
                document.tags = list(new_tags)
            if new_metadata is not None:
                document.attributes = dict(new_metadata)
            if title is not None and title != document.title:
                document.title, document.titled_by_content = title, False
                await queue_retitling(session, self.changes, document)
            session.add(document)
            await session.flush()
            await self.changes.announce(session, [document_topic(document.id)])
            await session.refresh(document)
            return document
