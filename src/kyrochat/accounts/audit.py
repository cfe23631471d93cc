"""The audit log: each act that concerns security or destroys something, in the transaction that does it."""

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.viewer import Client, Operator, Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.models import AuditEntry

MAX_ADDRESS_CHARS = 64


class AuditAct(StrEnum):
    """What the log tells of."""

    ACCOUNT_REGISTERED = "ACCOUNT_REGISTERED"
    SIGNED_IN = "SIGNED_IN"
    SIGN_IN_FAILED = "SIGN_IN_FAILED"
    SIGNED_OUT = "SIGNED_OUT"
    SESSIONS_ENDED = "SESSIONS_ENDED"
    REFRESH_TOKEN_REUSED = "REFRESH_TOKEN_REUSED"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"
    PASSWORD_RESET_REQUESTED = "PASSWORD_RESET_REQUESTED"
    PASSWORD_RESET = "PASSWORD_RESET"
    EMAIL_CHANGED = "EMAIL_CHANGED"
    ACCOUNT_EXPORTED = "ACCOUNT_EXPORTED"
    ACCOUNT_DELETED = "ACCOUNT_DELETED"
    USER_DISABLED = "USER_DISABLED"
    USER_ENABLED = "USER_ENABLED"
    USER_ROLE_CHANGED = "USER_ROLE_CHANGED"
    WORKSPACE_CREATED = "WORKSPACE_CREATED"
    WORKSPACE_CHANGED = "WORKSPACE_CHANGED"
    WORKSPACE_DELETED = "WORKSPACE_DELETED"
    INVITATION_CREATED = "INVITATION_CREATED"
    INVITATION_REVOKED = "INVITATION_REVOKED"
    INVITATION_ACCEPTED = "INVITATION_ACCEPTED"
    MEMBER_ROLE_CHANGED = "MEMBER_ROLE_CHANGED"
    MEMBER_REMOVED = "MEMBER_REMOVED"
    API_KEY_CREATED = "API_KEY_CREATED"
    API_KEY_REVOKED = "API_KEY_REVOKED"
    BOT_CREATED = "BOT_CREATED"
    BOT_CHANGED = "BOT_CHANGED"
    BOT_DELETED = "BOT_DELETED"
    BOT_TOOL_SET = "BOT_TOOL_SET"
    BOT_TOOL_REMOVED = "BOT_TOOL_REMOVED"
    DOCUMENT_REPLACED = "DOCUMENT_REPLACED"
    DOCUMENT_DELETED = "DOCUMENT_DELETED"
    CONVERSATION_DELETED = "CONVERSATION_DELETED"
    CONVERSATION_SHARED = "CONVERSATION_SHARED"
    SHARE_REVOKED = "SHARE_REVOKED"


def record(
    session: AsyncSession,
    act: AuditAct,
    by: Viewer | Operator | Client,
    *,
    actor_id: UUID | None = None,
    workspace_id: UUID | None = None,
    subject_id: UUID | None = None,
    of: tuple[str, UUID] | None = None,
    details: Mapping[str, str | int | bool | list[str]] | None = None,
) -> None:
    """Add an entry to the caller's transaction: it is there if, and only if, what it tells of is.

    `by` is who did it; of somebody who is not signed in, his client, and `actor_id` if that is known. `of` is the
    GraphQL type and the row's id of the object. `details` hold roles, scopes and the names of changed fields: never a
    secret, an e-mail address, or words of a document, a question or a bot. Visitors of a web page with a key have no
    account whose deletion would empty their addresses, so these are left out.
    """
    client = by if isinstance(by, Client) else by.client
    object_type, object_id = of or (None, None)
    is_visitor = isinstance(by, Viewer) and by.key is not None and by.key.is_public
    session.add(
        AuditEntry(
            id=new_id(),
            workspace_id=workspace_id,
            act=act,
            actor_id=by.user_id if isinstance(by, Viewer) else actor_id,
            api_key_id=by.key_id if isinstance(by, Viewer) else None,
            subject_id=subject_id,
            object_type=object_type,
            object_id=object_id,
            address=None if is_visitor else client.address[:MAX_ADDRESS_CHARS] or None,
            details=dict(details or {}),
        )
    )
