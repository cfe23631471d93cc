"""Pages of a list by keyset: rows after or before a key, never an offset, so inserts and deletes move nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

Row = TypeVar("Row")

MAX_PAGE = 100


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list, newest first: the `size` rows next to the keys.

    `after` and `before` are keys of rows, exclusive, which need not exist any more; `from_end` asks for the last ones.
    """

    size: int
    after: Any = None
    before: Any = None
    from_end: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows, newest first, and whether there are more on either side."""

    rows: Sequence[Row]
    has_next: bool
    has_previous: bool


async def page(
    session: AsyncSession, query: SelectOfScalar[Row], key: "InstrumentedAttribute[Any] | Any", request: PageRequest
) -> Page[Row]:
    """Run `query` for one page. `key` is a unique column on which newer rows are greater."""
    column = col(key)
    part = query
    if request.after is not None:
        part = part.where(column < request.after)
    if request.before is not None:
        part = part.where(column > request.before)
    order = column.asc() if request.from_end else column.desc()
    found = list((await session.exec(part.order_by(order).limit(request.size + 1))).all())
    more = len(found) > request.size
    rows = found[: request.size]
    if request.from_end:
        rows.reverse()
    # On the side of a key there is more if any row up to the key is left: the one it belonged to may be gone.
    has_next = more and not request.from_end
    if not has_next and request.before is not None:
        has_next = await _any(session, query.where(column <= request.before))
    has_previous = more and request.from_end
    if not has_previous and request.after is not None:
        has_previous = await _any(session, query.where(column >= request.after))
    return Page(rows, has_next=has_next, has_previous=has_previous)


def page_at_hand(rows: Sequence[Row], key: Callable[[Row], Any], request: PageRequest) -> Page[Row]:
    """Return one page of a whole list, newest first, as `page` does of one in the database."""
    after, before = request.after, request.before
    inside = [row for row in rows if (after is None or key(row) < after) and (before is None or key(row) > before)]
    more = len(inside) > request.size
    has_next = (more and not request.from_end) or (before is not None and any(key(row) <= before for row in rows))
    has_previous = (more and request.from_end) or (after is not None and any(key(row) >= after for row in rows))
    part = inside[-request.size :] if request.from_end else inside[: request.size]
    return Page(part, has_next=has_next, has_previous=has_previous)


async def _any(session: AsyncSession, query: SelectOfScalar[Row]) -> bool:
    return bool((await session.exec(select(query.exists()))).one())
