"""What is open to which API key: everything has its place in the table, and no form of a document gets past it."""

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    parse,
    validate,
)

from kyrochat.accounts.permissions import Act
from kyrochat.db.states import ApiKeyScope
from kyrochat.graphql.key_guard import find_refusal, selected_fields
from kyrochat.graphql.permissions import FIELDS, NODES, ROOT_FIELDS, ROOT_TYPES, TYPES, scopes_of
from tests.graphql.operations import SCHEMA

READ, CHAT, INGEST, ADMIN = ApiKeyScope.READ, ApiKeyScope.CHAT, ApiKeyScope.INGEST, ApiKeyScope.ADMIN
OBJECTS = {
    name: found
    for name, found in SCHEMA.type_map.items()
    if isinstance(found, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__")
}
COORDINATES = {f"{name}.{field}" for name, found in OBJECTS.items() for field in found.fields}
WITH_AN_ID = {name for name, found in OBJECTS.items() if "Node" in {one.name for one in found.interfaces}}

# All that somebody can see who takes a key out of a web page's source. Add a field here only if everybody may see it.
ON_A_WEB_PAGE = {
    "Query": "bot bots conversation conversations exportConversation invitation node nodes serverInfo"
    " sharedConversation",
    "Mutation": "login refreshSession refreshSocket register requestPasswordReset resetPassword"
    " deleteConversation editMessage rateAnswer regenerateAnswer renameConversation selectBranch sendMessage"
    " startConversation stopAnswer withdrawRating",
    "Subscription": "answerEvents",
    "Bot": "conversations description greeting id name suggestedQuestions",
    "BotConnection": "edges nodes pageInfo totalCount",
    "BotEdge": "cursor node",
    "Document": "id mediaType title url",
    "Conversation": "activeLeaf bot createdAt id messages title updatedAt",
    # Reachable by a secret key only: for browsers the list itself is refused.
    "ConversationConnection": "edges nodes pageInfo totalCount",
    "ConversationEdge": "cursor node",
    "Message": "branch children citations conversation createdAt feedback finishReason followUps grounded"
    " historyTrimmed id model parent removedCitations role siblings status text usage",
    "MessageSiblings": "count ids place",
    "MessageChildren": "count ids",
    # A visitor's own.
    "Feedback": "answer citations comment grounded model question ratedAt rating",
    "MessageConnection": "edges nodes pageInfo totalCount",
    "MessageEdge": "cursor node",
    "Usage": "completionTokens promptTokens",
    "Citation": "document documentTitle documentVersion end number page quote start",
    "Exchange": "answer question",
    "DeletedConversation": "id",
    "PassagesFound": "passages sequence",
    "ToolCalled": "arguments passages problem sequence tool",
    "TextDelta": "sequence text",
    "CitationAdded": "citation sequence",
    "AnswerCompleted": "message sequence",
    "AnswerStopped": "message sequence",
    "AnswerInterrupted": "message sequence",
    "AnswerFailed": "message reason retryable sequence",
    "InvitationPreview": "role workspaceName",
    "Node": "id",
    "PageInfo": "endCursor hasNextPage hasPreviousPage startCursor",
    "ServerInfo": "answerModel offlineMode version",
    "Session": "accessToken expiresAt refreshToken user",
    "RefreshedSocket": "expiresAt",
    "PasswordResetRequest": "message",
    "PasswordResetDone": "email",
    "NotConfiguredProblem": "message",
    "NotASocketProblem": "message",
    "Problem": "message",
    "InputIssue": "message path",
    "InvalidInputProblem": "issues message",
    "ConversationExport": "fileName mediaType text",
    # By its token.
    "SharedConversation": "botName expiresAt messages sharedAt title",
    "SharedMessage": "citations createdAt role status text",
    "SharedMessageConnection": "edges nodes pageInfo totalCount",
    "SharedMessageEdge": "cursor node",
    "SharedCitation": "documentTitle number page quote",
    "ConflictProblem": "answerInProgress message",
    "NotFoundProblem": "message",
    "QuotaExceededProblem": "message",
    "RateLimitedProblem": "message retryAfterSeconds",
    "InvalidCredentialsProblem": "message",
}


def reachable(scopes: set[ApiKeyScope]) -> set[str]:
    """Return each field that a key of these scopes can select in some operation."""
    found: set[str] = set()
    remaining = [name for name in ROOT_TYPES if name in OBJECTS]
    seen = set(remaining)
    while remaining:
        parent = OBJECTS[remaining.pop()]
        for name, field in parent.fields.items():
            if not scopes_of(f"{parent.name}.{name}") & scopes:
                continue
            found.add(f"{parent.name}.{name}")
            led_to = get_named_type(field.type)
            members = {led_to.name}
            if isinstance(led_to, GraphQLUnionType | GraphQLInterfaceType):
                members |= {each.name for each in SCHEMA.get_possible_types(led_to)}
            for each in [OBJECTS[name] for name in members & OBJECTS.keys()]:
                members |= {interface.name for interface in each.interfaces}
            remaining.extend(sorted(members & OBJECTS.keys() - seen))
            seen |= members
    return found


def test_everything_that_is_named_exists() -> None:
    assert ROOT_FIELDS.keys() <= COORDINATES
    assert FIELDS.keys() <= COORDINATES
    assert TYPES.keys() <= OBJECTS.keys()


def test_every_root_field_has_its_place() -> None:
    roots = {coordinate for coordinate in COORDINATES if coordinate.partition(".")[0] in ROOT_TYPES}
    assert roots == ROOT_FIELDS.keys()


def test_every_object_with_an_id_has_its_place() -> None:
    assert NODES.keys() == WITH_AN_ID
    assert TYPES.keys() >= WITH_AN_ID


@pytest.mark.parametrize(
    ("kind", "root"),
    [
        ("User", "Query.me"),
        ("ActiveSession", "Query.sessions"),
        ("Workspace", "Query.workspaces"),
        ("ApiKey", "Query.apiKeys"),
        ("AuditEntry", "Query.auditLog"),
        ("Invitation", "Query.siteInvitations"),
        ("Bot", "Query.bot"),
        ("Document", "Query.document"),
        ("Conversation", "Query.conversation"),
        ("Message", "Subscription.answerEvents"),
    ],
)
def test_node_is_open_to_the_keys_that_the_root_field_is_open_to(kind: str, root: str) -> None:
    permission = NODES[kind]
    assert (permission.scopes if isinstance(permission, Act) else frozenset()) == scopes_of(root)


def test_new_root_fields_are_closed() -> None:
    assert scopes_of("Query.somethingNew") == scopes_of("Mutation.somethingNew") == frozenset()


@pytest.mark.parametrize("kind", ["Bot", "Document", "Workspace", "ApiKey", "User"])
def test_new_fields_of_what_a_bot_is_made_of_are_closed_to_web_pages(kind: str) -> None:
    assert CHAT not in scopes_of(f"{kind}.somethingNew")


def test_what_a_key_in_a_web_page_opens_is_written_down() -> None:
    seen = reachable({CHAT})
    written = {f"{kind}.{field}" for kind, fields in ON_A_WEB_PAGE.items() for field in fields.split()}
    assert seen == written


def test_no_key_opens_accounts_or_keys() -> None:
    for scopes in ({READ}, {CHAT}, {INGEST}, {ADMIN}, set(ApiKeyScope)):
        kinds = {coordinate.partition(".")[0] for coordinate in reachable(scopes)}
        assert kinds & {"ApiKey", "ApiKeyCreated", "User", "Invitation", "InvitationCreated"} == set()
        assert reachable(scopes) & {"Query.me", "Query.apiKeys", "Mutation.createApiKey", "Mutation.logout"} == set()


def test_an_admin_key_opens_all_that_other_keys_do() -> None:
    assert reachable({ADMIN}) >= reachable({READ, CHAT, INGEST})


SMUGGLED = [
    "{ bot(id: 1) { instructions } }",
    "{ bot(id: 1) { name: instructions } }",
    "{ bot(id: 1) { ... { instructions } } }",
    "{ bot(id: 1) { ... on Bot { instructions } } }",
    "{ bot(id: 1) { ... on Node { ... on Bot { instructions } } } }",
    "{ bot(id: 1) { ...a } } fragment a on Bot { ...b } fragment b on Node { ...c } fragment c on Bot { instructions }",
    "query ($no: Boolean = false) { bot(id: 1) { id instructions @include(if: $no) } }",
    "{ bot(id: 1) { id instructions @skip(if: true) } }",
    "{ node(id: 1) { ... on Bot { instructions } } }",
    "{ nodes(ids: [1]) { ... on Bot { id ... on Node { ... on Bot { instructions } } } } }",
    "{ conversation(id: 1) { messages { nodes { conversation { bot { instructions } } } } } }",
    "{ conversation(id: 1) { messages { edges { node { parent { conversation { bot { instructions } } } } } } } }",
    "fragment a on Bot { instructions } subscription { answerEvents(messageId: 1) { ... on AnswerCompleted { message {"
    " conversation { bot { ...a } } } } } }",
    'mutation { startConversation(input: {botId: "1"}) { ... on Conversation { bot { instructions } } } }',
    "query a { bot(id: 1) { id } } query b { bot(id: 1) { instructions } }",
]


@pytest.mark.parametrize("document", SMUGGLED)
def test_no_form_of_a_document_hides_a_field(document: str) -> None:
    parsed = parse(document)
    # What nobody could run would prove nothing.
    assert validate(SCHEMA, parsed) == []

    refusal = find_refusal(parsed, SCHEMA, frozenset({CHAT}))

    assert refusal is not None
    assert refusal.field == "Bot.instructions"
    assert refusal.scopes == {READ, ADMIN}
    assert find_refusal(parsed, SCHEMA, frozenset({READ, CHAT})) is None


@pytest.mark.parametrize(
    "document",
    [
        "{ __typename bot(id: 1) { __typename id name } }",
        '{ __schema { types { name fields { name } } } __type(name: "Bot") { name } }',
        "{ conversation(id: 1) { messages { nodes { citations { document { __typename title url } } } } } }",
        "subscription { answerEvents(messageId: 1) { __typename ... on PassagesFound { sequence } } }",
    ],
)
def test_what_a_web_page_needs_is_not_in_its_way(document: str) -> None:
    assert find_refusal(parse(document), SCHEMA, frozenset({CHAT})) is None


def test_unknown_fields_are_left_to_validation() -> None:
    parsed = parse("{ bot(id: 1) { nothing { instructions } ... on Nothing { instructions } } }")
    assert list(selected_fields(parsed, SCHEMA)) == ["Query.bot"]
    assert validate(SCHEMA, parsed) != []


def test_a_definition_is_looked_at_once_however_often_it_is_spread() -> None:
    fragments = "".join(f"fragment f{n} on Bot {{ id ...f{n + 1} ...f{n + 1} }} " for n in range(40))
    parsed = parse("{ bot(id: 1) { ...f0 } } " + fragments + "fragment f40 on Bot { id }")
    assert len(list(selected_fields(parsed, SCHEMA))) == 42


def test_the_refusal_says_what_it_takes() -> None:
    refusal = find_refusal(parse('{ search(botId: 1, query: "x") { text } }'), SCHEMA, frozenset({CHAT, INGEST}))
    assert refusal is not None
    error = refusal.as_error()
    assert error.message == "This API key cannot use Query.search. It takes the scope ADMIN or READ."
    assert error.extensions == {"code": "FORBIDDEN", "field": "Query.search"}
    refusal = find_refusal(parse("{ me { id } }"), SCHEMA, frozenset(ApiKeyScope))
    assert refusal is not None
    assert refusal.as_error().message == "This API key cannot use Query.me. No key can."
