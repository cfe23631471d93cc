"""Use cases of sharing: links by which anybody reads a conversation as it was, until they are revoked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.tokens import SHARE_PREFIX, new_secret, secret_hash
from kyrochat.accounts.viewer import Client, Viewer
from kyrochat.chat import repository, share_repository, tree_repository
from kyrochat.chat.exchanges import locked
from kyrochat.db.engine import Database, widen
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Citation, Conversation, ConversationShare, Message
from kyrochat.db.states import MessageStatus
from kyrochat.errors import Conflict, InvalidInput, NotFound, QuotaExceeded
from kyrochat.rates.limits import SHARED_PER_ADDRESS
from kyrochat.rates.service import NO_LIMITS, Rates, network
from kyrochat.rules import Rules

PAGE = "/shared"
MAX_SHARES = 20
MAX_DAYS = 3_650


class NothingToShare(Conflict):
    """The conversation has no messages, or its last answer is still being written."""

    def __init__(self, *, is_empty: bool) -> None:
        super().__init__(
            "There is nothing in this conversation yet."
            if is_empty
            else "The answer is still being written. Share the conversation when it has ended."
        )


@dataclass(frozen=True, slots=True)
class ShareLink:
    """A share with its token, which is shown only here."""

    share: ConversationShare
    token: str = field(repr=False)
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shared:
    """What whoever has a link sees first. The share is the key to the rest."""

    share: ConversationShare
    bot_name: str


@dataclass(frozen=True, slots=True)
class SharedMessage:
    """A message with its quotes."""

    message: Message
    citations: Sequence[Citation]


@dataclass(frozen=True, slots=True)
class SharingService:
    """What can be done with links to conversations."""

    database: Database
    # Where people reach this server, without a slash at the end.
    public_url: str
    rates: Rates = NO_LIMITS

    async def share(
        self, viewer: Viewer, conversation_id: UUID, message_id: UUID | None = None, expires_in_days: int | None = None
    ) -> ShareLink:
        """Make a link to the branch that ends with a message, by default the active one, as it is now.

        Raises:
            InvalidInput: the message is none of the conversation, or the days are out of range.
            NotFound: the viewer has no such conversation.
            Forbidden: a key asks.
            NothingToShare: it is empty, or an answer at its end is being written.
            QuotaExceeded: there are too many links to it.
        """
        viewer.must_be_person()
        viewer.must(Act.CHAT)
        if expires_in_days is not None:
            rules = Rules()
            rules.number("expiresInDays", expires_in_days, least=1, most=MAX_DAYS)
            rules.enforce()
        token = new_secret(SHARE_PREFIX)
        async with self.database.begin(viewer.workspaces) as session:
            conversation = await locked(session, viewer, conversation_id)
            leaf = await _leaf(session, conversation, message_id)
            await share_repository.forget_expired(session, conversation.id)
            if await share_repository.count(session, conversation.id) >= MAX_SHARES:
                raise QuotaExceeded(
                    f"There are {MAX_SHARES} links to this conversation, the most that there may be. Revoke one first."
                )
            lasts = None if expires_in_days is None else timedelta(days=expires_in_days)
            share = ConversationShare(
                workspace_id=conversation.workspace_id,
                conversation_id=conversation.id,
                leaf_id=leaf.id,
                title=conversation.title,
                token_hash=secret_hash(token),
                expires_at=None if lasts is None else datetime.now(UTC) + lasts,
            )
            session.add(share)
            await session.flush()
            await session.refresh(share)
            _record(session, AuditAct.CONVERSATION_SHARED, viewer, share)
        # After the #: browsers keep that to themselves, so it is in no log of a server or a proxy.
        return ShareLink(share, token, f"{self.public_url}{PAGE}#{token}")

    async def revoke(self, viewer: Viewer, share_id: UUID) -> UUID:
        """Make a link worthless, and return its id.

        Raises:
            NotFound: the viewer has no such link, or it has expired.
            Forbidden: a key asks.
        """
        viewer.must_be_person()
        async with self.database.begin(viewer.workspaces) as session:
            found = await share_repository.many(session, [share_id], viewer=viewer)
            if not found or not await share_repository.remove(session, share_id):
                raise NotFound("share")
            _record(session, AuditAct.SHARE_REVOKED, viewer, found[0])
        return share_id

    async def of_conversations(self, viewer: Viewer, conversation_ids: Sequence[UUID]) -> Sequence[ConversationShare]:
        """Return the links that work to conversations of the viewer's, the newest first."""
        viewer.must_be_person()
        async with self.database.begin(viewer.workspaces) as session:
            return await share_repository.of_conversations(session, conversation_ids, viewer=viewer)

    async def many(self, viewer: Viewer, share_ids: Sequence[UUID]) -> Sequence[ConversationShare]:
        """Return those of the links that work and that are the viewer's, in no order."""
        viewer.must_be_person()
        async with self.database.begin(viewer.workspaces) as session:
            return await share_repository.many(session, share_ids, viewer=viewer)

    async def read(self, client: Client, token: str) -> Shared | None:
        """Return what a link is to, or None when it is not good any more.

        Raises:
            RateLimited: too many links were opened from the client's address.
        """
        await self.rates.charge(SHARED_PER_ADDRESS, network(client.address))
        hashed = secret_hash(token)
        async with self.database.begin(credential=hashed) as session:
            share = await share_repository.by_token(session, hashed)
            if share is None:
                return None
            await widen(session, share.workspace_id)
            name = await share_repository.bot_name(session, share)
        return None if name is None else Shared(share, name)

    async def message_page(self, shared: Shared, request: PageRequest) -> Page[SharedMessage]:
        """Return one page of the messages of what `read` has returned, newest first; keys are positions."""
        share = shared.share
        async with self.database.begin([share.workspace_id]) as session:
            found = await tree_repository.branch_page(session, share.conversation_id, share.leaf_id, request)
            quotes = await repository.shown_citations(session, [row.id for row in found.rows])
        rows = [SharedMessage(row, [each for each in quotes if each.message_id == row.id]) for row in found.rows]
        return Page(rows, has_next=found.has_next, has_previous=found.has_previous)

    async def message_count(self, shared: Shared) -> int:
        """Return how many messages `message_page` leads through."""
        share = shared.share
        async with self.database.begin([share.workspace_id]) as session:
            return await tree_repository.branch_count(session, share.conversation_id, share.leaf_id)


async def _leaf(session: AsyncSession, conversation: Conversation, message_id: UUID | None) -> Message:
    leaf_id = message_id or await tree_repository.active_leaf(session, conversation.id)
    if leaf_id is None:
        raise NothingToShare(is_empty=True)
    leaf = await repository.message_in(session, conversation.id, leaf_id)
    if leaf is None:
        raise InvalidInput.at("messageId", "It names no message of this conversation.")
    if leaf.status is MessageStatus.STREAMING:
        raise NothingToShare(is_empty=False)
    return leaf


def _record(session: AsyncSession, act: AuditAct, viewer: Viewer, share: ConversationShare) -> None:
    of = ("Conversation", share.conversation_id)
    record(session, act, viewer, workspace_id=share.workspace_id, of=of, details={"share": str(share.id)})
