"""Lets a model search the bot's documents again while it answers, within bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kyrochat.chat.events import ToolCalled
from kyrochat.chat.output import Output
from kyrochat.db.models import Bot
from kyrochat.db.storable import storable
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.budgets import PASSAGE_TOKENS, estimated_tokens
from kyrochat.retrieval.prompting import search_result
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search_settings import NO_FILTER, DocumentFilter, SearchSettings
from kyrochat.retrieval.types import Passage, Tool, ToolCall

MAX_STEPS = 4
MAX_CALLS = 4
"""At once: of more, the model is told that they are too many."""

MAX_QUERY_CHARS = 1_000
MAX_TAGS = 20
MAX_TAG_CHARS = 200
MAX_NAME_CHARS = 64
LEAST_TOKENS = 500

SEARCH_DOCUMENTS = Tool(
    "search_documents",
    "Search the documents again, for other words or for one part of the question. Returns numbered passages.",
    {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to look for: a few words, or a question."},
            "filters": {
                "type": "object",
                "description": "Only documents with these marks.",
                "properties": {
                    "tags": {"type": "array", "items": {"type": "string"}, "description": "At least one of these tags."}
                },
            },
        },
        "required": ["query"],
    },
)


@dataclass(slots=True)
class Room:
    """How many tokens all that tools bring to one answer may still take."""

    left_tokens: int

    @property
    def is_left(self) -> bool:
        """Whether another result could bring anything."""
        return self.left_tokens >= LEAST_TOKENS


@dataclass(slots=True)
class DocumentSearch:
    """The searches of one answer. What they bring is numbered on from the passages that are there, in `output`.

    None reaches beyond `within`, the documents that the question was for.
    """

    retriever: Retriever
    bot: Bot
    output: Output
    room: Room
    within: DocumentFilter = NO_FILTER

    async def use(self, call: ToolCall, *, is_too_many: bool = False) -> tuple[str, ToolCalled]:
        """Return what the model is told, and the event of it. Its mistakes are told it, and are no failures."""
        if is_too_many:
            return self._in_vain(call, f"Only {MAX_CALLS} searches are made at once.")
        asked = _asked(call.arguments)
        if isinstance(asked, str):
            return self._in_vain(call, asked)
        query, tags = asked
        # Of two conditions on tags, the question's has the word.
        wanted = replace(self.within, any_tags=tags) if tags and self.within.any_tags is None else self.within
        try:
            retrieval = await self.retriever.retrieve(self.bot, query, SearchSettings(filter=wanted))
        except ProviderUnavailable:
            return self._in_vain(call, "The search is not available at the moment.")
        found, known = self._numbered(retrieval.passages)
        passages = tuple(passage for _, passage in found)
        self.output.add(passages)
        event = ToolCalled(call.name, _shown(call.arguments), passages, None, (retrieval.trace,))
        return search_result(found, known), event

    def _numbered(self, passages: tuple[Passage, ...]) -> tuple[list[tuple[int, Passage]], list[int]]:
        """Return the new passages that there is room for with their numbers, and the numbers of known ones."""
        numbers = {_place(passage): n for n, passage in enumerate(self.output.citations.passages, start=1)}
        found: list[tuple[int, Passage]] = []
        known: list[int] = []
        next_number = len(self.output.citations.passages) + 1
        for passage in passages:
            if number := numbers.get(_place(passage)):
                known.append(number)
                continue
            tokens = PASSAGE_TOKENS + estimated_tokens(passage.text)
            if tokens > self.room.left_tokens:
                break
            self.room.left_tokens -= tokens
            found.append((next_number + len(found), passage))
        return found, known

    def _in_vain(self, call: ToolCall, problem: str) -> tuple[str, ToolCalled]:
        return problem, ToolCalled(call.name, _shown(call.arguments), problem=problem)


def _place(passage: Passage) -> tuple[object, ...]:
    return passage.document_id, passage.document_version, passage.start, passage.end


def _asked(arguments: Mapping[str, object] | None) -> tuple[str, tuple[str, ...]] | str:
    """Return the query and the tags, or what is wrong with the arguments."""
    if arguments is None:
        return "The arguments are no JSON object."
    query, filters = arguments.get("query"), arguments.get("filters") or {}
    if not isinstance(query, str) or not query.strip() or len(query) > MAX_QUERY_CHARS:
        return f"`query` must be a text of 1 to {MAX_QUERY_CHARS} characters."
    tags = filters.get("tags") if isinstance(filters, Mapping) else None
    if not isinstance(filters, Mapping) or not (tags is None or _is_tags(tags)):
        return "`filters` must be an object, and its `tags` a list of texts."
    return query, tuple(map(storable, tags)) if tags else ()


def _is_tags(tags: object) -> bool:
    return (
        isinstance(tags, list)
        and len(tags) <= MAX_TAGS
        and all(isinstance(tag, str) and 0 < len(tag) <= MAX_TAG_CHARS for tag in tags)
    )


def _shown(arguments: Mapping[str, object] | None) -> dict[str, object]:
    """Return the arguments as the log keeps them: those that the tool knows, and not without end."""
    query = (arguments or {}).get("query")
    filters = (arguments or {}).get("filters")
    tags = filters.get("tags") if isinstance(filters, Mapping) else None
    shown: dict[str, object] = {}
    if isinstance(query, str):
        shown["query"] = storable(query)[:MAX_QUERY_CHARS]
    if isinstance(tags, list) and tags and _is_tags(tags):
        shown["filters"] = {"tags": [*map(storable, tags)]}
    return shown
