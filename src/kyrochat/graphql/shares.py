"""Links to conversations in the schema, as those see them who made them."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.chat.sharing import ShareLink
from kyrochat.db import models
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.ids import global_id, optional_row_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.optional import if_given
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotFoundProblem, QuotaExceededProblem
from kyrochat.graphql.translate import translate


@strawberry.type(
    description="A link by which anybody reads a conversation as it was: the branch up to one message, under the title "
    "of that time. What is asked later is not in it."
)
class Share(Node):
    """From models.ConversationShare."""

    title: str = strawberry.field(description="What the conversation was called.")
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime | None = strawberry.field(
        description="When it becomes worthless; null: as long as the conversation is there."
    )

    @classmethod
    def from_row(cls, row: models.ConversationShare) -> "Share":
        """Translate."""
        return cls(id=global_id("Share", row.id), title=row.title, created_at=row.created_at, expires_at=row.expires_at)


@translate.register
def _(row: models.ConversationShare, context: Context) -> Share:
    del context
    return Share.from_row(row)


@strawberry.type(description="A share with its link, which is shown this once.")
class ShareCreated:
    """From sharing.ShareLink."""

    share: Share = strawberry.field(description="The share.")
    token: str = strawberry.field(description="For `sharedConversation`; only its hash is stored.")
    url: str = strawberry.field(
        description="The token in a link, after the #, to the page `/shared` at the server's public URL."
    )

    @classmethod
    def from_link(cls, link: ShareLink) -> "ShareCreated":
        """Translate."""
        return cls(share=Share.from_row(link.share), token=link.token, url=link.url)


@strawberry.type(description="A share that is worthless from now on.")
class RevokedShare:
    """The answer of `revokeShare`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.input(description="What to share, and how long.")
class ShareConversationInput:
    """For `shareConversation`."""

    conversation_id: strawberry.ID = strawberry.field(description="The conversation.")
    message_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="The last message to show; by default that of the active branch."
    )
    expires_in_days: int | None = strawberry.field(
        default=UNSET, description="1 to 3,650; left out: as long as the conversation is there."
    )


ShareConversationResult = Annotated[
    ShareCreated | InvalidInputProblem | ConflictProblem | NotFoundProblem | QuotaExceededProblem,
    strawberry.union("ShareConversationResult", description="The share with its link, or why there is none."),
]
RevokeShareResult = Annotated[
    RevokedShare | NotFoundProblem,
    strawberry.union("RevokeShareResult", description="The share is worthless, or was not there."),
]


@strawberry.type
class ShareMutation:
    """Mutations on shares."""

    @strawberry.mutation(
        description="Make a link by which anybody reads a conversation of yours as it is now, until you revoke it: "
        "questions, answers and quotes, and neither your name nor the documents. It ends with the conversation, with "
        "the bot and with your account."
    )
    async def share_conversation(
        self, info: Info, input: Annotated[ShareConversationInput, strawberry.argument(description="What.")]
    ) -> ShareConversationResult:
        """Share."""
        link = await info.context.services.sharing.share(
            info.context.viewer,
            row_id("Conversation", input.conversation_id),
            optional_row_id("Message", input.message_id),
            if_given(input.expires_in_days),
        )
        return ShareCreated.from_link(link)

    @strawberry.mutation(description="Make a link to a conversation worthless.")
    async def revoke_share(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of a share.")]
    ) -> RevokeShareResult:
        """Revoke."""
        await info.context.services.sharing.revoke(info.context.viewer, row_id("Share", id))
        return RevokedShare(id=id)
