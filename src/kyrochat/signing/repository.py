"""The rows on which all processes of a database agree."""

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Installation


async def put_if_absent(session: AsyncSession, name: str, value: str) -> None:
    """Store a value, unless there is one."""
    query = insert(Installation).values(name=name, value=value).on_conflict_do_nothing(index_elements=["name"])
    await (await session.connection()).execute(query)


async def lock(session: AsyncSession, name: str) -> Installation:
    """Return a row that is there; until the transaction ends nobody else changes it."""
    return (await session.exec(select(Installation).where(Installation.name == name).with_for_update())).one()
