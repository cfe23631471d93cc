"""Which documents a filter lets through."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, literal, or_
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Document, DocumentTag
from kyrochat.retrieval.search_settings import DocumentFilter, MetadataCondition

Condition = ColumnElement[bool]


async def matching(session: AsyncSession, bot_id: UUID, wanted: DocumentFilter) -> Sequence[UUID]:
    """Return the bot's searched documents that the filter lets through, in no order. Foreign ids match nothing."""
    query = select(Document.id).where(
        Document.bot_id == bot_id,
        col(Document.deleted_at).is_(None),
        col(Document.live_version).is_not(None),
        *conditions(bot_id, wanted),
    )
    return (await session.exec(query)).all()


def conditions(bot_id: UUID, wanted: DocumentFilter) -> list[Condition]:
    """Return what must hold of a document of the bot, for a query on documents."""
    found: list[Condition] = []
    if wanted.document_ids is not None:
        found.append(col(Document.id).in_(wanted.document_ids))
    if wanted.sources is not None:
        found.append(col(Document.source).in_(wanted.sources))
    if wanted.any_tags is not None:
        found.append(_has_tag(bot_id, wanted.any_tags))
    for tag in wanted.all_tags or ():
        found.append(_has_tag(bot_id, [tag]))
    found += [_holds(condition) for condition in wanted.metadata]
    return found


def _has_tag(bot_id: UUID, tags: Sequence[str]) -> Condition:
    # Through a table with a plain index: row-level security keeps those on arrays and JSON from being used, since
    # their operators are not leakproof.
    tagged = select(DocumentTag.document_id).where(DocumentTag.bot_id == bot_id, col(DocumentTag.tag).in_(tags))
    return col(Document.id).in_(tagged)


def _holds(condition: MetadataCondition) -> Condition:
    value = col(Document.attributes)[condition.key]
    found: list[Condition] = []
    if condition.exists is not None:
        has_key = col(Document.attributes).has_key(condition.key)  # type: ignore[attr-defined]  # JSONB has it
        found.append(has_key if condition.exists else ~has_key)
    if condition.equals is not None:
        found.append(_is_or_has(value, condition.equals))
    if condition.any_of is not None:
        found.append(or_(false(), *(_is_or_has(value, each) for each in condition.any_of)))
    for bound, is_least in ((condition.at_least, True), (condition.at_most, False)):
        if bound is not None:
            # JSON sorts all numbers before all texts: only values of the bound's kind are to be compared.
            kind = "string" if isinstance(bound, str) else "number"
            limit = literal(bound, JSONB)
            found.append(and_(func.jsonb_typeof(value) == kind, value >= limit if is_least else value <= limit))
    return and_(*found)


def _is_or_has(value: ColumnElement[object], wanted: object) -> Condition:
    # Containment: of a list its items, of anything else itself.
    return value.op("@>", is_comparison=True)(literal(wanted, JSONB))
