"""Relay connections over keysets."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import strawberry
from strawberry import UNSET

from kyrochat.db.keyset import MAX_PAGE, Page, PageRequest
from kyrochat.errors import InvalidInput

NodeType = TypeVar("NodeType")
Row = TypeVar("Row")

First = Annotated[int | None, strawberry.argument(description="How many from the start: 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="Only what comes after this cursor.")]
Last = Annotated[
    int | None, strawberry.argument(description="How many from the end: 1 to 100. It takes the place of `first`.")
]
Before = Annotated[str | None, strawberry.argument(description="Only what comes before this cursor.")]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = strawberry.field(description="Whether more comes after this page.")
    has_previous_page: bool = strawberry.field(description="Whether more comes before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the page's first item.")
    end_cursor: str | None = strawberry.field(description="The cursor of the page's last item: the next `after`.")


@strawberry.type(description="An item of a list, with its cursor.")
class Edge(Generic[NodeType]):
    """Relay's Edge."""

    cursor: str = strawberry.field(description="Opaque; for `after` and `before`.")
    node: NodeType = strawberry.field(description="The item.")


@strawberry.type(description="A page of a list, newest first.")
class Connection(Generic[NodeType]):
    """Relay's Connection, with `nodes` as a short cut."""

    edges: list[Edge[NodeType]] = strawberry.field(description="The items with their cursors.")
    nodes: list[NodeType] = strawberry.field(description="The items.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(description="How many items the whole list has. Counted only when selected.")
    async def total_count(self) -> int:
        """Count."""
        return await self.count()


def page_request(
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    *,
    key: type[UUID] | type[int] = UUID,
) -> PageRequest:
    """Return what the four arguments ask for. `last` takes the place of `first`, which has a default.

    Raises:
        InvalidInput: a size is out of range, or a cursor is not one of this list.
    """
    from_end = last is not None and last is not UNSET
    name, size = ("last", last) if from_end else ("first", first)
    if size is None or not 1 <= size <= MAX_PAGE:
        raise InvalidInput.at(name, f"`{name}` is 1 to {MAX_PAGE}.")
    return PageRequest(size, _key("after", after, key), _key("before", before, key), from_end=from_end)


def connection(
    page: Page[Row],
    to_node: Callable[[Row], NodeType],
    count: Callable[[], Awaitable[int]],
    *,
    key: Callable[[Row], Any] = attrgetter("id"),
) -> Connection[NodeType]:
    """Return a page of rows as a connection."""
    edges = [Edge(cursor=_cursor(key(row)), node=to_node(row)) for row in page.rows]
    return Connection(
        edges=edges,
        nodes=[edge.node for edge in edges],
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
        count=count,
    )


def _cursor(key: Any) -> str:
    return base64.urlsafe_b64encode(f"k:{key}".encode()).rstrip(b"=").decode()


def _key(name: str, cursor: str | None, kind: type[UUID] | type[int]) -> Any:
    if cursor is None or cursor is UNSET:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), "-_", validate=True).decode()
        if not text.startswith("k:") or len(text) > 40:
            raise ValueError
        key = kind(text[2:])
        if isinstance(key, int) and not -(2**31) <= key < 2**31:
            raise ValueError
    except (binascii.Error, ValueError) as error:
        raise InvalidInput.at(name, f"`{name}` takes a cursor that a page of this list has returned.") from error
    return key
