"""What each field of the schema takes: the scopes that open it to API keys, and who may use it at all.

A key gets a field only if it is in here, so that a new field is closed to keys until somebody has thought about it.
The documented table of permissions, and the test that walks the schema, are made from this too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)
from strawberry.extensions import SchemaExtension

from kyrochat.accounts.permissions import Act
from kyrochat.db.states import ApiKeyScope
from kyrochat.graphql.context import Context


class Who(Enum):
    """Who may use a field for which no act in a workspace stands."""

    ANYBODY = "anybody, signed in or not"
    SIGNED_IN = "whoever is signed in, and any key"
    PERSON = "a person who is signed in, and no key"
    ADMINISTRATOR = "an administrator of this server, in person"


Permission = Act | Who

ROOT_FIELDS: Mapping[str, Permission] = {
    "Query.serverInfo": Who.ANYBODY,
    "Query.me": Who.PERSON,
    "Query.node": Who.SIGNED_IN,
    "Query.nodes": Who.SIGNED_IN,
    "Query.workspaces": Who.SIGNED_IN,
    "Query.workspace": Who.SIGNED_IN,
    "Query.bot": Act.SEE_BOTS,
    "Query.bots": Act.SEE_BOTS,
    "Query.document": Act.READ_DOCUMENTS,
    "Query.documentDeletion": Act.READ_DOCUMENTS,
    "Query.ingestion": Act.READ_DOCUMENTS,
    "Query.conversation": Act.CHAT,
    "Query.search": Act.SEARCH,
    "Mutation.register": Who.ANYBODY,
    "Mutation.login": Who.ANYBODY,
    "Mutation.refreshSession": Who.ANYBODY,
    "Mutation.refreshSocket": Who.ANYBODY,
    "Mutation.logout": Who.PERSON,
    "Mutation.createWorkspace": Who.PERSON,
    "Mutation.updateWorkspace": Act.MANAGE_WORKSPACE,
    "Mutation.deleteWorkspace": Act.MANAGE_WORKSPACE,
    "Mutation.changeMemberRole": Act.MANAGE_MEMBERS,
    "Mutation.removeMember": Act.MANAGE_MEMBERS,
    "Mutation.leaveWorkspace": Who.PERSON,
    "Mutation.createBot": Act.MANAGE_BOTS,
    "Mutation.updateBot": Act.MANAGE_BOTS,
    "Mutation.deleteBot": Act.MANAGE_BOTS,
    "Mutation.addTextDocument": Act.INGEST,
    "Mutation.uploadDocument": Act.INGEST,
    "Mutation.retryDocument": Act.INGEST,
    "Mutation.deleteDocument": Act.INGEST,
    "Mutation.replaceTextDocument": Act.INGEST,
    "Mutation.replaceDocument": Act.INGEST,
    "Mutation.pauseIngestion": Act.INGEST,
    "Mutation.resumeIngestion": Act.INGEST,
    "Mutation.startConversation": Act.CHAT,
    "Mutation.sendMessage": Act.CHAT,
    "Mutation.stopAnswer": Act.CHAT,
    "Mutation.deleteConversation": Act.CHAT,
    "Subscription.answerEvents": Act.CHAT,
    "Subscription.documentProgress": Act.READ_DOCUMENTS,
    "Subscription.ingestionProgress": Act.READ_DOCUMENTS,
}

_ANY = frozenset(ApiKeyScope)
_READ = frozenset({ApiKeyScope.READ, ApiKeyScope.INGEST, ApiKeyScope.ADMIN})
_CHAT = frozenset({ApiKeyScope.CHAT, ApiKeyScope.ADMIN})
_ADMIN = frozenset({ApiKeyScope.ADMIN})

# Types whose fields are as open as the field that leads to them, except for those in FIELDS. Payloads, pages, problems
# and introspection hold nothing of their own and are not listed: see `_is_envelope`.
TYPES: Mapping[str, frozenset[ApiKeyScope]] = {
    "ServerInfo": _ANY,
    "Workspace": _ANY,
    "Member": _ADMIN,
    "Bot": _ANY,
    "Document": _READ,
    "DocumentDeletion": _READ,
    "IngestionProgress": _READ,
    "Passage": _ANY,
    "Conversation": _CHAT,
    "Message": _CHAT,
    "Usage": _CHAT,
    "Citation": _CHAT,
    "Exchange": _CHAT,
}

FIELDS: Mapping[str, frozenset[ApiKeyScope]] = {
    "Workspace.members": _ADMIN,
    # Addresses are for people who must know whom they let in.
    "Member.email": frozenset(),
    # What people who chat see of a bot is its face; the prompt behind it is its owner's.
    "Bot.instructions": _READ,
    "Bot.documents": _READ,
    "Bot.conversations": _CHAT,
    # What a citation's link needs.
    "Document.id": _ANY,
    "Document.title": _ANY,
    "Document.url": _ANY,
    "Document.mediaType": _ANY,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A field that the viewer's key does not open."""

    field: str
    scopes: frozenset[ApiKeyScope]

    def as_error(self) -> GraphQLError:
        """Return the error for the client."""
        takes = f"It takes the scope {' or '.join(sorted(self.scopes))}." if self.scopes else "No key can."
        return GraphQLError(
            f"This API key cannot use {self.field}. {takes}", extensions={"code": "FORBIDDEN", "field": self.field}
        )


def scopes_of(coordinate: str) -> frozenset[ApiKeyScope]:
    """Return the scopes of which a key must have one to use the field `Type.field`; none: no key can."""
    permission = ROOT_FIELDS.get(coordinate)
    if isinstance(permission, Act):
        return permission.scopes
    if permission is not None:
        return _ANY if permission in (Who.ANYBODY, Who.SIGNED_IN) else frozenset()
    kind = coordinate.partition(".")[0]
    return FIELDS.get(coordinate, _ANY if _is_envelope(kind) else TYPES.get(kind, frozenset()))


def find_refusal(document: DocumentNode, schema: GraphQLSchema, scopes: frozenset[ApiKeyScope]) -> Refusal | None:
    """Return the first field of a document that these scopes do not open, or None. Unknown ones are skipped."""
    for coordinate in selected_fields(document, schema):
        needed = scopes_of(coordinate)
        if not needed & scopes:
            return Refusal(coordinate, needed)
    return None


def selected_fields(document: DocumentNode, schema: GraphQLSchema) -> Iterator[str]:
    """Yield `Type.field` of each field in the document: each definition is visited once, however often it is spread."""
    remaining: list[tuple[SelectionSetNode, GraphQLNamedType | None]] = []
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            remaining.append((definition.selection_set, schema.get_root_type(definition.operation)))
        elif isinstance(definition, FragmentDefinitionNode):
            remaining.append((definition.selection_set, schema.get_type(definition.type_condition.name.value)))
    while remaining:
        selection_set, parent = remaining.pop()
        for node in selection_set.selections:
            if isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = parent if condition is None else schema.get_type(condition.name.value)
                remaining.append((node.selection_set, inner))
            elif isinstance(node, FieldNode) and isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
                field = schema.get_field(parent, node.name.value)
                if field is None:
                    continue
                yield f"{parent.name}.{node.name.value}"
                if node.selection_set is not None:
                    remaining.append((node.selection_set, get_named_type(field.type)))


class KeyGuard(SchemaExtension):
    """Refuses an operation of an API key as a whole when it has a field that the key's scopes do not open.

    It must come before the extension that validates, and after the one that bounds a document's size.
    """

    def on_validate(self) -> Iterator[None]:
        """Look before anybody validates."""
        execution = self.execution_context
        context = execution.context
        if isinstance(context, Context) and context.signed_in is not None and execution.graphql_document is not None:
            key = context.signed_in.key
            if key is not None:
                refusal = find_refusal(execution.graphql_document, execution.schema._schema, key.scopes)
                if refusal is not None:
                    raise refusal.as_error()
        yield


_ENVELOPES = ("Connection", "Edge", "Problem", "Payload")


def _is_envelope(kind: str) -> bool:
    return kind.endswith(_ENVELOPES) or kind.startswith("__") or kind in ENVELOPES


# Answers of mutations and events: they wrap what has an entry of its own.
ENVELOPES = frozenset(
    {
        "PageInfo",
        "Node",
        "InputIssue",
        "DeletedWorkspace",
        "LeftWorkspace",
        "RemovedMember",
        "DeletedBot",
        "DeletedConversation",
        "PassagesFound",
        "TextDelta",
        "CitationAdded",
        "AnswerCompleted",
        "AnswerStopped",
        "AnswerInterrupted",
        "AnswerFailed",
    }
)
