"""What one operation has at hand: the services, who asks, and its loaders."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol, TypeVar
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from kyrochat.accounts.viewer import NOWHERE, Client, Viewer
from kyrochat.chat.feedback import RatedAnswer
from kyrochat.db.models import (
    ApiKey,
    AuditEntry,
    Bot,
    BotTool,
    Citation,
    Conversation,
    ConversationShare,
    Crawl,
    Document,
    Evaluation,
    Invitation,
    Message,
    QuestionSet,
    User,
    UserSession,
    WebPage,
    Workspace,
)
from kyrochat.db.states import CrawlPageState, WorkspaceRole
from kyrochat.errors import KyroError, NotFound, Unauthenticated
from kyrochat.graphql.services import Services
from kyrochat.graphql.transport.grants import Renew
from kyrochat.rates.limits import POINTS_PER_ADDRESS, POINTS_PER_KEY, POINTS_PER_USER
from kyrochat.rates.service import network
from kyrochat.retrieval.trace import SearchTrace


class _Row(Protocol):
    id: UUID


R = TypeVar("R", bound=_Row)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(eq=False)
class Context:
    """`info.context`. Made anew for each operation, on sockets too, so nothing in it can grow stale."""

    services: Services
    signed_in: Viewer | None = None
    refusal: KyroError = field(default_factory=Unauthenticated)
    # Where the operation comes from, signed in or not.
    client: Client = NOWHERE
    # Takes new credentials for the socket that the operation came by; None over HTTP.
    renew: Renew | None = None

    @property
    def viewer(self) -> Viewer:
        """Who asks.

        Raises:
            Unauthenticated: nobody who is signed in.
        """
        if self.signed_in is None:
            raise self.refusal
        return self.signed_in

    def come_to(self, workspace_id: UUID, role: WorkspaceRole) -> None:
        """Let the rest of the operation see a workspace to which the viewer belongs from now on."""
        self.signed_in = replace(self.viewer, workspaces={**self.viewer.workspaces, workspace_id: role})

    async def pay(self, points: int) -> int:
        """Charge the points of an operation to who asks, or to the address; return how many are left for now.

        Raises:
            RateLimited: there are not so many left.
        """
        limit, who = POINTS_PER_ADDRESS, network(self.client.address)
        if (viewer := self.signed_in) is not None:
            limit, who = POINTS_PER_KEY if viewer.speaks_for_many else POINTS_PER_USER, viewer.counted_as
        await self.services.rates.charge(limit, who, cost=points)
        return await self.services.rates.remaining(limit, who)

    @cached_property
    def sessions(self) -> DataLoader[UUID, UserSession | None]:
        """The viewer's sessions by id."""
        return _by_id(lambda ids: self.services.sessions.many(self.viewer, ids))

    @cached_property
    def invitations(self) -> DataLoader[UUID, Invitation | None]:
        """Invitations by id."""
        return _by_id(lambda ids: self.services.invitations.many(self.viewer, ids))

    @cached_property
    def bots(self) -> DataLoader[UUID, Bot | None]:
        """Bots by id."""
        return _by_id(lambda ids: self.services.bots.many(self.viewer, ids))

    async def bot(self, bot_id: UUID) -> Bot:
        """Return the bot of a row that the viewer sees.

        Raises:
            NotFound: it was deleted in this very moment.
        """
        row = await self.bots.load(bot_id)
        if row is None:
            raise NotFound("bot")
        return row

    @cached_property
    def documents(self) -> DataLoader[UUID, Document | None]:
        """Documents by id."""
        return _by_id(lambda ids: self.services.documents.many(self.viewer, ids))

    @cached_property
    def web_pages(self) -> DataLoader[UUID, WebPage | None]:
        """The pages behind documents from the web, by document."""

        async def load(document_ids: list[UUID]) -> list[WebPage | None]:
            pages = await self.services.web_documents.pages(self.viewer, document_ids)
            found = {page.document_id: page for page in pages}
            return [found.get(document_id) for document_id in document_ids]

        return DataLoader(load_fn=load, cache=False)

    @cached_property
    def crawls(self) -> DataLoader[UUID, Crawl | None]:
        """Crawls by id."""
        return _by_id(lambda ids: self.services.crawls.many(self.viewer, ids))

    @cached_property
    def crawl_counts(self) -> DataLoader[UUID, dict[CrawlPageState, int]]:
        """How many pages of a crawl are in each state, by crawl."""

        async def load(crawl_ids: list[UUID]) -> list[dict[CrawlPageState, int]]:
            found = await self.services.crawls.counts(self.viewer, crawl_ids)
            return [{state: found.get((crawl_id, state), 0) for state in CrawlPageState} for crawl_id in crawl_ids]

        return DataLoader(load_fn=load, cache=False)

    @cached_property
    def question_sets(self) -> DataLoader[UUID, QuestionSet | None]:
        """Question sets by id."""
        return _by_id(lambda ids: self.services.question_sets.many(self.viewer, ids))

    @cached_property
    def question_counts(self) -> DataLoader[UUID, int]:
        """How many questions a set has, by set."""
        return _by_key(lambda ids: self.services.question_sets.count_questions(self.viewer, ids), 0)

    @cached_property
    def evaluations(self) -> DataLoader[UUID, Evaluation | None]:
        """Evaluations by id."""
        return _by_id(lambda ids: self.services.evaluations.many(self.viewer, ids))

    @cached_property
    def bot_tools(self) -> DataLoader[UUID, BotTool | None]:
        """Tools of bots by id."""
        return _by_id(lambda ids: self.services.bot_tools.many(self.viewer, ids))

    @cached_property
    def tools_of(self) -> DataLoader[UUID, list[BotTool]]:
        """Tools by bot."""
        return _grouped(lambda ids: self.services.bot_tools.of_bots(self.viewer, ids), lambda tool: tool.bot_id)

    @cached_property
    def conversations(self) -> DataLoader[UUID, Conversation | None]:
        """Conversations by id."""
        return _by_id(lambda ids: self.services.chat.conversations(self.viewer, ids))

    @cached_property
    def messages(self) -> DataLoader[UUID, Message | None]:
        """Messages by id."""
        return _by_id(lambda ids: self.services.chat.messages(self.viewer, ids))

    @cached_property
    def active_leaves(self) -> DataLoader[UUID, UUID | None]:
        """The last message of the active branch, by conversation."""
        return _by_key(lambda ids: self.services.chat.active_leaves(self.viewer, ids), None)

    @cached_property
    def replies(self) -> DataLoader[tuple[UUID, UUID | None], Sequence[UUID]]:
        """Messages by conversation and by what they reply to, the oldest first; None: what begins the conversation."""
        return _by_key(lambda places: self.services.chat.replies(self.viewer, places), ())

    @cached_property
    def feedback(self) -> DataLoader[UUID, RatedAnswer | None]:
        """What the viewer thinks of answers, by answer."""

        async def load(message_ids: list[UUID]) -> list[RatedAnswer | None]:
            rated = await self.services.feedback.of_messages(self.viewer, message_ids)
            found = {each.answer.id: each for each in rated}
            return [found.get(message_id) for message_id in message_ids]

        return DataLoader(load_fn=load, cache=False)

    @cached_property
    def shares(self) -> DataLoader[UUID, ConversationShare | None]:
        """Links to conversations by id."""
        return _by_id(lambda ids: self.services.sharing.many(self.viewer, ids))

    @cached_property
    def shares_of(self) -> DataLoader[UUID, list[ConversationShare]]:
        """Links by conversation."""
        return _grouped(
            lambda ids: self.services.sharing.of_conversations(self.viewer, ids), lambda share: share.conversation_id
        )

    @cached_property
    def workspaces(self) -> DataLoader[UUID, Workspace | None]:
        """Workspaces by id."""
        return _by_id(lambda _: self.services.workspaces.mine(self.viewer))

    @cached_property
    def api_keys(self) -> DataLoader[UUID, ApiKey | None]:
        """API keys by id."""
        return _by_id(lambda ids: self.services.api_keys.many(self.viewer, ids))

    @cached_property
    def people(self) -> DataLoader[UUID, User | None]:
        """Whoever is named by a row that the viewer may see."""
        return _by_id(self.services.accounts.people)

    @cached_property
    def audit_entries(self) -> DataLoader[UUID, AuditEntry | None]:
        """Entries of the audit log by id."""
        return _by_id(lambda ids: self.services.audit.many(self.viewer, ids))

    @cached_property
    def key_names(self) -> DataLoader[tuple[UUID, UUID], str | None]:
        """What API keys are called that entries of the audit log name, by workspace and key."""

        async def load(keys: list[tuple[UUID, UUID]]) -> list[str | None]:
            names = await self.services.audit.key_names(keys)
            return [names.get(key_id) for _, key_id in keys]

        return DataLoader(load_fn=load, cache=False)

    @cached_property
    def tokens_used_today(self) -> DataLoader[UUID, int]:
        """Tokens by API key."""
        return _by_key(lambda ids: self.services.api_keys.tokens_used_today(self.viewer, ids), 0)

    @cached_property
    def last_active(self) -> DataLoader[UUID, datetime | None]:
        """When users were last here, by their ids."""
        return _by_key(lambda ids: self.services.users.last_active(self.viewer, ids), None)

    @cached_property
    def citations(self) -> DataLoader[UUID, list[Citation]]:
        """Citations by message."""
        return _grouped(
            lambda ids: self.services.chat.citations(self.viewer, ids), lambda citation: citation.message_id
        )

    @cached_property
    def searches(self) -> DataLoader[UUID, tuple[SearchTrace, ...]]:
        """What was searched for answers, by message."""
        return _by_key(lambda ids: self.services.chat.searches(self.viewer, ids), ())


Info = strawberry.Info[Context, None]


def _by_id(load: Callable[[Sequence[UUID]], Awaitable[Sequence[R]]]) -> DataLoader[UUID, R | None]:
    # No cache: a subscription lives long, and must see what has changed.
    async def load_in_order(ids: list[UUID]) -> list[R | None]:
        found = {row.id: row for row in await load(list(dict.fromkeys(ids)))}
        return [found.get(row_id) for row_id in ids]

    return DataLoader(load_fn=load_in_order, cache=False)


def _by_key(load: Callable[[list[K]], Awaitable[Mapping[K, V]]], missing: V) -> DataLoader[K, V]:
    async def load_in_order(keys: list[K]) -> list[V]:
        found = await load(keys)
        return [found.get(key, missing) for key in keys]

    return DataLoader(load_fn=load_in_order, cache=False)


def _grouped(
    load: Callable[[list[UUID]], Awaitable[Sequence[V]]], owner: Callable[[V], UUID]
) -> DataLoader[UUID, list[V]]:
    async def load_in_order(ids: list[UUID]) -> list[list[V]]:
        found: dict[UUID, list[V]] = {each: [] for each in ids}
        for row in await load(ids):
            found[owner(row)].append(row)
        # By the ids asked for: one that two objects of an answer share is asked for twice.
        return [found[each] for each in ids]

    return DataLoader(load_fn=load_in_order, cache=False)
