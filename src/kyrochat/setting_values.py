"""The closed sets of values that settings take."""

from enum import StrEnum


class Registration(StrEnum):
    """Who may create an account."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class Switch(StrEnum):
    """On or off, spelt as people spell it."""

    ON = "on"
    OFF = "off"


class TrustedDocumentsRule(StrEnum):
    """Whether clients may send GraphQL documents that nobody has registered."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class AnswerProvider(StrEnum):
    """Who writes answers; `auto` takes the first that is set up, in this order."""

    AUTO = "auto"
    GEMINI = "gemini"
    OPENAI = "openai"
    OFFLINE = "offline"


class VectorStoreChoice(StrEnum):
    """Where vectors of new bots are kept; `auto`: Pinecone with its key, PostgreSQL with an embedder, else nowhere."""

    AUTO = "auto"
    PGVECTOR = "pgvector"
    PINECONE = "pinecone"
    OFF = "off"


class LogFormat(StrEnum):
    """How log lines look; `auto` is console on a terminal and JSON elsewhere."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"
