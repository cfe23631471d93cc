"""What programs that speak MCP may call: the same use cases as everywhere, in words for a model."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kyrochat.accounts.viewer import Viewer
from kyrochat.bots.service import BotService
from kyrochat.chat.awaited import AwaitedAnswer
from kyrochat.chat.searching import SearchService
from kyrochat.chat.service import ChatService
from kyrochat.chat.transcripts import Place, Transcripts
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Bot
from kyrochat.documents.service import DocumentService
from kyrochat.errors import InvalidInput, NotFound
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.retrieval.types import Turn

MAX_BOTS = 500
DEFAULT_PASSAGES = 8
# A model reads them all: more would cost it its memory.
MAX_PASSAGES = 20
DOCUMENT_URI = "kyrochat://documents/"
# Where the scope of a request says who asks.
VIEWER = "kyrochat.viewer"

Arguments = Mapping[str, Any]
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolServices:
    """What the tools need. `id_of` and `row_of` translate between the ids that clients see and rows."""

    bots: BotService
    chat: ChatService
    searches: SearchService
    transcripts: Transcripts
    documents: DocumentService
    id_of: Callable[[str, UUID], str]
    row_of: Callable[[str, str], UUID]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its name and description, the JSON schema of its arguments, and what it does."""

    name: str
    title: str
    description: str
    properties: Mapping[str, Any]
    required: tuple[str, ...]
    run: Callable[[ToolServices, Viewer, Arguments], Awaitable[Result]]
    is_read_only: bool = True

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }


async def list_bots(services: ToolServices, viewer: Viewer, arguments: Arguments) -> Result:
    """Return the viewer's bots, newest first."""
    del arguments
    bots = (await services.bots.page(viewer, None, PageRequest(MAX_BOTS))).rows
    shown = [{"id": services.id_of("Bot", bot.id), "name": bot.name, "description": bot.description} for bot in bots]
    return {"bots": shown}


async def search_documents(services: ToolServices, viewer: Viewer, arguments: Arguments) -> Result:
    """Return passages of a bot's documents, best first."""
    bot = await _bot(services, viewer, arguments)
    limit = arguments.get("limit", DEFAULT_PASSAGES)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_PASSAGES:
        raise InvalidInput.at("limit", f"It is a number from 1 to {MAX_PASSAGES}.")
    wanted = SearchSettings(top_k=limit)
    found = await services.searches.search(viewer, bot.id, _text(arguments, "query"), wanted)
    shown = [
        {
            "text": passage.text,
            "score": passage.score,
            "document": passage.document_title,
            "document_uri": DOCUMENT_URI + services.id_of("Document", passage.document_id),
            "document_version": passage.document_version,
            "start": passage.start,
            "end": passage.end,
            "heading": passage.heading,
            "page": passage.page,
        }
        for passage in found.passages
    ]
    return {"passages": shown}


async def ask_bot(services: ToolServices, viewer: Viewer, arguments: Arguments) -> Result:
    """Return a bot's answer with its citations."""
    bot = await _bot(services, viewer, arguments)
    turns = (Turn("user", _text(arguments, "question")),)
    place = await _place(services, viewer, bot, arguments.get("conversation"))
    answer = await AwaitedAnswer.begin(services.chat, services.transcripts, viewer, place, turns)
    message = await answer.whole()
    citations = [
        {
            "number": quote.number,
            "quote": quote.quote,
            "document": quote.document_title,
            "document_uri": DOCUMENT_URI + services.id_of("Document", quote.document_id),
            "page": quote.page,
        }
        for quote in answer.quotes
    ]
    return {
        "answer": message.text,
        "grounded": message.grounded,
        "citations": citations,
        "conversation": services.id_of("Conversation", answer.conversation_id),
    }


async def read_document(services: ToolServices, viewer: Viewer, uri: str) -> str:
    """Return the text of the document that a URI names.

    Raises:
        NotFound: the viewer has no such document, or it has not been read yet.
    """
    if not uri.startswith(DOCUMENT_URI):
        raise NotFound("resource")
    document = await services.documents.get(viewer, services.row_of("Document", uri.removeprefix(DOCUMENT_URI)))
    if document is None or document.live_version is None:
        raise NotFound("document")
    return await services.documents.text(viewer, document, document.live_version, 0, None)


async def _bot(services: ToolServices, viewer: Viewer, arguments: Arguments) -> Bot:
    named = _text(arguments, "bot")
    return await services.bots.named(viewer, services.row_of("Bot", named), named)


async def _place(services: ToolServices, viewer: Viewer, bot: Bot, conversation: object) -> Place:
    if conversation is None:
        return await services.transcripts.place(viewer, bot.id, ())
    if not isinstance(conversation, str):
        raise InvalidInput.at("conversation", "It is the id of a conversation, as `ask_bot` returned it.")
    return await services.transcripts.place_in(viewer, bot.id, services.row_of("Conversation", conversation))


def _text(arguments: Arguments, name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput.at(name, "It is a text, and not empty.")
    return value


_BOT = {"type": "string", "description": "The bot's id or name, as list_bots returns them."}

TOOLS = (
    Tool("list_bots", "List bots", "List the bots that you may ask, each with what it is for.", {}, (), list_bots),
    Tool(
        "search_documents",
        "Search documents",
        "Find passages in the documents of a bot. Returns verbatim text with its document and place, best first.",
        {
            "bot": _BOT,
            "query": {"type": "string", "description": "What to look for: a question or a few words."},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PASSAGES, "default": DEFAULT_PASSAGES},
        },
        ("bot", "query"),
        search_documents,
    ),
    Tool(
        "ask_bot",
        "Ask a bot",
        "Ask a bot a question. It answers from its documents; [1] in the answer is the citation whose number is 1, a "
        "verified quote. `grounded` is false when the documents do not hold an answer.",
        {
            "bot": _BOT,
            "question": {"type": "string", "description": "The question, in any language."},
            "conversation": {"type": "string", "description": "To go on: `conversation` of an earlier answer."},
        },
        ("bot", "question"),
        ask_bot,
        is_read_only=False,
    ),
)
