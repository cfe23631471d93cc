"""The shortest ways through the schema, from a root field to any other."""

from graphql import GraphQLField, GraphQLObjectType, GraphQLUnionType, get_named_type

from tests.access.fields import Opens, fields_of


def path_to(coordinate: str, root: str, opens: Opens) -> frozenset[str] | None:
    """Return the fields on the shortest way from a root field to another field, through what `opens`, or None."""
    kind, _, name = root.partition(".")
    ways: dict[str, tuple[str, ...]] = dict.fromkeys(_objects(fields_of(kind)[name]), ())
    remaining = list(ways)
    for here in remaining:
        if coordinate.startswith(f"{here}."):
            return frozenset((*ways[here], coordinate))
        for below, found in fields_of(here).items():
            if opens(f"{here}.{below}") and not here.endswith("Edge"):
                for there in _objects(found):
                    if there not in ways:
                        ways[there] = (*ways[here], f"{here}.{below}")
                        remaining.append(there)
    return None


def _objects(found: GraphQLField) -> list[str]:
    named = get_named_type(found.type)
    if isinstance(named, GraphQLUnionType):
        return [member.name for member in named.types]
    return [named.name] if isinstance(named, GraphQLObjectType) else []
