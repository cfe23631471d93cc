"""Operations made from the schema: one root field, and everything that can be selected below it."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
)

from tests.graphql.operations import SCHEMA

# Leads to a value in the variables; `[]` stands for the items of a list.
Place = tuple[str, ...]
Opens = Callable[[str], bool]
ROOTS = {"Query": "query", "Mutation": "mutation", "Subscription": "subscription"}
PAGES = {"first", "after", "last", "before"}
ALIAS = "__of__"
MAX_DEPTH = 14
PAGE = 10


@dataclass(frozen=True)
class The:
    """A thing of the scene, by its name there. Where the schema wants an ID, the walk puts other ids in its place."""

    name: str


@dataclass(frozen=True)
class Recipe:
    """Arguments that fit a field, with `The(…)` for what is in the scene.

    `onto`: the type of the Node that comes back. `most`: events after which a subscription that would go on is left.
    `alters`: whether rows change when a mutation succeeds. `by_socket`: whether it makes sense on a socket only.
    `problem`: what everybody is told whom the table allows it, where the world is not set up for more.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    onto: str | None = None
    most: int | None = None
    alters: bool = True
    by_socket: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Operation:
    """A document with one root field. `template` has a value for each variable, `types` its type."""

    coordinate: str
    query: str
    template: Mapping[str, Any]
    types: Mapping[str, Any]
    recipe: Recipe

    @property
    def name(self) -> str:
        return self.coordinate.partition(".")[2]

    @property
    def is_mutation(self) -> bool:
        return self.coordinate.startswith("Mutation.")

    @property
    def is_subscription(self) -> bool:
        return self.coordinate.startswith("Subscription.")

    @property
    def has_file(self) -> bool:
        return any(leaf for name, kind in self.types.items() for leaf in _leaves((name,), kind, "Upload"))

    def ids(self) -> dict[Place, The]:
        """Return where ids are in the variables, and of what."""
        found = {}
        for name, template in self.template.items():
            found.update(_ids_in((name,), self.types[name], template))
        if self.is_mutation:
            # A question may name any documents in its filter: it lets foreign ones through as little as unknown ones.
            return {place: the for place, the in found.items() if "filter" not in place}
        return found


def fields_of(kind: str) -> Mapping[str, GraphQLField]:
    """Return the fields of a type by name."""
    found = SCHEMA.type_map[kind]
    assert isinstance(found, GraphQLObjectType | GraphQLInterfaceType)
    fields: Mapping[str, GraphQLField] = found.fields
    return fields


def root_fields() -> list[str]:
    """Return the coordinates of all queries, mutations and subscriptions."""
    return [f"{root}.{name}" for root in ROOTS for name in fields_of(root)]


def shown_fields() -> set[str]:
    """Return the coordinates of all that an answer can show, problems and introspection aside."""
    return {
        f"{kind}.{name}"
        for kind, found in SCHEMA.type_map.items()
        if isinstance(found, GraphQLObjectType) and not _is_no_content(kind)
        for name in found.fields
    }


def nested_fields_with_ids() -> list[str]:
    """Return the coordinates of fields below the root whose arguments a recipe must give."""
    return [coordinate for coordinate in shown_fields() if _needs_recipe(coordinate)]


def id_places(coordinate: str) -> set[Place]:
    """Return every place for an id in a field's arguments, those that may be left out included."""
    kind, _, name = coordinate.partition(".")
    arguments = fields_of(kind)[name].args
    return {place for key, argument in arguments.items() for place in _leaves((key,), argument.type, "ID")}


def places_of(coordinate: str, recipes: Iterable[Recipe]) -> set[Place]:
    """Return the places for ids that the recipes of a field fill."""
    kind, _, name = coordinate.partition(".")
    arguments = fields_of(kind)[name].args
    return {
        place
        for recipe in recipes
        for key, template in recipe.arguments.items()
        for place in _ids_in((key,), arguments[key].type, template)
    }


def build(
    coordinate: str,
    recipe: Recipe,
    nested: Mapping[str, list[Recipe]],
    opens: Opens = lambda coordinate: True,
    depth: int = MAX_DEPTH,
) -> Operation:
    """Return an operation on a root field that selects all that `opens`, through `depth` objects in each other.

    Of a type that was met before only the leaves are selected. `nested` has the recipes of fields below that take ids.
    """
    root, _, name = coordinate.partition(".")
    found = fields_of(root)[name]
    # What a mutation shows is shown by queries, too: a foreign id in it would let it do its work on one's own things.
    builder = _Builder(
        {} if root == "Mutation" else nested,
        opens,
        dict(recipe.arguments),
        {key: found.args[key].type for key in recipe.arguments},
    )
    given = [f"{key}: ${key}" for key in recipe.arguments]
    # A page of everything that there is of each thing costs more than a client may ask for.
    if "first" in found.args and "first" not in recipe.arguments:
        given.append(f"first: {PAGE}")
    passed = ", ".join(given)
    selection = builder.select(get_named_type(found.type), depth, recipe.onto)
    declared = ", ".join(f"${key}: {kind}" for key, kind in builder.types.items())
    head, call = (f" ({declared})" if declared else ""), (f"({passed})" if passed else "")
    query = f"{ROOTS[root]}{head} {{ {name}{call}{selection} }}"
    return Operation(coordinate, query, builder.template, builder.types, recipe)


@dataclass
class _Builder:
    nested: Mapping[str, list[Recipe]]
    opens: Opens
    template: dict[str, Any]
    types: dict[str, Any]
    met: set[str] = field(default_factory=set)

    def select(self, named: GraphQLNamedType, depth: int, onto: str | None = None) -> str:
        if is_leaf_type(named):
            return ""
        if isinstance(named, GraphQLUnionType):
            return f" {{ __typename {' '.join(self._members(named, depth))} }}"
        if isinstance(named, GraphQLInterfaceType):
            inner = self._fragment(onto, depth) if onto else " ".join(named.fields)
            return f" {{ __typename {inner} }}"
        assert isinstance(named, GraphQLObjectType)
        return f" {{ __typename {' '.join(self._fields(named, depth).values())} }}"

    def _fragment(self, kind: str, depth: int) -> str:
        found = SCHEMA.type_map[kind]
        assert isinstance(found, GraphQLObjectType)
        fields = self._fields(found, depth)
        return f"... on {kind} {{ {' '.join(fields.values())} }}" if fields else ""

    def _members(self, union: GraphQLUnionType, depth: int) -> Generator[str, None, None]:
        """Yield a fragment a member. What two of them call alike must be alike, or one of them gets an alias."""
        types: dict[str, str] = {}
        for member in union.types:
            parts = []
            for name, text in self._fields(member, depth).items():
                shape = str(member.fields[name].type)
                is_taken = types.setdefault(name, shape) != shape
                parts.append(f"{name}{ALIAS}{member.name}: {text}" if is_taken else text)
            if parts:
                yield f"... on {member.name} {{ {' '.join(parts)} }}"

    def _fields(self, named: GraphQLObjectType, depth: int) -> dict[str, str]:
        """Return the text of each field that is selected, by name."""
        is_cut, is_edge = named.name in self.met or depth == 1, named.name.endswith("Edge")
        self.met.add(named.name)
        selected = {}
        for name, found in named.fields.items():
            coordinate, inner = f"{named.name}.{name}", get_named_type(found.type)
            needs_recipe = _needs_recipe(coordinate)
            if not self.opens(coordinate) or (needs_recipe and coordinate not in self.nested):
                continue  # of a recipe that is missing another test tells
            if is_cut and not is_leaf_type(inner) and not needs_recipe:
                continue
            # The same item is among `nodes`, with all that it has.
            selection = " { __typename }" if is_edge and name == "node" else self.select(inner, max(1, depth - 1))
            selected[name] = f"{name}{self._arguments(coordinate, found)}{selection}"
        return selected

    def _arguments(self, coordinate: str, found: GraphQLField) -> str:
        if _needs_recipe(coordinate):
            prefix = coordinate.replace(".", "_")
            (recipe, *_) = self.nested[coordinate]
            for key, value in recipe.arguments.items():
                self.template[f"{prefix}_{key}"], self.types[f"{prefix}_{key}"] = value, found.args[key].type
            return "(" + ", ".join(f"{key}: ${prefix}_{key}" for key in recipe.arguments) + ")"
        return "(first: 1)" if "first" in found.args else ""


def shown_in(value: Any) -> set[str]:
    """Return the coordinates of what an answer shows: of the fields of all objects in it that are not null."""
    if isinstance(value, list):
        return {coordinate for item in value for coordinate in shown_in(item)}
    if not isinstance(value, dict):
        return set()
    kind = value.get("__typename")
    own = {f"{kind}.{name.partition(ALIAS)[0]}" for name in value if kind and name != "__typename"}
    return own | {coordinate for item in value.values() for coordinate in shown_in(item)}


def _is_no_content(kind: str) -> bool:
    return kind.startswith("__") or kind.endswith("Problem") or kind in {*ROOTS, "InputIssue"}


def _needs_recipe(coordinate: str) -> bool:
    kind, _, name = coordinate.partition(".")
    arguments: Mapping[str, GraphQLArgument] = fields_of(kind)[name].args
    return bool(id_places(coordinate)) or any(map(is_required_argument, arguments.values()))


def _leaves(place: Place, kind: Any, scalar: str) -> Generator[Place, None, None]:
    """Yield the places in an input type that take a scalar."""
    if is_non_null_type(kind):
        yield from _leaves(place, kind.of_type, scalar)
    elif is_list_type(kind):
        yield from _leaves((*place, "[]"), kind.of_type, scalar)
    elif isinstance(kind, GraphQLInputObjectType):
        for name, found in kind.fields.items():
            yield from _leaves((*place, name), found.type, scalar)
    elif str(kind) == scalar:
        yield place


def _ids_in(place: Place, kind: Any, template: Any) -> dict[Place, The]:
    """Return those of the places that hold a thing."""
    if is_non_null_type(kind):
        return _ids_in(place, kind.of_type, template)
    if isinstance(template, list):
        found = {}
        for item in template:
            found.update(_ids_in((*place, "[]"), kind.of_type, item))
        return found
    if isinstance(template, Mapping) and isinstance(kind, GraphQLInputObjectType):
        found = {}
        for name, item in template.items():
            found.update(_ids_in((*place, name), kind.fields[name].type, item))
        return found
    return {place: template} if str(kind) == "ID" and isinstance(template, The) else {}


def filled(template: Any, value_of: Callable[[Place, The], Any], place: Place = ()) -> Any:
    """Return a template's values."""
    if isinstance(template, Mapping):
        return {name: filled(item, value_of, (*place, name)) for name, item in template.items()}
    if isinstance(template, list):
        return [filled(item, value_of, (*place, "[]")) for item in template]
    return value_of(place, template) if isinstance(template, The) else template
