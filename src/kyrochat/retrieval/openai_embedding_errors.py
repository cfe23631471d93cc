"""What a failed request to an embedding server means. No message or log line repeats what the server wrote."""

import json
import logging

import httpx2

from kyrochat.errors import ProviderRefused, ProviderUnavailable
from kyrochat.retrieval.retries import Failure

_BUSY_CODES = (408, 409, 425, 500, 502, 503, 504)

log = logging.getLogger(__name__)


class Refusal(Exception):
    """An answer with another status than 200, as a failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.problem.message)
        self.failure = failure


def refusal_of(response: httpx2.Response) -> Refusal:
    """Return what another status than 200 means."""
    status = response.status_code
    log.warning("The embedding server refused a request: %d.", status)
    if status == 429:
        wait_s = _retry_after_s(response)
        when = "later" if wait_s is None else f"in {max(wait_s, 1):.0f} s"
        problem = ProviderUnavailable(f"The embedding server's quota is used up for now. Try again {when}.")
        return Refusal(Failure(problem, worth_repeating=True, wait_s=wait_s))
    if status in _BUSY_CODES:
        problem = ProviderUnavailable("The embedding server is overloaded or down. Try again.")
        return Refusal(Failure(problem, worth_repeating=True, wait_s=_retry_after_s(response)))
    if status in (401, 403):
        return _final("The embedding server refused the key. Check KYROCHAT_EMBEDDING_API_KEY.")
    if status == 404:
        return _final(
            "The embedding server knows no such model or address. "
            "Check KYROCHAT_EMBEDDING_MODEL and KYROCHAT_EMBEDDING_BASE_URL."
        )
    if status in (400, 413, 422):
        return Refusal(
            Failure(
                ProviderRefused(
                    "The embedding server did not accept the request: perhaps a text is longer than its model takes."
                )
            )
        )
    return Refusal(Failure(ProviderUnavailable("The embedding server answered with an error. Try again.")))


def failure_of(error: Exception) -> Failure:
    """Return what an exception out of a request means."""
    if isinstance(error, ProviderUnavailable):
        return Failure(error)
    if isinstance(error, Refusal):
        return error.failure
    log.warning("Asking the embedding server failed: %s.", type(error).__name__)
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return Failure(ProviderUnavailable("The embedding server sent an answer that cannot be read. Try again."))
    if isinstance(
        error, httpx2.InvalidURL | httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | UnicodeEncodeError
    ):
        return Failure(
            ProviderUnavailable(
                "The embedding server cannot be asked. Check KYROCHAT_EMBEDDING_BASE_URL and "
                "KYROCHAT_EMBEDDING_API_KEY.",
                retryable=False,
            )
        )
    if isinstance(error, httpx2.PoolTimeout):
        return Failure(ProviderUnavailable("Too much is being embedded at once. Try again."))
    if isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout):
        return Failure(ProviderUnavailable("The embedding server went silent. Try again."))
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        return Failure(ProviderUnavailable("The embedding server cannot be reached. Try again."), worth_repeating=True)
    if isinstance(error, httpx2.HTTPError):
        return Failure(
            ProviderUnavailable("The connection to the embedding server broke off. Try again."), worth_repeating=True
        )
    return Failure(ProviderUnavailable("The embedding server answered in a way that is not understood. Try again."))


def _retry_after_s(response: httpx2.Response) -> float | None:
    """Return the seconds of `Retry-After`; its form as a date is taken for none."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None


def _final(message: str) -> Refusal:
    return Refusal(Failure(ProviderUnavailable(message, retryable=False)))
