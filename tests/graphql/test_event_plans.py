"""Events that are read by a plan come out like events that are executed."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import pytest
import strawberry
from graphql import parse
from strawberry.permission import BasePermission

from kyrochat.graphql.transport import event_plans
from kyrochat.graphql.transport.event_plans import Plan
from kyrochat.graphql.transport.executor import Executor
from kyrochat.graphql.transport.schema_setup import KyroSchema

asked: list[str] = []


class Asked(BasePermission):
    """Lets everybody read it once."""

    message = "Not again."

    def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        asked.append("permission")
        return asked.count("permission") < 2


@strawberry.type
class Delta:
    sequence: int
    text: str
    note: str | None = None
    secret: str = strawberry.field(permission_classes=[Asked], default="secret")

    @strawberry.field
    def length(self) -> int:
        asked.append("resolver")
        return len(self.text)


@strawberry.type
class Citation:
    number: int


@strawberry.type
class Cited:
    sequence: int
    citation: Citation


Event = Annotated[Delta | Cited, strawberry.union("Event")]


@strawberry.type
class Query:
    ok: bool = True


def events_of(*events: object) -> Any:
    async def stream(self: Any) -> AsyncGenerator[Event, None]:
        for event in events:
            yield event  # type: ignore[misc]

    return stream


async def results(query: str, *events: object, variables: dict[str, Any] | None = None, plainly: bool = False) -> Any:
    """Return data and messages of errors for each event; `plainly` without any plan."""

    stream_of_them = events_of(*events)

    @strawberry.type
    class Subscription:
        events = strawberry.subscription(stream_of_them)

    options: dict[str, Any] = {"execution_context_class": Executor} if plainly else {}
    schema = KyroSchema(Query, None, Subscription, types=[Delta, Cited], **options)
    stream = await schema.stream(query, variable_values=variables)
    return [(result.data, [error.message for error in result.errors or ()]) async for result in stream]  # type: ignore[union-attr]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The events that a plan has read."""
    asked.clear()
    seen: list[object] = []
    read = Plan.read

    def noted(plan: Plan, event: object) -> dict[str, Any] | None:
        data = read(plan, event)
        if data is not None:
            seen.append(event)
        return data

    monkeypatch.setattr(event_plans.Plan, "read", noted)
    return seen


DELTAS = [Delta(sequence=number, text=f"Word {number}") for number in range(3)]
CITED = Cited(sequence=9, citation=Citation(number=1))


@pytest.mark.parametrize(
    "query",
    [
        "subscription { events { __typename ... on Delta { sequence text } } }",
        "subscription { e: events { ... on Delta { text kind: __typename again: text n: sequence note } } }",
        "subscription { events { ...d ...c } } fragment d on Delta { text } fragment c on Cited { sequence }",
        "subscription ($no: Boolean!) { events { ...d } }"
        " fragment d on Delta { text @include(if: $no) sequence @skip(if: $no) note }",
        "subscription { events { ... on Delta { sequence } ... on Delta { text sequence } } }",
        "subscription { events { ... on Cited { sequence } } }",
    ],
)
async def test_a_planned_event_looks_like_an_executed_one(query: str, planned: list[object]) -> None:
    events = [DELTAS[0], CITED, DELTAS[1], CITED, DELTAS[2]]
    variables = {"no": False}

    seen = await results(query, *events, variables=variables)

    assert seen == await results(query, *events, variables=variables, plainly=True)
    # The first is executed, and leaves the plan.
    assert DELTAS[0] not in planned
    assert planned[:1] == [DELTAS[1]]
    assert [list(data[next(iter(data))]) for data, _ in seen] == [
        list(data[next(iter(data))]) for data, _ in await results(query, *events, variables=variables, plainly=True)
    ]


@pytest.mark.parametrize(
    ("field", "calls"),
    [("length", ["resolver"] * 3), ("secret", ["permission"] * 3)],
)
async def test_what_has_a_resolver_or_a_permission_is_asked_each_time(
    field: str, calls: list[str], planned: list[object]
) -> None:
    seen = await results(f"subscription {{ events {{ ... on Delta {{ text {field} }} }} }}", *DELTAS)

    assert planned == []
    assert asked == calls
    if field == "secret":
        assert [errors for _, errors in seen] == [[], ["Not again."], ["Not again."]]


async def test_an_object_inside_of_an_event_is_executed(planned: list[object]) -> None:
    query = "subscription { events { ... on Cited { sequence citation { number } } } }"

    seen = await results(query, CITED, CITED)

    assert planned == []
    assert seen == [({"events": {"sequence": 9, "citation": {"number": 1}}}, [])] * 2


@pytest.mark.parametrize("broken", [{"text": None}, {"text": 7}, {"sequence": 2**40}, {"sequence": "x"}])
async def test_an_event_that_is_not_as_it_should_be_fails_as_it_would(
    broken: dict[str, Any], planned: list[object]
) -> None:
    query = "subscription { events { ... on Delta { sequence text } } }"
    odd = Delta(**{"sequence": 5, "text": "odd", **broken})

    seen = await results(query, DELTAS[0], odd, DELTAS[1])

    assert planned == [DELTAS[1]]
    assert seen == await results(query, DELTAS[0], odd, DELTAS[1], plainly=True)


async def test_plans_are_of_one_operation(planned: list[object]) -> None:
    await results("subscription { events { ... on Delta { sequence text } } }", *DELTAS)

    (data, _), *_ = await results("subscription { events { ... on Delta { note } } }", *DELTAS)

    assert data == {"events": {"note": None}}
    assert parse("{ ok }")
