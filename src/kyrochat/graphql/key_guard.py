"""Holds the operations of API keys to what their scopes open."""

from collections.abc import Iterator
from dataclasses import dataclass

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
from strawberry.types.execution import ExecutionContext

from kyrochat.db.states import ApiKeyScope
from kyrochat.graphql.context import Context
from kyrochat.graphql.permissions import scopes_of
from kyrochat.graphql.transport.schema_setup import KyroSchema


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
                refusal = _refusal(execution, key.scopes)
                if refusal is not None:
                    raise refusal.as_error()
        yield


def _refusal(execution: ExecutionContext, scopes: frozenset[ApiKeyScope]) -> Refusal | None:
    document, schema = execution.graphql_document, execution.schema
    assert document is not None

    def find_out() -> Refusal | None:
        return find_refusal(document, schema._schema, scopes)

    if not isinstance(schema, KyroSchema):
        return find_out()
    return schema.documents.noted(execution.query, ("refusal", scopes), find_out)
