"""How an invitation is used up: by somebody who has an account, or with the account that he makes."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import invitation_repository as repository
from kyrochat.accounts import workspace_repository as workspaces
from kyrochat.db.models import Invitation, WorkspaceMember


async def take_invitation(session: AsyncSession, hashed: bytes, email: str) -> Invitation | None:
    """Use up the invitation of a token for whoever has that address, and return it as it was.

    None, when it is unknown, used, revoked or expired, its maker may not invite any more, or it is for another
    address: these all look alike. The session has been begun with the hash as its `credential`.
    """
    found = await repository.by_token(session, hashed)
    if found is None or found.email not in ("", email):
        return None
    # The workspace first, in the order of those who shut it: then it is either there, or its invitations are gone.
    if found.workspace_id is not None and await workspaces.lock(session, found.workspace_id) is None:
        return None
    return await repository.take(session, hashed)


async def join(session: AsyncSession, invitation: Invitation, user_id: UUID) -> bool:
    """Make a user a member of the workspace that he is invited to; False when he is one already."""
    row = {"workspace_id": invitation.workspace_id, "user_id": user_id, "role": invitation.role, "is_personal": False}
    statement = insert(WorkspaceMember).values(row).on_conflict_do_nothing()
    return (await session.exec(statement)).rowcount == 1
