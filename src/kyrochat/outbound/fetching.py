"""Fetches one page of the web: bounded in time, bytes and redirects, from public addresses only."""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore2

from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import BadAddress, WebAddress
from kyrochat.outbound.body import read_body, too_large
from kyrochat.outbound.deny_table import AddressRules
from kyrochat.outbound.network import GuardedNetwork, Meter, Resolver, TooMuch, system_addresses
from kyrochat.outbound.sending import BROKEN, Wanted, broken, sent

PRODUCT = "KyroChat"
ACCEPT = "text/html, application/xhtml+xml, text/markdown, text/plain;q=0.9, application/pdf;q=0.9, */*;q=0.5"
REDIRECTS = frozenset([301, 302, 303, 307, 308])
MAX_RETRY_AFTER_S = 24 * 3600.0
# Longer ones are of no use for asking again.
MAX_VALIDATOR_CHARS = 500
_HEADERS_BYTES = 256 * 1024  # what headers and framing may take beside the body
_CHARSET = re.compile(r"charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{1,40})", re.I)

# Entered around each request, redirects included: where a fetch may be refused, or made to wait its turn.
Gate = Callable[[WebAddress], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one page may cost. Waiting at the gate does not count."""

    connect_s: float = 5.0
    total_s: float = 30.0
    max_bytes: int = 5 << 20
    max_redirects: int = 5


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server says to tell versions of the page at `address` apart."""

    address: str
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page, from `address` after all redirects; type and charset are what the server claims."""

    address: WebAddress
    body: bytes
    media_type: str
    charset: str | None
    validators: Validators


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The page is still what it was when the validators were given."""

    address: WebAddress


@dataclass(frozen=True, slots=True)
class _Moved:
    address: WebAddress


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches pages. `ssl_context` is a collaborator, since tests have certificates of their own."""

    user_agent: str
    rules: AddressRules
    limits: Limits = Limits()
    resolve: Resolver = system_addresses
    network: httpcore2.AsyncNetworkBackend = field(default_factory=httpcore2.AnyIOBackend)
    ssl_context: ssl.SSLContext = field(default_factory=httpcore2.default_ssl_context)

    async def fetch(
        self, address: WebAddress, known: Validators | None = None, *, gate: Gate = lambda _: nullcontext()
    ) -> Fetched | Unchanged:
        """Return the page, or that it is `Unchanged` since `known` was noted.

        Raises:
            FetchFailed: it cannot be had; the message says why.
        """
        clock, spent_s = asyncio.get_running_loop().time, 0.0
        meter = Meter(self.limits.max_bytes + _HEADERS_BYTES)
        for _ in range(self.limits.max_redirects + 1):
            async with gate(address):
                began = clock()
                try:
                    async with asyncio.timeout(self.limits.total_s - spent_s):
                        answer = await self._get(address, known, meter)
                except TimeoutError:
                    raise FetchFailed(
                        f"The site took more than {self.limits.total_s:g} s. Try again later.", retryable=True
                    ) from None
                spent_s += clock() - began
            if not isinstance(answer, _Moved):
                return answer
            if address.scheme == "https" and answer.address.scheme == "http":
                raise FetchFailed(
                    "The page leads on to an address without encryption. If that is meant, add it by its http address."
                )
            address = answer.address
        raise FetchFailed(f"The page leads on to another one more than {self.limits.max_redirects} times.")

    async def _get(self, address: WebAddress, known: Validators | None, meter: Meter) -> Fetched | Unchanged | _Moved:
        try:
            network = GuardedNetwork(self.rules, self.resolve, meter, self.network)
            wanted = Wanted("GET", address, self._headers(address, known))
            async with sent(wanted, network, self.ssl_context, self.limits.connect_s) as response:
                return await self._understood(address, response)
        except TooMuch:
            raise too_large(self.limits.max_bytes) from None
        except BROKEN as error:
            raise broken(error) from error

    def _headers(self, address: WebAddress, known: Validators | None) -> list[tuple[str, str]]:
        headers = [
            ("Host", address.authority),
            ("User-Agent", self.user_agent),
            ("Accept", ACCEPT),
            ("Accept-Encoding", "gzip"),
            ("Connection", "close"),
        ]
        if known is not None and known.address == str(address):
            headers += [("If-None-Match", known.etag)] if known.etag else []
            headers += [("If-Modified-Since", known.last_modified)] if known.last_modified else []
        return headers

    async def _understood(self, address: WebAddress, response: httpcore2.Response) -> Fetched | Unchanged | _Moved:
        headers = _decoded(response.headers)
        if response.status in REDIRECTS and "location" in headers:
            return _Moved(_next(address, headers["location"]))
        if response.status == 304:
            return Unchanged(address)
        if response.status not in (200, 203):
            raise _refused(response.status, headers)
        if _announced_bytes(headers) > self.limits.max_bytes:
            raise too_large(self.limits.max_bytes)
        body = await read_body(response.aiter_stream(), headers.get("content-encoding", ""), self.limits.max_bytes)
        content_type = headers.get("content-type", "")
        charset = _CHARSET.search(content_type)
        return Fetched(
            address,
            body,
            content_type.partition(";")[0].strip().lower(),
            charset[1].lower() if charset else None,
            Validators(str(address), _validator(headers, "etag"), _validator(headers, "last-modified")),
        )


def user_agent(version: str) -> str:
    """Return who we say we are; robots.txt files know us by the first word."""
    return f"{PRODUCT}/{version} (reads pages that its users name; robots.txt: {PRODUCT})"


def _decoded(headers: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """Return the headers by lower-case name; of several of one name, the first."""
    found: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def _announced_bytes(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= 20 else 0


def _next(address: WebAddress, location: str) -> WebAddress:
    with suppress(UnicodeDecodeError):  # headers are ASCII, officially
        location = location.encode("latin-1").decode("utf-8")
    try:
        return address.join(location)
    except BadAddress as error:
        raise FetchFailed(f"The page leads on to something that cannot be fetched. {error.message}") from error


def _validator(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name, "")
    return value if 0 < len(value) <= MAX_VALIDATOR_CHARS and value.isascii() and value.isprintable() else None


def _refused(status: int, headers: Mapping[str, str]) -> FetchFailed:
    if status in (401, 403, 407):
        return FetchFailed(f"The site does not show the page without signing in (status {status}). Upload it instead.")
    if status in (404, 410):
        return FetchFailed(f"The site has no such page (status {status}). Check the address.")
    if status in (408, 425, 429) or status >= 500:
        return FetchFailed(
            f"The site cannot answer at the moment (status {status}). Try again later.",
            retryable=True,
            retry_after_s=_seconds(headers.get("retry-after", "")),
        )
    return FetchFailed(f"The site answers with status {status} instead of the page. Open it in a browser to see why.")


def _seconds(retry_after: str) -> float | None:
    """Return what a Retry-After header says: seconds, or a date."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after[:9]), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(retry_after[:100])
    except ValueError:
        return None
    left_s = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(left_s, 0.0), MAX_RETRY_AFTER_S)
