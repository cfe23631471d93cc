"""Which addresses of the network may be fetched from: the public ones, by our own reading of the registries.

`ipaddress.is_global` is not used: some releases of Python that we run on call `192.0.0.8`, `64:ff9b::7f00:1` and
`2002:7f00:1::` global, the latter two of which lead to 127.0.0.1.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# IANA's special-purpose registry, whatever it says about forwarding; multicast and the reserved rest; and one that
# the registry does not know: the address by which a large cloud's machines reach their hypervisor.
DENIED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
        ),
    )
)  # fmt: skip

# All of IPv6 that is handed out for the public, and what of it is not: protocol assignments (Teredo among them),
# documentation, 6to4. Everything outside, such as NAT64 and mapped addresses of any kind, is denied by that.
PUBLIC_V6 = IPv6Network("2000::/3")
DENIED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

PUBLIC_PORTS = frozenset([80, 443])


def unmapped(address: IPAddress) -> IPAddress:
    """Return the IPv4 address that an IPv4-mapped one (`::ffff:127.0.0.1`, however it is spelt) stands for."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_public(address: IPAddress) -> bool:
    """Say whether the address belongs to the public Internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in DENIED_V4)
    if address.scope_id is not None:
        return False
    return address in PUBLIC_V6 and not any(address in network for network in DENIED_V6)


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What may be connected to: public addresses at the ports of the web, and `allowed` networks at any port."""

    allowed: tuple[IPNetwork, ...] = ()

    def is_allowed(self, address: IPAddress) -> bool:
        """Say whether the operator has named a network that holds the address."""
        return any(address.version == network.version and address in network for network in self.allowed)

    def admits(self, address: IPAddress, port: int) -> bool:
        """Say whether a page may be fetched from there."""
        address = unmapped(address)
        return self.is_allowed(address) or (port in PUBLIC_PORTS and is_public(address))
