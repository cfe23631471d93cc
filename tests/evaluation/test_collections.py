"""The collections of `make eval`: read in the layouts that are about, and judged against their gates."""

import gzip
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from benchmarks.chart import draw
from benchmarks.collection import CONTAINED, contained, load
from benchmarks.evaluation import Measures, Row, main, measure, table
from benchmarks.gates import LEXICAL, Gate
from benchmarks.product import Rankings

CORPUS = [
    {
        "_id": "bread",
        "title": "Bread",
        "text": "The sourdough starter is fed every evening.\u2028Loaves take 45 minutes.",
    },
    {"_id": "harbour", "title": "", "text": "The speed limit in the basin is 3 knots."},
    {"_id": "again", "text": "The speed limit in the basin is 3 knots."},
    {"_id": "empty", "title": "Opening hours of the office", "text": ""},
]
QUERIES = [
    {"_id": "1", "text": "How often is the starter fed?"},
    {"_id": "2", "text": "How fast may I go in the basin?"},
    {"_id": "3", "text": "Opening hours?"},
    {"_id": "4", "text": "Nobody has judged this."},
]
QRELS = "query-id\tcorpus-id\tscore\n1\tbread\t2\n2\tharbour\t1\n2\tagain\t1\n3\tempty\t1\n4\tbread\t0\n"
MEASURED = Measures(0.7, 0.8, 0.9, 0.6, 4.0)


def written(folder: Path, qrels_name: str = "qrels.tsv", qrels: str = QRELS, *, packed: bool = False) -> Path:
    folder.mkdir()
    files = {
        "corpus.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in CORPUS),
        "queries.jsonl": "".join(json.dumps(row) + "\n" for row in QUERIES),
        qrels_name: qrels,
    }
    for name, text in files.items():
        path = folder / (f"{name}.gz" if packed else name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return folder


@pytest.mark.parametrize(
    ("name", "qrels"),
    [
        ("qrels.tsv", QRELS),
        ("qrels", QRELS.partition("\n")[2]),
        ("qrels/test.tsv", QRELS),
        ("qrels.txt", "1 0 bread 2\n2 0 harbour 1\n2 0 again 1\n3 0 empty 1\n4 0 bread 0\n"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_collections_are_read_in_the_layouts_that_are_about(
    tmp_path: Path, name: str, qrels: str, packed: bool
) -> None:
    folder = written(tmp_path / "mine", name, qrels, packed=packed)

    collection = load(f"{folder}:german")

    assert (collection.name, collection.language) == ("mine", "german")
    assert [document[:2] for document in collection.documents] == [
        ("bread", "Bread"),
        ("harbour", ""),
        ("again", ""),
        ("empty", "Opening hours of the office"),
    ]
    assert "evening.\u2028Loaves" in collection.documents[0][2]
    assert collection.gains["2"] == {"harbour": 1.0, "again": 1.0}
    assert [key for key, _ in collection.judged] == ["1", "2", "3"]


ODD: list[dict[str, object]] = [
    {"_id": "no title", "text": "The sourdough starter is fed every evening."},
    {"_id": 7, "title": 7, "text": "A number for a title, about rowan."},
    {"_id": "null", "title": None, "text": None},
    {"_id": "blank", "title": " ", "text": " \n "},
    {"_id": "marks", "text": "--- ... !!!"},
    {"_id": "controls", "text": "\x01\x02\x03"},
    {"_id": "nul", "title": "A \x00 title", "text": "A NUL \x00 and half a pair \ud83d about quinces."},
    {"_id": "lines", "title": "Two\r\nlines", "text": "Loquats.\r\nAnd more."},
    {"_id": "once", "title": "a", "text": "The same about figs."},
    {"_id": "twice", "title": "b", "text": "The same about figs."},
    {"_id": "twice", "title": "c", "text": "Another one about dates."},
    {"_id": "long", "title": "x" * 1000, "text": "Persimmons. " + "lorem ipsum dolor " * 120_000},
    {"_id": "魚", "title": "\ufdfa", "text": "猫は魚が好きです。"},
]
ODD_QUERIES = {"starter": "no title", "rowan": "7", "quinces": "nul", "loquats": "lines", "dates": "twice"}
ODD_QUERIES |= {"persimmons": "long", "魚が好き": "魚"}


def test_a_folder_with_odd_documents_goes_all_the_way_too(tmp_path: Path) -> None:
    folder, figures = tmp_path / ("a: $_$ folder " * 12), tmp_path / "figures.json"
    folder.mkdir()
    rows: list[dict[str, object]] = [{"_id": text, "text": text} for text in ODD_QUERIES]
    rows.append({"_id": "none", "text": None})
    for name, lines in {"corpus": ODD, "queries": rows}.items():
        text = "\r\n\r\n".join(json.dumps(line) for line in lines)
        (folder / f"{name}.jsonl").write_text(text, "utf-8-sig", newline="")
    judged = [*ODD_QUERIES.items(), ("none", "marks")]
    qrels = "".join(f"{query}\t{document}\t1\r\n" for query, document in judged)
    (folder / "qrels.tsv").write_text(qrels, "utf-8-sig", newline="")

    code = main([str(folder), "--json", str(figures), "--plot", str(tmp_path / "picture.svg")])

    [row] = json.loads(figures.read_text("utf-8"))
    assert (code, row["questions"], row["documents"]) == (0, len(judged), len(ODD))
    assert row["ours"]["recall_10"] == pytest.approx(len(ODD_QUERIES) / len(judged))


def test_a_folder_without_words_goes_all_the_way_too(tmp_path: Path) -> None:
    folder, figures = written(tmp_path / "mine"), tmp_path / "figures.json"
    (folder / "corpus.jsonl").write_text('{"_id": "bread", "text": "!"}\n{"_id": "empty"}\n', "utf-8")

    code = main([str(folder), "--json", str(figures)])

    [row] = json.loads(figures.read_text("utf-8"))
    assert (code, row["ours"]["recall_100"], row["bm25s"]["recall_100"]) == (0, 0, 0)


def test_two_folders_of_one_name_are_two_collections(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = written(tmp_path / "mine"), written(tmp_path / "other" / "mine")
    line = {"_id": "bread", "title": "Bread", "text": "Nothing of the kind: how often is the starter fed?"}
    (other / "corpus.jsonl").write_text(json.dumps(line) + "\n", "utf-8")

    main([str(one), str(other), f"{one}:german", "--json", str(tmp_path / "figures.json")])

    rows = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert [row["passages"] for row in rows] == [3, 1, 3]


def test_ids_may_have_spaces_and_quotes(tmp_path: Path) -> None:
    qrels = 'query-id\tcorpus-id\tscore\n1\ta document\t1\n2\t"so ""called"""\t2\n3\t<x:"y">\t1\n'

    collection = load(str(written(tmp_path / "mine", qrels=qrels)))

    assert collection.gains == {"1": {"a document": 1.0}, "2": {'so "called"': 2.0}, "3": {'<x:"y">': 1.0}}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("queries.jsonl", '{"_id": "1", "text": "?"}\n{"_id"', "queries.jsonl, line 2: this is not JSON."),
        ("queries.jsonl", '["1", "?"]\n', "queries.jsonl, line 1: a line is an object with an `_id`."),
        ("qrels.tsv", "1\tbread\t1\n2\tbread\tyes\n", "qrels.tsv, line 2: this is no judgement."),
        ("qrels.tsv", "1 bread 1\n2 bread\n", "qrels.tsv, line 2: this is no judgement."),
        ("qrels.tsv", "query-1\tbread\t1\n", "no question has a relevant document."),
        ("corpus.jsonl", "", "no question has a relevant document."),
    ],
)
def test_what_cannot_be_read_is_told_before_anything_is_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, told: str
) -> None:
    folder = written(tmp_path / "mine")
    (folder / name).write_text(content, "utf-8")

    with pytest.raises(SystemExit) as ended:
        main([str(folder)])

    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["{}:klingon", "{}/elsewhere"])
def test_a_folder_or_a_language_that_is_not_there_is_told(tmp_path: Path, argument: str) -> None:
    with pytest.raises(SystemExit):
        main([argument.format(written(tmp_path / "mine"))])


def test_the_project_has_all_collections_that_have_a_gate() -> None:
    assert {Path(path).name for path in contained()} == set(LEXICAL)
    licences = (CONTAINED / "README.md").read_text("utf-8")
    for path in contained():
        assert Path(path).name.removeprefix("xquad") in licences
        collection = load(path)
        known = {document[0] for document in collection.documents}
        assert len(collection.judged) == len(collection.queries)
        assert all(known.issuperset(gains) for gains in collection.gains.values())


def test_a_collection_goes_all_the_way_through_the_product(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, figures, picture = written(tmp_path / "mine"), tmp_path / "figures.json", tmp_path / "picture.svg"

    code = main([str(folder), "--json", str(figures), "--plot", str(picture)])

    [row] = json.loads(figures.read_text("utf-8"))
    assert code == 0
    assert (row["collection"], row["questions"], row["documents"], row["passages"]) == ("mine", 3, 4, 3)
    # Two documents of the very same text are found as one, and both count.
    assert [row["ours"][name] for name in ("ndcg_10", "recall_10", "recall_100", "mrr_10")] == [1.0, 1.0, 1.0, 1.0]
    assert "no gate" in capsys.readouterr().out
    assert "mine" in picture.read_text("utf-8")


def test_documents_that_are_stored_in_bulk_are_found_as_ingested_ones(tmp_path: Path) -> None:
    folder = written(tmp_path / "mine")
    figures = {"ingested": tmp_path / "ingested.json", "bulk": tmp_path / "bulk.json"}

    main([str(folder), "--json", str(figures["ingested"])])
    main([str(folder), "--json", str(figures["bulk"]), "--bulk"])

    [ingested], [bulk] = (json.loads(path.read_text("utf-8")) for path in figures.values())
    for row in (ingested, bulk):
        del row["ingested_s"], row["ours"]["median_ms"], row["bm25s"]["median_ms"]
    assert bulk == ingested


def test_measures_are_means_over_the_judged_questions(tmp_path: Path) -> None:
    collection = load(str(written(tmp_path / "mine")))
    found = {"1": ["bread"], "2": ["bread", "again"], "3": []}

    measured = measure(collection, Rankings(found, [0.001, 0.002, 0.009]))

    assert asdict(measured) == pytest.approx(
        {
            "ndcg_10": (1 + 0.3869 + 0) / 3,
            "recall_10": (1 + 0.5 + 0) / 3,
            "recall_100": (1 + 0.5 + 0) / 3,
            "mrr_10": (1 + 0.5 + 0) / 3,
            "median_ms": 2.0,
        },
        abs=1e-4,
    )


@pytest.mark.parametrize(
    ("reached", "verdict"), [(0.6494, "BELOW"), (0.6496, "met"), (0.7, "stretch"), (0.9, "stretch")]
)
def test_a_row_says_which_gate_was_reached(tmp_path: Path, reached: float, verdict: str) -> None:
    measured = replace(MEASURED, ndcg_10=reached)
    row = Row("mine", 3, 4, 5, 1.0, measured, MEASURED, Gate(0.65, 0.7))

    assert (row.verdict, row.is_below) == (verdict, verdict == "BELOW")
    assert table([row]).row_count == 1
    for suffix in ("svg", "png"):
        draw([row], tmp_path / f"picture.{suffix}")
        assert (tmp_path / f"picture.{suffix}").stat().st_size > 1000
