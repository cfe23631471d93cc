"""What is read out of good documents, whole."""

from pathlib import Path

import pytest

from kyrochat.documents.extraction import Extracted, Extractor, Limits
from kyrochat.documents.formats.html import parse_html
from kyrochat.documents.formats.visible_text import visible_text
from kyrochat.documents.media_types import MediaType
from kyrochat.errors import UnreadableDocument

PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>Bees &amp;
 hives</title><style>p {color: red}</style><script>alert("no")</script></head>
<body>
<nav><a href="/">Home</a> <a href="/about">About us</a></nav>
<main><article>
<h1>Keeping bees in the city</h1>
<p>A hive needs <b>two</b> things: <a href="https://example.org/water">fresh water</a> and a place in the sun.
The bees will do the rest by themselves, most of the year.</p>
<h2>Tools</h2>
<ul><li>Smoker</li><li>Hive tool</li><li>Veil</li></ul>
<h3>Steps</h3>
<ol><li>Light the smoker.</li><li>Lift the lid.</li></ol>
<h2>Calendar</h2>
<table><tr><th>Month</th><th>Work</th></tr>
<tr><td>April</td><td>First inspection</td></tr>
<tr><td>July</td><td>Harvest the honey</td></tr></table>
<p>Ask a neighbour before you set up a hive; most people like honey, few like surprises.</p>
</article></main>
<footer>Copyright Bees Ltd. <a href="/imprint">Imprint</a></footer>
</body></html>
"""

MARKDOWN = """# Keeping bees in the city

A hive needs **two** things: fresh water and a place in the sun.
The bees will do the rest by themselves, most of the year.

## Tools

- Smoker
- Hive tool
- Veil

### Steps

1. Light the smoker.
2. Lift the lid.

## Calendar

| Month | Work |
|---|---|
| April | First inspection |
| July | Harvest the honey |

Ask a neighbour before you set up a hive; most people like honey, few like surprises."""


async def test_a_page_becomes_markdown_without_its_decoration() -> None:
    assert await Extractor().extract(PAGE.encode(), "text/html") == Extracted(
        MARKDOWN, markdown=True, title="Bees & hives"
    )


async def test_a_page_in_an_old_charset_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "page"
    path.write_bytes('<meta charset="koi8-r"><title>Мёд</title><p>Пчёлы делают мёд.</p>'.encode("koi8-r"))

    assert await Extractor().extract(path, "text/html") == Extracted("Пчёлы делают мёд.", markdown=True, title="Мёд")


@pytest.mark.parametrize("in_process_bytes", [0, 1000])
@pytest.mark.parametrize(
    ("data", "media_type", "expected"),
    [
        (b"\xef\xbb\xbfBees\r\nmake\x00 honey. \r\n", "text/plain", Extracted("Bees\nmake honey.", markdown=False)),
        (b"\n# Bees \n\n- one\n", "text/markdown", Extracted("# Bees\n\n- one", markdown=True, title="Bees")),
        (b"## Not the title\n", "text/markdown", Extracted("## Not the title", markdown=True)),
        ("日本語の\u2028文".encode("utf-16"), "text/plain", Extracted("日本語の\n文", markdown=False)),
    ],
)
async def test_texts_read_the_same_with_and_without_a_child(
    data: bytes, media_type: str, expected: Extracted, in_process_bytes: int
) -> None:
    assert await Extractor(Limits(in_process_bytes=in_process_bytes)).extract(data, media_type) == expected


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>Hello</p>", "Hello"),
        ("just text", "just text"),
        ("<h1>Opening hours</h1><p>9 to 5</p>", "# Opening hours\n\n9 to 5"),
        ("<html><body>Short.<script>x()</script><style>p{}</style></body></html>", "Short."),
        ("<nav>Menu</nav><p>Opening hours: 9 to 5</p><footer>Imprint</footer>", "Opening hours: 9 to 5"),
        ("<p>caf&eacute; &#8364;5 &nosuch;</p>", "café €5 &nosuch;"),
        ("<p>Before</p><img src='data:image/png;base64," + "A" * 100_000 + "'><p>After</p>", "Before\n\nAfter"),
    ],
)
def test_short_pages_keep_their_visible_text(page: str, text: str) -> None:
    assert parse_html(page.encode()).text == text


def test_the_visible_text_is_simple_markdown() -> None:
    page = (
        "<title> A\n title </title><h2>Fees</h2><p>One\n line,<br>another</p><ul><li>a</li><li>b <i>c</i></li></ul>"
        "<table><tr><th>Name</th><td>Fee</td></tr></table><pre>x\n  y</pre><svg><title>no</title></svg>"
        "<noscript>Enable scripts</noscript><p>End"
    )

    found = visible_text(page)

    assert found.text == "## Fees\n\nOne line,\nanother\n\n- a\n\n- b c\n\nName | Fee\n\nx\n  y\n\nEnd"
    assert found.title == "A title"


def test_a_page_whose_text_looks_like_decoration_is_still_read_whole() -> None:
    questions = "".join(f"<details><summary>Question {n}?</summary>Answer {n}.</details>" for n in range(40))
    page = f"<html><body><p>Frequently asked.</p><div class='sidebar comment'>{questions}</div></body></html>"

    text = parse_html(page.encode()).text

    assert [f"Question {n}?" in text and f"Answer {n}." in text for n in range(40)] == [True] * 40


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(b" \n\t\x00\xef\xbb\xbf", "text/plain"), (b"<script>x()</script>", "text/html")],
)
async def test_a_document_without_text_is_refused(data: bytes, media_type: str) -> None:
    with pytest.raises(UnreadableDocument, match=r"^The document holds no text\."):
        await Extractor().extract(data, media_type)


@pytest.mark.parametrize("media_type", list(MediaType))
async def test_an_empty_file_is_refused_whatever_it_should_be(media_type: MediaType) -> None:
    with pytest.raises(UnreadableDocument) as refusal:
        await Extractor().extract(b"", media_type)

    assert refusal.value.message == "The file is empty. Choose a file that holds text."


async def test_binary_data_that_passed_for_a_page_is_refused_by_the_child() -> None:
    with pytest.raises(UnreadableDocument, match="binary data"):
        await Extractor().extract(b"<html>" + bytes(range(256)) * 100, "text/html")
