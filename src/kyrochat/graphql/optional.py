"""What need not be given in the schema: clients leave it out or send null, which means the same."""

from typing import TypeVar

from strawberry import UNSET

T = TypeVar("T")


def if_given(value: T | None) -> T | None:
    """Return the value, or None when there is none."""
    return None if value is UNSET else value


def tuple_if_given(values: list[T] | None) -> tuple[T, ...] | None:
    """Return the values of a list that services do not change, or None when there is none."""
    return None if values is None or values is UNSET else tuple(values)
