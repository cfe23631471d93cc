"""Web addresses in one canonical form. The host that is checked here is, byte for byte, the one that is connected to.

There is no second parser: requests are made from the parts of a `WebAddress`, never from the text it came from.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urljoin

import idna

from kyrochat.errors import FetchFailed

MAX_ADDRESS_CHARS = 2000
DEFAULT_PORTS = {"http": 80, "https": 443}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_STRAY_PERCENT = re.compile("%(?![0-9A-F]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE = "/%:@!$&'()*+,;=~"
_QUERY_SAFE = _PATH_SAFE + "?[]"
# Browsers drop these from links, so authors do not notice them there.
_DROPPED_IN_LINKS = str.maketrans("", "", "\t\r\n")
# Where a visitor came from; the page is the same.
_TRACKING = frozenset(["gclid", "fbclid", "msclkid", "mc_cid", "mc_eid"])
_TRACKING_PREFIX = "utm_"


class BadAddress(FetchFailed):
    """The text is no address of a web page, or one that nobody means well with."""


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An address of the web: host in ASCII and lower case (IPv6 without brackets), path and query percent-encoded."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that `text` spells, without its fragment.

        Raises:
            BadAddress: it is not one; the message says what to change.
        """
        text = text.strip()
        if not text:
            raise BadAddress("The address is empty. Write the whole of it, such as https://example.com/page.")
        _check_characters(text)
        scheme, rest = _scheme(text)
        if not rest.startswith("//") or rest.startswith("///"):
            raise BadAddress(f"After {scheme}: there must be two slashes and a host.")
        end = next((index for index, char in enumerate(rest) if char in "/?#" and index > 1), len(rest))
        host, port = _authority(rest[2:end])
        address = cls(scheme, host, port or DEFAULT_PORTS[scheme], _target(rest[end:]))
        _check_length(str(address))
        return address

    def __str__(self) -> str:
        return self.origin + self.target

    @property
    def origin(self) -> str:
        """Scheme, host and port, such as `https://example.com`."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port: what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    def join(self, reference: str) -> Self:
        """Return the address that `reference`, a link or a redirect, means on this page.

        Raises:
            BadAddress: it leads to no page of the web.
        """
        reference = reference.strip().translate(_DROPPED_IN_LINKS)
        if len(reference) > MAX_ADDRESS_CHARS:
            raise _too_long()
        try:
            joined = urljoin(str(self), reference)
        except ValueError:
            raise BadAddress("The link leads to no address.") from None
        return self.parse(joined)

    def at(self, target: str) -> Self:
        """Return another address of the same site; `target` is a path, encoded already."""
        return type(self)(self.scheme, self.host, self.port, target)

    def without_tracking(self) -> Self:
        """Return the address without what only says where a visitor came from."""
        path, _, query = self.target.partition("?")
        kept = "&".join(pair for pair in query.split("&") if not _is_tracking(pair.partition("=")[0]))
        return self.at(f"{path}?{kept}" if kept else path)


def _is_tracking(name: str) -> bool:
    return name in _TRACKING or name.startswith(_TRACKING_PREFIX)


def _check_characters(text: str) -> None:
    _check_length(text)
    if not text.isprintable() or any("\ud800" <= char <= "\udfff" for char in text):
        raise BadAddress("The address holds characters that cannot be seen. Type it anew.")


def _check_length(text: str) -> None:
    if len(text) > MAX_ADDRESS_CHARS:
        raise _too_long()


def _too_long() -> BadAddress:
    return BadAddress(f"The address has more than {MAX_ADDRESS_CHARS:,} characters.")


def _scheme(text: str) -> tuple[str, str]:
    found = _SCHEME.match(text)
    if found is None or text[found.end() :].partition("/")[0].isdigit():  # example.com:8080 has a port, not a scheme
        raise BadAddress("The address has no scheme. Start it with https://.")
    scheme = found[1].lower()
    if scheme not in DEFAULT_PORTS:
        raise BadAddress(f"Pages are fetched by http and https, not by {scheme[:20]}.")
    return scheme, text[found.end() :]


def _authority(text: str) -> tuple[str, int | None]:
    """Return host and port, if it names one. What other readers might take for another host is refused."""
    if "@" in text:
        raise BadAddress("The address holds a user name or an @ before its host. Remove it.")
    if any(char in '\\%^|<>"`{}' or char.isspace() for char in text):
        raise BadAddress("The host holds characters that no host has.")
    if text.startswith("["):
        inside, bracket, after = text[1:].partition("]")
        if not bracket or after[:1] not in ("", ":"):
            raise BadAddress("The IPv6 address is not complete.")
        return _ipv6(inside), _port(after[1:])
    host, _, port = text.partition(":")
    return _host(host), _port(port)


def _port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise BadAddress("The port is not a number from 1 to 65535.")
    return int(text)


def _ipv6(text: str) -> str:
    try:
        if "%" in text:
            raise ValueError
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise BadAddress("What stands in brackets is no IPv6 address.") from None


def _host(text: str) -> str:
    host = text.lower() if text.isascii() else _ascii(text)
    host = host.removesuffix(".")
    labels = host.split(".")
    if not host or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadAddress("The address names no host. Write it like https://example.com/page.")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        # 2130706433, 0177.1 and 0x7f.1 are spellings of 127.0.0.1 to some programs and none to others.
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise BadAddress("Write an IPv4 address as four decimal numbers, such as 192.0.2.1.") from None
    return host


def _ascii(text: str) -> str:
    try:
        return idna.encode(text, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise BadAddress("The host holds characters that no host name has.") from None


def _target(text: str) -> str:
    """Return path and query, canonical: `/` for no path, no dot segments, no fragment, escapes in one spelling."""
    path, question_mark, query = text.partition("#")[0].partition("?")
    path = _without_dots(_encoded(path, _PATH_SAFE))
    query = _encoded(query, _QUERY_SAFE)
    return f"{path}?{query}" if question_mark and query else path


def _encoded(text: str, safe: str) -> str:
    text = _ESCAPE.sub(_one_spelling, text)
    return _STRAY_PERCENT.sub("%25", quote(text, safe=safe))


def _one_spelling(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
