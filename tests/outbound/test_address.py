"""Addresses have one form, and what could be read in two ways is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.outbound.address import BadAddress, WebAddress


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("https://example.com", "https://example.com/"),
        (" HTTPS://Example.COM:443/A?b=C#top ", "https://example.com/A?b=C"),
        ("http://example.com:80/", "http://example.com/"),
        ("http://example.com:8080", "http://example.com:8080/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com./a", "http://example.com/a"),
        ("http://example.com?", "http://example.com/"),
        ("http://example.com?a=1", "http://example.com/?a=1"),
        ("http://example.com#a", "http://example.com/"),
        ("http://example.com/a/./b/../c/", "http://example.com/a/c/"),
        ("http://example.com/a/..", "http://example.com/"),
        ("http://example.com/../../a", "http://example.com/a"),
        ("http://example.com/%2e%2e/a", "http://example.com/a"),
        ("http://example.com/a/.", "http://example.com/a/"),
        ("http://example.com//a//", "http://example.com//a//"),
        ("http://example.com/%7euser/%e4", "http://example.com/~user/%E4"),
        ("http://example.com/50%", "http://example.com/50%25"),
        ("http://example.com/a b/ä?q=ö ü", "http://example.com/a%20b/%C3%A4?q=%C3%B6%20%C3%BC"),
        ("http://example.com/a;b=1,2@3:4", "http://example.com/a;b=1,2@3:4"),
        ("http://example.com/x\\y", "http://example.com/x%5Cy"),
        ("http://example.com/?next=http://other.example/", "http://example.com/?next=http://other.example/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://BÜCHER。example/", "https://xn--bcher-kva.example/"),
        ("https://faß.example/", "https://xn--fa-hia.example/"),
        ("https://ｅｘａｍｐｌｅ.com/", "https://example.com/"),
        ("http://my_host.example/", "http://my_host.example/"),
        ("http://[2001:DB8:0:0::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://192.0.2.1/", "http://192.0.2.1/"),
    ],
)
def test_an_address_has_one_form(written: str, canonical: str) -> None:
    address = WebAddress.parse(written)

    assert str(address) == canonical
    assert WebAddress.parse(canonical) == address


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "empty"),
        ("example.com", "Start it with https://"),
        ("example.com:8080/a", "Start it with https://"),
        ("//example.com/a", "Start it with https://"),
        ("ftp://example.com/", "not by ftp"),
        ("file:///etc/passwd", "not by file"),
        ("gopher://example.com/_x", "not by gopher"),
        ("javascript:alert(1)", "not by javascript"),
        ("data:text/html,<p>x", "not by data"),
        ("http:example.com", "two slashes"),
        ("http:/example.com", "two slashes"),
        ("http:///example.com", "two slashes"),
        ("http://", "names no host"),
        ("http://?a", "names no host"),
        ("http://.example.com/", "names no host"),
        ("http://example..com/", "names no host"),
        ("http://-example.com/", "names no host"),
        ("http://" + "a" * 64 + ".example/", "names no host"),
        ("http://" + "a." * 130 + "example/", "names no host"),
        ("http://ada@example.com/", "@"),
        ("http://ada:secret@example.com/", "@"),
        ("http://example.com\\@other.example/", "@"),
        ("http://example.com\\.other.example/", "no host has"),
        ("http://example.com%2fother.example/", "no host has"),
        ("http://exa mple.com/", "no host has"),
        ("http://exa<mple.com/", "no host has"),
        ("http://a.example:80:80/", "port"),
        ("http://a.example:0/", "port"),
        ("http://a.example:65536/", "port"),
        ("http://a.example:-1/", "port"),
        ("http://a.example:８０/", "port"),
        ("http://a.example:+80/", "port"),
        ("http://[::1/", "not complete"),
        ("http://[::1]x/", "not complete"),
        ("http://[fe80::1%25eth0]/", "no host has"),
        ("http://[::g]/", "no IPv6"),
        ("http://[127.0.0.1]/", "no IPv6"),
        ("http://127.1/", "four decimal numbers"),
        ("http://2130706433/", "four decimal numbers"),
        ("http://0x7f000001/", "four decimal numbers"),
        ("http://0x7f.0.0.1/", "four decimal numbers"),
        ("http://0177.0.0.1/", "four decimal numbers"),
        ("http://1.2.3.4.5/", "four decimal numbers"),
        ("http://256.1.1.1/", "four decimal numbers"),
        ("http://example.0x/", "four decimal numbers"),
        ("http://\u2488.example/", "no host name has"),
        ("http://a\u200bb.example/", "cannot be seen"),
        ("http://a.example/\n", ""),
        ("http://a.exa\nmple/", "cannot be seen"),
        ("http://a.example/\r\nHost: b", "cannot be seen"),
        ("http://a.example/\x00", "cannot be seen"),
        ("http://a.example/\ud800", "cannot be seen"),
        ("http://a.example/" + "a" * 2000, "more than 2,000"),
        ("http://a.example/" + "ä" * 500, "more than 2,000"),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_change(written: str, said: str) -> None:
    if not said:  # white space around is nobody's fault
        assert str(WebAddress.parse(written)) == "http://a.example/"
        return
    with pytest.raises(BadAddress, match=said) as refused:
        WebAddress.parse(written)
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("b", "http://a.example/x/b"),
        ("/b", "http://a.example/b"),
        ("../b?c=1#d", "http://a.example/b?c=1"),
        ("?c", "http://a.example/x/y?c"),
        ("", "http://a.example/x/y?q"),
        ("//b.example", "http://b.example/"),
        ("HTTPS://b.example", "https://b.example/"),
        (" a\n b ", "http://a.example/x/a%20b"),
        ("/\\b.example/", "http://a.example/%5Cb.example/"),
        ("\\\\b.example", "http://a.example/x/%5C%5Cb.example"),
    ],
)
def test_links_are_relative_to_their_page(reference: str, meant: str) -> None:
    assert str(WebAddress.parse("http://a.example/x/y?q").join(reference)) == meant


@pytest.mark.parametrize(
    "reference",
    [
        "mailto:a@b.example",
        "javascript:void(0)",
        "file:///etc/passwd",
        "https://",
        "http://[",
        "//a@b.example",
        "x" * 2001,
    ],
)
def test_links_that_lead_to_no_page_are_refused(reference: str) -> None:
    with pytest.raises(BadAddress):
        WebAddress.parse("http://a.example/x/y").join(reference)


def test_what_says_where_a_visitor_came_from_is_dropped_and_nothing_else() -> None:
    address = WebAddress.parse("http://a.example/?b=%2f&utm_source=x&c&gclid=1&c=2&utm_medium")

    assert str(address.without_tracking()) == "http://a.example/?b=%2F&c&c=2"
    assert str(WebAddress.parse("http://a.example/x?utm_id=1").without_tracking()) == "http://a.example/x"


@given(
    st.sampled_from(["http", "https", "HTTP"]),
    st.sampled_from(["a.example", "Ü.example", "192.0.2.1", "[2001:db8::1]", "a.example:81", "a.example."]),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=60),
)
def test_what_is_an_address_stays_what_it_is(scheme: str, host: str, rest: str) -> None:
    try:
        address = WebAddress.parse(f"{scheme}://{host}/{rest}")
    except BadAddress:
        return

    assert str(address).isascii()
    assert " " not in str(address)
    assert WebAddress.parse(str(address)) == address
    assert address.join("") == address
    assert address.host == WebAddress.parse(f"{scheme}://{host}/").host


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for written in (text, f"http://{text}", f"http://a.example/{text}", f"http://{text}@a.example/"):
        try:
            address = WebAddress.parse(written)
        except BadAddress:
            continue
        assert WebAddress.parse(str(address)) == address
        assert set(address.host) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_:")
