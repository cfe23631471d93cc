"""The schema as its readers see it: explained throughout, named alike, and written down in the repository."""

import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLUnionType,
    get_named_type,
    is_list_type,
    is_non_null_type,
    specified_scalar_types,
)

from tests.graphql.operations import SCHEMA
from tests.server_process import environment, kyrochat

ROOT = Path(__file__).parents[2]
TYPES = {
    name: found
    for name, found in SCHEMA.type_map.items()
    if not name.startswith("__") and name not in specified_scalar_types
}
# Lists that cannot grow beyond what one answer, one search or one request holds.
BOUNDED = {
    "Message.citations",
    "Feedback.citations",
    "SharedMessage.citations",
    "Conversation.shares",
    "Bot.tools",
    "PassagesFound.passages",
    "ToolCalled.passages",
    "Query.search",
    "EvaluatedQuestion.ranking",
    "EvaluationComparison.figures",
    "EvaluationComparison.changes",
    "Query.replaySearch",
    "SearchReplay.gained",
    "SearchReplay.lost",
    "Retrieval.searches",
    "SearchTrace.legs",
    "SearchTrace.candidates",
    "SearchTrace.passages",
    "SearchTrace.steps",
    "Query.nodes",
    "IngestionProgress.documents",
    "InvalidInputProblem.issues",
    "AuditEntry.details",
}


def test_schema_graphql_is_what_the_command_prints() -> None:
    printed = subprocess.run(kyrochat("schema"), capture_output=True, check=True, env=environment(), cwd=ROOT)
    assert printed.stdout == (ROOT / "schema.graphql").read_bytes(), "Run `make schema`."


def parts(named: GraphQLNamedType) -> Generator[tuple[str, str | None], None, None]:
    """Yield the name and the description of a type and of all that it is made of."""
    yield named.name, named.description
    if isinstance(named, GraphQLEnumType):
        for name, value in named.values.items():
            yield f"{named.name}.{name}", value.description
    elif isinstance(named, GraphQLInputObjectType):
        for name, field in named.fields.items():
            yield f"{named.name}.{name}", field.description
    elif isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
        for name, output in named.fields.items():
            yield f"{named.name}.{name}", output.description
            for argument_name, argument in output.args.items():
                yield f"{named.name}.{name}({argument_name})", argument.description


@pytest.mark.parametrize("named", TYPES.values(), ids=str)
def test_everything_is_explained(named: GraphQLNamedType) -> None:
    unexplained = [name for name, description in parts(named) if not (description or "").strip()]
    assert unexplained == []


@pytest.mark.parametrize("named", TYPES.values(), ids=str)
def test_explanations_are_sentences(named: GraphQLNamedType) -> None:
    odd = [
        name
        for name, text in parts(named)
        if text and not isinstance(named, GraphQLScalarType) and text[-1] not in ".`)"
    ]
    assert odd == []


@pytest.mark.parametrize("named", TYPES.values(), ids=str)
def test_names_follow_the_conventions(named: GraphQLNamedType) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", named.name)
    assert named.name.endswith("Input") == isinstance(named, GraphQLInputObjectType)
    assert named.name.endswith("Result") <= isinstance(named, GraphQLUnionType)
    for name, _ in parts(named):
        _, _, rest = name.partition(".")
        pattern = (
            r"[A-Z][A-Z0-9_]*" if isinstance(named, GraphQLEnumType) else r"[a-z][A-Za-z0-9]*(\([a-z][A-Za-z0-9]*\))?"
        )
        assert not rest or re.fullmatch(pattern, rest), name


def test_lists_that_grow_are_connections() -> None:
    plain = {
        f"{named.name}.{name}"
        for named in TYPES.values()
        if isinstance(named, GraphQLObjectType) and not named.name.endswith("Connection")
        for name, field in named.fields.items()
        if "[" in str(field.type) and isinstance(get_named_type(field.type), GraphQLObjectType | GraphQLInterfaceType)
    }
    assert plain == BOUNDED


def test_connections_are_all_alike() -> None:
    connections = {name.removesuffix("Connection") for name in TYPES if name.endswith("Connection")}
    assert connections >= {"Bot", "Document", "Conversation", "Message", "Workspace"}
    for item in connections:
        connection, edge = TYPES[f"{item}Connection"], TYPES[f"{item}Edge"]
        assert isinstance(connection, GraphQLObjectType)
        assert isinstance(edge, GraphQLObjectType)
        assert {name: str(field.type) for name, field in connection.fields.items()} == {
            "edges": f"[{item}Edge!]!",
            "nodes": f"[{item}!]!",
            "pageInfo": "PageInfo!",
            "totalCount": "Int!",
        }
        assert {name: str(field.type) for name, field in edge.fields.items()} == {
            "cursor": "String!",
            "node": f"{item}!",
        }


def test_fields_with_connections_take_all_four_arguments() -> None:
    found = {
        f"{named.name}.{name}": {key: str(argument.type) for key, argument in field.args.items()}
        for named in TYPES.values()
        if isinstance(named, GraphQLObjectType)
        for name, field in named.fields.items()
        if str(get_named_type(field.type)).endswith("Connection")
    }
    assert len(found) >= 5
    for arguments in found.values():
        assert arguments.items() >= {"first": "Int", "after": "String", "last": "Int", "before": "String"}.items()


def test_mutations_have_one_input_or_one_id_and_return_what_may_go_wrong() -> None:
    mutation = SCHEMA.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        assert is_non_null_type(field.type)
        # What has no input takes its key beside its id: the contract names that alone.
        named = [argument for argument in field.args if argument != "idempotencyKey"]
        assert named in ([], ["input"], ["id"], ["messageId"], ["workspaceId"]), name
        result = get_named_type(field.type)
        if name == "logout":
            continue
        assert isinstance(result, GraphQLUnionType), name
        assert len([member for member in result.types if not member.name.endswith("Problem")]) == 1
        assert any(member.name.endswith("Problem") for member in result.types)


def test_objects_with_an_id_are_nodes() -> None:
    without = {
        named.name
        for named in TYPES.values()
        if isinstance(named, GraphQLObjectType)
        and "id" in named.fields
        and "Node" not in {interface.name for interface in named.interfaces}
    }
    assert without == {
        "DeletedBot",
        "RevokedShare",
        "RemovedBotTool",
        "DeletedConversation",
        "DeletedCrawl",
        "DeletedEvaluation",
        "DeletedQuestionSet",
        "DeletedWorkspace",
        "LeftWorkspace",
        "RevokedInvitation",
        "EndedSession",
    }


def test_problems_all_implement_the_interface() -> None:
    problem = TYPES["Problem"]
    for name, named in TYPES.items():
        if name.endswith("Problem") and named is not problem:
            assert isinstance(named, GraphQLObjectType)
            assert [interface.name for interface in named.interfaces] == ["Problem"]


def test_lists_hold_no_nulls_but_where_an_id_names_nothing() -> None:
    nullable = {
        f"{named.name}.{name}"
        for named in TYPES.values()
        if isinstance(named, GraphQLObjectType)
        for name, field in named.fields.items()
        if is_non_null_type(field.type)
        and is_list_type(field.type.of_type)
        and not is_non_null_type(field.type.of_type.of_type)
    }
    assert nullable == {"Query.nodes"}
