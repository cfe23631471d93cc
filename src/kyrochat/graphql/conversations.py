"""Mutations on conversations as things that people keep."""

from typing import Annotated

import strawberry

from kyrochat.graphql.chat import Conversation
from kyrochat.graphql.context import Info
from kyrochat.graphql.ids import row_id
from kyrochat.graphql.problems import NotFoundProblem

MessageId = Annotated[strawberry.ID, strawberry.argument(description="The id of a question or an answer.")]

SelectBranchResult = Annotated[
    Conversation | NotFoundProblem,
    strawberry.union(
        "SelectBranchResult", description="The conversation with its active branch, or why there is none."
    ),
]


@strawberry.type
class ConversationMutation:
    """Mutations on conversations."""

    @strawberry.mutation(
        description="Make the branch that a message is on the active one; of branches that part below it, the one that "
        "was written on last. An answer that is being written elsewhere goes on."
    )
    async def select_branch(self, info: Info, message_id: MessageId) -> SelectBranchResult:
        """Select."""
        conversations = info.context.services.conversations
        row = await conversations.select_branch(info.context.viewer, row_id("Message", message_id))
        return Conversation.from_row(row)
