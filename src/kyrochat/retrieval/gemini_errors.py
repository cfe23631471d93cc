"""What a failed call to Gemini means: what people are told, and whether asking again helps.

Neither the messages nor the log hold what Google or the transport wrote: that text may repeat the API key
("Consumer 'api_key:...' has been suspended", "Illegal header value ...") or parts of a document.
"""

import json
import logging
import re
import traceback
from collections.abc import Iterator, Mapping

import httpx2

from kyrochat.errors import ProviderFault, ProviderRefused, ProviderUnavailable
from kyrochat.retrieval.retries import Failure

log = logging.getLogger(__name__)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")
_BUSY_CODES = (500, 502, 503, 504)
_KEY_REASONS = ("API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "CONSUMER_SUSPENDED")


def key_refused() -> ProviderUnavailable:
    """Return the error for a key that Google does not accept."""
    return ProviderUnavailable(
        "The Gemini API key was refused. Check KYROCHAT_GEMINI_API_KEY.", retryable=False, fault=ProviderFault.REFUSED
    )


def too_slow() -> ProviderUnavailable:
    """Return the error for a call that its total timeout ended."""
    return ProviderUnavailable("Gemini took too long. Try again.", fault=ProviderFault.TOO_SLOW)


def failure_of(error: Exception) -> Failure:
    """Return what an exception out of the SDK or its transport means."""
    from google.genai import errors

    if isinstance(error, ProviderUnavailable):
        return Failure(error)
    if isinstance(error, errors.APIError):
        return _refusal(error.code, error.details)
    if isinstance(error, errors.UnknownApiResponseError | json.JSONDecodeError | UnicodeDecodeError):
        log.warning("Gemini sent something unreadable: %s.", type(error).__name__)
        return Failure(ProviderUnavailable("Gemini sent an answer that cannot be read. Try again."))
    if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL | UnicodeEncodeError):
        return _broken_transport(error)
    where = traceback.extract_tb(error.__traceback__)[-1:]
    log.error(
        "Asking Gemini failed: %s at %s.", type(error).__name__, ", ".join(f"{f.filename}:{f.lineno}" for f in where)
    )
    return Failure(ProviderUnavailable("Gemini answered in a way that is not understood. Try again."))


def _broken_transport(error: Exception) -> Failure:
    log.warning("No connection to Gemini: %s.", type(error).__name__)
    if isinstance(
        error, httpx2.InvalidURL | httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | UnicodeEncodeError
    ):
        return Failure(
            ProviderUnavailable(
                "Gemini cannot be asked. Check KYROCHAT_GEMINI_BASE_URL and KYROCHAT_GEMINI_API_KEY.",
                retryable=False,
                fault=ProviderFault.REFUSED,
            )
        )
    if isinstance(error, httpx2.PoolTimeout):
        return Failure(ProviderUnavailable("Too many answers are being written at once. Try again."))
    if isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout):
        # The silence has already cost a minute; another one would not be waited for.
        return Failure(ProviderUnavailable("Gemini went silent. Try again.", fault=ProviderFault.SILENT))
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        unreached = ProviderUnavailable("Gemini cannot be reached. Try again.", fault=ProviderFault.UNREACHABLE)
        return Failure(unreached, worth_repeating=True)
    broken = ProviderUnavailable("The connection to Gemini broke off. Try again.", fault=ProviderFault.BROKEN_OFF)
    return Failure(broken, worth_repeating=True)


def _refusal(code: object, body: object) -> Failure:
    details = list(_details(body))
    reasons = [str(detail["reason"]) for detail in details if "reason" in detail]
    log.warning("Gemini refused a request: %s %s.", code, ", ".join(reasons) or "without a reason")
    if code in (401, 403) or any(reason in _KEY_REASONS for reason in reasons):
        return Failure(key_refused())
    if code == 404:
        return _refused("Gemini does not offer this model.")
    if code == 429:
        wait_s = _retry_delay_s(details)
        when = "later" if wait_s is None else f"in {max(wait_s, 1):.0f} s"
        return Failure(
            ProviderUnavailable(
                f"Gemini's quota is used up for now. Try again {when}.", fault=ProviderFault.RATE_LIMITED
            ),
            worth_repeating=True,
            wait_s=wait_s,
        )
    if code in _BUSY_CODES:
        return Failure(ProviderUnavailable("Gemini is overloaded or down. Try again."), worth_repeating=True)
    if code == 400:
        return Failure(ProviderRefused("Gemini did not accept the request."))
    return Failure(ProviderUnavailable("Gemini answered with an error. Try again."))


def _refused(message: str) -> Failure:
    return Failure(ProviderUnavailable(message, retryable=False, fault=ProviderFault.REFUSED))


def _details(body: object) -> Iterator[Mapping[str, object]]:
    """Yield the `google.rpc` details of an error body; a gateway's body may have any other shape."""
    error = body.get("error") if isinstance(body, Mapping) else None
    details = error.get("details") if isinstance(error, Mapping) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping):
            yield detail


def _retry_delay_s(details: list[Mapping[str, object]]) -> float | None:
    """Return the delay of a `google.rpc.RetryInfo`, whose durations look like `17s` and `0.25s`."""
    for detail in details:
        if found := _DURATION.fullmatch(str(detail.get("retryDelay", ""))):
            return float(found[1])
    return None
