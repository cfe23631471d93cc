"""Tokens that an API key may spend a day, in UTC: noted when an answer ends, checked before the next one begins."""

from datetime import UTC, date, datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import key_repository
from kyrochat.accounts.viewer import Viewer
from kyrochat.errors import QuotaExceeded


async def must_have_budget(session: AsyncSession, viewer: Viewer) -> None:
    """Check that the viewer's key, if it is one, has tokens left today. The answers under way may still overdraw it.

    Raises:
        QuotaExceeded: it has not.
    """
    if viewer.key is None or viewer.key.daily_token_budget is None:
        return
    used = await key_repository.tokens_used(session, [viewer.key.key_id], today())
    if used.get(viewer.key.key_id, 0) >= viewer.key.daily_token_budget:
        raise QuotaExceeded("This API key has used up its tokens of today. They are counted anew at midnight, in UTC.")


async def charge_key(session: AsyncSession, key_id: UUID, workspace_id: UUID, tokens: int) -> None:
    """Note tokens that an answer for a key took. The session must see the workspace."""
    await key_repository.add_tokens_used(session, key_id, workspace_id, today(), tokens)


def today() -> date:
    """Return the day that budgets count by."""
    return datetime.now(UTC).date()
