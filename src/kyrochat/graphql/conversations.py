"""Conversations as things that people keep, in the schema: finding them, naming them, turning to a branch."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.chat.conversations import History
from kyrochat.graphql.chat import Conversation, ConversationId
from kyrochat.graphql.context import Info
from kyrochat.graphql.enums import ExportFormat
from kyrochat.graphql.ids import optional_row_id, row_id
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.problems import InvalidInputProblem, NotFoundProblem

MessageId = Annotated[strawberry.ID, strawberry.argument(description="The id of a question or an answer.")]

Words = Annotated[
    str | None,
    strawberry.argument(
        description="Only those whose title or one message has all of these words, or parts of words; up to 8."
    ),
]


@strawberry.type(description="A conversation as a file.")
class ConversationExport:
    """From chat.written_out.WrittenOut."""

    file_name: str = strawberry.field(description="What to call the file.")
    media_type: str = strawberry.field(description="Its type, such as `text/markdown`.")
    text: str = strawberry.field(description="What is in it.")


@strawberry.input(description="A title for a conversation.")
class RenameConversationInput:
    """For `renameConversation`."""

    id: strawberry.ID = strawberry.field(description="The conversation.")
    title: str = strawberry.field(description="What to call it, up to 200 characters.")


RenameConversationResult = Annotated[
    Conversation | InvalidInputProblem | NotFoundProblem,
    strawberry.union("RenameConversationResult", description="The conversation, or why it was not renamed."),
]
SelectBranchResult = Annotated[
    Conversation | NotFoundProblem,
    strawberry.union(
        "SelectBranchResult", description="The conversation with its active branch, or why there is none."
    ),
]


@strawberry.type
class ConversationQuery:
    """Queries on conversations."""

    @strawberry.field(
        description="Your conversations with all bots, or those that a search finds; that first in which something "
        "was asked last."
    )
    async def conversations(
        self,
        info: Info,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        query: Words = UNSET,
        bot_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only those with this bot.")] = UNSET,
        workspace_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only those in this workspace.")
        ] = UNSET,
    ) -> Connection[Conversation]:
        """Page."""
        service, viewer = info.context.services.conversations, info.context.viewer
        wanted = History(query or "", optional_row_id("Bot", bot_id), optional_row_id("Workspace", workspace_id))
        page = await service.page(viewer, wanted, page_request(first, after, last, before))
        return connection(
            page, Conversation.from_row, lambda: service.count(viewer, wanted), key=lambda row: row.recency
        )

    @strawberry.field(
        description="A conversation of yours as a file, or null. One with more than 2,000 messages or 2,000,000 "
        "characters is refused: `exportAccount` has it."
    )
    async def export_conversation(
        self,
        info: Info,
        id: ConversationId,
        format: Annotated[ExportFormat, strawberry.argument(description="What for: programs, or people.")],
    ) -> ConversationExport | None:
        """Write."""
        conversations = info.context.services.conversations
        written = await conversations.export(info.context.viewer, row_id("Conversation", id), format)
        if written is None:
            return None
        return ConversationExport(file_name=written.file_name, media_type=written.media_type, text=written.text)


@strawberry.type
class ConversationMutation:
    """Mutations on conversations."""

    @strawberry.mutation(description="Give a conversation a title, which stays until you give it another one.")
    async def rename_conversation(
        self, info: Info, input: Annotated[RenameConversationInput, strawberry.argument(description="The title.")]
    ) -> RenameConversationResult:
        """Rename."""
        conversations = info.context.services.conversations
        row = await conversations.rename(info.context.viewer, row_id("Conversation", input.id), input.title)
        return Conversation.from_row(row)

    @strawberry.mutation(
        description="Make the branch that a message is on the active one; of branches that part below it, the one that "
        "was written on last. An answer that is being written elsewhere goes on."
    )
    async def select_branch(self, info: Info, message_id: MessageId) -> SelectBranchResult:
        """Select."""
        conversations = info.context.services.conversations
        row = await conversations.select_branch(info.context.viewer, row_id("Message", message_id))
        return Conversation.from_row(row)
