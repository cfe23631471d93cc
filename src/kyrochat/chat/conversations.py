"""Use cases of conversations as things that people keep: what they are called, and which branch they show."""

from dataclasses import dataclass
from uuid import UUID

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.chat import repository, tree_repository
from kyrochat.chat.exchanges import locked
from kyrochat.db.engine import Database
from kyrochat.db.models import Conversation
from kyrochat.errors import NotFound


@dataclass(frozen=True, slots=True)
class ConversationService:
    """What can be done with conversations, apart from asking in them."""

    database: Database

    async def select_branch(self, viewer: Viewer, message_id: UUID) -> Conversation:
        """Show the branch that a message is on, and return its conversation.

        Of the branches that part below the message, it is the one that was written on last. An answer that is being
        written elsewhere goes on.

        Raises:
            NotFound: the viewer has no such message.
        """
        viewer.must(Act.CHAT)
        async with self.database.begin(viewer.workspaces) as session:
            found = await repository.messages(session, [message_id], viewer=viewer)
            if not found:
                raise NotFound("message")
            conversation = await locked(session, viewer, found[0].conversation_id)
            await tree_repository.show(
                session, conversation.id, await tree_repository.newest_below(session, message_id)
            )
            await session.refresh(conversation)
            return conversation
