"""A page is fetched as a careful guest would: redirects by hand, nothing asked twice, everything said plainly."""

import gzip
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.deny_table import AddressRules
from kyrochat.outbound.fetching import Fetched, Unchanged, Validators, user_agent
from tests.outbound.wire import (
    AGENT,
    PUBLIC,
    RecordingNetwork,
    answer,
    by_target,
    fetcher,
    listening,
    names,
    saying,
)

LOCAL = "127.0.0.1"


async def test_a_page_comes_with_its_address_type_charset_and_validators() -> None:
    page = answer(b"<p>x", content_type='Text/HTML; charset="ISO-8859-2"', etag='"v1"', last_modified="Mon, 1 Jan 2024")

    async with listening(saying(page)) as wire:
        found = await fetcher().fetch(wire.address("/a?b=c"))

        assert found == Fetched(
            wire.address("/a?b=c"),
            b"<p>x",
            "text/html",
            "iso-8859-2",
            Validators(f"http://site.example:{wire.port}/a?b=c", '"v1"', "Mon, 1 Jan 2024"),
        )
        [request] = wire.requests
        assert request.target == "/a?b=c"
        assert request.headers == {
            "host": f"site.example:{wire.port}",
            "user-agent": AGENT,
            "accept": "text/html, application/xhtml+xml, text/markdown, text/plain;q=0.9, application/pdf;q=0.9, "
            "*/*;q=0.5",
            "accept-encoding": "gzip",
            "connection": "close",
        }


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(saying(answer(b"page"))) as wire, listening(saying(answer(b"proxy")), host=LOCAL) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        found = await fetcher().fetch(wire.address())

    assert isinstance(found, Fetched)
    assert (found.body, proxy.connections) == (b"page", 0)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirects_are_followed_and_the_last_address_is_kept(status: str) -> None:
    talk = by_target(
        {
            "/old": answer(status=status, location="/new?x#part", set_cookie="a=b"),
            "/new?x": answer(status=status, location="../Größe"),
            "/Gr%C3%B6%C3%9Fe": answer(b"here"),
        }
    )
    async with listening(talk) as wire:
        found = await fetcher().fetch(wire.address("/old"))

    assert isinstance(found, Fetched)
    assert (found.body, str(found.address)) == (b"here", f"http://site.example:{wire.port}/Gr%C3%B6%C3%9Fe")
    assert wire.targets == ["/old", "/new?x", "/Gr%C3%B6%C3%9Fe"]
    assert all("cookie" not in request.headers and "referer" not in request.headers for request in wire.requests)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("http://127.0.0.1:{private}/", "private network"),
        ("http://[::1]:{private}/", "private network"),
        ("http://[::ffff:127.0.0.1]:{private}/", "private network"),
        ("http://inside.example:{private}/", "private network"),
        ("//inside.example:{private}/", "private network"),
        ("http://169.254.169.254/latest/meta-data/", "private network"),
        ("http://2130706433:{private}/", "four decimal numbers"),
        ("http://site.example@127.0.0.1:{private}/", "@"),
        ("file:///etc/passwd", "not by file"),
        ("ftp://site.example/", "not by ftp"),
        ("javascript:alert(1)", "not by javascript"),
        ("http://nowhere.example/", "no host of this name"),
        ("https://", "names no host"),
    ],
)
@pytest.mark.parametrize("hops", [1, 3])
async def test_no_redirect_leads_to_what_may_not_be_fetched(location: str, said: str, hops: int) -> None:
    async with listening(saying(answer(b"secret")), host=LOCAL) as private:
        end = answer(status="302 Found", location=location.format(private=private.port))
        chain = {f"/{hop}": answer(status="302 Found", location=f"/{hop + 1}") for hop in range(1, hops)}
        async with listening(by_target(chain, end)) as wire:
            with pytest.raises(FetchFailed, match=said):
                await fetcher(names(inside_example=LOCAL)).fetch(wire.address("/1"))

    assert len(wire.requests) == hops
    assert private.connections == 0


async def test_five_redirects_are_followed_and_no_sixth() -> None:
    chain = {f"/{hop}": answer(status="302 Found", location=f"/{hop + 1}") for hop in range(10)}
    async with listening(by_target(chain | {"/5": answer(b"fifth")})) as wire:
        found = await fetcher().fetch(wire.address("/0"))
    async with listening(by_target(chain)) as further:
        with pytest.raises(FetchFailed, match="more than 5 times"):
            await fetcher().fetch(further.address("/0"))
    async with listening(saying(answer(status="302 Found", location="/"))) as loop:
        with pytest.raises(FetchFailed, match="more than 5 times"):
            await fetcher().fetch(loop.address("/"))

    assert isinstance(found, Fetched)
    assert found.body == b"fifth"
    assert further.targets == ["/0", "/1", "/2", "/3", "/4", "/5"]
    assert len(loop.requests) == 6


@pytest.mark.parametrize(
    "page", ['<meta http-equiv="refresh" content="0; url=http://127.0.0.1/">', "<script>location='/x'</script>"]
)
async def test_pages_that_lead_on_by_themselves_are_not_followed(page: str) -> None:
    async with listening(saying(answer(page.encode(), refresh="0; url=/x"))) as wire:
        found = await fetcher().fetch(wire.address())

    assert isinstance(found, Fetched)
    assert found.body == page.encode()
    assert len(wire.requests) == 1


async def test_the_gate_is_passed_for_each_request() -> None:
    from collections.abc import AsyncGenerator
    from contextlib import asynccontextmanager

    seen: list[str] = []

    @asynccontextmanager
    async def gate(address: WebAddress) -> AsyncGenerator[None, None]:
        if address.path == "/no":
            raise FetchFailed("No.")
        seen.append(f"in {address.path}")
        yield
        seen.append(f"out {address.path}")

    talk = by_target(
        {"/a": answer(status="302 Found", location="/b"), "/b": answer(status="302 Found", location="/no")}
    )
    async with listening(talk) as wire:
        with pytest.raises(FetchFailed, match=r"^No\.$"):
            await fetcher().fetch(wire.address("/a"), gate=gate)

    assert seen == ["in /a", "out /a", "in /b", "out /b"]
    assert wire.targets == ["/a", "/b"]


async def test_validators_are_sent_to_the_address_that_gave_them_and_to_no_other() -> None:
    talk = by_target(
        {"/old": answer(status="301 Moved", location="/new"), "/new": b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"}
    )
    async with listening(talk) as wire:
        known = Validators(str(wire.address("/new")), '"v1"', "Mon, 01 Jan 2024 00:00:00 GMT")
        found = await fetcher().fetch(wire.address("/old"), known)

        old, new = wire.requests
        assert found == Unchanged(wire.address("/new"))
        assert "if-none-match" not in old.headers
        assert "if-modified-since" not in old.headers
        assert new.headers["if-none-match"] == '"v1"'
        assert new.headers["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"


@pytest.mark.parametrize(
    ("name", "value"), [("etag", "x" * 501), ("etag", "ä"), ("last_modified", ""), ("etag", "a\tb")]
)
async def test_validators_that_cannot_be_sent_back_are_not_kept(name: str, value: str) -> None:
    async with listening(saying(answer(b"x", **{name: value}))) as wire:
        found = await fetcher().fetch(wire.address())

    assert isinstance(found, Fetched)
    assert found.validators == Validators(str(found.address))


async def test_gzip_is_unpacked() -> None:
    text = b"<p>bees</p>" * 1000
    packed = gzip.compress(text)
    async with listening(saying(answer(packed, content_encoding="gzip"))) as wire:
        found = await fetcher().fetch(wire.address())
    async with listening(saying(answer(packed + b"left over", content_encoding=" X-GZip"))) as other:
        same = await fetcher().fetch(other.address())

    assert isinstance(found, Fetched)
    assert isinstance(same, Fetched)
    assert found.body == same.body == text


@pytest.mark.parametrize(
    ("status", "said", "retryable"),
    [
        ("401 Unauthorized", "without signing in", False),
        ("403 Forbidden", "without signing in", False),
        ("404 Not Found", "no such page", False),
        ("410 Gone", "no such page", False),
        ("429 Too Many Requests", "at the moment", True),
        ("500 Internal Server Error", "at the moment", True),
        ("503 Service Unavailable", "at the moment", True),
        ("418 Teapot", "status 418", False),
        ("204 No Content", "status 204", False),
        ("206 Partial Content", "status 206", False),
        ("300 Multiple Choices", "status 300", False),
        ("302 Found", "status 302", False),
    ],
)
async def test_other_answers_are_told_with_what_to_do(status: str, said: str, retryable: bool) -> None:
    async with listening(saying(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())) as wire:
        with pytest.raises(FetchFailed, match=said) as failed:
            await fetcher().fetch(wire.address())

    assert failed.value.retryable is retryable
    assert failed.value.retry_after_s is None


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("99999999999999999999999", 86400.0),
        ("-5", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
        ("Fri, 31 Feb 2020 99:99:99 GMT", None),
    ],
)
async def test_a_busy_server_may_say_when_to_come_back(retry_after: str, seconds: float | None) -> None:
    async with listening(saying(answer(status="503 Busy", retry_after=retry_after))) as wire:
        with pytest.raises(FetchFailed) as failed:
            await fetcher().fetch(wire.address())

    assert failed.value.retry_after_s == seconds


async def test_a_busy_server_may_say_it_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    async with listening(saying(answer(status="503 Busy", retry_after=date))) as wire:
        with pytest.raises(FetchFailed) as failed:
            await fetcher().fetch(wire.address())

    assert failed.value.retry_after_s == pytest.approx(600, abs=10)


async def test_tls_verifies_the_name_although_an_address_is_connected_to() -> None:
    authority = trustme.CA()
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("site.example").configure_cert(server)
    authority.configure_trust(trusting)
    told: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: told.append(name)

    async with listening(saying(answer(b"private talk")), tls=server) as wire:
        resolve = names(other_example=PUBLIC)
        found = await fetcher(resolve, ssl_context=trusting).fetch(wire.address(scheme="https"))
        with pytest.raises(FetchFailed, match="certificate is not valid") as wrong_name:
            await fetcher(resolve, ssl_context=trusting).fetch(wire.address(host="other.example", scheme="https"))
        with pytest.raises(FetchFailed, match="certificate is not valid"):
            await fetcher(resolve).fetch(wire.address(scheme="https"))  # trusts nobody
        with pytest.raises(FetchFailed, match="certificate is not valid"):
            await fetcher(resolve, ssl_context=trusting).fetch(wire.address(host=PUBLIC, scheme="https"))

    assert isinstance(found, Fetched)
    assert found.body == b"private talk"
    assert not wrong_name.value.retryable
    assert told == ["site.example", "other.example", "site.example", None]
    assert wire.targets == ["/"]


async def test_https_does_not_lead_on_to_http() -> None:
    authority = trustme.CA()
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("site.example").configure_cert(server)
    authority.configure_trust(trusting)

    async with listening(saying(answer(b"readable by all"))) as plain:
        away = answer(status="302 Found", location=str(plain.address("/plain")))
        async with listening(saying(away), tls=server) as secure:
            with pytest.raises(FetchFailed, match="without encryption"):
                await fetcher(ssl_context=trusting).fetch(secure.address(scheme="https"))
            onward = answer(status="302 Found", location=str(secure.address("/", scheme="https")))
        async with listening(saying(answer(b"encrypted")), tls=server) as secure:
            onward = answer(status="302 Found", location=str(secure.address("/", scheme="https")))
            async with listening(saying(onward)) as upgrading:
                found = await fetcher(ssl_context=trusting).fetch(upgrading.address())

    assert isinstance(found, Fetched)
    assert (found.body, plain.connections) == (b"encrypted", 0)


async def test_ipv6_addresses_are_written_with_brackets_where_the_host_is_told() -> None:
    address = WebAddress.parse("http://[2606:4700:4700::1111]/x")
    async with listening(saying(answer(b"six"))) as wire:
        network = RecordingNetwork(PUBLIC, port=wire.port)
        await fetcher(rules=AddressRules(), network=network).fetch(address)

    assert network.connected == [("2606:4700:4700::1111", 80)]
    assert [request.headers["host"] for request in wire.requests] == ["[2606:4700:4700::1111]"]


def test_we_say_who_we_are() -> None:
    assert user_agent("1.2").startswith("KyroChat/1.2 (")
    assert user_agent("1.2").isascii()
