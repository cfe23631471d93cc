"""What the client returns, and what it raises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class KyroChatError(Exception):
    """The server has refused an operation; `code` is that of `extensions.code`, or the name of the problem's type."""

    def __init__(self, message: str, code: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = dict(details or {})


class AnswerFailed(KyroChatError):
    """An answer has ended without being one; `retryable` says whether asking again may help."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message, "ANSWER_FAILED")
        self.retryable = retryable


class ConnectionLost(KyroChatError):
    """The server could not be reached for longer than the client's patience."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The server cannot be reached: {reason}", "CONNECTION_LOST")


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was when the server was asked; `failure` says what to do about one that has FAILED."""

    id: str
    title: str
    status: str
    progress: float
    failure: str | None

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.status in ("READY", "FAILED")


@dataclass(frozen=True, slots=True)
class Passage:
    """Characters [start, end) of that version of a document's text, and they are exactly `text`."""

    document_id: str
    document_title: str
    document_version: int
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Citation:
    """What `[number]` in an answer stands for: `quote` is in the document, word for word, at [start, end).

    `document_id` is None when the document has been deleted since.
    """

    number: int
    quote: str
    document_id: str | None
    document_title: str
    document_version: int
    start: int
    end: int
    page: int | None


def citation_from(fields: Mapping[str, Any]) -> Citation:
    """Return a citation of the API's."""
    document = fields["document"]
    return Citation(
        number=fields["number"],
        quote=fields["quote"],
        document_id=document["id"] if document else None,
        document_title=fields["documentTitle"],
        document_version=fields["documentVersion"],
        start=fields["start"],
        end=fields["end"],
        page=fields["page"],
    )


def document_from(fields: Mapping[str, Any]) -> Document:
    """Return a document of the API's."""
    return Document(fields["id"], fields["title"], fields["status"], fields["progress"], fields["failure"])


def passage_from(fields: Mapping[str, Any]) -> Passage:
    """Return a passage of the API's."""
    return Passage(
        document_id=fields["document"]["id"],
        document_title=fields["document"]["title"],
        document_version=fields["documentVersion"],
        start=fields["start"],
        end=fields["end"],
        text=fields["text"],
        score=fields["score"],
    )
