"""The composition root: settings in, a running server out."""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from kyrochat.accounts.export import ExportService
from kyrochat.accounts.opening import open_accounts
from kyrochat.accounts.presence import Presences
from kyrochat.accounts.viewer import Client, Viewer
from kyrochat.bots.service import BotService
from kyrochat.chat.answer import Answerer
from kyrochat.chat.compaction import LogCompaction
from kyrochat.chat.conversations import ConversationService
from kyrochat.chat.export import ConversationExport
from kyrochat.chat.feedback import FeedbackService
from kyrochat.chat.log import AnswerLog
from kyrochat.chat.queue import AnswerQueue
from kyrochat.chat.running import RunningAnswers
from kyrochat.chat.searching import SearchService
from kyrochat.chat.service import ChatService
from kyrochat.chat.sharing import SharingService
from kyrochat.chat.title_writer import TitleWriter
from kyrochat.chat.transcripts import Transcripts
from kyrochat.db.access import DatabaseAccess, check_connection, refuse_to_bypass
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.documents.export import DocumentExport
from kyrochat.documents.intake import Quota
from kyrochat.documents.reconcile import Reconciler
from kyrochat.documents.relabelling import Relabelling
from kyrochat.documents.service import DocumentService
from kyrochat.documents.storage import FileStore, open_store
from kyrochat.documents.web.crawls import CrawlService
from kyrochat.documents.web.service import WebDocumentService
from kyrochat.errors import KyroError
from kyrochat.evaluation.export import EvaluationExport
from kyrochat.evaluation.question_sets import QuestionSetService
from kyrochat.evaluation.service import EvaluationService
from kyrochat.graphql.browsers import page_of
from kyrochat.graphql.context import Context
from kyrochat.graphql.export_route import export_route
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.pages import page_routes
from kyrochat.graphql.schema import build_schema
from kyrochat.graphql.services import Services
from kyrochat.graphql.transport.gates import gated
from kyrochat.graphql.transport.grants import Grant, Renew
from kyrochat.graphql.transport.hosts import Hosts
from kyrochat.graphql.transport.known_documents import KnownDocuments
from kyrochat.graphql.transport.origins import Origins
from kyrochat.graphql.transport.view import GraphQLView, authorization
from kyrochat.mcp_api.endpoint import MCPEndpoint
from kyrochat.mcp_api.tools import ToolServices
from kyrochat.openai_api.routes import OpenAIRoutes, OpenAIServices
from kyrochat.rates.limits import SOCKETS_PER_USER
from kyrochat.rates.service import network, open_rates
from kyrochat.retrieval.offline import ExtractiveModel
from kyrochat.retrieval.providers import Providers, open_providers
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.vector_indexing import VectorIndexing
from kyrochat.retrieval.vector_status import tell_of_other_schemes
from kyrochat.settings import Settings, Switch, TrustedDocumentsRule
from kyrochat.signing.agreement import agree_on_key
from kyrochat.signing.key_files import secret_keys
from kyrochat.trusted.documents import TrustedDocuments
from kyrochat.working import working

MAX_USER_AGENT_CHARS = 300
# What a multipart request is longer than its file.
MULTIPART_ENVELOPE_BYTES = 512 * 1024

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Runtime:
    """What runs in this process, for as long as it does."""

    services: Services
    database: Database
    changes: Changes
    store: FileStore
    reconciler: Reconciler
    trusted: TrustedDocuments
    retriever: Retriever
    transcripts: Transcripts
    indexing: VectorIndexing


@asynccontextmanager
async def running(
    settings: Settings, access: DatabaseAccess, *, provided: Providers | None = None
) -> AsyncGenerator[Runtime, None]:
    """Open everything, work meanwhile, close everything. `provided` takes the place of what the settings name."""
    async with AsyncExitStack() as stack:
        database = access.open_app()
        stack.push_async_callback(database.close)
        await refuse_to_bypass(database)
        keys = secret_keys(settings)
        await agree_on_key(database, keys)
        rates = await stack.enter_async_context(open_rates(settings, keys.derive("rates")))
        if provided is None:
            provided = await stack.enter_async_context(open_providers(settings))
        model, dense = provided.model, provided.dense.retrieval(database)
        changes = Changes()
        await stack.enter_async_context(changes.listening(database.engine))
        store = open_store(settings.files)
        log_database = access.open_log()
        stack.push_async_callback(log_database.close)
        retriever = Retriever(database, dense=dense, reranking=provided.reranking)
        answerer = Answerer(database, AnswerLog(database, changes, log_database), retriever, model, provided.budget)
        queue = AnswerQueue(settings.answers_at_once, settings.answers_waiting)
        lease = timedelta(seconds=settings.answer_lease_s)
        answers = RunningAnswers(log_database, changes, answerer, lease, queue=queue)
        await stack.enter_async_context(answers.alive())
        await stack.enter_async_context(LogCompaction(log_database).sweeping())
        if settings.workers:
            await stack.enter_async_context(
                working(settings, settings.workers, access, changes, store, provided.dense, provided.reranking)
            )
        accounts = await stack.enter_async_context(open_accounts(settings, keys, database, changes, rates))
        presences = Presences(database, changes)
        await stack.enter_async_context(presences.watched())
        quota = Quota(settings.workspace_max_bytes, settings.workspace_max_documents)
        is_offline = isinstance(model, ExtractiveModel)
        titles = None
        # What can only quote cannot name anything.
        if settings.generated_titles is Switch.ON and not is_offline:
            titles = await stack.enter_async_context(TitleWriter(database, model).alive())
        log.info("Answers come from %s%s", model.name, ": offline mode, they quote the documents" if is_offline else "")
        yield Runtime(
            Services(
                accounts=accounts.people,
                registration=accounts.registration,
                sessions=accounts.sessions,
                credentials=accounts.credentials,
                resets=accounts.resets,
                users=accounts.users,
                workspaces=accounts.workspaces,
                members=accounts.members,
                api_keys=accounts.api_keys,
                audit=accounts.audit,
                invitations=accounts.invitations,
                erasure=accounts.erasure,
                exports=ExportService(
                    database,
                    accounts.principals.tokens,
                    settings.base_url,
                    (DocumentExport(database, store), ConversationExport(database), EvaluationExport(database)),
                    rates,
                ),
                principals=accounts.principals,
                presences=presences,
                bots=BotService(database, changes),
                documents=DocumentService(database, changes, store, settings.max_upload_bytes, quota, rates),
                relabelling=Relabelling(database, changes),
                web_documents=WebDocumentService(database, changes, quota, rates),
                crawls=CrawlService(database, changes, rates),
                chat=ChatService(database, changes, answers, rates, titles),
                searches=SearchService(database, answerer.retriever),
                conversations=ConversationService(database),
                feedback=FeedbackService(database),
                question_sets=QuestionSetService(database),
                evaluations=EvaluationService(database, changes, rates),
                sharing=SharingService(database, settings.base_url, rates),
                rates=rates,
                version=version("kyrochat"),
                answer_model=model.name,
                is_offline=is_offline,
            ),
            database,
            changes,
            store,
            Reconciler(database, store, provided.dense.check(database)),
            TrustedDocuments(database),
            retriever,
            Transcripts(database),
            VectorIndexing(access.urls.owner, database),
        )


class KyroApp:
    """The ASGI application, which runs everything from its startup to its shutdown."""

    def __init__(self, settings: Settings, access: DatabaseAccess, *, provided: Providers | None = None) -> None:
        self._settings, self._access, self._provided = settings, access, provided
        self._runtime: Runtime | None = None
        self._is_draining = False
        origins = Origins.of(settings.origins).allowed
        self.view = GraphQLView(
            build_schema(introspection=settings.allows_introspection),
            self._context,
            on_connect=self._grant,
            allowed_origins=origins,
            graphiql=settings.serves_graphiql,
            get_queries=True,
            known_documents=KnownDocuments(
                self._find_document, is_closed=settings.trusted_documents is TrustedDocumentsRule.REQUIRED
            ),
            upload_max_bytes=settings.max_upload_bytes + MULTIPART_ENVELOPE_BYTES,
            trusted_proxies=settings.proxy_networks,
        )
        self._mcp = MCPEndpoint(self._tool_services, self._viewer, version("kyrochat"))
        pages = page_routes(
            graphiql=settings.serves_graphiql,
            schema=settings.allows_introspection,
            is_draining=lambda: self._is_draining,
            checks={"database": lambda: check_connection(self.runtime.database)},
        )
        app = Starlette(
            routes=[
                Route("/graphql", self.view),
                WebSocketRoute("/graphql", self.view),
                export_route(lambda: self.runtime.services.exports),
                *OpenAIRoutes(self._openai_services, self._viewer).routes(),
                self._mcp.route(),
                *pages,
            ],
            lifespan=self._lifespan,
        )
        hosts = Hosts.of(settings.hosts, is_loopback=settings.is_loopback)
        self._asgi = gated(app, origins, hosts, settings.proxy_networks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        await self._asgi(scope, receive, send)

    def drain(self) -> None:
        """Tell probes that this process is about to end, and end event streams; clients resume elsewhere."""
        self._is_draining = True
        self.view.end_streams()

    @property
    def runtime(self) -> Runtime:
        """What runs, between startup and shutdown."""
        assert self._runtime is not None, "The application has not started."
        return self._runtime

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncGenerator[None, None]:
        del app
        async with running(self._settings, self._access, provided=self._provided) as self._runtime:
            await tell_of_other_schemes(self._runtime.database, self._runtime.retriever.dense)
            yield
            await self._mcp.close()

    async def _viewer(self, request: Request) -> Viewer:
        """Return who sent a request that has credentials."""
        principals = self.runtime.services.principals
        return await principals.load(authorization(request, {}) or "", self._client(request), page_of(request))

    def _openai_services(self) -> OpenAIServices:
        runtime, services = self.runtime, self.runtime.services
        return OpenAIServices(services.bots, services.chat, runtime.transcripts, global_id, row_id)

    def _tool_services(self) -> ToolServices:
        runtime, services = self.runtime, self.runtime.services
        return ToolServices(
            services.bots,
            services.chat,
            services.searches,
            runtime.transcripts,
            services.documents,
            global_id,
            row_id,
        )

    async def _context(
        self, connection: Request | WebSocket, params: Mapping[str, object], renew: Renew | None
    ) -> Context:
        services, client = self.runtime.services, self._client(connection)
        header = authorization(connection, params)
        if header is None:
            return Context(services, client=client, renew=renew)
        try:
            viewer = await services.principals.load(header, client, page_of(connection))
            return Context(services, viewer, client=client, renew=renew)
        except KyroError as error:
            # Kept until somebody asks for the viewer: signing in works with an old token at hand.
            return Context(services, refusal=error, client=client, renew=renew)

    async def _grant(self, connection: HTTPConnection, params: Mapping[str, object]) -> Grant | None:
        """Return whose the credentials of a socket or a stream are, how long they last, and what tells of their end."""
        header = authorization(connection, params)
        services, client = self.runtime.services, self._client(connection)
        viewer: Viewer | None = None
        try:
            if header is not None:
                viewer = await services.principals.load(header, client, page_of(connection))
        finally:
            if isinstance(connection, WebSocket):
                who = viewer.counted_as if viewer else network(client.address)
                await services.rates.charge(SOCKETS_PER_USER, who)
        if viewer is None:
            return None
        presence = ExitStack()
        ended = presence.enter_context(services.presences.of(viewer))
        left_s = None if viewer.expires_at is None else (viewer.expires_at - datetime.now(UTC)).total_seconds()
        return Grant(viewer.counted_as, left_s, ended, presence.close)

    async def _find_document(self, sha256: str) -> str | None:
        return await self.runtime.trusted.text(sha256)

    def _client(self, connection: HTTPConnection) -> Client:
        user_agent = connection.headers.get("user-agent", "")[:MAX_USER_AGENT_CHARS]
        return Client(self.view.address_of(connection), user_agent)
