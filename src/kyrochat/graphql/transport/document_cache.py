"""Parse and validate each document once, however often clients send it."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphql import ASTValidationRule, DocumentNode, GraphQLError, OperationDefinitionNode, parse, validate
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
# Validation is quadratic in places: the cost guard refuses what would take it long, this bounds what gets that far.
MAX_TOKENS = 2_000
# Each error costs time and repeats names of the client's: nobody reads more of them.
MAX_ERRORS = 20
# A parsed document takes about 200 bytes of memory per character: 256 Ki characters are some 50 MB.
MAX_CACHED_CHARS = 256 * 1024
MAX_CACHED_DOCUMENT_CHARS = 16 * 1024
# Of one document: its cost for pages of so many sizes, and for keys with so many scopes.
MAX_NOTES = 8

T = TypeVar("T")


@dataclass(slots=True)
class _Entry:
    document: DocumentNode
    rules: tuple[type[ASTValidationRule], ...] = ()
    errors: list[GraphQLError] | None = None
    # What others have found out about the document, under keys of theirs.
    notes: dict[Hashable, Any] = field(default_factory=dict)


@dataclass(slots=True)
class DocumentCache:
    """The most recently used documents of one schema, `max_chars` characters of them in all."""

    max_chars: int = MAX_CACHED_CHARS
    max_document_chars: int = MAX_CACHED_DOCUMENT_CHARS
    max_tokens: int = MAX_TOKENS
    hides_suggestions: bool = False
    hits: int = 0
    misses: int = 0
    _entries: OrderedDict[str, _Entry] = field(default_factory=OrderedDict)
    _chars: int = 0

    def noted(self, query: str | None, key: Hashable, find_out: Callable[[], T]) -> T:
        """Return what was found out about a document before, under the same key, or else find it out.

        It must follow from the document and the key alone.
        """
        entry = self._entries.get(query) if query else None
        if entry is None:
            return find_out()
        if key not in entry.notes:
            if len(entry.notes) >= MAX_NOTES:
                entry.notes.clear()
            entry.notes[key] = find_out()
        found: T = entry.notes[key]
        return found

    def extension(self) -> SchemaExtension:
        """Return the extension for one operation; the method itself is the factory that a schema takes."""
        return _CachedDocument(self)

    def entry(self, query: str) -> _Entry:
        """Return the parsed document.

        Raises:
            GraphQLError: `query` is no GraphQL, or has more than `max_tokens` tokens.
        """
        if (entry := self._entries.get(query)) is not None:
            self._entries.move_to_end(query)
            self.hits += 1
            return entry
        self.misses += 1
        entry = _Entry(parse(query, max_tokens=self.max_tokens))
        if len(query) <= self.max_document_chars:
            self._entries[query] = entry
            self._chars += len(query)
            while self._chars > self.max_chars:
                self._chars -= len(self._entries.popitem(last=False)[0])
        return entry


class _CachedDocument(SchemaExtension):
    def __init__(self, cache: DocumentCache) -> None:
        super().__init__()
        self._cache = cache
        self._entry: _Entry | None = None

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        context.parse_options = {"max_tokens": self._cache.max_tokens}
        if context.query and context.graphql_document is None:
            try:
                self._entry = self._cache.entry(context.query)
                context.graphql_document = self._entry.document
            except GraphQLError:
                # An error that leaves this hook tears a stream without a word. Left alone, Strawberry
                # parses again, fails in the same way, and reports it on every transport.
                pass
        yield

    def on_validate(self) -> Iterator[None]:
        context, entry = self.execution_context, self._entry
        is_ours = entry is not None and entry.document is context.graphql_document
        if entry is not None and is_ours and context.pre_execution_errors is None:
            if entry.errors is None or entry.rules != context.validation_rules:
                entry.rules = context.validation_rules
                rules = (*entry.rules, MaybeNullValidationRule, OneOfInputValidationRule)
                entry.errors = validate(
                    context.schema._schema,
                    entry.document,
                    rules,
                    max_errors=MAX_ERRORS,
                    hide_suggestions=self._cache.hides_suggestions,
                )
                for error in entry.errors:
                    # Marked here: later they look just like errors in the values of variables.
                    error.extensions = {"code": VALIDATION_FAILED, **(error.extensions or {})}
            context.pre_execution_errors = list(entry.errors) or self._ambiguity(entry.document)
        yield

    def _ambiguity(self, document: DocumentNode) -> list[GraphQLError]:
        # Strawberry would run the first of them.
        if self.execution_context._provided_operation_name is not None:
            return []
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        if len(operations) == 1:
            return []
        return [
            GraphQLError(
                "The document has several operations: name one in `operationName`.",
                extensions={"code": "BAD_USER_INPUT"},
            )
        ]
