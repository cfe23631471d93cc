"""The ASGI application: what clients reach, and who is asking."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version

from sqlalchemy.pool import QueuePool
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from kyrochat import metrics
from kyrochat.accounts.viewer import Client, Viewer
from kyrochat.db.access import DatabaseAccess, check_connection
from kyrochat.errors import KyroError
from kyrochat.graphql.browsers import page_of
from kyrochat.graphql.context import Context
from kyrochat.graphql.export_route import export_route
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.link_pages import page_documents
from kyrochat.graphql.metrics_route import RequestMetrics, metrics_route
from kyrochat.graphql.pages import page_routes
from kyrochat.graphql.schema import build_schema
from kyrochat.graphql.transport.gates import ShortWay, gated
from kyrochat.graphql.transport.grants import Grant, Renew
from kyrochat.graphql.transport.hosts import Hosts
from kyrochat.graphql.transport.known_documents import KnownDocuments
from kyrochat.graphql.transport.origins import Origins
from kyrochat.graphql.transport.view import GraphQLView, authorization
from kyrochat.jobs.queue import counts
from kyrochat.mcp_api.endpoint import MCPEndpoint
from kyrochat.mcp_api.tools import ToolServices
from kyrochat.openai_api.routes import OpenAIRoutes, OpenAIServices
from kyrochat.rates.limits import SOCKETS_PER_USER
from kyrochat.rates.service import network
from kyrochat.retrieval.providers import Providers
from kyrochat.retrieval.vector_status import tell_of_other_schemes
from kyrochat.runtime import Runtime, running
from kyrochat.setting_values import TrustedDocumentsRule
from kyrochat.settings import Settings
from kyrochat.trusted.documents import document_hash

MAX_USER_AGENT_CHARS = 300
# What a multipart request is longer than its file.
MULTIPART_ENVELOPE_BYTES = 512 * 1024


class KyroApp:
    """The ASGI application, which runs everything from its startup to its shutdown."""

    def __init__(self, settings: Settings, access: DatabaseAccess, *, provided: Providers | None = None) -> None:
        self._settings, self._access, self._provided = settings, access, provided
        self._runtime: Runtime | None = None
        self._is_draining = False
        self._page_documents = {document_hash(each): each for each in page_documents()}
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
        token = settings.metrics_token
        self._mcp = MCPEndpoint(self._tool_services, self._viewer, version("kyrochat"))
        pages = page_routes(
            graphiql=settings.serves_graphiql,
            schema=settings.allows_introspection,
            is_draining=lambda: self._is_draining,
            checks={"database": lambda: check_connection(self.runtime.database)},
        )
        router = Starlette(
            routes=[
                export_route(lambda: self.runtime.services.exports),
                *OpenAIRoutes(self._openai_services, self._viewer).routes(),
                self._mcp.route(),
                metrics_route(self._read_gauges, token.get_secret_value() if token else None),
                *pages,
            ],
            lifespan=self._lifespan,
        )
        # The way from `/mcp/` to `/mcp` would be a whole URL, of whose scheme and prefix a proxy in front knows better:
        # a client would send its question once more, and without TLS.
        router.router.redirect_slashes = False
        hosts = Hosts.of(settings.hosts, is_loopback=settings.is_loopback)
        served = gated(ShortWay("/graphql", self.view, router), origins, hosts, settings.proxy_networks)
        self._asgi = RequestMetrics(served)

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

    async def _read_gauges(self) -> None:
        runtime = self.runtime
        metrics.SOCKETS_OPEN.set(self.view.open_sockets)
        metrics.ANSWERS_OPEN.labels("running").set(runtime.queue.running)
        metrics.ANSWERS_OPEN.labels("waiting").set(runtime.queue.waiting)
        pool = runtime.database.engine.pool
        if isinstance(pool, QueuePool):
            metrics.CONNECTIONS.labels("used").set(pool.checkedout())
            metrics.CONNECTIONS.labels("idle").set(pool.checkedin())
        metrics.DATABASE_UP.set(0)
        async with runtime.database.begin() as session:
            jobs = await counts(session)
        metrics.DATABASE_UP.set(1)
        metrics.QUEUE.clear()
        for kind, state, count in jobs:
            metrics.QUEUE.labels(kind, state.lower()).set(count)

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
        # The server's own pages go on where nothing else is run but what is registered.
        return self._page_documents.get(sha256) or await self.runtime.trusted.text(sha256)

    def _client(self, connection: HTTPConnection) -> Client:
        user_agent = connection.headers.get("user-agent", "")[:MAX_USER_AGENT_CHARS]
        return Client(self.view.address_of(connection), user_agent)
