"""Every failure that a client may see. Messages are safe to show: no SQL, path, key or document text."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class KyroError(Exception):
    """A failure with a message that is safe to show."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unauthenticated(KyroError):
    """No valid credentials came with the operation."""

    def __init__(self, message: str = "Sign in first: send `Authorization: Bearer <accessToken>`.") -> None:
        super().__init__(message)


class Forbidden(KyroError):
    """The viewer is known, and may not do this."""


class InvalidCredentials(KyroError):
    """A wrong e-mail, password or token; which of them is not said."""

    def __init__(self, message: str = "The e-mail address or the password is wrong.") -> None:
        super().__init__(message)


class NotFound(KyroError):
    """It does not exist, or it is another tenant's: both look the same."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no such {what}.")
        self.what = what


@dataclass(frozen=True, slots=True)
class Issue:
    """What is wrong with one input field; `path` leads to it, below `input`: `("name",)`."""

    path: tuple[str, ...]
    message: str


class InvalidInput(KyroError):
    """One or more input fields break a rule."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__(" ".join(f"{'.'.join(issue.path)}: {issue.message}" for issue in issues))
        self.issues = tuple(issues)

    @classmethod
    def at(cls, field: str, message: str) -> "InvalidInput":
        """Return the error for a single field."""
        return cls([Issue((field,), message)])


class Conflict(KyroError):
    """The request contradicts what is stored."""


class NotConfigured(KyroError):
    """This server has not been set up for that; the message says what to do instead."""


class QuotaExceeded(KyroError):
    """The workspace, or the API key, has used up what it may use."""


class RateLimited(KyroError):
    """Too many requests; try again after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"Too many requests. Try again in {retry_after_s:.0f} s.")
        self.retry_after_s = retry_after_s


class Overloaded(KyroError):
    """The server is at its limit; the same request may succeed a little later."""

    def __init__(self, message: str = "The server is busy. Try again in a few seconds.") -> None:
        super().__init__(message)


class TimedOut(KyroError):
    """The operation took too long and was cancelled; nothing says that it will be quicker next time."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"This took longer than {limit_s:g} s and was cancelled. Ask for less at once.")


class ProviderFault(StrEnum):
    """In which way a provider failed."""

    UNREACHABLE = "UNREACHABLE"  # no connection within the connect timeout
    SILENT = "SILENT"  # a connection, and then nothing for longer than the idle timeout
    TOO_SLOW = "TOO_SLOW"  # the whole took longer than its timeout
    BROKEN_OFF = "BROKEN_OFF"  # the stream ended or broke without an end of the answer
    EMPTY = "EMPTY"  # an end, and no text before it
    BLOCKED = "BLOCKED"  # a filter of the provider took offence
    RATE_LIMITED = "RATE_LIMITED"  # its quota is used up
    REFUSED = "REFUSED"  # the key, the model or the request is not accepted
    UNAVAILABLE = "UNAVAILABLE"  # anything else


class ProviderUnavailable(KyroError):
    """A model or index provider failed after its retries.

    `retryable` says whether the same request may succeed later (a quota, an outage), or not (a wrong key).
    """

    def __init__(
        self, message: str, *, retryable: bool = True, fault: ProviderFault = ProviderFault.UNAVAILABLE
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.fault = fault


class ProviderRefused(ProviderUnavailable):
    """A provider does not take this very request, whoever sends it and whenever."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False, fault=ProviderFault.REFUSED)


class UnreadableDocument(KyroError):
    """The document's bytes hold no text that can be read; the message says what to do about it."""


class FetchFailed(KyroError):
    """A page of the web could not be fetched; the message says why and what to do about it.

    `retryable` says whether the same address may work later (an outage), or not (a refusal). A server that is busy
    may say when to come back: after `retry_after_s` seconds.
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ConfigurationError(KyroError):
    """A setting is wrong or missing; the message names it and says what to do."""
