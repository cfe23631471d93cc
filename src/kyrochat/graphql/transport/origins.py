"""Which web pages may open a socket: browsers ask nobody before they do."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from strawberry.http.websocket_origin import is_same_origin, normalize_allowed_origins, normalize_origin

from kyrochat.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Origins:
    """The origins, besides our own, that may connect; `*` stands for all."""

    allowed: frozenset[str]

    @classmethod
    def of(cls, origins: Iterable[str]) -> "Origins":
        """Return the allow list in the form in which browsers send origins.

        Raises:
            ConfigurationError: one of them is not an origin.
        """
        try:
            return cls(normalize_allowed_origins(tuple(origins)))
        except ValueError as error:
            raise ConfigurationError(f"KYROCHAT_ALLOWED_ORIGINS is wrong. {error}") from error

    def allow(self, headers: Headers) -> bool:
        """Whether the handshake with these headers may go on; clients that are no browsers send no Origin."""
        origin = headers.get("origin")
        if origin is None or "*" in self.allowed:
            return True
        if headers.get("sec-fetch-site") == "same-origin" or is_same_origin(origin, headers.get("host")):
            return True
        return normalize_origin(origin) in self.allowed
