"""The closed sets of values, as the schema shows and explains them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import strawberry
from strawberry.types.enum import has_enum_definition

from kyrochat.accounts.user_repository import UserStatus
from kyrochat.chat.conversations import ExportFormat
from kyrochat.db.states import (
    ApiKeyScope,
    CrawlPageState,
    CrawlStatus,
    DocumentDeletionStatus,
    DocumentSource,
    DocumentStage,
    DocumentStatus,
    EvaluationStatus,
    FinishReason,
    MessageRole,
    MessageStatus,
    Rating,
    ToolMethod,
    WorkspaceRole,
)
from kyrochat.retrieval.languages import Language
from kyrochat.retrieval.search_settings import Leg as SearchLeg
from kyrochat.retrieval.trace import Fate as CandidateFate
from kyrochat.retrieval.trace import LegStatus as SearchLegStatus

__all__ = [
    "ApiKeyScope",
    "CandidateFate",
    "CrawlPageState",
    "CrawlStatus",
    "DocumentDeletionStatus",
    "DocumentSource",
    "DocumentStage",
    "DocumentStatus",
    "EvaluationStatus",
    "ExportFormat",
    "FinishReason",
    "Language",
    "MessageRole",
    "MessageStatus",
    "Rating",
    "SearchLeg",
    "SearchLegStatus",
    "ToolMethod",
    "UserStatus",
    "WorkspaceRole",
    "explained",
]

E = TypeVar("E", bound=StrEnum)


def explained(kind: type[E], description: str, values: Mapping[E, str], *, name: str | None = None) -> None:
    """Make a GraphQL enum of a set of states; every value must be explained."""
    words = {member.name: values[member] for member in kind}
    strawberry.enum(kind, name=name, description=description)
    assert has_enum_definition(kind)
    for value in kind.__strawberry_definition__.values:
        value.description = words[value.name]


explained(
    WorkspaceRole,
    "What a member may do in a workspace.",
    {
        WorkspaceRole.OWNER: "Everything, members and deletion included.",
        WorkspaceRole.EDITOR: "Change bots and documents, and chat.",
        WorkspaceRole.VIEWER: "Look and chat.",
    },
)

explained(
    ApiKeyScope,
    "What an API key is good for.",
    {
        ApiKeyScope.READ: "See bots with their settings, read documents, and search.",
        ApiKeyScope.CHAT: "Chat with bots, and read and delete conversations; of bots only what visitors see.",
        ApiKeyScope.INGEST: "Add, retry, read and delete documents.",
        ApiKeyScope.ADMIN: "All of that, and create, change and delete bots, see members and read the audit log.",
    },
)

explained(
    UserStatus,
    "Whether an account works.",
    {
        UserStatus.ACTIVE: "It works.",
        UserStatus.DISABLED: "An administrator has disabled it: nobody can sign in, and its keys do not work.",
    },
)

explained(
    DocumentSource,
    "How a document came in.",
    {
        DocumentSource.TEXT: "As text in a mutation.",
        DocumentSource.UPLOAD: "As a file.",
        DocumentSource.WEB: "From a web address.",
    },
)

explained(
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

explained(
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

explained(
    DocumentDeletionStatus,
    "How far the removal of a deleted document's content is.",
    {
        DocumentDeletionStatus.PENDING: "It cannot be found any more; its content is being removed.",
        DocumentDeletionStatus.VERIFIED: "Its content was removed, and a search for it found nothing.",
    },
)

explained(
    CrawlStatus,
    "Where a crawl stands.",
    {
        CrawlStatus.RUNNING: "Pages are being visited.",
        CrawlStatus.COMPLETED: "All pages were visited, or as many as were asked for.",
        CrawlStatus.FAILED: "The first page could not be read, or there is no room left; `failure` says why.",
    },
)

explained(
    CrawlPageState,
    "What became of a page that a crawl has found.",
    {
        CrawlPageState.WAITING: "Is to be visited.",
        CrawlPageState.ADDED: "Became a document, which is read on its own.",
        CrawlPageState.SKIPPED: "Is no document of its own: a copy, or not for robots, or nothing that can be read.",
        CrawlPageState.FAILED: "Could not be fetched.",
    },
)

explained(
    MessageRole,
    "Who wrote a message.",
    {MessageRole.USER: "The user: a question.", MessageRole.ASSISTANT: "The bot: an answer."},
)

explained(
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

explained(
    SearchLeg,
    "A part of a search.",
    {
        SearchLeg.LEXICAL: "Finds by words.",
        SearchLeg.DENSE: "Finds by meaning, where the server makes embeddings.",
        SearchLeg.RERANK: "Puts in order anew what the others have found, where the server has a reranker.",
    },
    name="SearchLeg",
)

explained(
    SearchLegStatus,
    "What came of a leg.",
    {
        SearchLegStatus.OK: "It did its part.",
        SearchLegStatus.LATE: "It took longer than it may; the search went on without it.",
        SearchLegStatus.FAILED: "Its provider is down; the search went on without it.",
        SearchLegStatus.OFF: "It is not set up, or was not wanted.",
    },
    name="SearchLegStatus",
)

explained(
    CandidateFate,
    "What came of a candidate.",
    {
        CandidateFate.KEPT: "It is a passage, or the best part of one.",
        CandidateFate.MERGED: "It is part of a passage with its neighbour, `of`.",
        CandidateFate.DUPLICATE: "It says what a better one says, `of`.",
        CandidateFate.BELOW_MIN_SCORE: "Its score is less than `minScore`.",
        CandidateFate.OVER_DOCUMENT_LIMIT: "Its document has passages enough; others took its place.",
        CandidateFate.BEYOND_TOP_K: "There were better ones enough.",
    },
    name="CandidateFate",
)

explained(
    FinishReason,
    "Why a model stopped writing. With all but STOP and LENGTH the answer is FAILED.",
    {
        FinishReason.STOP: "It came to its end.",
        FinishReason.LENGTH: "It reached the limit of an answer's length; the text may end in the middle.",
        FinishReason.UNREACHABLE: "There was no connection to its provider.",
        FinishReason.SILENT: "Its provider sent nothing for too long.",
        FinishReason.TOO_SLOW: "The answer was not complete in the time that one may take.",
        FinishReason.BROKEN_OFF: "The provider broke off before the end of the answer.",
        FinishReason.EMPTY: "The provider sent an answer without text.",
        FinishReason.BLOCKED: "A filter of the provider took offence at the question or at the answer.",
        FinishReason.RATE_LIMITED: "The provider's quota was used up.",
        FinishReason.REFUSED: "The provider did not accept the key, the model or the request.",
        FinishReason.UNAVAILABLE: "The provider failed in another way.",
    },
)

explained(
    Rating,
    "What a user thinks of an answer.",
    {Rating.UP: "It helped.", Rating.DOWN: "It did not."},
    name="AnswerRating",
)

explained(
    Language,
    "Whose rules stem the words of documents and questions. Greek, Cyrillic, Arabic, Armenian, Devanagari and Tamil "
    "script tell that by themselves; Chinese, Japanese, Korean and Thai are cut without any.",
    {
        **{language: f"{language.name.capitalize()}." for language in Language},
        Language.AUTO: "Guessed for each text, by its function words.",
        Language.NONE: "Of none: words count as they are written.",
    },
)

explained(
    EvaluationStatus,
    "Where an evaluation stands.",
    {
        EvaluationStatus.QUEUED: "It waits for its turn, or for another attempt.",
        EvaluationStatus.RUNNING: "Its questions are being asked.",
        EvaluationStatus.COMPLETED: "All have been asked.",
        EvaluationStatus.FAILED: "It was given up; `failure` says why.",
    },
)

explained(
    ExportFormat,
    "What a conversation is written out as.",
    {
        ExportFormat.JSON: "Everything, all branches included.",
        ExportFormat.MARKDOWN: "The active branch, to read; citations are footnotes.",
    },
)

explained(
    ToolMethod,
    "How a tool is called.",
    {
        ToolMethod.GET: "Arguments go into the query.",
        ToolMethod.POST: "Arguments go into the body, as a JSON object.",
    },
)
