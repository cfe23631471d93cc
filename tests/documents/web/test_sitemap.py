"""Sitemaps are read as the protocol has them; bombs and nonsense give what came before them."""

import gzip

import pytest

from kyrochat.documents.web.sitemap import MAX_PAGES, MAX_SITEMAP_BYTES, Sitemap, parse_sitemap
from tests.timing import at_most

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
URLS = f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset {NAMESPACE} xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
 <url><loc> https://site.example/a?b=1&amp;c=2 </loc><lastmod>2024-01-01</lastmod>
  <image:image><image:loc>https://site.example/bee.png</image:loc></image:image></url>
 <url><loc><![CDATA[https://site.example/b]]></loc></url>
 <url><loc></loc></url>
</urlset>"""
PAGES = ("https://site.example/a?b=1&c=2", "https://site.example/b")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (URLS.encode(), Sitemap(PAGES)),
        (b"\xef\xbb\xbf\n" + URLS.partition("\n")[2].encode(), Sitemap(PAGES)),
        (gzip.compress(URLS.encode(), mtime=0), Sitemap(PAGES)),
        (URLS.replace("UTF-8", "UTF-16").encode("utf-16"), Sitemap()),  # it does not begin as any sitemap does
        (URLS.replace(NAMESPACE, "").encode(), Sitemap(PAGES)),
        (
            b"https://site.example/a\r\nhttps://site.example/b\n\nnonsense\n/c",
            Sitemap((*PAGES[:0], "https://site.example/a", "https://site.example/b")),
        ),
        (
            f"<sitemapindex {NAMESPACE}><sitemap><loc>/one.xml.gz</loc></sitemap></sitemapindex>".encode(),
            Sitemap((), ("/one.xml.gz",)),
        ),
        (b"", Sitemap()),
        (b"<html><body>Not found", Sitemap()),
        (
            b"<urlset><url><loc>https://site.example/a</loc></url><url><loc>https://site",
            Sitemap(("https://site.example/a",)),
        ),
        (b"<urlset><loc>https://site.example/a</loc></urlset>", Sitemap()),
        (b'<?xml version="1.0" encoding="nonsense"?><urlset/>', Sitemap()),
        (gzip.compress(URLS.encode(), mtime=0)[:-9], Sitemap()),
        (b"\x1f\x8bnot gzip", Sitemap()),
    ],
)
def test_sitemaps_of_all_sorts(data: bytes, expected: Sitemap) -> None:
    assert parse_sitemap(data) == expected


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "https://site.example/">'
    + b"".join(
        b'<!ENTITY a%d "%s">' % (level, b"&a%s;" % (b"%d" % (level - 1) if level > 1 else b"") * 10)
        for level in range(1, 10)
    )
    + b"]><urlset><url><loc>&a9;</loc></url></urlset>"
)
EXTERNAL = b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd" [<!ENTITY e SYSTEM "file:///etc/passwd">]><urlset><url><loc>&e;</loc></url></urlset>'


@pytest.mark.parametrize("data", [LAUGHS, EXTERNAL, b"<!DOCTYPE urlset><urlset><url><loc>x</loc></url></urlset>"])
def test_what_declares_entities_is_not_read(data: bytes) -> None:
    assert parse_sitemap(data) == Sitemap()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"<a>" * 1_700_000, id="nested"),
        pytest.param(b"<urlset><url><loc>" + b"x" * 5_000_000, id="long address"),
        pytest.param(b"<urlset " + b" ".join(b'a%d="1"' % number for number in range(300_000)), id="attributes"),
        pytest.param(b"<urlset><url>" + b"<loc>" * 1_000_000, id="addresses in addresses"),
        pytest.param(gzip.compress(b"\0" * (64 << 20)), id="bomb"),
        pytest.param(b"http://a\n" * 500_000, id="many lines"),
    ],
)
def test_one_that_means_harm_takes_seconds_at_most(data: bytes) -> None:
    with at_most(seconds=4):
        found = parse_sitemap(data)

    assert len(found.pages) <= MAX_PAGES


def test_no_more_pages_come_than_the_protocol_has() -> None:
    one = b"<url><loc>https://site.example/a</loc></url>"
    data = b"<urlset>" + one * (MAX_PAGES + 10) + b"</urlset>"

    assert len(data) < MAX_SITEMAP_BYTES
    assert len(parse_sitemap(data).pages) == MAX_PAGES
    assert parse_sitemap(b"<urlset><url><loc>" + b"x" * 3000 + b"</loc></url>" + one) == Sitemap(
        ("https://site.example/a",)
    )
