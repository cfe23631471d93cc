"""Queries on API keys, and on the tokens that their answers took."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import func, or_, text
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import ApiKey, ApiKeyUsage, Bot, User, WorkspaceMember
from kyrochat.db.states import WorkspaceRole
from kyrochat.db.tenancy import Reach

# A key that is used all the time must not write all the time.
_NOTED_EVERY = timedelta(minutes=1)

# A key is as good as its creator is now: his account works, and he belongs to the workspace.
_LIVE = (
    select(ApiKey, WorkspaceMember.role)
    .join(User, col(User.id) == ApiKey.created_by)
    .join(
        WorkspaceMember,
        (col(WorkspaceMember.user_id) == ApiKey.created_by)
        & (col(WorkspaceMember.workspace_id) == ApiKey.workspace_id),
    )
    .where(
        col(ApiKey.revoked_at).is_(None),
        or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > func.now()),
        col(User.disabled_at).is_(None),
    )
)


async def live_key(session: AsyncSession, hashed: bytes) -> tuple[ApiKey, WorkspaceRole] | None:
    """Return the key of a secret with its creator's role now, or None when either does not hold any more.

    The session must have been begun with the same hash as its `credential`.
    """
    found = (await session.exec(_LIVE.where(ApiKey.secret_hash == hashed))).one_or_none()
    return None if found is None else (found[0], WorkspaceRole(found[1]))


async def still_live(session: AsyncSession, key_ids: Sequence[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Return those of the keys that are still good, each with its workspace. The session must see the workspaces."""
    found = await session.exec(_LIVE.where(col(ApiKey.id).in_(key_ids)))
    return {key.id: frozenset({key.workspace_id}) for key, _ in found}


async def note_use(session: AsyncSession, key_id: UUID) -> None:
    """Note that a key was used now, to the minute. Nobody waits for it: whoever comes second leaves it to the first."""
    unnoted = or_(col(ApiKey.last_used_at).is_(None), col(ApiKey.last_used_at) < func.now() - _NOTED_EVERY)
    free = select(ApiKey.id).where(ApiKey.id == key_id, unnoted).with_for_update(skip_locked=True, key_share=True)
    await session.exec(update(ApiKey).where(col(ApiKey.id).in_(free)).values(last_used_at=func.now()))


async def get(session: AsyncSession, key_id: UUID, *, reach: Reach) -> ApiKey | None:
    """Return the key, locked for a change, if it is in one of the workspaces: absent and foreign look the same."""
    query = select(ApiKey).where(ApiKey.id == key_id, reach.covers(ApiKey)).with_for_update()
    return (await session.exec(query)).one_or_none()


async def many(session: AsyncSession, key_ids: Sequence[UUID], *, reach: Reach) -> Sequence[ApiKey]:
    """Return those of the keys that are in the workspaces, in no order."""
    return (await session.exec(select(ApiKey).where(col(ApiKey.id).in_(key_ids), reach.covers(ApiKey)))).all()


async def page_of(session: AsyncSession, request: PageRequest, *, reach: Reach) -> Page[ApiKey]:
    """Return one page of the workspaces' keys, newest first, revoked ones too."""
    return await page(session, select(ApiKey).where(reach.covers(ApiKey)), ApiKey.id, request)


async def count(session: AsyncSession, *, reach: Reach) -> int:
    """Return how many keys `page_of` leads through."""
    return (await session.exec(select(func.count()).select_from(ApiKey).where(reach.covers(ApiKey)))).one()


async def count_unrevoked(session: AsyncSession, workspace_id: UUID) -> int:
    """Return how many of a workspace's keys were not revoked, expired ones too."""
    query = select(func.count()).where(ApiKey.workspace_id == workspace_id, col(ApiKey.revoked_at).is_(None))
    return (await session.exec(query)).one()


async def keep_bot(session: AsyncSession, bot_id: UUID, *, reach: Reach) -> bool:
    """Say whether the bot is there, and keep it from being deleted until the transaction ends."""
    query = select(Bot.id).where(Bot.id == bot_id, reach.covers(Bot), col(Bot.deleted_at).is_(None))
    return (await session.exec(query.with_for_update(read=True, key_share=True))).first() is not None


async def tokens_used(session: AsyncSession, key_ids: Sequence[UUID], day: date) -> dict[UUID, int]:
    """Return how many tokens the keys' answers took on a day; keys without any are left out."""
    query = select(ApiKeyUsage.api_key_id, ApiKeyUsage.tokens).where(
        col(ApiKeyUsage.api_key_id).in_(key_ids), ApiKeyUsage.day == day
    )
    return dict((await session.exec(query)).all())


async def add_tokens_used(session: AsyncSession, key_id: UUID, workspace_id: UUID, day: date, tokens: int) -> None:
    """Add to what a key's answers took on a day."""
    await (await session.connection()).execute(
        _ADD_TOKENS, {"key_id": key_id, "workspace_id": workspace_id, "day": day, "tokens": tokens}
    )


_ADD_TOKENS = text("""
    INSERT INTO api_key_usage AS used (api_key_id, workspace_id, day, tokens)
    VALUES (:key_id, :workspace_id, :day, :tokens)
    ON CONFLICT (api_key_id, day) DO UPDATE SET tokens = used.tokens + excluded.tokens
""")
