"""The hosts that an operator lets bots' tools call."""

from dataclasses import dataclass

from kyrochat.errors import ConfigurationError
from kyrochat.outbound.address import BadAddress, WebAddress


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Origins that are named whole, such as `https://api.example.com`, and domains with all hosts below them."""

    origins: frozenset[str] = frozenset()
    domains: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AllowedHosts":
        """Read a list with commas: `api.example.com`, `*.example.com`, or with a scheme `http://localhost:9000`.

        Without a scheme it is https.

        Raises:
            ConfigurationError: an entry is none of these.
        """
        origins, domains = set(), []
        for entry in filter(None, map(str.strip, text.split(","))):
            is_domain = entry.startswith("*.")
            try:
                address = WebAddress.parse(entry if "://" in entry else f"https://{entry.removeprefix('*.')}")
            except BadAddress as error:
                raise _wrong(entry) from error
            if address.target != "/" or "*" in entry.removeprefix("*."):
                raise _wrong(entry)
            if is_domain:
                domains.append(f".{address.host}")
            else:
                origins.add(address.origin)
        return cls(frozenset(origins), tuple(domains))

    def __bool__(self) -> bool:
        return bool(self.origins or self.domains)

    def admit(self, address: WebAddress) -> bool:
        """Say whether tools may call it."""
        if address.origin in self.origins:
            return True
        is_plain = address.scheme == "https" and address.port == 443
        return is_plain and any(address.host.endswith(domain) for domain in self.domains)


def _wrong(entry: str) -> ConfigurationError:
    return ConfigurationError(
        f"KYROCHAT_TOOL_HOSTS has the entry {entry[:100]!r}. Write api.example.com, *.example.com or http://localhost:9000."
    )
