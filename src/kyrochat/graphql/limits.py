"""What one operation may ask for, and the extension that refuses the rest before validation begins."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, GraphQLError, OperationType
from strawberry import Schema
from strawberry.extensions import SchemaExtension

from kyrochat.graphql.context import Context
from kyrochat.graphql.cost import measure
from kyrochat.graphql.list_sizes import SATURATED, shape_of
from kyrochat.graphql.measures import Cost
from kyrochat.graphql.transport.schema_setup import KyroSchema
from kyrochat.graphql.transport.turns import current_turn

QUERY_TOO_EXPENSIVE = "QUERY_TOO_EXPENSIVE"
# What a refused document is charged: measuring it took its time, too.
REFUSED_POINTS = 1_000


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """The most that an operation or its document may have of each measure of `Cost`.

    A bot with 20 documents and 20 conversations of 10 messages each, with their citations and the cited documents, is
    2,266 points and 8 fields deep; with edges, 2,506 and 10. Introspection as GraphiQL asks for it is 1,685, eleven for
    each type. The limits of the document keep the worst one that passes at about 50 ms of validation.
    """

    points: int = 5_000
    depth: int = 15
    root_fields: int = 20
    # Each may be a `login` with a password to hash, or an answer to pay for.
    mutation_fields: int = 5
    aliases: int = 50
    directives: int = 50
    fragments: int = 50
    operations: int = 20
    comparisons: int = 3_000
    list_items: int = 250
    input_values: int = 40
    unknown_names: int = 12
    name_chars: int = 100
    nodes: int = 800


@dataclass(frozen=True, slots=True)
class Breach:
    """The first limit that a cost breaks, and what to do about it."""

    limit: str
    measured: int
    maximum: int
    what: str
    advice: str

    def as_error(self) -> GraphQLError:
        """Return the error for the client."""
        measured = f"{SATURATED:,} or more" if self.measured >= SATURATED else f"{self.measured:,}"
        return GraphQLError(
            f"Too expensive: {measured} {self.what}, and at most {self.maximum:,} may be. {self.advice}",
            extensions={
                "code": QUERY_TOO_EXPENSIVE,
                "limit": self.limit,
                "measured": self.measured,
                "maximum": self.maximum,
            },
        )


_SPLIT = "Split it into several operations."
# Cheap words first: who sends 600 aliases should hear of aliases, not of what they add up to.
_WORDS = (
    ("fragments", "fragments", "Remove those that are not used."),
    ("operations", "operations in one document", "Send only the one to run."),
    ("aliases", "aliases", _SPLIT),
    ("directives", "directives", "Remove some."),
    ("root_fields", "fields at the root", _SPLIT),
    ("depth", "fields in each other", "Fetch deep objects by their ids, with `node`."),
    ("list_items", "items in a list", "Send it in parts."),
    ("input_values", "values in inputs that are written into the document", "Send them as variables."),
    ("unknown_names", "names that the schema does not have", "Compare it with the schema."),
    ("name_chars", "characters in a name", "Choose shorter names."),
    ("nodes", "fields, spreads and values", _SPLIT),
    ("comparisons", "pairs of fields and fragments to compare", "Select each field once, and share fewer fragments."),
    ("points", "points", "Ask for smaller pages with `first`, or for fewer lists in lists."),
)


def find_breach(cost: Cost, limits: QueryLimits) -> Breach | None:
    """Return the first limit that `cost` breaks, or None."""
    for name, what, advice in _WORDS:
        is_mutation = name == "root_fields" and cost.kind is OperationType.MUTATION
        limit = "mutation_fields" if is_mutation else name
        measured, maximum = getattr(cost, name), getattr(limits, limit)
        if measured > maximum:
            return Breach(limit, measured, maximum, what, advice)
    return None


class CostGuard(SchemaExtension):
    """Refuses what breaks a limit, and charges the rest to who asks.

    On results of queries and mutations, `extensions.cost` says what was asked for and how much is left for now.

    It must come before the extension that validates. For limits of your own, give the schema a function that makes it.
    """

    def __init__(self, limits: QueryLimits | None = None) -> None:
        super().__init__()
        self._limits = limits or QueryLimits()
        self._cost: Cost | None = None
        self._remaining: int | None = None

    async def on_validate(self) -> AsyncIterator[None]:
        """Measure and charge before anybody validates."""
        context = self.execution_context
        if context.graphql_document is not None:
            self._cost, breach = self._measured(context.schema, context.graphql_document)
            await self._charge(REFUSED_POINTS if breach else max(1, self._cost.points))
            if breach:
                raise breach.as_error()
        yield

    def _measured(self, schema: Schema, document: DocumentNode) -> "tuple[Cost, Breach | None]":
        context = self.execution_context
        name, variables = context._provided_operation_name, context.variables or {}

        def find_out() -> "tuple[Cost, Breach | None]":
            cost = measure(document, schema._schema, context.operation_name, variables)
            return cost, find_breach(cost, self._limits)

        if not isinstance(schema, KyroSchema):
            return find_out()
        return schema.documents.noted(context.query, ("cost", self._limits, name, shape_of(variables)), find_out)

    async def on_execute(self) -> AsyncIterator[None]:
        """Wait for the turn, where operations take turns: on a socket."""
        turn = current_turn.get()
        if turn is not None and self._cost is not None and self._cost.kind is not OperationType.SUBSCRIPTION:
            await turn.take(self._cost.weight)
        yield

    def get_results(self) -> dict[str, Any]:
        """Return the cost. Events of subscriptions go without: it would be the same with each."""
        if self._cost is None or self._cost.kind is OperationType.SUBSCRIPTION:
            return {}
        left = {} if self._remaining is None else {"remaining": self._remaining}
        return {"cost": {"requested": self._cost.points, "maximum": self._limits.points, **left}}

    async def _charge(self, points: int) -> None:
        # The front door serves schemas with other contexts too; nobody pays there.
        context = self.execution_context.context
        if isinstance(context, Context):
            self._remaining = await context.pay(points)
