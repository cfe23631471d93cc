"""Where a request comes from, behind proxies that may be believed and beside clients that may not."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.requests import HTTPConnection

Network = IPv4Network | IPv6Network

# A peer without an address: a socket of the file system, or a test.
UNKNOWN = "unknown"
# Nobody has as many proxies in a row as somebody may write commas.
MAX_PROXIES = 32


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the address of the client that `peer` spoke for.

    `forwarded_for` are the values of all X-Forwarded-For headers, in their order. Each proxy adds who called it at the
    right, so they are read from there, as long as who added an entry is `trusted`: what a client wrote itself is never
    reached. An entry that is no address ends the reading, too.
    """
    address = _parsed(peer or "")
    if address is None:
        return UNKNOWN
    for entry in reversed(",".join(forwarded_for).rsplit(",", MAX_PROXIES)[-MAX_PROXIES:]):
        if not is_trusted(address, trusted):
            break
        before = _parsed(entry)
        if before is None:
            break
        address = before
    return str(address)


def address_of(connection: HTTPConnection, trusted: Sequence[Network]) -> str:
    """Return the client's address of a request or a socket."""
    peer = connection.client.host if connection.client else ""
    if not trusted:
        return _told(peer)
    return client_address(peer, connection.headers.getlist("x-forwarded-for"), trusted)


@lru_cache(maxsize=1_024)
def _told(peer: str) -> str:
    address = _parsed(peer)
    return UNKNOWN if address is None else str(address)


def came_by_tls(connection: HTTPConnection, trusted: Sequence[Network]) -> bool:
    """Say whether the client speaks TLS, to us or to a trusted proxy that says so in X-Forwarded-Proto."""
    if connection.scope.get("scheme") in ("https", "wss"):
        return True
    if not trusted:
        return False
    peer = _parsed(connection.client.host) if connection.client else None
    if peer is None or not is_trusted(peer, trusted):
        return False
    # The last one was added by the proxy in front of us.
    return connection.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower() in ("https", "wss")


def is_loopback(peer: str | None) -> bool:
    """Say whether the peer of a connection is on this machine."""
    address = _parsed(peer or "")
    return address is not None and address.is_loopback


def is_trusted(address: IPv4Address | IPv6Address, trusted: Sequence[Network]) -> bool:
    """Say whether the address is in one of the networks."""
    return any(address in network for network in trusted)


@lru_cache(maxsize=1_024)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in an entry: with a port or without, in brackets or not; IPv4 in IPv6 as what it is."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        # Without the zone of a link-local address, which only that machine knows.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
