"""Tables of accounts: users, their sessions, and the workspaces that they belong to."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, ForeignKey, Index, LargeBinary, UniqueConstraint, Uuid
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import key, moment, now, one_of, text_
from kyrochat.db.states import WorkspaceRole


class User(SQLModel, table=True):
    """A person. `email` is stored in lower case."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email", name="users_email_key"),)

    id: UUID = key()
    email: str = text_()
    name: str = text_()
    password_hash: str = text_()
    is_admin: bool = Field(default=False)
    created_at: datetime = now()
    # Set: nothing of the account works, whatever credential it comes with.
    disabled_at: datetime | None = moment()


class UserSession(SQLModel, table=True):
    """A sign-in. Only the hash of its current refresh token is stored.

    `expires_at` ends it in any case; so does a long time without a refresh after `refreshed_at`.
    """

    __tablename__ = "user_sessions"
    __table_args__ = (
        UniqueConstraint("refresh_hash", name="user_sessions_refresh_hash_key"),
        Index("user_sessions_user_id_idx", "user_id"),
    )

    id: UUID = key()
    user_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False))
    refresh_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = now()
    refreshed_at: datetime = now()
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    revoked_at: datetime | None = moment()
    # Where it was opened, for the person to recognise it by.
    address: str = text_()
    user_agent: str = text_()


class UsedRefreshToken(SQLModel, table=True):
    """The hash of a refresh token that was exchanged.

    Whoever brings it again lost the answer, if that is soon after; otherwise he is not the only one who has it.
    """

    __tablename__ = "used_refresh_tokens"
    __table_args__ = (Index("used_refresh_tokens_session_id_idx", "session_id"),)

    token_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    session_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("user_sessions.id", ondelete="CASCADE"), nullable=False))
    used_at: datetime = now()


class PasswordReset(SQLModel, table=True):
    """A link that sets a new password, once. Only its token's hash is stored."""

    __tablename__ = "password_resets"
    __table_args__ = (
        UniqueConstraint("token_hash", name="password_resets_token_hash_key"),
        Index("password_resets_user_id_idx", "user_id"),
    )

    id: UUID = key()
    user_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False))
    token_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = now()
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    used_at: datetime | None = moment()


class Workspace(SQLModel, table=True):
    """A tenant."""

    __tablename__ = "workspaces"

    id: UUID = key()
    name: str = text_()
    created_at: datetime = now()


class WorkspaceMember(SQLModel, table=True):
    """Who belongs to a workspace, and as what."""

    __tablename__ = "workspace_members"
    __table_args__ = (Index("workspace_members_user_id_idx", "user_id"),)

    workspace_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)
    )
    user_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True))
    role: WorkspaceRole = one_of(WorkspaceRole.OWNER)
    created_at: datetime = now()
    # The workspace that a registration made, used where an input names none.
    is_personal: bool = Field(default=False)
