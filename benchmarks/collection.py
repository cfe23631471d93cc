"""Collections of documents, questions and judgements, as files in a folder.

`corpus.jsonl` has `_id`, perhaps `title`, and `text`; `queries.jsonl` has `_id` and `text`, perhaps `answer`. The
judgements are in `qrels.tsv` (query, document, gain), in a file `qrels`, or in a folder `qrels`, with or without a
header line; TREC's form with a fourth column between query and document is read too. All may be packed with gzip.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kyrochat.retrieval.languages import AUTO

CONTAINED = Path(__file__).parent / "collections"


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents as (id, title, text), queries as (id, text), and gains by query and document."""

    name: str
    language: str
    documents: Sequence[tuple[str, str, str]]
    queries: Sequence[tuple[str, str]]
    gains: dict[str, dict[str, float]]
    answers: dict[str, str]

    @property
    def judged(self) -> list[tuple[str, str]]:
        """The queries of which at least one document is said to be relevant."""
        return [query for query in self.queries if any(gain > 0 for gain in self.gains.get(query[0], {}).values())]

    def some(self, most: int) -> list[tuple[str, str]]:
        """Return about so many judged queries, from all parts of the collection; all of them for 0."""
        return self.judged[:: max(1, len(self.judged) // most)] if most else self.judged


def contained() -> list[str]:
    """Return the paths of the collections that the project has, by name."""
    return [str(folder) for folder in sorted(CONTAINED.iterdir()) if folder.is_dir()]


def load(argument: str) -> Collection:
    """Read a folder, given as its path, as the name of one that the project has, or as either with `:language`.

    Raises:
        FileNotFoundError: a file is not there.
    """
    path, _, language = argument.partition(":")
    folder = Path(path) if Path(path).is_dir() else CONTAINED / path
    documents = [(_id(row), row.get("title") or "", row.get("text") or "") for row in _rows(folder, "corpus.jsonl")]
    lines = list(_rows(folder, "queries.jsonl"))
    answers = {_id(row): row["answer"] for row in lines if "answer" in row}
    return Collection(
        folder.resolve().name,
        language or AUTO,
        documents,
        [(_id(row), row["text"]) for row in lines],
        _gains(folder),
        answers,
    )


def _gains(folder: Path) -> dict[str, dict[str, float]]:
    gains: dict[str, dict[str, float]] = defaultdict(dict)
    for line in _lines(_qrels(folder)):
        cells = line.split("\t") if "\t" in line else line.split()
        query, document, gain = (cells[0], cells[2], cells[3]) if len(cells) == 4 else cells[:3]
        try:
            gains[query][document] = float(gain)
        except ValueError:  # the header
            continue
    return dict(gains)


def _qrels(folder: Path) -> Path:
    names = ("qrels.tsv", "qrels", "qrels.txt", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv")
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise FileNotFoundError(f"{folder} has no qrels.tsv.")


def _rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    path = folder / name
    for line in _lines(path if path.is_file() else folder / f"{name}.gz"):
        yield json.loads(line)


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        # Not by splitlines: JSON may hold characters that are line breaks to Unicode.
        yield from (line.rstrip("\n") for line in file if line.strip())


def _id(row: dict[str, str]) -> str:
    return str(row["_id"] if "_id" in row else row["id"])
