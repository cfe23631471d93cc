"""Origins come in many forms and are compared in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strawberry.http.websocket_origin import normalize_origin

from kyrochat.accounts.origins import NotAnOrigin, normalised


@pytest.mark.parametrize(
    ("given_", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        (" https://Shop.Example/ ", "https://shop.example"),
        ("HTTPS://shop.example:443", "https://shop.example"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://192.0.2.7:8443", "https://192.0.2.7:8443"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("http://127.0.0.1:5173", "http://127.0.0.1:5173"),
        ("http://[::1]:5173", "http://[::1]:5173"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given_: str, origin: str) -> None:
    assert normalised(given_) == origin
    # The front door compares in the same form.
    assert normalize_origin(origin) == origin


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ("*", "every page"),
        ("https://*.example", "every page"),
        ("", "scheme, host and port"),
        ("null", "scheme, host and port"),
        ("shop.example", "scheme, host and port"),
        ("//shop.example", "scheme, host and port"),
        ("https://", "scheme, host and port"),
        ("https:///", "scheme, host and port"),
        ("https://shop.example/cart", "scheme, host and port"),
        ("https://shop.example//", "scheme, host and port"),
        ("https://shop.example?x", "scheme, host and port"),
        ("https://shop.example#x", "scheme, host and port"),
        ("https://ada@shop.example", "scheme, host and port"),
        ("https://shop.example\\@evil.example", "scheme, host and port"),
        ("https://shop.example:0", "scheme, host and port"),
        ("https://shop.example:65536", "scheme, host and port"),
        ("https://shop.example:port", "scheme, host and port"),
        ("https://shop .example", "scheme, host and port"),
        ("https://shop.example\nhttps://evil.example", "scheme, host and port"),
        ("https://.example", "scheme, host and port"),
        ("https://[::1", "scheme, host and port"),
        ("https://" + "a" * 254, "scheme, host and port"),
        ("file:///etc/passwd", "scheme, host and port"),
        ("chrome-extension://abc", "scheme, host and port"),
        ("javascript:alert(1)", "scheme, host and port"),
        ("http://shop.example", "https"),
        ("http://localhost.evil.example", "https"),
        ("http://127.0.0.1.evil.example", "https"),
        ("http://192.168.0.1", "https"),
        ("https://bücher.example", "xn--"),
        ("https://shop。example", "xn--"),
    ],
)
def test_what_is_no_origin_of_one_owner_is_refused(given_: str, says: str) -> None:
    with pytest.raises(NotAnOrigin, match=says):
        normalised(given_)


@given(st.text(alphabet="htps:/.[]*@#?%\\ aZ09-_1ü\x00", max_size=40))
def test_whatever_is_taken_is_in_its_one_form(text: str) -> None:
    try:
        origin = normalised(text)
    except NotAnOrigin:
        return
    assert normalised(origin) == origin
    assert origin == origin.lower()
    assert not set(origin.removeprefix("https://").removeprefix("http://")) & set("/*@#?%\\ \x00")
