"""The schema: all rooms under one roof."""

import asyncio
from typing import Annotated, cast

import strawberry
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from kyrochat.errors import InvalidInput
from kyrochat.graphql.accounts import AccountQuery, User
from kyrochat.graphql.active_sessions import ActiveSession, ActiveSessionMutation, ActiveSessionQuery
from kyrochat.graphql.api_keys import ApiKey, ApiKeyMutation, ApiKeyQuery
from kyrochat.graphql.asking import ChatMutation
from kyrochat.graphql.audit import AuditEntry, AuditQuery
from kyrochat.graphql.bot_tools import JSON_SCHEMA_SCALAR, BotTool, BotToolMutation, JsonSchema
from kyrochat.graphql.bots import Bot, BotMutation, BotQuery
from kyrochat.graphql.chat import ChatQuery, ChatSubscription, Conversation, Message
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.conversations import ConversationMutation, ConversationQuery
from kyrochat.graphql.crawls import Crawl, CrawlMutation, CrawlQuery, CrawlSubscription
from kyrochat.graphql.credentials import CredentialMutation
from kyrochat.graphql.document_mutations import DocumentMutation
from kyrochat.graphql.documents import Document, DocumentQuery, DocumentSubscription
from kyrochat.graphql.evaluation_comparisons import EvaluationComparisonQuery
from kyrochat.graphql.evaluation_mutations import EvaluationMutation
from kyrochat.graphql.evaluations import Evaluation, EvaluationQuery, EvaluationSubscription
from kyrochat.graphql.feedback_mutations import FeedbackMutation
from kyrochat.graphql.filters import METADATA_SCALAR, METADATA_VALUE_SCALAR, Metadata, MetadataValue
from kyrochat.graphql.ids import NOBODYS_ID, split_id
from kyrochat.graphql.ingestion import IngestionMutation, IngestionQuery, IngestionSubscription
from kyrochat.graphql.invitation_mutations import InvitationMutation
from kyrochat.graphql.invitations import Invitation, InvitationQuery
from kyrochat.graphql.key_guard import KeyGuard
from kyrochat.graphql.limits import CostGuard
from kyrochat.graphql.members import MemberMutation
from kyrochat.graphql.node import Node
from kyrochat.graphql.own_data import OwnDataMutation
from kyrochat.graphql.permissions import NODES, must_reach
from kyrochat.graphql.problems import EXCEPTION_HANDLERS
from kyrochat.graphql.question_sets import QuestionSet, QuestionSetMutation, QuestionSetQuery
from kyrochat.graphql.search_queries import SearchQuery
from kyrochat.graphql.sessions import SessionMutation
from kyrochat.graphql.shared import SharedQuery
from kyrochat.graphql.shares import Share, ShareMutation
from kyrochat.graphql.socket_credentials import SocketMutation
from kyrochat.graphql.translate import translate
from kyrochat.graphql.transport.schema_setup import KyroSchema, make_schema_config
from kyrochat.graphql.users import UserMutation, UserQuery
from kyrochat.graphql.web import WebMutation
from kyrochat.graphql.workspaces import Workspace, WorkspaceMutation, WorkspaceQuery

MAX_NODES = 100


@strawberry.type(description="What this server is and how it answers.")
class ServerInfo:
    """From context.Services."""

    version: str = strawberry.field(description="The version of KyroChat.")
    offline_mode: bool = strawberry.field(
        description="Whether answers are quoted from the documents, since no model is set up."
    )
    answer_model: str = strawberry.field(description="The model of bots that name none.")


@strawberry.type
class NodeQuery:
    """Queries on anything that has an id."""

    @strawberry.field(description="Any object of yours by its id, or null.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of any object.")]
    ) -> Node | None:
        """Load."""
        return await _load(info.context, id)

    @strawberry.field(description="Objects of yours by their ids, in the same order; null where there is none.")
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Up to 100 ids.")],
    ) -> list[Node | None]:
        """Load."""
        if len(ids) > MAX_NODES:
            raise InvalidInput.at("ids", f"At most {MAX_NODES} ids.")
        return await asyncio.gather(*(_load(info.context, one) for one in ids))

    @strawberry.field(description="What this server is. Needs no sign-in.")
    def server_info(self, info: Info) -> ServerInfo:
        """Translate."""
        services = info.context.services
        return ServerInfo(
            version=services.version, offline_mode=services.is_offline, answer_model=services.answer_model
        )


async def _load(context: Context, global_id: str) -> Node | None:
    viewer = context.viewer
    kind, row_id = split_id(global_id) or ("", NOBODYS_ID)
    if kind not in NODES:
        return None
    must_reach(viewer, kind)
    row: object
    match kind:
        case "User":
            row = await context.people.load(row_id) if row_id == viewer.user_id else None
        case "ActiveSession":
            row = await context.sessions.load(row_id)
        case "Workspace":
            row = await context.workspaces.load(row_id)
        case "Invitation":
            row = await context.invitations.load(row_id)
        case "ApiKey":
            row = await context.api_keys.load(row_id)
        case "AuditEntry":
            row = await context.audit_entries.load(row_id)
        case "Bot":
            row = await context.bots.load(row_id)
        case "BotTool":
            row = await context.bot_tools.load(row_id)
        case "Document":
            row = await context.documents.load(row_id)
        case "Crawl":
            row = await context.crawls.load(row_id)
        case "QuestionSet":
            row = await context.question_sets.load(row_id)
        case "Evaluation":
            row = await context.evaluations.load(row_id)
        case "Conversation":
            row = await context.conversations.load(row_id)
        case "Share":
            row = await context.shares.load(row_id)
        case "Message":
            row = await context.messages.load(row_id)
        case _:
            raise AssertionError(f"Nobody loads objects of the type {kind}.")
    return None if row is None else cast(Node, translate(row, context))


@strawberry.type(
    description="What can be read. All but `serverInfo`, `invitation` and `sharedConversation` needs a sign-in."
)
class Query(
    NodeQuery,
    AccountQuery,
    ActiveSessionQuery,
    UserQuery,
    WorkspaceQuery,
    ApiKeyQuery,
    AuditQuery,
    InvitationQuery,
    BotQuery,
    DocumentQuery,
    CrawlQuery,
    IngestionQuery,
    SearchQuery,
    ChatQuery,
    ConversationQuery,
    QuestionSetQuery,
    EvaluationQuery,
    EvaluationComparisonQuery,
    SharedQuery,
):
    """All queries."""


@strawberry.type(
    description="What can be changed. All but `register`, `login`, `refreshSession`, `refreshSocket`, "
    "`requestPasswordReset` and `resetPassword` needs a sign-in."
)
class Mutation(
    SessionMutation,
    SocketMutation,
    WorkspaceMutation,
    MemberMutation,
    ApiKeyMutation,
    InvitationMutation,
    OwnDataMutation,
    ActiveSessionMutation,
    CredentialMutation,
    UserMutation,
    BotMutation,
    DocumentMutation,
    WebMutation,
    CrawlMutation,
    IngestionMutation,
    ChatMutation,
    ConversationMutation,
    FeedbackMutation,
    QuestionSetMutation,
    EvaluationMutation,
    ShareMutation,
    BotToolMutation,
):
    """All mutations."""


@strawberry.type(description="What can be watched, over graphql-transport-ws or server-sent events.")
class Subscription(
    ChatSubscription, DocumentSubscription, CrawlSubscription, IngestionSubscription, EvaluationSubscription
):
    """All subscriptions."""


def schema_config() -> StrawberryConfig:
    """Return the configuration with the product's own scalars."""
    return make_schema_config(
        {Metadata: METADATA_SCALAR, MetadataValue: METADATA_VALUE_SCALAR, JsonSchema: JSON_SCHEMA_SCALAR}
    )


def build_schema(*, introspection: bool = True) -> KyroSchema:
    """Return the schema that `schema.graphql` shows; without `introspection` it tells clients nothing about itself."""
    return KyroSchema(
        Query,
        Mutation,
        Subscription,
        types=[
            User,
            ActiveSession,
            Workspace,
            ApiKey,
            AuditEntry,
            Bot,
            BotTool,
            Document,
            Crawl,
            QuestionSet,
            Evaluation,
            Conversation,
            Message,
            Share,
            Invitation,
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        config=schema_config(),
        extensions=[CostGuard, KeyGuard],
        introspection=introspection,
    )


def schema_text() -> str:
    """Return the schema in the schema definition language."""
    return print_schema(build_schema()) + "\n"
