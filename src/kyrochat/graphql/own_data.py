"""Taking one's data along, and deleting one's account, in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry

from kyrochat.graphql.context import Info
from kyrochat.graphql.credentials import CURRENT
from kyrochat.graphql.ids import global_id
from kyrochat.graphql.problems import ConflictProblem, InvalidCredentialsProblem, RateLimitedProblem


@strawberry.type(description="Where your data can be fetched from, as one ZIP archive.")
class AccountExport:
    """From export.ExportLink."""

    url: str = strawberry.field(description="Get it with a browser or with curl; whoever has it gets the archive.")
    expires_at: datetime = strawberry.field(description="When the link stops working: five minutes from now.")


@strawberry.type(description="An account that does not work any more. What was in it is being removed.")
class DeletedAccount:
    """From erasure.Erasure."""

    user_id: strawberry.ID = strawberry.field(description="The id that the person had.")


@strawberry.input(description="Your account, which shall go for good.")
class DeleteAccountInput:
    """For `deleteAccount`."""

    current_password: str = strawberry.field(description=CURRENT)


ExportAccountResult = Annotated[
    AccountExport | RateLimitedProblem,
    strawberry.union("ExportAccountResult", description="The link, or why there is none."),
]
DeleteAccountResult = Annotated[
    DeletedAccount | InvalidCredentialsProblem | ConflictProblem | RateLimitedProblem,
    strawberry.union("DeleteAccountResult", description="The account has ended, or why not."),
]


@strawberry.type
class OwnDataMutation:
    """Mutations on all of one's data."""

    @strawberry.mutation(
        description="Make a link to all of your data: your account, sessions, API keys without their secrets, what the "
        "audit log says of you, your conversations with messages and citations, and of the workspaces that you own the "
        "bots and documents, with extracted texts and original files."
    )
    async def export_account(self, info: Info) -> ExportAccountResult:
        """Make the link."""
        link = await info.context.services.exports.link(info.context.viewer)
        return AccountExport(url=link.url, expires_at=link.expires_at)

    @strawberry.mutation(
        description="Delete your account. It ends at once, with your sessions, API keys and open sockets, and so do "
        "workspaces in which you are alone. A job then removes your conversations, and with these workspaces all bots, "
        "documents, files and vectors. Workspaces that others own too stay, without you. Where others are and nobody "
        "else is owner, make somebody owner first, or delete the workspace. This cannot be taken back."
    )
    async def delete_account(
        self, info: Info, input: Annotated[DeleteAccountInput, strawberry.argument(description="To show it is you.")]
    ) -> DeleteAccountResult:
        """Delete."""
        erasure = await info.context.services.erasure.delete_own(info.context.viewer, input.current_password)
        return DeletedAccount(user_id=global_id("User", erasure.user_id))
