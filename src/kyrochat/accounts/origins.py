"""Origins of web pages, in the one form in which browsers send them."""

import re

# Browsers trust these without TLS, too: nobody is between.
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_DEFAULT_PORTS = {"https": 443, "http": 80}
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>(?=.{1,253}(?:[:/]|$))[a-z0-9](?:[a-z0-9_-]*(?:\.[a-z0-9_-]+)*)|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)


class NotAnOrigin(ValueError):
    """What is wrong with a text that should be an origin, in words for who wrote it."""


def normalised(text: str) -> str:
    """Return `https://Shop.example:443/` as `https://shop.example`.

    Raises:
        NotAnOrigin: it has more than scheme, host and port, or pages there could be anybody's.
    """
    text = text.strip()
    if "*" in text:
        raise NotAnOrigin("Name each origin: `*` would let every page use the key.")
    if not text.isascii():
        raise NotAnOrigin("Write the host as browsers send it, beginning with xn--.")
    found = _ORIGIN.fullmatch(text.lower())
    if found is None or not 0 < int(found["port"] or 1) < 65_536:
        raise NotAnOrigin("An origin is scheme, host and port, like https://shop.example or http://localhost:3000.")
    scheme, host, port = found["scheme"], found["host"], found["port"]
    if scheme == "http" and host not in LOCAL_HOSTS:
        raise NotAnOrigin("Pages must come over https, or from localhost.")
    is_default = port is None or int(port) == _DEFAULT_PORTS[scheme]
    return f"{scheme}://{host}" + ("" if is_default else f":{int(port)}")
