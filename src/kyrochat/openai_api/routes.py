"""`/v1/models` and `/v1/chat/completions`: bots for clients that speak OpenAI's API."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from time import time
from uuid import UUID

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from kyrochat.accounts.viewer import Viewer
from kyrochat.bots.service import BotService
from kyrochat.chat.awaited import AwaitedAnswer
from kyrochat.chat.exchanges import AnswerInProgress, TooManySiblings
from kyrochat.chat.service import ChatService
from kyrochat.chat.transcripts import Place, Transcripts
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Bot
from kyrochat.db.outage import is_outage
from kyrochat.errors import InvalidInput, KyroError, Overloaded, Unauthenticated
from kyrochat.openai_api.chat_request import ChatRequest, read_request
from kyrochat.openai_api.replies import Reply, error_body, error_response, event, model_of
from kyrochat.retrieval.types import Turn

# More than anybody picks from in a menu.
MAX_MODELS = 1_000
# A long history; more than a model is shown.
MAX_BODY_BYTES = 4 * 1024 * 1024
# Nobody reads it but who counts requests, and knows it from nginx.
CLIENT_GONE = 499
EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class OpenAIServices:
    """What the routes need. `id_of` and `row_of` translate between the ids that clients see and rows."""

    bots: BotService
    chat: ChatService
    transcripts: Transcripts
    id_of: Callable[[str, UUID], str]
    row_of: Callable[[str, str], UUID]


ViewerOf = Callable[[Request], Awaitable[Viewer]]


@dataclass(frozen=True, slots=True)
class OpenAIRoutes:
    """The handlers. `services` and `viewer_of` are asked with each request: they are there once the server runs."""

    services: Callable[[], OpenAIServices]
    viewer_of: ViewerOf

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/v1/models", self._guarded(self._models), methods=["GET"]),
            Route("/v1/models/{model:path}", self._guarded(self._model), methods=["GET"]),
            Route("/v1/chat/completions", self._guarded(self._complete), methods=["POST"]),
        ]

    def _guarded(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except ClientDisconnect:
                return Response(status_code=CLIENT_GONE)
            except Exception as error:
                return error_response(_expected(error))

        return guarded

    async def _models(self, request: Request) -> Response:
        viewer = await self._viewer(request)
        services = self.services()
        page = await services.bots.page(viewer, None, PageRequest(MAX_MODELS))
        models = [model_of(bot, services.id_of("Bot", bot.id)) for bot in page.rows]
        return JSONResponse({"object": "list", "data": models})

    async def _model(self, request: Request) -> Response:
        viewer = await self._viewer(request)
        bot = await self._bot(viewer, request.path_params["model"])
        return JSONResponse(model_of(bot, self.services().id_of("Bot", bot.id)))

    async def _complete(self, request: Request) -> Response:
        viewer = await self._viewer(request)
        asked = read_request(await _json(request))
        services = self.services()
        bot = await self._bot(viewer, asked.model)
        answer = await self._begin(viewer, bot, asked)
        conversation = services.id_of("Conversation", answer.conversation_id)
        reply = Reply(answer.message.id, conversation, asked.model, int(time()))
        if asked.stream:
            return await _streamed(answer, reply, include_usage=asked.include_usage)
        message = await answer.whole()
        return JSONResponse(reply.completion(message, answer.quotes))

    async def _viewer(self, request: Request) -> Viewer:
        if "authorization" not in request.headers:
            raise Unauthenticated("Send `Authorization: Bearer <API key>`; `createApiKey` makes one.")
        return await self.viewer_of(request)

    async def _bot(self, viewer: Viewer, model: str) -> Bot:
        services = self.services()
        return await services.bots.named(viewer, services.row_of("Bot", model), model)

    async def _begin(self, viewer: Viewer, bot: Bot, asked: ChatRequest) -> AwaitedAnswer:
        services = self.services()
        turns = (*asked.turns, Turn("user", asked.question))
        place = await self._place(viewer, bot, asked)
        try:
            return await AwaitedAnswer.begin(services.chat, services.transcripts, viewer, place, turns)
        except (AnswerInProgress, TooManySiblings):
            if asked.conversation is not None:
                raise
        # Somebody with the same history was a moment faster, or a hundred were before: this one goes on in a
        # conversation of its own.
        place = await services.transcripts.place(viewer, bot.id, asked.turns, afresh=True)
        return await AwaitedAnswer.begin(services.chat, services.transcripts, viewer, place, turns)

    async def _place(self, viewer: Viewer, bot: Bot, asked: ChatRequest) -> Place:
        services = self.services()
        if asked.conversation is None:
            return await services.transcripts.place(viewer, bot.id, asked.turns)
        return await services.transcripts.place_in(viewer, bot.id, services.row_of("Conversation", asked.conversation))


async def _streamed(answer: AwaitedAnswer, reply: Reply, *, include_usage: bool) -> Response:
    pieces = answer.pieces()
    try:
        # What fails at once has a status of its own, while there is still one to send.
        first = await anext(pieces, None)
        if first is None:
            answer.must_be_one()
    except BaseException:
        await pieces.aclose()
        raise
    return StreamingResponse(_events(first or "", pieces, answer, reply, include_usage), headers=EVENT_STREAM)


async def _events(
    first: str, pieces: AsyncGenerator[str, None], answer: AwaitedAnswer, reply: Reply, include_usage: bool
) -> AsyncGenerator[str, None]:
    async with aclosing(pieces):
        yield event(reply.chunk({"role": "assistant", "content": first}))
        try:
            async for piece in pieces:
                yield event(reply.chunk({"content": piece}))
            answer.must_be_one()
        except Exception as error:  # its conversation was deleted, for example
            yield event(error_body(_expected(error)))
            return
        yield event(reply.end(answer.message, answer.quotes))
        if include_usage:
            yield event(reply.usage_chunk(answer.message))
        yield "data: [DONE]\n\n"


def _expected(error: Exception) -> KyroError:
    """Return the failure that an exception is; raise what nobody foresaw."""
    if isinstance(error, KyroError):
        return error
    if is_outage(error):
        return Overloaded()
    raise error


async def _json(request: Request) -> object:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise InvalidInput.at("body", f"A request has at most {MAX_BODY_BYTES:,} bytes.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput.at("body", "The body is not JSON.") from None
