"""Events of a subscription that need no resolver are read by a plan, which the first event of their class leaves.

Most of what a stream sends is of one kind: a number and some text. What to read of it is the same each time, since the
selection and the variables are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from graphql import ExecutionResult, GraphQLObjectType
from graphql.pyutils import AwaitableOrValue, Path

from kyrochat.graphql.transport.executor import Executor, Leaf, fits, leaves_of


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read of an event, all of it leaves that take the short way."""

    root_name: str
    leaves: tuple[tuple[str, Leaf], ...]

    def read(self, event: object) -> dict[str, Any] | None:
        """Return the event's data, or None when anything about it is not as it should be."""
        values: dict[str, Any] = {}
        try:
            for name, (read, plain, nullable) in self.leaves:
                value = read(event)
                if not ((value is None and nullable) or (value.__class__ is plain and fits(value))):
                    return None
                values[name] = value
        except Exception:  # told in the usual way, with its place
            return None
        return {self.root_name: values}


@dataclass(frozen=True, slots=True)
class _Done:
    """Stands in for the executor of an event that is read already."""

    data: dict[str, Any]

    def execute_operation(self, serially: bool | None = None) -> ExecutionResult:
        """Return it."""
        del serially
        return ExecutionResult(self.data, None)


class EventExecutor(Executor):
    """An executor that executes the first event of each class, and reads the others when they are plain.

    A class gets a plan when its event went through the executor as the one object of the answer, with no field but
    leaves that take the short way: what has a resolver, a permission or anything else around it never does.
    """

    _plans: dict[type, Plan]
    _is_only_field = False

    def build_per_event_executor(self, payload: Any) -> Any:
        """Return what executes one event."""
        plans: dict[type, Plan] = self.__dict__.setdefault("_plans", {})
        plan = plans.get(payload.__class__)
        if plan is not None and (data := plan.read(payload)) is not None:
            return _Done(data)
        return super().build_per_event_executor(payload)

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: Mapping[str, Any],
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        """Execute the fields of one object, and learn from an event's."""
        if path is None:
            self._is_only_field = len(grouped_field_set) == 1
        elif path.prev is None and source_value is self.root_value and self._is_only_field:
            self._learn(parent_type, source_value.__class__, str(path.key), grouped_field_set)
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    def _learn(
        self, parent_type: GraphQLObjectType, event: type, root_name: str, grouped_field_set: Mapping[str, Any]
    ) -> None:
        plans = self.__dict__.get("_plans")
        definition = getattr(event, "__strawberry_definition__", None)
        # Without plans it is no subscription; and the class has to tell the type.
        if plans is None or definition is None or parent_type.name != event.__name__:
            return
        known = leaves_of(parent_type)
        leaves = [(name, known.get(details[0].node.name.value)) for name, details in grouped_field_set.items()]
        if all(leaf is not None for _, leaf in leaves):
            plans[event] = Plan(root_name, cast("tuple[tuple[str, Leaf], ...]", tuple(leaves)))
