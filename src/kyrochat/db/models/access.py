"""Tables of what lets people and programs in, and of who did what."""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import json_list, key, moment, now, one_of, owned_by, tenant, text_, uuid_
from kyrochat.db.states import WorkspaceRole


class ApiKey(SQLModel, table=True):
    """A program's way in: what its creator may do in one workspace, less what its scopes leave out.

    Only the hash of the secret is stored; 256 random bits need no slow one.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="api_keys_id_workspace_id_key"),
        UniqueConstraint("secret_hash", name="api_keys_secret_hash_key"),
        owned_by("bots", "bot_id", name="api_keys_bot_fkey"),
        Index("api_keys_workspace_id_id_idx", "workspace_id", "id"),
        Index("api_keys_created_by_idx", "created_by"),
    )

    id: UUID = key()
    workspace_id: UUID = tenant()
    created_by: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False))
    name: str = text_()
    # The start of the secret, to tell keys apart.
    prefix: str = text_()
    secret_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    # Names of states.ApiKeyScope.
    scopes: list[str] = json_list()
    # Null: all bots of the workspace.
    bot_id: UUID | None = uuid_(nullable=True)
    # Empty: no browser may use it.
    allowed_origins: list[str] = json_list()
    daily_token_budget: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    created_at: datetime = now()
    expires_at: datetime | None = moment()
    last_used_at: datetime | None = moment()
    revoked_at: datetime | None = moment()


class ApiKeyUsage(SQLModel, table=True):
    """Tokens of a model that a key's answers took on one day, in UTC."""

    __tablename__ = "api_key_usage"
    __table_args__ = (owned_by("api_keys", "api_key_id", name="api_key_usage_api_key_fkey"),)

    api_key_id: UUID = uuid_(primary=True)
    day: date = Field(sa_column=Column(Date, primary_key=True))
    workspace_id: UUID = uuid_()
    tokens: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))


class Invitation(SQLModel, table=True):
    """A link that lets one person in: into a workspace, or, without one, to register on this server.

    Only its token's hash is stored. Accepting or revoking it deletes the row, with the address that it may hold.
    """

    __tablename__ = "invitations"
    __table_args__ = (
        UniqueConstraint("token_hash", name="invitations_token_hash_key"),
        Index("invitations_workspace_id_id_idx", "workspace_id", "id"),
        Index("invitations_created_by_idx", "created_by"),
    )

    id: UUID = key()
    workspace_id: UUID | None = Field(
        default=None, sa_column=Column(Uuid, ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=True)
    )
    role: WorkspaceRole = one_of(WorkspaceRole.VIEWER)
    # Empty: whoever has the link.
    email: str = text_()
    token_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    # Null: the operator, at the command line.
    created_by: UUID | None = Field(
        default=None, sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=True)
    )
    created_at: datetime = now()
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class AuditEntry(SQLModel, table=True):
    """Who did what to which object, from where, and when. Append-only: a trigger refuses changes.

    Entries without a workspace are the site's. The rows of a deleted account stay, without the person: its foreign
    keys are emptied, and the trigger empties the address with them.
    """

    __tablename__ = "audit_entries"
    # An INSERT that returns something must be allowed to see the row, and who writes for the site may not.
    __mapper_args__: ClassVar[dict[str, bool]] = {"eager_defaults": False}
    __table_args__ = (
        ForeignKeyConstraint(["actor_id"], ["users.id"], ondelete="SET NULL", name="audit_entries_actor_fkey"),
        ForeignKeyConstraint(["subject_id"], ["users.id"], ondelete="SET NULL", name="audit_entries_subject_fkey"),
        Index("audit_entries_workspace_id_id_idx", "workspace_id", "id"),
        Index("audit_entries_actor_id_id_idx", "actor_id", "id"),
        Index("audit_entries_subject_id_id_idx", "subject_id", "id"),
        Index("audit_entries_object_id_id_idx", "object_id", "id"),
        Index("audit_entries_act_id_idx", "act", "id"),
    )

    id: UUID = key()
    workspace_id: UUID | None = Field(
        default=None, sa_column=Column(Uuid, ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=True)
    )
    # A name of accounts.audit.Act.
    act: str = text_()
    actor_id: UUID | None = uuid_(nullable=True)
    # The key that the actor used, if it was one.
    api_key_id: UUID | None = uuid_(nullable=True)
    # The user whom it was done to.
    subject_id: UUID | None = uuid_(nullable=True)
    # The GraphQL type and the row's id of any other object.
    object_type: str | None = text_(None)
    object_id: UUID | None = uuid_(nullable=True)
    address: str | None = text_(None)
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    created_at: datetime = now()


class Installation(SQLModel, table=True):
    """What all processes of one database must agree on, by name."""

    __tablename__ = "installation"

    name: str = Field(primary_key=True)
    value: str = text_()
