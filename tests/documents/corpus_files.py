"""The small documents under `corpus`, with what has to be read out of each."""

from dataclasses import dataclass
from pathlib import Path

from kyrochat.documents.media_types import HEAD_BYTES, MediaType, detect

CORPUS = Path(__file__).parent / "corpus"
PAGE_BREAK = "\n\f\n"


@dataclass(frozen=True)
class CorpusFile:
    path: Path

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()

    @property
    def media_type(self) -> MediaType:
        return detect(self.data[:HEAD_BYTES], self.path.name)

    @property
    def pages(self) -> list[str]:
        """The expected texts of the pages; of a format without pages, the whole text."""
        expected = (CORPUS / "expected" / f"{self.path.name}.txt").read_text("utf-8")
        return expected.removesuffix("\n").split(PAGE_BREAK)

    @property
    def has_pages(self) -> bool:
        return self.media_type in (MediaType.PDF, MediaType.PPTX)

    def __str__(self) -> str:
        return self.path.name


FILES = [CorpusFile(path) for path in sorted((CORPUS / "files").iterdir())]
