"""Conversations of clients that keep the history themselves, and send all of it with each question.

They get a conversation like all others. Where their next question belongs is told by what they send: the answer that
ended the same words before is the one that the question follows.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.chat import repository
from kyrochat.chat import transcript_repository as transcripts
from kyrochat.chat.exchanges import message_id, row_id
from kyrochat.chat.titles import derived_title
from kyrochat.db.engine import Database
from kyrochat.db.models import Conversation, Message
from kyrochat.db.states import MessageRole
from kyrochat.errors import NotFound
from kyrochat.retrieval.types import Turn

# As many turns as a model is shown anyway; what was said before them is told by nobody to nobody.
MAX_TURNS = 40


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question belongs: in a conversation, after an answer of it; without one, at its active branch's end.

    A new conversation was made for this question.
    """

    conversation_id: UUID
    parent_id: UUID | None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Transcripts:
    """Finds the conversations."""

    database: Database

    async def place(self, viewer: Viewer, bot_id: UUID, turns: Sequence[Turn], *, afresh: bool = False) -> Place:
        """Return where a question belongs that follows these turns: questions and answers in turn, oldest first.

        When nobody has answered with these words before, or `afresh`, it is a new conversation, which begins with them.

        Raises:
            NotFound: the viewer has no such bot.
            Forbidden: the viewer may not chat.
        """
        viewer.must(Act.CHAT)
        async with self.database.begin(viewer.workspaces) as session:
            bot = await bots.get(session, bot_id, reach=viewer.reach)
            if bot is None:
                raise NotFound("bot")
            viewer.must(Act.CHAT, bot.workspace_id)
            is_public = viewer.key is not None and viewer.key.is_public
            # Many people hold a public key, and some of them begin alike: each has a conversation of their own.
            if turns and not is_public and not afresh:
                found = await transcripts.answer_after(session, bot_id, transcript_hash(turns), viewer=viewer)
                # While another answer is being written there, this one gets its own place.
                if found is not None and not await repository.streaming(session, found.conversation_id):
                    return Place(found.conversation_id, found.id)
            conversation = Conversation(
                id=row_id(is_public=is_public),
                workspace_id=bot.workspace_id,
                bot_id=bot.id,
                user_id=viewer.user_id,
                is_public=is_public,
                title=derived_title(turns[0].text) if turns else "",
            )
            session.add(conversation)
            await session.flush()
            return Place(conversation.id, await _told(session, conversation, turns[-MAX_TURNS:]), is_new=True)

    async def place_in(self, viewer: Viewer, bot_id: UUID, conversation_id: UUID) -> Place:
        """Return where a question belongs that goes on with a conversation.

        Raises:
            NotFound: the viewer has no such conversation with the bot.
            Forbidden: the viewer may not chat.
        """
        viewer.must(Act.CHAT)
        async with self.database.begin(viewer.workspaces) as session:
            conversation = await repository.conversation(session, conversation_id, viewer=viewer)
        if conversation is None or conversation.bot_id != bot_id:
            raise NotFound("conversation")
        return Place(conversation.id, None)

    async def give_back(self, viewer: Viewer, place: Place) -> None:
        """Leave nothing of a place for a question that was refused."""
        if place.is_new:
            async with self.database.begin(viewer.workspaces) as session:
                await repository.delete_conversations(session, [place.conversation_id])

    async def note(self, viewer: Viewer, answer: Message, turns: Sequence[Turn]) -> None:
        """Note that these turns, the answer's own text the last of them, lead to the answer."""
        async with self.database.begin(viewer.workspaces) as session:
            await transcripts.note(session, answer.id, transcript_hash(turns))


def transcript_hash(turns: Sequence[Turn]) -> bytes:
    """Return what tells these turns from others. White space around a text does not count: clients trim it."""
    said = [[turn.role, turn.text.strip()] for turn in turns]
    return hashlib.sha256(json.dumps(said).encode()).digest()


async def _told(session: AsyncSession, conversation: Conversation, turns: Sequence[Turn]) -> UUID | None:
    """Store turns as the conversation's first messages, and return the last one's id."""
    parent_id = None
    for position, turn in enumerate(turns, 1):
        message = Message(
            id=message_id(conversation),
            workspace_id=conversation.workspace_id,
            conversation_id=conversation.id,
            parent_id=parent_id,
            position=position,
            role=MessageRole.USER if turn.role == "user" else MessageRole.ASSISTANT,
            text=turn.text,
        )
        session.add(message)
        # One by one: the next one's foreign key names it.
        await session.flush()
        parent_id = message.id
    conversation.active_leaf_id = parent_id
    session.add(conversation)
    return parent_id
