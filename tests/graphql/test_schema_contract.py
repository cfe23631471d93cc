"""Clients that rely on the contract are served: everything in it exists, and means at least as much."""

from collections.abc import Generator
from pathlib import Path

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLType,
    GraphQLUnionType,
    build_schema,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
    print_ast,
)

from tests.graphql.operations import SCHEMA

CONTRACT = build_schema((Path(__file__).parent / "contract.graphql").read_text("utf-8"))
NAMES = sorted(name for name in CONTRACT.type_map if not name.startswith("__"))


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_keeps_the_contract(name: str) -> None:
    assert list(breaches(CONTRACT.type_map[name], SCHEMA)) == []


@pytest.mark.parametrize(
    ("promise", "broken"),
    [
        ("type Query { a: Int }", "type Query { b: Int }"),
        ("type Query { a: Int! }", "type Query { a: Int }"),
        ("type Query { a: [Int!] }", "type Query { a: [Int] }"),
        ("type Query { a: Int }", "type Query { a: Float }"),
        ("type Query { a: Int }", "type Query { a(needed: Int!): Int }"),
        ("type Query { a(b: Int): Int }", "type Query { a(b: Int!): Int }"),
        ("type Query { a(b: Int): Int }", "type Query { a: Int }"),
        ("type Query { a(b: Int = 1): Int }", "type Query { a(b: Int = 2): Int }"),
        ("type Query { a: E } enum E { A B }", "type Query { a: E } enum E { A }"),
        ("type Query { a(i: I): Int } input I { b: Int }", "type Query { a(i: I): Int } input I { b: Int c: Int! }"),
        ("type Query { a: I } interface I { b: Int }", "type Query { a: I } type I { b: Int }"),
    ],
)
def test_what_breaks_a_contract_is_noticed(promise: str, broken: str) -> None:
    """The check above is worth as much as what it finds."""
    promised, schema = build_schema(promise), build_schema(broken)
    found = [breach for named in promised.type_map.values() for breach in breaches(named, schema)]
    assert found != []


def breaches(promised: GraphQLNamedType, schema: GraphQLSchema) -> Generator[str, None, None]:
    """Yield what of a promised type the schema does not keep."""
    real = schema.type_map.get(promised.name)
    if type(real) is not type(promised):
        yield f"{promised.name} is {type(real).__name__}"
    elif isinstance(promised, GraphQLEnumType) and isinstance(real, GraphQLEnumType):
        yield from (f"{promised.name}.{value}" for value in promised.values.keys() - real.values.keys())
    elif isinstance(promised, GraphQLUnionType) and isinstance(real, GraphQLUnionType):
        members = {member.name for member in real.types}
        yield from (f"{promised.name} | {member.name}" for member in promised.types if member.name not in members)
    elif isinstance(promised, GraphQLInputObjectType) and isinstance(real, GraphQLInputObjectType):
        for name, field in promised.fields.items():
            found = real.fields.get(name)
            if found is None or not _takes(found.type, field.type):
                yield f"{promised.name}.{name}"
        for name in real.fields.keys() - promised.fields.keys():
            if is_required_input_field(real.fields[name]):
                yield f"{promised.name}.{name} is needed now"
    elif isinstance(promised, GraphQLObjectType | GraphQLInterfaceType):
        assert isinstance(real, GraphQLObjectType | GraphQLInterfaceType)
        yield from _field_breaches(promised, real)


def _field_breaches(
    promised: GraphQLObjectType | GraphQLInterfaceType, real: GraphQLObjectType | GraphQLInterfaceType
) -> Generator[str, None, None]:
    interfaces = {interface.name for interface in real.interfaces}
    yield from (f"{promised.name}: {one.name}" for one in promised.interfaces if one.name not in interfaces)
    for name, field in promised.fields.items():
        found = real.fields.get(name)
        if found is None or not _gives(found.type, field.type):
            yield f"{promised.name}.{name}"
            continue
        for argument, wanted in field.args.items():
            taken = found.args.get(argument)
            if taken is None or _default(taken) != _default(wanted) or not _takes(taken.type, wanted.type):
                yield f"{promised.name}.{name}({argument})"
        for argument in found.args.keys() - field.args.keys():
            if is_required_argument(found.args[argument]):
                yield f"{promised.name}.{name}({argument}) is needed now"


def _default(argument: GraphQLArgument) -> str | None:
    node = argument.ast_node
    return print_ast(node.default_value) if node is not None and node.default_value is not None else None


def _gives(real: GraphQLType, promised: GraphQLType) -> bool:
    """Whether a result is as promised, or never null where it might be."""
    if is_non_null_type(real):
        return _gives(real.of_type, promised.of_type if is_non_null_type(promised) else promised)
    if is_non_null_type(promised):
        return False
    if is_list_type(real) and is_list_type(promised):
        return _gives(real.of_type, promised.of_type)
    return str(real) == str(promised)


def _takes(real: GraphQLType, promised: GraphQLType) -> bool:
    """Whether an argument takes what was promised, or null too."""
    return _gives(promised, real)
