"""The closed sets of values, as the schema shows and explains them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import strawberry
from strawberry.types.enum import has_enum_definition

from kyrochat.accounts.user_repository import UserStatus
from kyrochat.db.states import (
    ApiKeyScope,
    DocumentDeletionStatus,
    DocumentSource,
    DocumentStage,
    DocumentStatus,
    MessageRole,
    MessageStatus,
    WorkspaceRole,
)

__all__ = [
    "ApiKeyScope",
    "DocumentDeletionStatus",
    "DocumentSource",
    "DocumentStage",
    "DocumentStatus",
    "MessageRole",
    "MessageStatus",
    "UserStatus",
    "WorkspaceRole",
]

E = TypeVar("E", bound=StrEnum)


def _explained(kind: type[E], description: str, values: Mapping[E, str]) -> None:
    """Make a GraphQL enum of a set of states; every value must be explained."""
    explained = {member.name: values[member] for member in kind}
    strawberry.enum(kind, description=description)
    assert has_enum_definition(kind)
    for value in kind.__strawberry_definition__.values:
        value.description = explained[value.name]


_explained(
    WorkspaceRole,
    "What a member may do in a workspace.",
    {
        WorkspaceRole.OWNER: "Everything, members and deletion included.",
        WorkspaceRole.EDITOR: "Change bots and documents, and chat.",
        WorkspaceRole.VIEWER: "Look and chat.",
    },
)

_explained(
    ApiKeyScope,
    "What an API key is good for.",
    {
        ApiKeyScope.READ: "See bots with their settings, read documents, and search.",
        ApiKeyScope.CHAT: "Chat with bots, and read and delete conversations; of bots only what visitors see.",
        ApiKeyScope.INGEST: "Add, retry, read and delete documents.",
        ApiKeyScope.ADMIN: "All of that, and create, change and delete bots, see members and read the audit log.",
    },
)

_explained(
    UserStatus,
    "Whether an account works.",
    {
        UserStatus.ACTIVE: "It works.",
        UserStatus.DISABLED: "An administrator has disabled it: nobody can sign in, and its keys do not work.",
    },
)

_explained(
    DocumentSource,
    "How a document came in.",
    {
        DocumentSource.TEXT: "As text in a mutation.",
        DocumentSource.UPLOAD: "As a file.",
        DocumentSource.WEB: "From a web address.",
    },
)

_explained(
    DocumentStatus,
    "Where a document stands.",
    {
        DocumentStatus.QUEUED: "Waits for a worker.",
        DocumentStatus.PROCESSING: "Is being read and indexed.",
        DocumentStatus.READY: "Can be found.",
        DocumentStatus.FAILED: "Could not be read; `failure` says why and what to do.",
        DocumentStatus.DELETING: "Deleted: not found any more, its content is being removed.",
    },
)

_explained(
    DocumentStage,
    "What is being done for a document. With the status FAILED it is what failed.",
    {
        DocumentStage.WAITING: "Nothing yet: it waits for a worker, for its next attempt, or while its bot is paused.",
        DocumentStage.FETCHING: "Its web page is being fetched.",
        DocumentStage.READING: "Its file is being read.",
        DocumentStage.INDEXING: "Its text is being cut into passages and indexed.",
        DocumentStage.DONE: "Nothing more.",
    },
)

_explained(
    DocumentDeletionStatus,
    "How far the removal of a deleted document's content is.",
    {
        DocumentDeletionStatus.PENDING: "It cannot be found any more; its content is being removed.",
        DocumentDeletionStatus.VERIFIED: "Its content was removed, and a search for it found nothing.",
    },
)

_explained(
    MessageRole,
    "Who wrote a message.",
    {MessageRole.USER: "The user: a question.", MessageRole.ASSISTANT: "The bot: an answer."},
)

_explained(
    MessageStatus,
    "Where a message stands. All but STREAMING are final; questions are COMPLETED.",
    {
        MessageStatus.STREAMING: "Is being written.",
        MessageStatus.COMPLETED: "Written to its end.",
        MessageStatus.STOPPED: "Stopped by `stopAnswer`; the text so far is kept.",
        MessageStatus.INTERRUPTED: "The server died while answering; the text so far is kept.",
        MessageStatus.FAILED: "The model failed; the text so far is kept.",
    },
)
