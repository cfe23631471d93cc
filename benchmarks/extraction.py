"""How much of PDF files and web pages is read, against a second library and, where there is one, against the truth.

    python -m benchmarks.extraction pdf FOLDER          # every *.pdf below, against pypdf
    python -m benchmarks.extraction html FOLDER         # every *.html[.gz], against its readable text by lxml
    python -m benchmarks.extraction html FOLDER TRUTH   # TRUTH: JSON, {name: {"articleBody": text}}

Counts words, each as often as it stands there: `found` is the share of the reference's words that we have, `extra` the
share of ours that the reference has not. Children run as in the server, so times are theirs.
"""

import asyncio
import gzip
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kyrochat.documents.extraction import Extractor
from kyrochat.errors import UnreadableDocument

_WORD = re.compile(r"\w+")
_MIN_WORDS = 20  # of a file with fewer, the share says nothing


@dataclass(frozen=True)
class Comparison:
    reference: int
    ours: int
    common: int
    seconds: float

    @property
    def found(self) -> float:
        return self.common / max(self.reference, 1)

    @property
    def extra(self) -> float:
        return 1 - self.common / max(self.ours, 1)


def words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.casefold()))


def by_pypdf(data: bytes) -> str:
    import io
    import logging

    from pypdf import PdfReader

    logging.disable(logging.CRITICAL)
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def by_lxml(data: bytes) -> str:
    from lxml import html

    tree = html.fromstring(data)
    for element in tree.xpath("//script|//style|//noscript|//nav|//footer|//head|//comment()"):
        element.drop_tree()
    return str(tree.text_content())


async def compare(files: list[Path], media_type: str, reference: Callable[[Path, bytes], str]) -> list[Comparison]:
    extractor = Extractor()
    found, unreadable, gave_up = [], 0, 0
    for path in files:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        start = time.perf_counter()
        try:
            text = (await extractor.extract(data, media_type)).text
        except UnreadableDocument:
            text = ""
        seconds = time.perf_counter() - start
        try:
            expected = words(reference(path, data))
        except Exception:  # whatever the second library stumbles over
            gave_up += 1
            continue
        if expected.total() >= _MIN_WORDS:
            unreadable += not text
            ours = words(text)
            found.append(Comparison(expected.total(), ours.total(), (ours & expected).total(), seconds))
    print(f"{len(files)} files: {len(found)} compared, {unreadable} of them not read by us, {gave_up} not by the other")
    return found


def report(found: list[Comparison]) -> None:
    total, ours = sum(one.reference for one in found), sum(one.ours for one in found)
    common = sum(one.common for one in found)
    precision, recall = common / max(ours, 1), common / max(total, 1)
    print(f"words: {recall:.3f} found, {1 - precision:.3f} extra")
    shares = sorted(one.found for one in found)
    print(f"files: median {statistics.median(shares):.3f} found, lowest tenth {shares[len(shares) // 10]:.3f}")
    print(f"mean over files: precision {statistics.mean(1 - one.extra for one in found):.3f}", end=", ")
    print(f"recall {statistics.mean(shares):.3f}")
    times = sorted(one.seconds for one in found)
    print(f"seconds: median {statistics.median(times):.2f}, slowest {times[-1]:.2f}")


def main(kind: str, folder: str, truth: str | None = None) -> None:
    if kind == "pdf":
        files = sorted(Path(folder).rglob("*.pdf"))
        report(asyncio.run(compare(files, "application/pdf", lambda _path, data: by_pypdf(data))))
        return
    files = sorted(path for path in Path(folder).rglob("*.htm*") if path.is_file())
    if truth is None:
        report(asyncio.run(compare(files, "text/html", lambda _path, data: by_lxml(data))))
        return
    bodies = json.loads(Path(truth).read_text("utf-8"))
    named = [path for path in files if path.name.split(".")[0] in bodies]
    report(
        asyncio.run(
            compare(named, "text/html", lambda path, _data: str(bodies[path.name.split(".")[0]]["articleBody"]))
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
