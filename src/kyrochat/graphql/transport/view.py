"""The front door: GraphQL over POST, server-sent events and graphql-transport-ws, on one path."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import cast

from graphql import GraphQLError, get_operation_ast
from graphql import OperationType as Kind
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from kyrochat.errors import KyroError
from kyrochat.graphql.transport.body_limit import BODY_GRACE_S, JSON_BODY_MAX_BYTES, UPLOAD_MAX_BYTES, BodyLimit
from kyrochat.graphql.transport.client_address import Network, address_of
from kyrochat.graphql.transport.event_stream import KEEP_ALIVE_S, MAX_PER_HOLDER, EventStream, OpenStreams
from kyrochat.graphql.transport.grants import Grant, OnConnect, Params, Renew
from kyrochat.graphql.transport.known_documents import NO_KNOWN_DOCUMENTS, KnownDocuments
from kyrochat.graphql.transport.masking import new_request_id
from kyrochat.graphql.transport.negotiation import EVENTS_MEDIA_TYPE, Accepted, negotiate
from kyrochat.graphql.transport.operation import Operation, operation_from, parse_json
from kyrochat.graphql.transport.origins import Origins
from kyrochat.graphql.transport.places import Places, counted_as
from kyrochat.graphql.transport.refusals import JSON_MEDIA_TYPE, BodyRefused, RequestRefused, refusal_response
from kyrochat.graphql.transport.responses import failure_response, result_response
from kyrochat.graphql.transport.schema_setup import KyroSchema
from kyrochat.graphql.transport.socket_session import SocketDoor, SocketLimits, serve_socket
from kyrochat.graphql.transport.time_limit import unless_gone
from kyrochat.graphql.transport.turnstile import Turnstile
from kyrochat.graphql.transport.uploads import multipart_operation, require_preflight_header

# Called once per operation: on a socket too, with the payload of its connection_init, and with what takes new
# credentials for it.
BuildContext = Callable[[Request | WebSocket, Params, Renew | None], Awaitable[object]]
Results = AsyncGenerator[ExecutionResult, None]

OVER_POST = (OperationType.QUERY, OperationType.MUTATION)
# A GET with one of these asks for an answer, not for a page.
QUERY_PARAMETERS = frozenset({"query", "documentId", "extensions"})


def authorization(connection: HTTPConnection, params: Params) -> str | None:
    """Return the `Authorization` of an operation: of the socket's params, in any case, or else the header."""
    for name, value in params.items():
        # First, since a socket's credentials may have been renewed; its header stays what it was.
        if name.lower() == "authorization" and isinstance(value, str):
            return value
    return connection.headers.get("authorization")


async def admit_anyone(_connection: HTTPConnection, _params: Params) -> None:
    """Let everyone in, for as long as they like: each operation's context says who may do what."""


class GraphQLView:
    """An ASGI app for a `Route` and a `WebSocketRoute` on the same path.

    `build_context` makes `info.context` for each operation; a KyroError from it fails that operation only.
    `on_connect` sees each connection_init, and each request for an event stream. The grant that it returns is followed:
    when it is over, the socket or the stream ends. Unauthenticated from it is like no credentials, since the contexts
    fail by themselves; RateLimited and Overloaded close a socket with 1013, and any other KyroError with 4403. Sockets
    are taken from the same origin, from `allowed_origins` and from clients that are no browsers. With `graphiql`, a
    browser's GET is sent to `graphiql/`; with `get_queries`, queries are answered over GET too, as urql sends them by
    default. Operations that name a document by its hash find it in `known_documents`.
    """

    def __init__(
        self,
        schema: KyroSchema,
        build_context: BuildContext,
        *,
        on_connect: OnConnect = admit_anyone,
        allowed_origins: Iterable[str] = (),
        graphiql: bool = False,
        get_queries: bool = False,
        known_documents: KnownDocuments = NO_KNOWN_DOCUMENTS,
        json_max_bytes: int = JSON_BODY_MAX_BYTES,
        upload_max_bytes: int = UPLOAD_MAX_BYTES,
        body_grace_s: float = BODY_GRACE_S,
        socket_limits: SocketLimits | None = None,
        trusted_proxies: Sequence[Network] = (),
        max_streams_per_holder: int = MAX_PER_HOLDER,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._schema = schema
        self._build_context = build_context
        self._on_connect = on_connect
        self._graphiql = graphiql
        self._get_queries = get_queries
        self._known_documents = known_documents
        self._json_max_bytes = json_max_bytes
        self._trusted_proxies = tuple(trusted_proxies)
        self._keep_alive_s = keep_alive_s
        self._open_streams = OpenStreams(Places(max_streams_per_holder))
        self._turnstile = Turnstile()
        limits = socket_limits or SocketLimits()
        self._sockets = SocketDoor(
            origins=Origins.of(allowed_origins),
            start=self._start,
            on_connect=on_connect,
            address_of=self.address_of,
            limits=limits,
            places=Places(limits.max_per_holder),
        )
        self._http: ASGIApp = BodyLimit(self._serve_http, json_max_bytes, upload_max_bytes, body_grace_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one socket."""
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            await serve_socket(socket, self._sockets)
        else:
            await self._turnstile.pass_through()
            await self._http(scope, receive, send)

    def end_streams(self) -> None:
        """End all event streams; sockets are uvicorn's to close. Call it when the server is told to stop."""
        self._open_streams.end_all()

    @property
    def open_sockets(self) -> int:
        """How many sockets are open, of those that have said who they are."""
        return self._sockets.places.taken.total()

    def address_of(self, connection: HTTPConnection) -> str:
        """Return the client's address, as told by the proxies that are trusted."""
        return address_of(connection, self._trusted_proxies)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except RequestRefused as refused:
            if isinstance(refused, BodyRefused):
                raise
            response = refusal_response(refused)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response | EventStream:
        is_get = self._get_queries and request.method == "GET" and not QUERY_PARAMETERS.isdisjoint(request.query_params)
        if request.method != "POST" and not is_get:
            return self._not_a_post(request)
        accepted = negotiate(request.headers.get("accept"))
        media_type = accepted.json_media_type or JSON_MEDIA_TYPE
        try:
            return await (self._run_get if is_get else self._run)(request, accepted)
        except (BodyRefused, ClientDisconnect):
            raise
        except RequestRefused as refused:
            return refusal_response(refused, media_type)
        except Exception as error:
            return failure_response(error, media_type)

    def _not_a_post(self, request: Request) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "").lower()
        if self._graphiql and request.method == "GET" and wants_page:
            root_path = request.scope.get("root_path", "").rstrip("/")
            return RedirectResponse(f"{root_path}/graphiql/", status_code=303, headers={"Vary": "Accept"})
        allowed = "GET, POST" if self._get_queries else "POST"
        raise RequestRefused(405, "BAD_USER_INPUT", "GraphQL is served over POST here.", {"Allow": allowed})

    async def _run(self, request: Request, accepted: Accepted) -> Response | EventStream:
        content_type = request.headers.get("content-type", "")
        if _is_media_type(content_type, "multipart/form-data"):
            require_preflight_header(request)
            if accepted.json_media_type is None:
                raise RequestRefused(406, "BAD_USER_INPUT", "The answer to an upload comes as JSON.")
            context = await self._build_context(request, {}, None)
            async with multipart_operation(request, self._json_max_bytes) as operation:
                # No stream: it would outlive the files.
                return await self._execute(request, operation, context, replace(accepted, takes_events=False))
        if not _is_media_type(content_type, JSON_MEDIA_TYPE):
            takes = f"{JSON_MEDIA_TYPE}, multipart/form-data"
            raise RequestRefused(
                415, "BAD_USER_INPUT", f"Send `Content-Type: {JSON_MEDIA_TYPE}`.", {"Accept-Post": takes}
            )
        context = await self._build_context(request, {}, None)
        operation = operation_from(parse_json(await _body(request.receive)))
        return await self._execute(request, operation, context, accepted)

    async def _run_get(self, request: Request, accepted: Accepted) -> Response | EventStream:
        # A URL has no null: the empty text stands for it.
        parameters: dict[str, object] = {name: text for name, text in request.query_params.items() if text}
        for name in ("variables", "extensions"):
            if isinstance(text := parameters.get(name), str):
                parameters[name] = parse_json(text)
        operation = operation_from(parameters)
        context = await self._build_context(request, {}, None)
        return await self._execute(request, operation, context, accepted, (OperationType.QUERY,))

    async def _execute(
        self,
        request: Request,
        operation: Operation,
        context: object,
        accepted: Accepted,
        allowed: Collection[OperationType] = OVER_POST,
    ) -> Response | EventStream:
        operation = await self._known_documents.complete(operation)
        if accepted.json_media_type is None:
            if OperationType.MUTATION not in allowed and self._is_mutation(operation):
                raise _mutation_over_get()
            return await self._event_stream(request, operation, context, {*allowed, OperationType.SUBSCRIPTION})
        try:
            execution = self._schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.operation_name,
                operation_extensions=operation.extensions,
                allowed_operation_types=allowed,
            )
            result = await unless_gone(request.receive, execution)
        except InvalidOperationTypeError as error:
            if error.operation_type is OperationType.MUTATION:
                raise _mutation_over_get() from None
            if accepted.takes_events:
                return await self._event_stream(request, operation, context, {OperationType.SUBSCRIPTION})
            raise RequestRefused(
                400,
                "SUBSCRIPTION_NEEDS_STREAM",
                "A subscription needs a stream: connect with the WebSocket subprotocol graphql-transport-ws, "
                f"or send `Accept: {EVENTS_MEDIA_TYPE}`.",
            ) from None
        except CannotGetOperationTypeError as error:
            raise RequestRefused(400, "BAD_USER_INPUT", error.as_http_error_reason()) from None
        return result_response(result, accepted.json_media_type)

    def _is_mutation(self, operation: Operation) -> bool:
        """Look before a stream begins: after that there is no status left to tell it with."""
        try:
            document = self._schema.documents.entry(operation.query).document
        except GraphQLError:  # told in the stream
            return False
        found = get_operation_ast(document, operation.operation_name)
        return found is not None and found.operation is Kind.MUTATION

    async def _event_stream(
        self, request: Request, operation: Operation, context: object, allowed: Collection[OperationType]
    ) -> EventStream:
        results = await self._stream(operation, context, allowed)
        try:
            grant = await self._on_connect(request, {}) or Grant()
        except KyroError:
            grant = Grant()
        who = counted_as(grant, self.address_of(request))
        return EventStream(results, new_request_id(), self._open_streams, grant, who, self._keep_alive_s)

    async def _start(self, socket: WebSocket, params: Params, renew: Renew, operation: Operation) -> Results:
        await self._turnstile.pass_through()
        operation = await self._known_documents.complete(operation)
        return await self._stream(operation, await self._build_context(socket, params, renew), OperationType)

    async def _stream(self, operation: Operation, context: object, allowed: Iterable[OperationType]) -> Results:
        results = await self._schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.operation_name,
            operation_extensions=operation.extensions,
            allowed_operation_types=tuple(allowed),
        )
        # The wider type of stream() has the parts of @defer, which is off.
        return cast("Results", results)


def _mutation_over_get() -> RequestRefused:
    return RequestRefused(405, "BAD_USER_INPUT", "Mutations are sent with POST.", {"Allow": "POST"})


async def _body(receive: Receive) -> bytes:
    chunks, more_body = [], True
    while more_body:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more_body = message.get("more_body", False)
    return b"".join(chunks)


@lru_cache(maxsize=64)
def _is_media_type(content_type: str, expected: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [value.strip('"') for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    return media_type == expected and all(charset in ("utf-8", "utf8", "us-ascii") for charset in charsets)
