"""The baseline of `benchmarks.ingestion`: read, split, embed for nothing and keep in memory, as LangChain tutorials do.

It runs in an environment of its own (requirements/bench.txt) and prints one line of JSON: seconds, chunks, peak memory.
"""

import json
import sys
import time
from pathlib import Path

from bs4 import BeautifulSoup
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter
from pypdf import PdfReader


class Nothing(Embeddings):  # type: ignore[misc]  # its library is in another environment
    """Costs nothing: the same short vector for all texts."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        del text
        return [1.0, 0.0]


def read(path: Path) -> str:
    """The text of a file, by what tutorials use for it."""
    if path.suffix == ".pdf":
        return "\n".join(page.extract_text() for page in PdfReader(path).pages)
    if path.suffix == ".html":
        return str(BeautifulSoup(path.read_bytes(), "html.parser").get_text("\n"))
    return path.read_text("utf-8")


def main(directory: Path, chunk_chars: int) -> None:
    store = InMemoryVectorStore(Nothing())
    splitter = RecursiveCharacterTextSplitter(chunk_size=chunk_chars, chunk_overlap=0)
    chunks = 0
    began_at = time.perf_counter()
    for path in sorted(directory.iterdir()):
        texts = splitter.split_text(read(path))
        store.add_texts(texts)
        chunks += len(texts)
    took_s = time.perf_counter() - began_at
    print(json.dumps({"seconds": took_s, "chunks": chunks, "peak_bytes": _peak()}))


def _peak() -> int:
    # Not getrusage: it begins with what the process that started this one had.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
