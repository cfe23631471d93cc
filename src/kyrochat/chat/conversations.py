"""Use cases of conversations as things that people keep: finding them, naming them, turning to a branch of one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from sqlmodel.sql.expression import SelectOfScalar

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.chat import history_repository, repository, tree_repository
from kyrochat.chat.exchanges import locked
from kyrochat.chat.written_out import WrittenOut, file_name, json_of, markdown_of
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Citation, Conversation
from kyrochat.db.states import TitleOrigin
from kyrochat.errors import Conflict, Forbidden, NotFound
from kyrochat.rules import Rules

MAX_TITLE_CHARS = 200
MAX_QUERY_CHARS = 200
MAX_QUERY_WORDS = 8
MAX_EXPORT_MESSAGES = 2_000
MAX_EXPORT_CHARS = 2_000_000


class ExportFormat(StrEnum):
    """What a conversation is written out as."""

    JSON = "JSON"
    MARKDOWN = "MARKDOWN"


class TooLongToExport(Conflict):
    """The conversation does not fit into one answer."""

    def __init__(self) -> None:
        super().__init__(
            f"This conversation has more than {MAX_EXPORT_MESSAGES:,} messages or {MAX_EXPORT_CHARS:,} characters. "
            "`exportAccount` has it all, as a file that is written while it is read."
        )


@dataclass(frozen=True, slots=True)
class History:
    """Which conversations to list: those with a bot or in a workspace, and those that have all words of a query."""

    query: str = ""
    bot_id: UUID | None = None
    workspace_id: UUID | None = None

    def words(self) -> list[str]:
        """Return the words to look for.

        Raises:
            InvalidInput: there are too many, or they are too long.
        """
        rules = Rules()
        words = rules.text("query", self.query, max_chars=MAX_QUERY_CHARS).split()
        if len(words) > MAX_QUERY_WORDS:
            rules.add("query", f"It has {len(words)} words; up to {MAX_QUERY_WORDS} are allowed.")
        rules.enforce()
        return words


@dataclass(frozen=True, slots=True)
class ConversationService:
    """What can be done with conversations, apart from asking in them."""

    database: Database

    async def page(self, viewer: Viewer, wanted: History, request: PageRequest) -> Page[Conversation]:
        """Return one page of the viewer's conversations, that first in which something was asked last.

        Keys are `recency`. A query finds what is in a title or in a message, whatever the case of its letters.

        Raises:
            InvalidInput: the query is too long.
            Forbidden: the viewer is a key in the source of a web page, whose readers must not see each other's.
        """
        query = _history(viewer, wanted)
        async with self.database.begin(viewer.workspaces) as session:
            return await history_repository.history_page(session, query, request)

    async def count(self, viewer: Viewer, wanted: History) -> int:
        """Return how many conversations `page` leads through."""
        query = _history(viewer, wanted)
        async with self.database.begin(viewer.workspaces) as session:
            return await history_repository.history_count(session, query)

    async def rename(self, viewer: Viewer, conversation_id: UUID, title: str) -> Conversation:
        """Give a conversation a title, which nothing but this changes from then on, and return it.

        Raises:
            InvalidInput: the title is empty or too long.
            NotFound: the viewer has no such conversation.
        """
        viewer.must(Act.CHAT)
        rules = Rules()
        title = rules.text("title", title, max_chars=MAX_TITLE_CHARS, min_chars=1)
        rules.enforce()
        async with self.database.begin(viewer.workspaces) as session:
            conversation = await locked(session, viewer, conversation_id)
            await repository.entitle(session, conversation_id, title, TitleOrigin.USER)
            await session.refresh(conversation)
            return conversation

    async def export(self, viewer: Viewer, conversation_id: UUID, format: ExportFormat) -> WrittenOut | None:
        """Return a conversation as a file, or None when the viewer has no such one.

        Raises:
            TooLongToExport: it is too long to be one text.
        """
        viewer.must(Act.CHAT)
        async with self.database.begin(viewer.workspaces) as session:
            conversation = await repository.conversation(session, conversation_id, viewer=viewer)
            if conversation is None:
                return None
            size = await history_repository.size(session, conversation_id)
            if size.messages > MAX_EXPORT_MESSAGES or size.chars > MAX_EXPORT_CHARS:
                raise TooLongToExport
            messages = (
                await repository.messages_after(session, conversation_id, 0, MAX_EXPORT_MESSAGES)
                if format is ExportFormat.JSON
                else await tree_repository.branch(session, conversation_id)
            )
            quotes = await repository.citations(session, [each.id for each in messages], viewer=viewer)
            bot_name = (await bots.many(session, [conversation.bot_id], reach=viewer.reach))[0].name
        by_message: dict[UUID, list[Citation]] = {}
        for quote in quotes:
            by_message.setdefault(quote.message_id, []).append(quote)
        match format:
            case ExportFormat.JSON:
                text = json_of(conversation, bot_name, messages, by_message)
                return WrittenOut(file_name(conversation.title, ".json"), "application/json", text)
            case ExportFormat.MARKDOWN:
                text = markdown_of(conversation, bot_name, messages, by_message)
                return WrittenOut(file_name(conversation.title, ".md"), "text/markdown", text)
            case _:
                assert_never(format)

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


def _history(viewer: Viewer, wanted: History) -> SelectOfScalar[Conversation]:
    viewer.must(Act.CHAT)
    if viewer.key is not None and viewer.key.is_public:
        raise Forbidden("A key for browsers cannot list conversations: keep the ids of those that it begins.")
    return history_repository.history(viewer, wanted.bot_id, wanted.workspace_id, wanted.words())
