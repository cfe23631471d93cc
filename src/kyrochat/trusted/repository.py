"""Queries on trusted documents."""

from collections.abc import Mapping, Sequence

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import TrustedDocument


async def add(session: AsyncSession, documents: Mapping[bytes, str]) -> int:
    """Store documents by their hash; return how many of them were not there."""
    query = (
        insert(TrustedDocument)
        .values([{"sha256": sha256, "body": body} for sha256, body in documents.items()])
        .on_conflict_do_nothing(index_elements=["sha256"])
        .returning(col(TrustedDocument.sha256))
    )
    return len((await (await session.connection()).execute(query)).all())


async def body(session: AsyncSession, sha256: bytes) -> str | None:
    """Return the text of the document with that hash."""
    return (await session.exec(select(TrustedDocument.body).where(TrustedDocument.sha256 == sha256))).one_or_none()


async def remove(session: AsyncSession, hashes: Sequence[bytes]) -> int:
    """Delete documents; return how many there were."""
    query = delete(TrustedDocument).where(col(TrustedDocument.sha256).in_(hashes))
    return len((await (await session.connection()).execute(query.returning(col(TrustedDocument.sha256)))).all())


async def all_documents(session: AsyncSession) -> Sequence[TrustedDocument]:
    """Return all documents, those registered last first."""
    query = select(TrustedDocument).order_by(col(TrustedDocument.registered_at).desc(), col(TrustedDocument.sha256))
    return list(await session.exec(query))
