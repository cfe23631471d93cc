"""The hosts that tools may call are those that were named, and none that looks like them."""

import pytest

from kyrochat.errors import ConfigurationError
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.allowed_hosts import AllowedHosts

HOSTS = AllowedHosts.parse(" api.example.com, *.shop.example ,http://localhost:9000,https://Ümlaut.example:8443/ ,")


@pytest.mark.parametrize(
    ("url", "admitted"),
    [
        ("https://api.example.com/x?y=z", True),
        ("https://API.example.com.:443/", True),
        ("http://api.example.com/", False),
        ("https://api.example.com:8443/", False),
        ("https://example.com/", False),
        ("https://x.api.example.com/", False),
        ("https://eu.shop.example/", True),
        ("https://a.b.shop.example/", True),
        ("https://shop.example/", False),
        ("https://evilshop.example/", False),
        ("https://shop.example.evil.example/", False),
        ("http://eu.shop.example/", False),
        ("https://eu.shop.example:444/", False),
        ("http://localhost:9000/", True),
        ("http://localhost/", False),
        ("https://xn--mlaut-jva.example:8443/", True),
    ],
)
def test_what_was_named_is_admitted(url: str, admitted: bool) -> None:
    assert HOSTS.admit(WebAddress.parse(url)) is admitted


def test_nothing_named_admits_nothing() -> None:
    for nothing in (AllowedHosts(), AllowedHosts.parse(""), AllowedHosts.parse(" , ")):
        assert not nothing
        assert not nothing.admit(WebAddress.parse("https://api.example.com/"))


@pytest.mark.parametrize(
    "text", ["*", "*.", "a.*.example", "https://a.example/path", "ftp://a.example", "a b", "**.a.example"]
)
def test_what_is_no_host_is_told_to_the_operator(text: str) -> None:
    with pytest.raises(ConfigurationError, match="KYROCHAT_TOOL_HOSTS"):
        AllowedHosts.parse(f"good.example,{text}")
