"""The short way for leaves comes out where the usual one does."""

from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import Any

import pytest
import strawberry
from graphql import GraphQLObjectType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strawberry.permission import BasePermission
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from kyrochat.graphql.transport.executor import Executor, leaves_of
from kyrochat.graphql.transport.schema_setup import KyroSchema


class Refused(BasePermission):
    message = "Not for you."

    def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        return False


class Word(StrEnum):
    ONE = "one"


class Odd:
    """An object whose attribute breaks, or is of another class than the schema says."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__["values"].get(name)
        if isinstance(value, Exception):
            raise value
        return value


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Thing(Named):
    id: strawberry.ID
    size: int
    weight: float
    is_new: bool
    note: str | None
    count: int | None
    tags: list[str]
    secret: str = strawberry.field(permission_classes=[Refused], default="secret")

    @strawberry.field
    def double(self) -> int:
        return self.size * 2

    @strawberry.field
    async def later(self) -> str:
        return f"later {self.name}"


NOW: dict[str, Any] = {}


def a_thing() -> Thing:
    return Thing(name="n", id=strawberry.ID("1"), size=1, weight=1.0, is_new=True, note=None, count=None, tags=[])


@strawberry.type
class Query:
    @strawberry.field
    def thing(self) -> Thing | None:
        return Odd(NOW)  # type: ignore[return-value]

    @strawberry.field
    def named(self) -> Named | None:
        return a_thing()


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def things(self) -> AsyncGenerator[Thing | None, None]:
        yield a_thing()


QUICK = KyroSchema(Query, subscription=Subscription, types=[Thing])
USUAL = KyroSchema(
    Query, subscription=Subscription, types=[Thing], execution_context_class=StrawberryGraphQLCoreExecutionContext
)
PLAIN = {"id": "1", "name": "n", "size": 1, "weight": 1.5, "is_new": False, "note": "x", "count": 2, "tags": ["a"]}
strange = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**40), max_value=2**40),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from([Word.ONE, RuntimeError("broken"), [], {}, object()]),
)


async def outcome(schema: KyroSchema, query: str) -> Any:
    result = await schema.execute(query)
    errors = [(error.message, error.path, error.locations) for error in result.errors or ()]
    return repr(result.data), sorted(map(repr, errors))


@pytest.fixture(scope="module", autouse=True)
def _odd_objects_pass_as_things() -> None:
    for schema in (QUICK, USUAL):
        thing = schema._schema.type_map["Thing"]
        assert isinstance(thing, GraphQLObjectType)
        thing.is_type_of = None


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(PLAIN)), strange, max_size=3))
async def test_whatever_an_attribute_holds_both_ways_say_the_same(changed: dict[str, Any]) -> None:
    NOW.clear()
    NOW.update({**PLAIN, **changed})
    plain = "id name size weight isNew note count tags twice: size __typename"

    assert await outcome(QUICK, f"{{ thing {{ {plain} }} }}") == await outcome(USUAL, f"{{ thing {{ {plain} }} }}")


async def test_fields_come_in_the_order_of_the_selection_with_slow_ones_in_between() -> None:
    query = "{ named { ... on Thing { later name double size __typename again: name } name } }"

    result = await QUICK.execute(query)

    assert result.errors is None
    assert list((result.data or {})["named"].items()) == [
        ("later", "later n"),
        ("name", "n"),
        ("double", 2),
        ("size", 1),
        ("__typename", "Thing"),
        ("again", "n"),
    ]


async def test_a_permission_is_never_passed_by() -> None:
    query = "{ named { ... on Thing { secret } } }"

    result = await QUICK.execute(query)

    assert (result.data, [error.message for error in result.errors or ()]) == ({"named": None}, ["Not for you."])
    thing = QUICK._schema.type_map["Thing"]
    assert isinstance(thing, GraphQLObjectType)
    leaves = leaves_of(thing)
    assert sorted(leaves) == ["__typename", "count", "id", "isNew", "name", "note", "size", "weight"]


async def test_events_of_subscriptions_take_it_too() -> None:
    results: list[Any] = [result async for result in await QUICK.stream("subscription { things { id size note } }")]

    assert [(result.data, result.errors) for result in results] == [
        ({"things": {"id": "1", "size": 1, "note": None}}, None)
    ]
    assert issubclass(QUICK.execution_context_class, Executor)
