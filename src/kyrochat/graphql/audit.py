"""The audit log in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.accounts.audit import AuditAct
from kyrochat.accounts.audit_repository import Wanted
from kyrochat.db import models
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import explained
from kyrochat.graphql.ids import NOBODYS_ID, global_id, optional_row_id, split_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.people import Person
from kyrochat.graphql.translate import translate
from kyrochat.graphql.workspaces import Workspace

explained(
    AuditAct,
    "What the audit log tells of.",
    {
        AuditAct.ACCOUNT_REGISTERED: "An account was made.",
        AuditAct.SIGNED_IN: "Somebody signed in with a password.",
        AuditAct.SIGN_IN_FAILED: "A password was wrong; the subject is whose it should have been, if anybody's.",
        AuditAct.SIGNED_OUT: "Somebody ended the own session.",
        AuditAct.SESSIONS_ENDED: "Somebody ended other sessions of the own account.",
        AuditAct.REFRESH_TOKEN_REUSED: "A refresh token came that was used before: its session was ended.",
        AuditAct.PASSWORD_CHANGED: "Somebody changed the own password.",
        AuditAct.PASSWORD_RESET_REQUESTED: "A link to set a new password was made for an account.",
        AuditAct.PASSWORD_RESET: "A new password was set with such a link.",
        AuditAct.EMAIL_CHANGED: "Somebody changed the own e-mail address.",
        AuditAct.ACCOUNT_EXPORTED: "Somebody asked for all that is stored of the own account, or the operator took it.",
        AuditAct.ACCOUNT_DELETED: "An account was deleted.",
        AuditAct.USER_DISABLED: "An administrator shut an account out.",
        AuditAct.USER_ENABLED: "An administrator let an account in again.",
        AuditAct.USER_ROLE_CHANGED: "An administrator made somebody an administrator, or no longer one.",
        AuditAct.WORKSPACE_CREATED: "A workspace was made.",
        AuditAct.WORKSPACE_CHANGED: "A workspace was changed.",
        AuditAct.WORKSPACE_DELETED: "A workspace was deleted with all that was in it, its own log included.",
        AuditAct.INVITATION_CREATED: "Somebody was invited.",
        AuditAct.INVITATION_REVOKED: "An invitation was taken back.",
        AuditAct.INVITATION_ACCEPTED: "Somebody came with an invitation.",
        AuditAct.MEMBER_ROLE_CHANGED: "A member of a workspace was given another role.",
        AuditAct.MEMBER_REMOVED: "A member was removed from a workspace, or left it.",
        AuditAct.API_KEY_CREATED: "An API key was made.",
        AuditAct.API_KEY_REVOKED: "An API key was revoked.",
        AuditAct.BOT_CREATED: "A bot was made.",
        AuditAct.BOT_CHANGED: "A bot was changed; the details name the fields, not their values.",
        AuditAct.BOT_DELETED: "A bot was deleted with its documents and conversations.",
        AuditAct.BOT_TOOL_SET: "A bot was given a tool, or one was changed; the details name its headers.",
        AuditAct.BOT_TOOL_REMOVED: "A tool was taken from a bot.",
        AuditAct.DOCUMENT_REPLACED: "A document was given new content; the file before it is not kept.",
        AuditAct.DOCUMENT_DELETED: "A document was deleted.",
        AuditAct.CONVERSATION_DELETED: "A conversation was deleted.",
        AuditAct.CONVERSATION_SHARED: "A link was made by which anybody can read a conversation.",
        AuditAct.SHARE_REVOKED: "A link to a conversation was made worthless.",
    },
)


@strawberry.type(description="A circumstance of an act. It is never a secret, nor words of a document or a question.")
class AuditDetail:
    """A pair of models.AuditEntry.details."""

    name: str = strawberry.field(description="What the value is, e.g. `scopes`.")
    values: list[str] = strawberry.field(description="The value, or several of them.")


@strawberry.type(description="Who did what, to what, from where, and when. Entries are never changed.")
class AuditEntry(Node):
    """From models.AuditEntry."""

    row: strawberry.Private[models.AuditEntry]
    act: AuditAct = strawberry.field(description="What was done.")
    object_type: str | None = strawberry.field(description="The type of the object that it was done to, if any.")
    object_id: strawberry.ID | None = strawberry.field(description="The id that the object has, or had.")
    api_key_id: strawberry.ID | None = strawberry.field(description="The API key that was used, if it was one.")
    address: str | None = strawberry.field(
        description="The network address that it came from; null at the server's command line, and once the actor's "
        "account is deleted."
    )
    created_at: datetime = strawberry.field(description="When it was done.")
    workspace_id: strawberry.ID | None = strawberry.field(
        description="The workspace that it concerns; null for what concerns accounts and the server."
    )

    @classmethod
    def from_row(cls, row: models.AuditEntry) -> "AuditEntry":
        """Translate."""
        return cls(
            id=global_id("AuditEntry", row.id),
            row=row,
            act=AuditAct(row.act),
            object_type=row.object_type,
            object_id=global_id(row.object_type, row.object_id) if row.object_type and row.object_id else None,
            api_key_id=global_id("ApiKey", row.api_key_id) if row.api_key_id else None,
            address=row.address,
            created_at=row.created_at,
            workspace_id=global_id("Workspace", row.workspace_id) if row.workspace_id else None,
        )

    @strawberry.field(description="Who did it; null for whoever was not signed in, and for deleted accounts.")
    async def actor(self, info: Info) -> Person | None:
        """Load."""
        row = await info.context.people.load(self.row.actor_id) if self.row.actor_id else None
        return Person.from_row(row) if row else None

    @strawberry.field(description="The person whom it was done to, if it was done to one whose account exists.")
    async def subject(self, info: Info) -> Person | None:
        """Load."""
        row = await info.context.people.load(self.row.subject_id) if self.row.subject_id else None
        return Person.from_row(row) if row else None

    @strawberry.field(description="What the API key is called that was used; null when it is gone.")
    async def api_key_name(self, info: Info) -> str | None:
        """Load."""
        row = self.row
        if row.api_key_id is None or row.workspace_id is None:
            return None
        return await info.context.key_names.load((row.workspace_id, row.api_key_id))

    @strawberry.field(description="The workspace that it concerns, if you belong to it.")
    async def workspace(self, info: Info) -> Workspace | None:
        """Load."""
        row = await info.context.workspaces.load(self.row.workspace_id) if self.row.workspace_id else None
        return Workspace.from_row(row, info.context) if row else None

    @strawberry.field(description="Circumstances, e.g. the role that was given.")
    def details(self) -> list[AuditDetail]:
        """Translate."""
        return [AuditDetail(name=name, values=_texts(value)) for name, value in sorted(self.row.details.items())]


@translate.register
def _(row: models.AuditEntry, context: Context) -> AuditEntry:
    del context
    return AuditEntry.from_row(row)


@strawberry.type
class AuditQuery:
    """Queries on the audit log."""

    @strawberry.field(
        description="The audit log, newest first: of a workspace that you own; for administrators of this server, in "
        "person, of any workspace, or of the whole server when none is named."
    )
    async def audit_log(
        self,
        info: Info,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        workspace_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="The workspace. By default your personal one, a key's own, or, for administrators, all."
            ),
        ] = UNSET,
        acts: Annotated[list[AuditAct] | None, strawberry.argument(description="Only these acts.")] = UNSET,
        actor_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only what this `User` did.")
        ] = UNSET,
        object_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only what was done to this object, which need not exist any more."),
        ] = UNSET,
        since: Annotated[datetime | None, strawberry.argument(description="Only from this time on.")] = UNSET,
        until: Annotated[datetime | None, strawberry.argument(description="Only before this time.")] = UNSET,
    ) -> Connection[AuditEntry]:
        """Page."""
        log, viewer = info.context.services.audit, info.context.viewer
        wanted = Wanted(
            workspace_id=optional_row_id("Workspace", workspace_id),
            acts=acts or (),
            actor_id=optional_row_id("User", actor_id),
            of=None if object_id in (None, UNSET) else split_id(object_id) or ("", NOBODYS_ID),
            since=since or None,
            until=until or None,
        )
        page = await log.page(viewer, wanted, page_request(first, after, last, before))
        return connection(page, AuditEntry.from_row, lambda: log.count(viewer, wanted))


def _texts(value: object) -> list[str]:
    match value:
        case list():
            return [text for one in value for text in _texts(one)]
        case bool():
            return ["true" if value else "false"]
        case _:
            return [str(value)]
