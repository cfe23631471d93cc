"""From a tool's declaration and a model's arguments to the request that is made."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import BadAddress, WebAddress

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")

# What servers take for steps in a path, some of them only after they have decoded it, once or twice.
_STEPS = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|[\\%\x00-\x1f\x7f]")


def declared_address(url: str) -> WebAddress:
    """Return the address of a tool, with something in the place of its parameters.

    Raises:
        BadAddress: it is none, or a parameter is elsewhere than in its path.
    """
    address = WebAddress.parse(PLACEHOLDER.sub("x", url))
    head, _, query = url.partition("?")
    authority = head.partition("://")[2].partition("/")[0]
    if "{" in authority or "{" in query or "#" in url:
        raise BadAddress("Parameters stand in the path only, as {name}; all others are sent as query or body.")
    if "{" in PLACEHOLDER.sub("", url) or "}" in PLACEHOLDER.sub("", url):
        raise BadAddress("A { in the address begins the name of a parameter, such as {order_id}.")
    return address


def request_of(
    method: str, url: str, parameters: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[WebAddress, bytes | None]:
    """Return where to, and with what body. Host and port are those of the declaration, whatever the arguments are.

    Raises:
        FetchFailed: an argument cannot stand in the path.
    """
    left = {name: arguments[name] for name in parameters["properties"] if name in arguments}
    in_path = PLACEHOLDER.findall(url)
    filled = PLACEHOLDER.sub(lambda found: _segment(found[1], left.get(found[1])), url)
    for name in in_path:
        left.pop(name, None)
    body = json.dumps(left, ensure_ascii=False).encode() if method == "POST" else None
    if method == "GET" and left:
        pairs = [(name, _text(each)) for name, value in left.items() for each in _each(value)]
        filled += ("&" if "?" in filled else "?") + urlencode(pairs)
    address, declared = WebAddress.parse(filled), declared_address(url)
    if address.origin != declared.origin or address.path.count("/") != declared.path.count("/"):
        raise FetchFailed("The arguments do not fit into the tool's address.")
    return address, body


def _segment(name: str, value: object) -> str:
    text = _text(value)
    if not text or _STEPS.search(text):
        raise FetchFailed(f"`{name}` cannot stand in the tool's address.")
    return quote(text, safe="")


def _each(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
