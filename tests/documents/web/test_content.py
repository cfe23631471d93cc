"""What the server claims of a page helps to read it, and cannot do harm."""

import pytest

from kyrochat.documents.decoding import decode
from kyrochat.documents.media_types import MediaType, detect
from kyrochat.documents.web.content import file_name, stored_bytes
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.fetching import Fetched, Validators


def page(body: bytes = b"x", media_type: str = "text/html", charset: str | None = None, path: str = "/") -> Fetched:
    return Fetched(
        WebAddress.parse(f"http://site.example{path}"), body, media_type, charset, Validators("http://site.example/")
    )


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("koi8-r", "Пчёлы делают мёд".encode("koi8-r"), "Пчёлы делают мёд"),
        ("ISO-8859-1", "a “quote”".encode("cp1252"), "a “quote”"),  # as browsers read it
        ("windows-1250", "Žluťoučký kůň".encode("cp1250"), "Žluťoučký kůň"),
        ("gb2312", "蜜蜂采蜜".encode("gb18030"), "蜜蜂采蜜"),
        # Wrong claims.
        ("iso-8859-1", "Größe".encode(), "Größe"),
        ("iso-8859-1", "\ufeffGröße".encode("utf-16"), "Größe"),
        ("koi8-r", "\ufeffGröße".encode(), "Größe"),
        ("no-such-charset", "Größe und Maße der Bienen".encode("cp1252"), "Größe und Maße der Bienen"),
        ("utf-7", b"+ADw-script+AD4-", "+ADw-script+AD4-"),
        ("idna", b"abc", "abc"),
        ("zip", b"abc", "abc"),
        (None, "Größe".encode(), "Größe"),
    ],
)
def test_the_charset_of_the_header_is_heard_where_the_text_is_not_unicode(
    charset: str | None, body: bytes, text: str
) -> None:
    assert decode(stored_bytes(page(body, charset=charset)), html=True).lstrip("\ufeff") == text


def test_the_header_goes_before_what_the_page_says_of_itself() -> None:
    body = '<meta charset="koi8-r"><p>Žluťoučký kůň</p>'.encode("cp1250")

    assert "Žluťoučký kůň" in decode(stored_bytes(page(body, charset="cp1250")), html=True)


def test_what_is_no_text_stays_as_it_came() -> None:
    body = bytes(range(256))

    assert stored_bytes(page(body, "application/pdf", "koi8-r")) is body


@pytest.mark.parametrize(
    ("path", "media_type", "name", "kind"),
    [
        ("/", "text/html", "page.html", MediaType.HTML),
        ("/guide", "text/html", "guide.html", MediaType.HTML),
        ("/guide.pdf", "text/html", "guide.html", MediaType.HTML),
        ("/guide.php?x=y.md", "application/xhtml+xml", "guide.html", MediaType.HTML),
        ("/readme.md", "text/plain", "readme.md", MediaType.MARKDOWN),
        ("/readme", "text/markdown", "readme.md", MediaType.MARKDOWN),
        ("/notes", "text/plain", "notes", MediaType.TEXT),
        ("/notes.pdf", "text/plain", "notes.txt", MediaType.TEXT),
        ("/main.py", "text/plain", "main.py", MediaType.SOURCE),
        ("/export?format=csv", "text/csv", "export.csv", MediaType.CSV),
        ("/api/bees", "application/json", "bees.json", MediaType.JSON),
        ("/...", "text/html", "....html", MediaType.HTML),
        ("/notes.txt", "", "notes.txt", MediaType.TEXT),
    ],
)
def test_a_page_is_named_for_what_it_is_served_as(path: str, media_type: str, name: str, kind: MediaType) -> None:
    fetched = page(b"<b>bees</b> > wasps", media_type, path=path)

    assert file_name(fetched) == name
    assert detect(fetched.body, name) is kind
