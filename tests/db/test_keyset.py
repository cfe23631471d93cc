"""Pages by keyset: whatever the sizes, directions, and changes in between, nothing is skipped or shown twice."""

from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest, page, page_at_hand
from kyrochat.db.models import Workspace


def id_of(key: int) -> UUID:
    return UUID(int=key)


@dataclass
class List:
    """The same list in PostgreSQL and in Python, newest first."""

    session: AsyncSession
    keys: set[int] = field(default_factory=set)

    @property
    def newest_first(self) -> list[int]:
        return sorted(self.keys, reverse=True)

    async def insert(self, *keys: int) -> None:
        self.session.add_all([Workspace(id=id_of(key), name="listed") for key in keys])
        await self.session.flush()
        self.keys |= set(keys)

    async def delete(self, key: int) -> None:
        await (await self.session.connection()).execute(
            text("DELETE FROM workspaces WHERE id = :id"), {"id": id_of(key)}
        )
        self.session.expire_all()
        self.keys.discard(key)

    async def page(
        self, size: int, after: int | None = None, before: int | None = None, *, from_end: bool = False
    ) -> Page[int]:
        request = PageRequest(
            size,
            None if after is None else id_of(after),
            None if before is None else id_of(before),
            from_end=from_end,
        )
        found = await page(self.session, select(Workspace.id).where(Workspace.name == "listed"), Workspace.id, request)
        return Page([key.int for key in found.rows], found.has_next, found.has_previous)


def expected(keys: list[int], request: tuple[int, int | None, int | None, bool]) -> Page[int]:
    """What a page is, said in Python: the rows between the keys, and whether the list goes on beyond them."""
    size, after, before, from_end = request
    between = [key for key in keys if (after is None or key < after) and (before is None or key > before)]
    rows = between[-size:] if from_end else between[:size]
    if not rows:
        # Beyond an empty page lie what comes up to its keys.
        return Page(
            [],
            has_next=before is not None and any(key <= before for key in keys),
            has_previous=after is not None and any(key >= after for key in keys),
        )
    return Page(rows, any(key < rows[-1] for key in keys), any(key > rows[0] for key in keys))


# Even keys are there from the start, odd ones come meanwhile.
stable_keys = st.sets(st.integers(1, 40).map(lambda n: 2 * n), max_size=20)
any_key = st.integers(0, 82)
sizes = st.integers(1, 7)
changes = st.lists(st.tuples(st.booleans(), st.integers(0, 40).map(lambda n: 2 * n + 1)), max_size=4)
generous = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def apply(listed: List, between: list[tuple[bool, int]]) -> None:
    for inserts, key in between:
        if inserts and key not in listed.keys:
            await listed.insert(key)
        elif not inserts:
            await listed.delete(key)


@generous
@given(stable_keys, st.lists(st.tuples(sizes, changes), min_size=1, max_size=6), st.booleans())
async def test_a_walk_meets_each_row_that_stays_exactly_once_and_in_order(
    database: Database, stable: set[int], steps: list[tuple[int, list[tuple[bool, int]]]], backwards: bool
) -> None:
    async with database.begin() as session:
        listed = List(session)
        await listed.insert(*stable)

        met: list[int] = []
        edge = None
        for turn in range(100):
            size, between = steps[turn % len(steps)]
            if backwards:
                found = await listed.page(size, before=edge, from_end=True)
                met[:0] = found.rows
                more = found.has_previous
            else:
                found = await listed.page(size, after=edge)
                met += found.rows
                more = found.has_next
            if not more:
                break
            edge = found.rows[0] if backwards else found.rows[-1]
            if turn < 10:
                await apply(listed, between)

        assert met == sorted(set(met), reverse=True)
        assert [key for key in met if key % 2 == 0] == sorted(stable, reverse=True)
        await session.rollback()


@generous
@given(
    stable_keys,
    st.lists(st.tuples(sizes, st.none() | any_key, st.none() | any_key, st.booleans()), min_size=1, max_size=8),
)
async def test_each_page_is_the_rows_between_its_keys_and_tells_the_truth_about_what_is_beyond(
    database: Database, keys: set[int], requests: list[tuple[int, int | None, int | None, bool]]
) -> None:
    async with database.begin() as session:
        listed = List(session)
        await listed.insert(*keys)

        for size, after, before, from_end in requests:
            found = await listed.page(size, after, before, from_end=from_end)
            assert found == expected(listed.newest_first, (size, after, before, from_end))
        await session.rollback()


@given(
    keys=st.sets(any_key, max_size=20),
    size=sizes,
    after=st.none() | any_key,
    before=st.none() | any_key,
    from_end=st.booleans(),
)
def test_a_page_of_a_list_at_hand_is_the_same(
    keys: set[int], size: int, after: int | None, before: int | None, from_end: bool
) -> None:
    newest_first = sorted(keys, reverse=True)

    found = page_at_hand(newest_first, lambda key: key, PageRequest(size, after, before, from_end=from_end))

    assert found == expected(newest_first, (size, after, before, from_end))


async def test_a_page_follows_a_row_that_was_deleted_meanwhile(database: Database) -> None:
    async with database.begin() as session:
        listed = List(session)
        await listed.insert(1, 2, 3, 4, 5)
        await listed.delete(4)

        assert await listed.page(2, after=4) == Page([3, 2], has_next=True, has_previous=True)
        assert await listed.page(2, before=4, from_end=True) == Page([5], has_next=True, has_previous=False)


async def test_ids_made_later_are_greater() -> None:
    made = [new_id() for _ in range(2_000)]

    assert made == sorted(made)
    assert len(set(made)) == 2_000
