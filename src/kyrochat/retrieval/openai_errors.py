"""What a failed call to a server with OpenAI's API means: what people are told, and whether asking again helps.

Neither the messages nor the log hold what the server wrote: that text may repeat the key or parts of a document.
"""

import json
import logging
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING

import httpx2

from kyrochat.errors import ProviderFault, ProviderUnavailable
from kyrochat.retrieval.retries import Failure

if TYPE_CHECKING:
    import openai

log = logging.getLogger(__name__)

_BUSY_CODES = (408, 409, 500, 502, 503, 504, 529)


def too_slow() -> ProviderUnavailable:
    """Return the error for a call that its total timeout ended."""
    return ProviderUnavailable("The model took too long. Try again.", fault=ProviderFault.TOO_SLOW)


def failure_of(error: Exception) -> Failure:
    """Return what an exception out of the SDK or its transport means."""
    import openai

    if isinstance(error, ProviderUnavailable):
        return Failure(error)
    if isinstance(error, openai.APIConnectionError):
        return _broken_transport(error.__cause__ or error)
    if isinstance(error, openai.APIStatusError):
        return _refusal(error)
    if isinstance(error, openai.APIError):  # an event of a stream that had begun
        log.warning("The model's server broke off with an error event.")
        return Failure(
            ProviderUnavailable("The model's server failed. Try again.", fault=ProviderFault.BROKEN_OFF),
            worth_repeating=True,
        )
    if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL | UnicodeEncodeError):
        return _broken_transport(error)
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        log.warning("The model's server sent something unreadable: %s.", type(error).__name__)
        return Failure(ProviderUnavailable("The model's server sent an answer that cannot be read. Try again."))
    where = traceback.extract_tb(error.__traceback__)[-1:]
    log.error(
        "Asking the model failed: %s at %s.", type(error).__name__, ", ".join(f"{f.filename}:{f.lineno}" for f in where)
    )
    return Failure(ProviderUnavailable("The model's server answered in a way that is not understood. Try again."))


def refused_parameter(error: "openai.BadRequestError") -> str:
    """Return the name of the parameter that the server does not take; '' when it says nothing of that kind."""
    return str(error.param or "")


def _broken_transport(error: BaseException) -> Failure:
    log.warning("No connection to the model's server: %s.", type(error).__name__)
    if isinstance(
        error, httpx2.InvalidURL | httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | UnicodeEncodeError
    ):
        return _refused("The model cannot be asked. Check KYROCHAT_OPENAI_BASE_URL and KYROCHAT_OPENAI_API_KEY.")
    if isinstance(error, httpx2.PoolTimeout):
        return Failure(ProviderUnavailable("Too many answers are being written at once. Try again."))
    if isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout):
        # The silence has already cost a minute; another one would not be waited for.
        return Failure(ProviderUnavailable("The model went silent. Try again.", fault=ProviderFault.SILENT))
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        unreached = ProviderUnavailable(
            "The model's server cannot be reached. Try again.", fault=ProviderFault.UNREACHABLE
        )
        return Failure(unreached, worth_repeating=True)
    broken = ProviderUnavailable(
        "The connection to the model's server broke off. Try again.", fault=ProviderFault.BROKEN_OFF
    )
    return Failure(broken, worth_repeating=True)


def _refusal(error: "openai.APIStatusError") -> Failure:
    status, code = error.status_code, str(error.code or "")
    log.warning("The model's server refused a request: %s.", status)
    if status in (401, 403):
        return _refused("The key of the model's server was refused. Check KYROCHAT_OPENAI_API_KEY.")
    if status == 404:
        return _refused("There is no such model. Check KYROCHAT_OPENAI_MODEL and KYROCHAT_OPENAI_BASE_URL.")
    if status == 429:
        if code == "insufficient_quota":
            return _rate_limited("The model's account has no quota left.", retryable=False)
        wait_s = retry_after_s(error.response.headers)
        when = "later" if wait_s is None else f"in {max(wait_s, 1):.0f} s"
        return Failure(_rate_limited(f"The model's quota is used up for now. Try again {when}.").problem, True, wait_s)
    if status in _BUSY_CODES:
        busy = ProviderUnavailable("The model's server is overloaded or down. Try again.")
        return Failure(busy, True, retry_after_s(error.response.headers))
    if code == "content_filter":
        return Failure(blocked("The model's server refused the question because of its content filter."))
    if code == "context_length_exceeded" or status == 413:
        return _refused("The question with its sources is too long for the model. Lower KYROCHAT_PROMPT_TOKENS.")
    if 400 <= status < 500:
        return _refused("The model's server did not accept the request.")
    return Failure(ProviderUnavailable("The model's server answered with an error. Try again."))


def blocked(message: str) -> ProviderUnavailable:
    """Return the error for what a content filter stopped: the same question would end the same way."""
    return ProviderUnavailable(message, retryable=False, fault=ProviderFault.BLOCKED)


def _refused(message: str) -> Failure:
    return Failure(ProviderUnavailable(message, retryable=False, fault=ProviderFault.REFUSED))


def _rate_limited(message: str, *, retryable: bool = True) -> Failure:
    return Failure(ProviderUnavailable(message, retryable=retryable, fault=ProviderFault.RATE_LIMITED))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a `Retry-After` header asks for: a number or a date."""
    asked = headers.get("retry-after", "")[:100]
    try:
        seconds = float(asked)
        return max(0.0, seconds) if isfinite(seconds) else None
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(asked)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
