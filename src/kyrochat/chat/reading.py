"""Reading conversations: lists of them, their messages and citations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.chat import repository, tree_repository
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Citation, Conversation, Message
from kyrochat.errors import Forbidden
from kyrochat.retrieval.trace import SearchTrace


@dataclass(frozen=True, slots=True)
class ConversationReader:
    """What can be read of the viewer's own conversations."""

    database: Database

    async def messages(self, viewer: Viewer, message_ids: Sequence[UUID]) -> Sequence[Message]:
        """Return those of the messages that are the viewer's, in no order."""
        viewer.must(Act.CHAT)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.messages(session, message_ids, viewer=viewer)

    async def conversations(self, viewer: Viewer, conversation_ids: Sequence[UUID]) -> Sequence[Conversation]:
        """Return those of the conversations that are the viewer's, in no order."""
        viewer.must(Act.CHAT)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.conversations(session, conversation_ids, viewer=viewer)

    async def conversation_page(self, viewer: Viewer, bot_id: UUID, request: PageRequest) -> Page[Conversation]:
        """Return one page of the viewer's conversations with a bot, newest first.

        Raises:
            Forbidden: the viewer is a key in the source of a web page, whose readers must not see each other's.
        """
        viewer.must(Act.CHAT)
        if viewer.key is not None and viewer.key.is_public:
            raise Forbidden("A key for browsers cannot list conversations: keep the ids of those that it begins.")
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.conversation_page(session, bot_id, request, viewer=viewer)

    async def conversation_count(self, viewer: Viewer, bot_id: UUID) -> int:
        """Return how many conversations `conversation_page` leads through."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.conversation_count(session, bot_id, viewer=viewer)

    async def message_page(
        self,
        viewer: Viewer,
        conversation_id: UUID,
        request: PageRequest,
        *,
        leaf_id: UUID | None = None,
        every_branch: bool = False,
    ) -> Page[Message]:
        """Return one page of the active branch of a conversation of the viewer's, newest first; keys are positions.

        With a leaf, of the branch that ends with that message. With `every_branch`, of all messages.
        """
        async with self.database.begin(viewer.workspaces) as session:
            if every_branch:
                return await repository.message_page(session, conversation_id, request)
            return await tree_repository.branch_page(session, conversation_id, leaf_id, request)

    async def message_count(
        self, viewer: Viewer, conversation_id: UUID, *, leaf_id: UUID | None = None, every_branch: bool = False
    ) -> int:
        """Return how many messages `message_page` leads through."""
        async with self.database.begin(viewer.workspaces) as session:
            if every_branch:
                return await repository.message_count(session, conversation_id)
            return await tree_repository.branch_count(session, conversation_id, leaf_id)

    async def active_leaves(self, viewer: Viewer, conversation_ids: Sequence[UUID]) -> Mapping[UUID, UUID]:
        """Return the last message of the active branch of each conversation of the viewer's that has messages."""
        async with self.database.begin(viewer.workspaces) as session:
            return await tree_repository.active_leaves(session, conversation_ids, viewer=viewer)

    async def replies(
        self, viewer: Viewer, places: Sequence[tuple[UUID, UUID | None]]
    ) -> Mapping[tuple[UUID, UUID | None], list[UUID]]:
        """Return the messages in each place that has some, the oldest first.

        A place is a conversation and the message that is replied to; without one, the beginning of the conversation.
        """
        async with self.database.begin(viewer.workspaces) as session:
            found: dict[tuple[UUID, UUID | None], list[UUID]] = {}
            for conversation_id, parent_id, message_id in await tree_repository.replies(session, places, viewer=viewer):
                found.setdefault((conversation_id, parent_id), []).append(message_id)
        return found

    async def citations(self, viewer: Viewer, message_ids: Sequence[UUID]) -> Sequence[Citation]:
        """Return the citations of messages of the viewer's, by message and number."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.citations(session, message_ids, viewer=viewer)

    async def searches(self, viewer: Viewer, message_ids: Sequence[UUID]) -> Mapping[UUID, tuple[SearchTrace, ...]]:
        """Return what was searched for answers of the viewer's, in order, by message; nothing for a question.

        Raises:
            Forbidden: a key asks that may not search.
        """
        viewer.must(Act.SEARCH)
        async with self.database.begin(viewer.workspaces) as session:
            rows = await repository.searches(session, message_ids, viewer=viewer)
        found: dict[UUID, tuple[SearchTrace, ...]] = {}
        for row in rows:
            found[row.message_id] = (*found.get(row.message_id, ()), SearchTrace.from_json(row.trace))
        return found
