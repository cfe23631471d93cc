"""Which pages a page leads to."""

import pytest

from kyrochat.documents.web.links import MAX_LINKS, PageLinks, page_links
from kyrochat.documents.web.scope import Scope
from kyrochat.outbound.address import WebAddress
from tests.timing import at_most

PAGE = """<!DOCTYPE html><html><head><title>x</title>
<base href="/docs/"><base href="/other/"><link rel="stylesheet" href="/s.css">
<link rel="Canonical" href="/docs/index"><link rel=canonical href="/second">
</head><body><a href=" one.html ">1</a><a name=x>no</a><A HREF='two?a=1&amp;b=2'>2</A><a href="#top">top</a>
<map><area href="three"></map><a href="one.html">again</a><a rel="external nofollow" href="secret">no</a>
<a href="mailto:a@b.example">mail</a><!-- <a href="commented"> --><script>var x = '<a href="scripted">';</script>
<a href="">empty</a><p><a href=four>4"""


def test_a_page_says_what_it_links_to() -> None:
    assert page_links(PAGE) == PageLinks(
        ("one.html", "two?a=1&b=2", "three", "mailto:a@b.example", "four"), "/docs/", "/docs/index"
    )
    assert page_links("") == page_links(" \n") == page_links("just text") == PageLinks()


@pytest.mark.parametrize(
    ("meta", "may_index", "may_follow"),
    [
        ('<meta name="robots" content="noindex">', False, True),
        ('<meta name="ROBOTS" content="index, NoFollow">', True, False),
        ('<meta name="kyrochat" content="none">', False, False),
        ('<meta name="robots" content="all"><meta name="kyrochat" content="noindex,nofollow">', False, False),
        ('<meta name="googlebot" content="noindex">', True, True),
        ('<meta name="robots">', True, True),
    ],
)
def test_a_page_may_ask_not_to_be_kept_or_followed(meta: str, may_index: bool, may_follow: bool) -> None:
    found = page_links(f"<html><head>{meta}</head><body><a href=x>x</a></body></html>")

    assert found == PageLinks(("x",), may_index=may_index, may_follow=may_follow)


@pytest.mark.parametrize(
    "page",
    [
        "<a " * 1_500_000,
        "<a href=" * 600_000,
        "<a href=x>" * 500_000,
        "<div>" * 1_000_000,
        "".join(f"<a href=/{number}>" for number in range(300_000)),
        "<a href='" + "x" * 5_000_000 + "'>",
        "<meta name=robots content='" + "noindex," * 500_000 + "'>",
    ],
    ids=lambda page: page[:20],
)
def test_a_page_that_means_harm_takes_seconds_at_most(page: str) -> None:
    with at_most(seconds=8):
        found = page_links(page)

    assert len(found.hrefs) <= MAX_LINKS


START = WebAddress.parse("https://site.example/docs/")


@pytest.mark.parametrize(
    ("reference", "place"),
    [
        ("a", "https://site.example/docs/a"),
        ("/", "https://site.example/"),
        ("a#b", "https://site.example/docs/a"),
        ("http://site.example/a", "https://site.example/a"),
        ("HTTPS://SITE.example:443/a/../b?utm_source=x", "https://site.example/b"),
        ("a.pdf", "https://site.example/docs/a.pdf"),
        ("a.PNG", None),
        ("/feed.xml", None),
        ("/x.zip?a=b", None),
        ("/?file=x.zip", "https://site.example/?file=x.zip"),
        ("https://site.example:8443/", None),
        ("https://other.example/", None),
        ("https://www.site.example/", None),
        ("https://site.example.other.example/", None),
        ("https://site.example@other.example/", None),
        ("mailto:a@site.example", None),
        ("javascript:void(0)", None),
        ("ftp://site.example/", None),
        ("http://[", None),
    ],
)
def test_a_crawl_stays_at_its_site_and_knows_each_page_by_one_name(reference: str, place: str | None) -> None:
    found = Scope(START).place(reference, START)

    assert (None if found is None else str(found)) == place


def test_the_places_of_a_page_come_once_and_in_order() -> None:
    links = page_links(PAGE)

    found = [address.target for address in Scope(START).places(links, START.at("/blog/post"))]

    assert found == ["/docs/one.html", "/docs/two?a=1&b=2", "/docs/three", "/docs/four"]
    assert list(Scope(START).places(PageLinks(("a",), may_follow=False), START)) == []
    assert [str(place) for place in Scope(START).places(PageLinks(("a",), base="http://["), START)] == [
        "https://site.example/docs/a"
    ]
    assert list(Scope(START).places(PageLinks(("a",), base="https://other.example/"), START)) == []


def test_a_port_of_its_own_is_part_of_the_site() -> None:
    scope = Scope(WebAddress.parse("http://site.example:8080/"))

    assert scope.place("/a", scope.start) == WebAddress.parse("http://site.example:8080/a")
    assert scope.place("http://site.example/", scope.start) is None
