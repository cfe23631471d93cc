"""What robots.txt says holds, in its own odd syntax, and no file of it hurts us."""

import pytest

from kyrochat.documents.web.robots import MAX_ROBOTS_BYTES, Robots
from kyrochat.outbound.address import WebAddress
from tests.timing import at_most

FILE = b"""
# All of it is ours.
User-agent: Googlebot
User-agent: KyroChat
Disallow: /private
Allow: /private/press   # but this
Disallow: /*.pdf$
Disallow: /search?
Crawl-delay: 2.5

User-agent: *
Disallow: /

Sitemap: https://site.example/one.xml
sitemap: /two.xml
"""


def allowed(robots: Robots, target: str) -> bool:
    return robots.allows(WebAddress.parse(f"https://site.example{target}"))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", True),
        ("/private", False),
        ("/private-too", False),
        ("/private/press/1", True),
        ("/a/b.pdf", False),
        ("/a/b.pdf?download", True),
        ("/search?q=x", False),
        ("/search", True),
        ("/%70rivate", False),
        ("/robots.txt", True),
    ],
)
def test_our_own_group_is_heard_and_the_longest_rule_wins(target: str, expected: bool) -> None:
    assert allowed(Robots.parse(FILE), target) is expected


def test_delay_and_sitemaps_are_read() -> None:
    robots = Robots.parse(FILE)

    assert robots.delay_s == 2.5
    assert robots.sitemaps == ["https://site.example/one.xml", "/two.xml"]
    assert Robots.parse(b"User-agent: *\nCrawl-delay: 86400").delay_s == 30
    assert Robots.parse(b"User-agent: *\nCrawl-delay: nan").delay_s == 0
    assert Robots.parse(b"User-agent: *\nCrawl-delay: -1").delay_s == 0
    assert Robots.parse(b"User-agent: other\nCrawl-delay: 5").delay_s == 0


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (b"", True),
        (b"User-agent: *\nDisallow:", True),
        (b"User-agent: *\nDisallow: /", False),
        (b"User-agent: *\r\nDisallow: /\r\n", False),
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /", False),
        (b"user-AGENT: kyrochat\ndisallow: /x", False),
        (b"User-agent: KyroChat/1.0\nDisallow: /x", False),
        (b"User-agent: KyroChat-Images\nDisallow: /x", True),
        (b"User-agent:\nDisallow: /x", True),
        (b"User-agent: Other\nDisallow: /", True),
        (b"User-agent: Other\nUser-agent: *\nDisallow: /", False),
        (b"User-agent: *\nDisallow: /\n\nUser-agent: KyroChat\nAllow: /", True),
        (b"User-agent: KyroChat\nAllow: /\nUser-agent: *\nDisallow: /", True),
        (b"User-agent: Other\nDisallow: /\nUser-agent: Another\nDisallow: /x", True),
        (b"Disallow: /", True),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", True),
        (bytes(range(256)) * 100, True),
        (b"User-agent: *\nDisallow: /y\nDisallow: /x\xff\nDisallow: /", False),
    ],
)
def test_files_of_all_sorts_are_understood(file: bytes, expected: bool) -> None:
    assert allowed(Robots.parse(file), "/x") is expected


@pytest.mark.parametrize(
    "file",
    [
        b"".join(b"User-agent: a%d\n" % n for n in range(15_000)) + b"Disallow: /x\n" * 20_000,
        b"User-agent: *\n" + b"".join(b"Disallow: /*%d*a*a*a*b$\n" % n for n in range(25_000)),
        b"User-agent: *\nDisallow: /" + b"a*" * 250_000 + b"$\n",
        b"User-agent: *\nDisallow: /" + b"%" * 500_000,
        b"\n" * MAX_ROBOTS_BYTES,
        b"x" * MAX_ROBOTS_BYTES,
        b"User-agent" + b" " * MAX_ROBOTS_BYTES,
    ],
    ids=lambda file: repr(file[:30]),
)
def test_a_file_that_means_harm_takes_a_second_at_most(file: bytes) -> None:
    address = WebAddress.parse("https://site.example/" + "a1234567890" * 150)

    with at_most(seconds=2):
        robots = Robots.parse(file)
        robots.allows(address)


def test_what_is_beyond_the_size_that_everybody_reads_does_not_count() -> None:
    padding = b"#" * 99 + b"\n"
    file = b"User-agent: *\nDisallow: /early\n" + padding * (MAX_ROBOTS_BYTES // 100) + b"Disallow: /late\n"

    robots = Robots.parse(file)

    assert (allowed(robots, "/early"), allowed(robots, "/late")) == (False, True)
