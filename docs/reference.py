"""Writes the pages that nobody keeps up to date by hand.

The schema, the settings and the commands describe themselves; these pages are what they say, put in order.
"""

from collections.abc import Iterable, Iterator, Mapping

import click
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    ast_from_value,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
    print_ast,
)
from pydantic import SecretStr

from kyrochat.__main__ import main as command
from kyrochat.graphql.schema import build_schema
from kyrochat.settings import Settings

ROOTS = {"Query": "queries", "Mutation": "mutations", "Subscription": "subscriptions"}
TITLES = {
    "queries": "Queries",
    "mutations": "Mutations",
    "subscriptions": "Subscriptions",
    "objects": "Objects",
    "interfaces-and-unions": "Interfaces and unions",
    "inputs": "Inputs",
    "enums-and-scalars": "Enums and scalars",
}


def reference_pages() -> dict[str, str]:
    """Return all pages, as Markdown, by their names."""
    schema = build_schema()._schema
    return {**schema_pages(schema), "settings": settings_page(), "commands": commands_page()}


def schema_pages(schema: GraphQLSchema) -> dict[str, str]:
    """Return the pages of a schema: each type is in one of them, and names of types lead there."""
    types = sorted(
        (each for each in schema.type_map.values() if not is_introspection_type(each)), key=lambda each: each.name
    )
    pages: dict[str, list[str]] = {name: [f"# {title}", ""] for name, title in TITLES.items()}
    for each in types:
        if each.name in ROOTS and isinstance(each, GraphQLObjectType):
            for name, field in sorted(each.fields.items()):
                pages[ROOTS[each.name]] += _operation(name, field)
        elif not is_specified_scalar_type(each):
            pages[_page_of(each)] += _type(each, schema)
    return {name: "\n".join(lines) for name, lines in pages.items()}


def _page_of(each: GraphQLNamedType) -> str:
    match each:
        case GraphQLObjectType():
            return ROOTS.get(each.name, "objects")
        case GraphQLInterfaceType() | GraphQLUnionType():
            return "interfaces-and-unions"
        case GraphQLInputObjectType():
            return "inputs"
        case _:
            return "enums-and-scalars"


def _operation(name: str, field: GraphQLField) -> Iterator[str]:
    yield from (f"## {name}", "", f"Returns {_linked(field)}.", "", *_told(field), "")
    yield from _table("Argument", field.args)


def _type(each: GraphQLNamedType, schema: GraphQLSchema) -> Iterator[str]:
    yield from (f"## {each.name}", "", each.description or "", "")
    match each:
        case GraphQLEnumType():
            yield from ("| Value | |", "| --- | --- |")
            yield from (f"| `{name}` | {_cell(value.description)} |" for name, value in each.values.items())
        case GraphQLUnionType():
            yield from (f"- {_link(one)}" for one in each.types)
        case GraphQLInputObjectType():
            yield from _table("Field", each.fields)
        case GraphQLInterfaceType():
            yield from _fields(each.fields)
            yield from ("Implemented by " + ", ".join(_link(one) for one in schema.get_possible_types(each)) + ".",)
        case GraphQLObjectType():
            if each.interfaces:
                yield from ("Implements " + ", ".join(_link(one) for one in each.interfaces) + ".", "")
            yield from _fields(each.fields)
        case GraphQLScalarType() if each.specified_by_url:
            yield f"Specified by <{each.specified_by_url}>."
        case _:
            pass
    yield ""


def _fields(fields: Mapping[str, GraphQLField]) -> Iterator[str]:
    yield from ("| Field | Type | |", "| --- | --- | --- |")
    for name, field in fields.items():
        arguments = "".join(
            f"<br>`{argument}`: {_linked(one)}{_default(one)} – {_cell(one.description)}"
            for argument, one in field.args.items()
        )
        yield f"| `{name}` | {_linked(field)} | {_cell(' '.join(_told(field)))}{arguments} |"
    yield ""


def _table(heading: str, entries: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField]) -> Iterator[str]:
    if entries:
        yield from (f"| {heading} | Type | |", "| --- | --- | --- |")
        for name, one in entries.items():
            yield f"| `{name}` | {_linked(one)}{_default(one)} | {_cell(one.description)} |"
        yield ""


def _told(field: GraphQLField) -> Iterable[str]:
    if field.deprecation_reason:
        yield f"**Deprecated.** {field.deprecation_reason}"
    yield field.description or ""


def _linked(one: GraphQLField | GraphQLArgument | GraphQLInputField) -> str:
    named = get_named_type(one.type)
    return str(one.type).replace(named.name, _link(named))


def _link(each: GraphQLNamedType) -> str:
    if is_specified_scalar_type(each):
        return each.name
    return f"[{each.name}]({_page_of(each)}.md#{each.name.lower()})"


def _default(one: GraphQLArgument | GraphQLInputField) -> str:
    if one.default_value is Undefined or one.default_value is None:
        return ""
    literal = ast_from_value(one.default_value, one.type)
    return f" = `{print_ast(literal)}`" if literal else ""


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def settings_page() -> str:
    """Return all settings with their defaults."""
    lines = [
        "# Settings",
        "",
        "From the environment, or from a file `.env` beside the process. An empty value is the default.",
        "",
        "| Variable | Default | |",
        "| --- | --- | --- |",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = "" if default is None or isinstance(default, SecretStr) or default == "" else f"`{default}`"
        vendors = [str(one) for one in getattr(field.validation_alias, "choices", ()) if "KYROCHAT_" not in str(one)]
        also = f" Also read from {', '.join(f'`{one}`' for one in vendors)}." if vendors else ""
        lines.append(f"| `KYROCHAT_{name.upper()}` | {shown} | {_cell(field.description)}{also} |")
    return "\n".join([*lines, ""])


def commands_page() -> str:
    """Return the help of all commands."""
    return "\n".join(["# Commands", "", *_help(command, "kyrochat", None)])


def _help(one: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(one, info_name=name.rpartition(" ")[2], parent=parent, max_content_width=100)
    yield from (f"## {name}", "", "```text", one.get_help(context), "```", "")
    if isinstance(one, click.Group):
        for each in one.list_commands(context):
            found = one.get_command(context, each)
            assert found is not None
            yield from _help(found, f"{name} {each}", context)
