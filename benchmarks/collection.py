"""Collections of documents, questions and judgements, as files in a folder.

`corpus.jsonl` has `_id`, perhaps `title`, and `text`; `queries.jsonl` has `_id` and `text`, perhaps `answer`. The
judgements are in `qrels.tsv` (query, document, gain), in a file `qrels`, or in a folder `qrels`, with or without a
header line; TREC's form with a fourth column between query and document is read too. All may be packed with gzip.
What is not there, or null, is empty; what no text of KyroChat holds, such as NUL, is left out.
"""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kyrochat.db.storable import storable
from kyrochat.retrieval.languages import AUTO, Language

CONTAINED = Path(__file__).parent / "collections"


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents as (id, title, text), queries as (id, text), and gains by query and document."""

    name: str
    language: Language
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
        ValueError: a line cannot be read, there is no such language, or no question has a relevant document.
    """
    path, _, language = (argument, "", "") if Path(argument).is_dir() else argument.partition(":")
    folder = Path(path) if Path(path).is_dir() else CONTAINED / path
    documents = [(_id(row), _text(row, "title"), _text(row, "text")) for row in _rows(folder, "corpus.jsonl")]
    lines = list(_rows(folder, "queries.jsonl"))
    answers = {_id(row): row["answer"] for row in lines if "answer" in row}
    found = Collection(
        folder.resolve().name,
        Language(language or AUTO),
        documents,
        [(_id(row), _text(row, "text")) for row in lines],
        _gains(folder),
        answers,
    )
    if not documents or not found.judged:
        raise ValueError(f"{folder}: no question has a relevant document. Are the ids in qrels those of the queries?")
    return found


def _gains(folder: Path) -> dict[str, dict[str, float]]:
    gains: dict[str, dict[str, float]] = defaultdict(dict)
    path = _qrels(folder)
    for number, line in enumerate(_lines(path), start=1):
        # Ids may have spaces where tabs part the columns, and then be in quotes, as other tools write them.
        try:
            cells = next(csv.reader([line], delimiter="\t")) if "\t" in line else line.split()
            query, document, gain = (cells[0], cells[2], cells[3]) if len(cells) == 4 else cells[:3]
            gains[query][document] = float(gain)
        except (ValueError, csv.Error) as error:
            if number > 1:  # the first may be the header
                raise ValueError(f"{path}, line {number}: this is no judgement.") from error
    return dict(gains)


def _qrels(folder: Path) -> Path:
    names = ("qrels.tsv", "qrels", "qrels.txt", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv")
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise FileNotFoundError(f"{folder} has no qrels.tsv.")


def _rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    path = folder / name
    path = path if path.is_file() else folder / f"{name}.gz"
    for number, line in enumerate(_lines(path), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: this is not JSON.") from error
        if not isinstance(row, dict) or not {"_id", "id"} & row.keys():
            raise ValueError(f"{path}, line {number}: a line is an object with an `_id`.")
        yield row


def _lines(path: Path) -> Iterator[str]:
    # Windows puts a mark before UTF-8, which is no part of the first line.
    coding = "utf-8-sig"
    with gzip.open(path, "rt", encoding=coding) if path.suffix == ".gz" else path.open(encoding=coding) as file:
        # Not by splitlines: JSON may hold characters that are line breaks to Unicode.
        yield from (line.rstrip("\n") for line in file if line.strip())


def _id(row: dict[str, Any]) -> str:
    return str(row["_id"] if "_id" in row else row["id"])


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else storable(str(value))
