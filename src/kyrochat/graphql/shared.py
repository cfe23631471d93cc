"""Conversations in the schema as those see them who have a link: words and quotes, and ids of nothing."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.chat import sharing
from kyrochat.db import models
from kyrochat.graphql.context import Info
from kyrochat.graphql.enums import MessageRole, MessageStatus
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request


@strawberry.type(description="What marker `[number]` in a shared answer's text stands for.")
class SharedCitation:
    """From models.Citation."""

    number: int = strawberry.field(description="The number in the marker.")
    document_title: str = strawberry.field(description="The document's title when it was cited.")
    quote: str = strawberry.field(description="What it says, verbatim.")
    page: int | None = strawberry.field(description="The page that it is on, where the format has pages.")

    @classmethod
    def from_row(cls, row: models.Citation) -> "SharedCitation":
        """Translate."""
        return cls(number=row.number, document_title=row.document_title, quote=row.quote, page=row.page)


@strawberry.type(description="A question or an answer that somebody shares.")
class SharedMessage:
    """From sharing.SharedMessage."""

    role: MessageRole = strawberry.field(description="Who wrote it.")
    status: MessageStatus = strawberry.field(description="How it ended.")
    text: str = strawberry.field(description="What it says.")
    created_at: datetime = strawberry.field(description="When it was sent, or begun.")
    citations: list[SharedCitation] = strawberry.field(description="The quotes that its markers stand for, by number.")

    @classmethod
    def from_service(cls, shared: sharing.SharedMessage) -> "SharedMessage":
        """Translate."""
        message = shared.message
        return cls(
            role=message.role,
            status=message.status,
            text=message.text,
            created_at=message.created_at,
            citations=[SharedCitation.from_row(row) for row in shared.citations],
        )


@strawberry.type(description="A conversation as it was when somebody shared it.")
class SharedConversation:
    """From sharing.Shared."""

    found: strawberry.Private[sharing.Shared]
    title: str = strawberry.field(description="What it was called.")
    bot_name: str = strawberry.field(description="The bot that answered.")
    shared_at: datetime = strawberry.field(description="When the link was made.")
    expires_at: datetime | None = strawberry.field(description="When the link becomes worthless; null: at no set time.")

    @classmethod
    def from_service(cls, found: sharing.Shared) -> "SharedConversation":
        """Translate."""
        share = found.share
        return cls(
            found=found,
            title=share.title,
            bot_name=found.bot_name,
            shared_at=share.created_at,
            expires_at=share.expires_at,
        )

    @strawberry.field(description="Its messages, newest first; `last` begins with the oldest.")
    async def messages(
        self, info: Info, first: First = 50, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[SharedMessage]:
        """Page."""
        service = info.context.services.sharing
        page = await service.message_page(self.found, page_request(first, after, last, before, key=int))
        return connection(
            page,
            SharedMessage.from_service,
            lambda: service.message_count(self.found),
            key=lambda row: row.message.position,
        )


@strawberry.type
class SharedQuery:
    """Queries on what others share."""

    @strawberry.field(
        description="A conversation that somebody shares, by the token of the link, or null when that is not good any "
        "more. Needs no sign-in."
    )
    async def shared_conversation(
        self, info: Info, token: Annotated[str, strawberry.argument(description="What comes after the # in the link.")]
    ) -> SharedConversation | None:
        """Look."""
        found = await info.context.services.sharing.read(info.context.client, token)
        return SharedConversation.from_service(found) if found else None
