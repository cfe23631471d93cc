"""What a failed call to Pinecone means, told without a word of what Pinecone wrote.

Its texts may name keys, hosts and projects, so neither the messages nor the log repeat them.
"""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from kyrochat.errors import ProviderRefused, ProviderUnavailable

if TYPE_CHECKING:
    from pinecone.errors import ApiError

T = TypeVar("T")

log = logging.getLogger(__name__)


def shutting_down() -> ProviderUnavailable:
    """Return the error for a call that comes after `close`."""
    return ProviderUnavailable("The server is shutting down.")


async def answer_within(deadline_s: float, ask: Callable[[], Awaitable[T]]) -> T:
    """Return what `ask` returns.

    The deadline spans all attempts: the SDK makes four of each request, and its own timeout limits one.

    Raises:
        ProviderUnavailable: it failed, or took longer than `deadline_s`.
    """
    try:
        async with asyncio.timeout(deadline_s):
            return await ask()
    except Exception as error:
        problem = problem_of(error)
    # Raised out here, so that no traceback carries the SDK's error and with it perhaps the key.
    raise problem


def problem_of(error: Exception) -> ProviderUnavailable:
    """Return what an exception out of the SDK or its transport means."""
    # The class of the same error has other names in other modules; these are the ones of its public face.
    from pinecone.errors import (
        ApiError,
        PineconeConnectionError,
        PineconeTypeError,
        PineconeValueError,
        ResponseParsingError,
    )

    if isinstance(error, ProviderUnavailable):
        return error
    if isinstance(error, ApiError):
        return _refusal(error)
    log.warning("Asking Pinecone failed: %s.", type(error).__name__)
    if isinstance(error, TimeoutError):  # The SDK's own is one, too.
        return ProviderUnavailable("Pinecone took too long. Try again.")
    if isinstance(error, PineconeConnectionError):
        return ProviderUnavailable("Pinecone cannot be reached, or the connection broke off. Try again.")
    if isinstance(error, ResponseParsingError):
        return ProviderUnavailable("Pinecone sent an answer that cannot be read. Try again.")
    if isinstance(error, PineconeValueError | PineconeTypeError):
        return ProviderUnavailable(
            "Pinecone cannot be asked. Check KYROCHAT_PINECONE_API_KEY, KYROCHAT_PINECONE_HOST and "
            "KYROCHAT_PINECONE_INDEX.",
            retryable=False,
        )
    where = ", ".join(f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-1:])
    log.error("Asking Pinecone failed in an unknown way: %s at %s.", type(error).__name__, where)
    return ProviderUnavailable("Pinecone answered in a way that is not understood. Try again.")


def _refusal(error: "ApiError") -> ProviderUnavailable:
    from pinecone.errors import RateLimitError

    status = error.status_code
    log.warning("Pinecone refused a request: %d.", status)
    if isinstance(error, RateLimitError):
        when = "later" if error.retry_after is None else f"in {max(error.retry_after, 1):.0f} s"
        return ProviderUnavailable(f"Pinecone's rate limit is used up for now. Try again {when}.")
    if status == 408 or status >= 500:
        return ProviderUnavailable("Pinecone is overloaded or down. Try again.")
    if status == 401:
        return _final("The Pinecone API key was refused. Check KYROCHAT_PINECONE_API_KEY.")
    if status == 402 or (status == 403 and _is_quota(error)):
        return _final("The Pinecone plan's quota is used up. Free some of it, or choose a larger plan.")
    if status == 403:
        return _final("The Pinecone API key may not do this. Check KYROCHAT_PINECONE_API_KEY.")
    if status == 404:
        # The index went away; the next call looks for it again.
        return ProviderUnavailable("Pinecone has no such index. Try again.")
    return ProviderRefused("Pinecone did not accept the request.")


def _is_quota(error: "ApiError") -> bool:
    return "quota" in f"{error.error_code} {error.message}".lower()


def _final(message: str) -> ProviderUnavailable:
    return ProviderUnavailable(message, retryable=False)
