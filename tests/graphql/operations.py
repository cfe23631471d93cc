"""Operations made from the schema: one for each root field, with arguments that fit unless a test replaces one."""

import copy
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
)

from kyrochat.graphql.schema import schema_text

Path = tuple[str | int, ...]
SCHEMA: GraphQLSchema = build_schema(schema_text())
FILE = object()
# Arguments of connections that are left alone: the first page is asked for.
NO_PAGE = {"after", "last", "before"}
# What an id argument is called does not say what it is the id of.
KINDS = {
    "workspace.id": "Workspace",
    "updateWorkspace.input.id": "Workspace",
    "deleteWorkspace.id": "Workspace",
    "revokeInvitation.id": "Invitation",
    "bot.id": "Bot",
    "updateBot.input.id": "Bot",
    "deleteBot.id": "Bot",
    "removeBotTool.id": "BotTool",
    "document.id": "Document",
    "retryDocument.id": "Document",
    "deleteDocument.id": "Document",
    "replaceTextDocument.input.id": "Document",
    "replaceDocument.input.id": "Document",
    "pauseIngestion.id": "Bot",
    "resumeIngestion.id": "Bot",
    "documentProgress.id": "Document",
    "refreshDocument.id": "Document",
    "crawl.id": "Crawl",
    "deleteCrawl.id": "Crawl",
    "crawlProgress.id": "Crawl",
    "conversation.id": "Conversation",
    "deleteConversation.id": "Conversation",
    "renameConversation.input.id": "Conversation",
    "exportConversation.id": "Conversation",
    "revokeShare.id": "Share",
    "updateDocument.input.id": "Document",
    "documentIds": "Document",
    "evaluation.id": "Evaluation",
    "deleteEvaluation.id": "Evaluation",
    "evaluationProgress.id": "Evaluation",
    "earlierId": "Evaluation",
    "laterId": "Evaluation",
    "questionSet.id": "QuestionSet",
    "deleteQuestionSet.id": "QuestionSet",
    "questionSetId": "QuestionSet",
    "revokeApiKey.id": "ApiKey",
    "node.id": "Bot",
    "nodes.ids.0": "Bot",
    "botId": "Bot",
    "workspaceId": "Workspace",
    "userId": "User",
    "endSession.id": "ActiveSession",
    "actorId": "User",
    "objectId": "Bot",
    "documentId": "Document",
    "conversationId": "Conversation",
    "messageId": "Message",
    "parentId": "Message",
}
VALUES = {
    "String": "text",
    "Int": 1,
    "Float": 0.5,
    "Boolean": True,
    "DateTime": "2099-01-01T00:00:00Z",
    "Upload": FILE,
    "Metadata": {"year": 2026},
    "JSONSchema": {"type": "object", "properties": {}},
    "MetadataValue": "text",
}


@dataclass(frozen=True)
class Operation:
    """An operation on one root field; `variables` has all its arguments."""

    kind: str
    name: str
    query: str
    variables: Mapping[str, Any]
    has_file: bool

    def __str__(self) -> str:
        return self.name

    def with_value(self, path: Path, value: Any) -> dict[str, Any]:
        """Return the variables with another value at `path`."""
        variables: dict[str, Any] = copy.deepcopy(dict(self.variables))
        place: Any = variables
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return variables

    def with_ids(self, ids: Mapping[str, str]) -> "Operation":
        """Return the operation on these objects."""
        variables = dict(self.variables)
        for path in self.id_paths():
            variables = Operation(self.kind, self.name, self.query, variables, self.has_file).with_value(
                path, ids[self.kind_of(path)]
            )
        return Operation(self.kind, self.name, self.query, variables, self.has_file)

    def kind_of(self, path: Path) -> str:
        """Return the type whose id is at `path`."""
        full = ".".join(map(str, (self.name, *path)))
        # A list of ids is called what one of them would be.
        last = next(step for step in reversed(path) if isinstance(step, str))
        return KINDS[full] if full in KINDS else KINDS[last]

    def id_paths(self) -> list[Path]:
        return [path for path, kind in self.leaves() if kind == "ID"]

    def leaves(self) -> Generator[tuple[Path, str], None, None]:
        """Yield the path and the type's name of each scalar in the variables."""
        arguments = root(self.kind).fields[self.name].args
        for name, argument in arguments.items():
            yield from _leaves((name,), argument.type)


def root(kind: str) -> GraphQLObjectType:
    """Return the root type of an operation's kind: query, mutation or subscription."""
    found = {"query": SCHEMA.query_type, "mutation": SCHEMA.mutation_type, "subscription": SCHEMA.subscription_type}[
        kind
    ]
    assert found is not None
    return found


def operations(*, required_only: bool = False) -> list[Operation]:
    """Return an operation for each root field, with all arguments or only those that it needs."""
    return [
        _operation(kind, name, field, required_only)
        for kind in ("query", "mutation", "subscription")
        for name, field in root(kind).fields.items()
    ]


def _operation(kind: str, name: str, field: GraphQLField, required_only: bool) -> Operation:
    arguments = {
        argument_name: argument
        for argument_name, argument in field.args.items()
        if is_required_argument(argument) or not required_only
    }
    declared = ", ".join(f"${key}: {argument.type}" for key, argument in arguments.items())
    passed = ", ".join(f"{key}: ${key}" for key in arguments)
    head, call = (f" ({declared})", f"({passed})") if arguments else ("", "")
    query = f"{kind}{head} {{ {name}{call}{_selection(field.type)} }}"
    variables = {
        key: None if key in NO_PAGE else _value(argument.type, required_only) for key, argument in arguments.items()
    }
    return Operation(kind, name, query, variables, "Upload" in str([leaf for _, leaf in _all(field)]))


def _all(field: GraphQLField) -> Generator[tuple[Path, str], None, None]:
    for name, argument in field.args.items():
        yield from _leaves((name,), argument.type)


def _selection(output: Any) -> str:
    named = get_named_type(output)
    if is_leaf_type(named):
        return ""
    if isinstance(named, GraphQLUnionType) and any(member.name.endswith("Problem") for member in named.types):
        return " { __typename ... on Problem { message } }"
    if isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
        plain = [name for name, field in named.fields.items() if is_leaf_type(get_named_type(field.type))]
        return f" {{ __typename {' '.join(plain)} }}"
    return " { __typename }"


def _value(input_type: GraphQLInputType, required_only: bool) -> Any:
    if is_non_null_type(input_type):
        return _value(input_type.of_type, required_only)
    if is_list_type(input_type):
        return [_value(input_type.of_type, required_only)]
    if isinstance(input_type, GraphQLInputObjectType):
        return {
            name: _value(field.type, required_only)
            for name, field in input_type.fields.items()
            if is_non_null_type(field.type) or not required_only
        }
    if isinstance(input_type, GraphQLEnumType):
        return next(iter(input_type.values))
    return "garbage" if str(input_type) == "ID" else VALUES[str(input_type)]


def _leaves(path: Path, input_type: GraphQLInputType) -> Generator[tuple[Path, str], None, None]:
    if is_non_null_type(input_type):
        yield from _leaves(path, input_type.of_type)
    elif is_list_type(input_type):
        yield from _leaves((*path, 0), input_type.of_type)
    elif isinstance(input_type, GraphQLInputObjectType):
        for name, field in input_type.fields.items():
            yield from _leaves((*path, name), field.type)
    else:
        yield path, str(input_type)
