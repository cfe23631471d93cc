"""The closed sets of values that rows hold."""

from enum import StrEnum


class WorkspaceRole(StrEnum):
    """What a member may do in a workspace."""

    OWNER = "OWNER"
    EDITOR = "EDITOR"
    VIEWER = "VIEWER"


class ApiKeyScope(StrEnum):
    """What an API key is good for."""

    READ = "READ"
    CHAT = "CHAT"
    INGEST = "INGEST"
    ADMIN = "ADMIN"


class DocumentSource(StrEnum):
    """How a document came in."""

    TEXT = "TEXT"
    UPLOAD = "UPLOAD"
    WEB = "WEB"


class DocumentStatus(StrEnum):
    """Where a document stands."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    READY = "READY"
    FAILED = "FAILED"
    DELETING = "DELETING"


class DocumentStage(StrEnum):
    """What is being done for a document; with FAILED, what failed."""

    WAITING = "WAITING"
    FETCHING = "FETCHING"
    READING = "READING"
    INDEXING = "INDEXING"
    DONE = "DONE"


class DocumentDeletionStatus(StrEnum):
    """Where the purge of a deleted document stands."""

    PENDING = "PENDING"
    VERIFIED = "VERIFIED"


class VectorStore(StrEnum):
    """Where vectors are kept."""

    PGVECTOR = "PGVECTOR"
    PINECONE = "PINECONE"

    @property
    def label(self) -> str:
        """Its name, for people."""
        return "PostgreSQL" if self is VectorStore.PGVECTOR else "Pinecone"


class VectorSetState(StrEnum):
    """Where a set of vectors stands: searched, about to be, or waiting to be removed."""

    SERVING = "SERVING"
    BUILDING = "BUILDING"
    RETIRED = "RETIRED"


class CrawlStatus(StrEnum):
    """Where a crawl stands."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class CrawlPageState(StrEnum):
    """What became of a page that a crawl has found."""

    WAITING = "WAITING"
    ADDED = "ADDED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


class MessageRole(StrEnum):
    """Who wrote a message."""

    USER = "USER"
    ASSISTANT = "ASSISTANT"


class MessageStatus(StrEnum):
    """Where a message stands; all but STREAMING are final."""

    STREAMING = "STREAMING"
    COMPLETED = "COMPLETED"
    STOPPED = "STOPPED"
    INTERRUPTED = "INTERRUPTED"
    FAILED = "FAILED"


class FinishReason(StrEnum):
    """Why a model stopped writing; all but the first two are failures."""

    STOP = "STOP"
    LENGTH = "LENGTH"
    UNREACHABLE = "UNREACHABLE"
    SILENT = "SILENT"
    TOO_SLOW = "TOO_SLOW"
    BROKEN_OFF = "BROKEN_OFF"
    EMPTY = "EMPTY"
    BLOCKED = "BLOCKED"
    RATE_LIMITED = "RATE_LIMITED"
    REFUSED = "REFUSED"
    UNAVAILABLE = "UNAVAILABLE"


class TitleOrigin(StrEnum):
    """Who gave a conversation its title."""

    DERIVED = "DERIVED"
    GENERATED = "GENERATED"
    USER = "USER"


class Rating(StrEnum):
    """What a user thinks of an answer."""

    UP = "UP"
    DOWN = "DOWN"


class EvaluationStatus(StrEnum):
    """Where an evaluation stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class ToolMethod(StrEnum):
    """How an HTTP tool of a bot is called."""

    GET = "GET"
    POST = "POST"


class JobState(StrEnum):
    """Where a job stands. Finished jobs leave no row."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
