"""Small real documents of every format: what is read out of them, and that each chunk is where it says."""

from itertools import pairwise

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.decoding import normalise
from kyrochat.documents.extraction import Extractor
from kyrochat.documents.media_types import MediaType
from tests.documents.corpus_files import FILES, CorpusFile
from tests.documents.scene import Library, pieces

MEDIA_TYPES = {
    "apiary.json": MediaType.JSON,
    "bees.epub": MediaType.EPUB,
    "guide.md": MediaType.MARKDOWN,
    "handbook.pdf": MediaType.PDF,
    "harvest.csv": MediaType.CSV,
    "hive-book-calc.xlsx": MediaType.XLSX,
    "hive-book.xlsx": MediaType.XLSX,
    "hive.js": MediaType.SOURCE,
    "lease-writer.docx": MediaType.DOCX,
    "lease.docx": MediaType.DOCX,
    "locked-by-owner.pdf": MediaType.PDF,
    "matrix.csv": MediaType.CSV,
    "order.eml": MediaType.EMAIL,
    "paper.pdf": MediaType.PDF,
    "prix.txt": MediaType.TEXT,
    "shop.html": MediaType.HTML,
    "stock.tsv": MediaType.TSV,
    "swarm.eml": MediaType.EMAIL,
    "talk-impress.pptx": MediaType.PPTX,
    "talk.pptx": MediaType.PPTX,
    "visits.jsonl": MediaType.JSON_LINES,
    "wind.txt": MediaType.TEXT,
}
TITLES = {
    "bees.epub": "The little book of bees",
    "guide.md": "Hive guide",
    "handbook.pdf": "City beekeeping handbook",
    "hive-book-calc.xlsx": "Hive book",
    "hive-book.xlsx": "Hive book",
    "lease-writer.docx": "Lease of a hive place",
    "lease.docx": "Lease of a hive place",
    "locked-by-owner.pdf": "Notice",
    "order.eml": "Order 17",
    "paper.pdf": "Foraging of city bees",
    "shop.html": "Honey shop",
    "swarm.eml": "Swarm in the café garden",
    "talk-impress.pptx": "Bees in the city",
    "talk.pptx": "Bees in the city",
}


def test_each_format_has_a_document_and_is_recognised() -> None:
    assert {str(file): file.media_type for file in FILES} == MEDIA_TYPES
    assert set(MEDIA_TYPES.values()) == set(MediaType)


@pytest.mark.parametrize("file", FILES, ids=str)
async def test_the_whole_text_is_read_page_by_page(file: CorpusFile) -> None:
    extracted = await Extractor().extract(file.data, file.media_type)

    edges = [*(extracted.page_starts or [0]), len(extracted.text)]
    assert [extracted.text[start:end].removesuffix("\n\n") for start, end in pairwise(edges)] == file.pages
    assert extracted.title == TITLES.get(str(file))
    assert bool(extracted.page_starts) is file.has_pages
    assert normalise(extracted.text) == extracted.text


@pytest.mark.parametrize("file", FILES, ids=str)
async def test_each_chunk_is_the_text_at_its_place_and_on_its_page(
    library: Library, ada: Viewer, bot: Bot, file: CorpusFile
) -> None:
    document = await library.documents.add_file(ada, bot.id, str(file), None, pieces(file.data))
    await library.work()

    ready = await library.documents.get(ada, document.id)
    assert ready is not None
    assert (ready.status, ready.failure, ready.media_type) == (DocumentStatus.READY, None, file.media_type)
    chunks = await library.chunks(ada, document.id)
    [body] = (await library.versions(ada, document.id)).values()
    assert [chunk.text for chunk in chunks] == [body[chunk.start : chunk.end] for chunk in chunks]
    # Nothing but white space is left out.
    assert "".join("".join(chunk.text for chunk in chunks).split()) == "".join("".join(file.pages).split())
    if file.has_pages:
        # Told by the text of the page itself, since offsets are what is to be checked.
        by_page = {number: "".join(page.split()) for number, page in enumerate(file.pages, start=1) if page.strip()}
        found = dict.fromkeys(by_page, "")
        for chunk in chunks:
            assert chunk.page is not None
            found[chunk.page] += "".join(chunk.text.split())
        assert found == by_page
    else:
        assert {chunk.page for chunk in chunks} == {None}


async def test_passages_and_headings_of_a_pdf_name_the_page(library: Library, ada: Viewer, bot: Bot) -> None:
    file = next(file for file in FILES if str(file) == "handbook.pdf")
    await library.documents.add_file(ada, bot.id, str(file), None, pieces(file.data))
    await library.work()

    found = await library.search(bot, "When is oxalic acid used?", 1)

    assert [(passage.heading, passage.page) for passage in found] == [("Winter", 3)]
