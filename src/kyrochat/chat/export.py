"""What an export of somebody's data has of conversations: his own, with messages and citations."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from kyrochat.accounts.viewer import Viewer
from kyrochat.accounts.zip_stream import Entry, as_json, json_list
from kyrochat.chat import feedback_repository, repository
from kyrochat.db.engine import Database
from kyrochat.db.models import AnswerRating, Citation, Conversation, Message

BATCH_CONVERSATIONS = 100
BATCH_MESSAGES = 50


@dataclass(frozen=True, slots=True)
class ConversationExport:
    """The part of an export that conversations are.

    Public ones are not among them: other people began them, with a key of his that is in a web page.
    """

    database: Database

    async def __call__(self, viewer: Viewer) -> AsyncGenerator[Entry, None]:
        """Yield each conversation, the oldest first."""
        after = None
        while True:
            async with self.database.begin(viewer.workspaces) as session:
                rows = await repository.own_after(session, after, BATCH_CONVERSATIONS, viewer=viewer)
            for row in rows:
                yield Entry(f"conversations/{row.id}.json", self._conversation(row, viewer))
            if len(rows) < BATCH_CONVERSATIONS:
                return
            after = rows[-1].id

    async def _conversation(self, row: Conversation, viewer: Viewer) -> AsyncGenerator[bytes, None]:
        yield b'{"conversation": ' + as_json(conversation_fields(row)) + b',\n"messages": '
        async for piece in json_list(self._messages(row, viewer)):
            yield piece
        yield b"}\n"

    async def _messages(self, row: Conversation, viewer: Viewer) -> AsyncGenerator[object, None]:
        position = 0
        while True:
            async with self.database.begin(viewer.workspaces) as session:
                messages = await repository.messages_after(session, row.id, position, BATCH_MESSAGES)
                ids = [each.id for each in messages]
                cited = await repository.citations(session, ids, viewer=viewer)
                searches = await repository.searches(session, ids, viewer=viewer)
                ratings = await feedback_repository.of_messages(session, ids, viewer.user_id)
            opinions = {each.message_id: each for each in ratings}
            for message in messages:
                yield {
                    **message_fields(message),
                    "citations": [citation_fields(each) for each in cited if each.message_id == message.id],
                    "feedback": _feedback(opinions.get(message.id)),
                    "searches": [each.trace for each in searches if each.message_id == message.id],
                }
            if len(messages) < BATCH_MESSAGES:
                return
            position = messages[-1].position


def conversation_fields(row: Conversation) -> Mapping[str, Any]:
    """Return what an export says of a conversation."""
    return {
        "id": row.id,
        "workspaceId": row.workspace_id,
        "botId": row.bot_id,
        "title": row.title,
        "activeLeafId": row.active_leaf_id,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
    }


def _feedback(rating: AnswerRating | None) -> Mapping[str, Any] | None:
    if rating is None:
        return None
    return {"rating": rating.rating, "comment": rating.comment, "ratedAt": rating.updated_at}


def message_fields(message: Message) -> Mapping[str, Any]:
    """Return what an export says of a message."""
    return {
        "id": message.id,
        "parentId": message.parent_id,
        "position": message.position,
        "role": message.role,
        "status": message.status,
        "text": message.text,
        "grounded": message.grounded,
        "followUps": message.follow_ups,
        "model": message.model,
        "promptTokens": message.prompt_tokens,
        "completionTokens": message.completion_tokens,
        "createdAt": message.created_at,
    }


def citation_fields(citation: Citation) -> Mapping[str, Any]:
    """Return what an export says of a citation."""
    return {
        "number": citation.number,
        "documentId": citation.document_id,
        "documentTitle": citation.document_title,
        "documentVersion": citation.document_version,
        "start": citation.start,
        "end": citation.end,
        "page": citation.page,
        "quote": citation.quote,
    }
