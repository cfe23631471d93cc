"""Web pages that mean harm."""

import pytest

from kyrochat.documents.extraction import Extractor
from kyrochat.errors import UnreadableDocument
from tests.documents.jail_scene import in_linux, resident_mib

pytestmark = in_linux


def laughs() -> str:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    return (
        f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY l0 "lol">{entities}]><html><body><p>&l11; end</p></body></html>'
    )


NESTED = {
    "200,000 nested divs": ("<html><body>" + "<div>" * 200_000 + "<p>deep</p>" + "</div>" * 200_000, "deep"),
    "open lists": ("<html><body>" + "<ul><li>" * 50_000 + "item", "- item"),
    "billion laughs": (laughs(), "&l11; end"),
    "external entity": (
        '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><html><p>&x; end</p></html>',
        "&x; end",
    ),
    "an attribute of 12 MB": (f"<html><body><p title='{'x' * 12_000_000}'>Hello</p></body></html>", "Hello"),
    "300,000 attributes": ("<p " + " ".join(f"a{n}=1" for n in range(300_000)) + ">x", "x"),
    "8 MB of tags": ("<html><body>" + "<div><p><b></b></p></div>" * 320_000 + "<p>end</p>", "end"),
}


@pytest.mark.parametrize("name", NESTED)
async def test_hostile_pages_are_read_at_little_cost_to_the_server(name: str) -> None:
    page, text = NESTED[name]
    data = page.encode()
    before = resident_mib()

    extracted = await Extractor().extract(data, "text/html")

    assert extracted.text.strip() == text
    assert resident_mib() - before < 50


REFUSED = {
    "16 MB of text": (
        "<html><body>" + ("<p>" + "Some words about bees. " * 40 + "</p>") * 17_500,
        "more than 2,000,000 characters",
    ),
    "one text of 11 MB": ("<html><body><p>" + "word" * 2_750_000, "more than 2,000,000 characters"),
    "comments for ever": ("<html><body>" + "<!--" * 500_000, "holds no text"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_hostile_pages_are_refused_with_a_plain_reason(name: str) -> None:
    page, reason = REFUSED[name]
    data = page.encode()
    before = resident_mib()

    with pytest.raises(UnreadableDocument, match=reason):
        await Extractor().extract(data, "text/html")

    assert resident_mib() - before < 50
