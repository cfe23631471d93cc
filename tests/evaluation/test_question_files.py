"""Question sets as files."""

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyrochat.db.states import DocumentSource
from kyrochat.errors import InvalidInput
from kyrochat.evaluation.filters import read_filter
from kyrochat.evaluation.question_files import MAX_QUESTIONS, read_questions
from kyrochat.evaluation.types import Question
from kyrochat.retrieval.search_settings import DocumentFilter, MetadataCondition


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "set.jsonl",
        '{"id": "a", "question": " How deep? ", "quotes": ["2.6 metres | at low water"], "document": "Harbour"}\n\n'
        '{"query": "Which\\u2028port?", "documents": ["Tern", "tern", "Tern"], "filter": {"tags": {"any": ["x"]}}}\n'
        '{"question": "Who won?", "documents": null, "quotes": null, "answerable": false, "comment": "not read"}\n',
    )

    assert read_questions(path) == [
        Question("a", "How deep?", ("Harbour",), ("2.6 metres | at low water",)),
        Question("2", "Which\u2028port?", ("Tern", "tern"), (), {"tags": {"any": ["x"]}}),
        Question("3", "Who won?"),
    ]


def test_csv_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "set.CSV",
        "\ufeffQuestion,Documents,Quotes,Answerable,Notes\r\n"
        '"How deep, at low water?",Harbour | Tides,"2.6 metres\r\nor so",,x\r\n'
        ",,,,\r\n"
        "Who won?,,,No,\r\n",
    )

    assert read_questions(path) == [
        Question("1", "How deep, at low water?", ("Harbour", "Tides"), ("2.6 metres\nor so",)),
        Question("2", "Who won?"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 questions"),
        ("nothing", "line 1: this is not JSON"),
        ("[1]", "line 1: a line is an object"),
        ('{"documents": ["a"]}', "line 1: a `question` has 1 to"),
        ('{"question": 3, "documents": ["a"]}', "line 1: a `question` has 1 to"),
        ('{"question": "?", "documents": ["a"]}\n{"question": "?"}', "line 2: name `documents` or `quotes`"),
        ('{"question": "?", "documents": [" "]}', "line 1: name `documents` or `quotes`"),
        ('{"question": "?", "documents": [3]}', "line 1: `documents` is a text, or a list"),
        ('{"question": "?", "documents": ["a"], "answerable": false}', "line 1: it is not answerable, and yet"),
        ('{"question": "?", "answerable": "maybe"}', "line 1: `answerable` is true or false"),
        ('{"question": "?", "documents": ["a"], "filter": "x"}', "line 1: `filter` is an object"),
        ('{"question": "?", "documents": ["a"], "filter": {"anyTags": []}}', "line 1: `filter`: anyTags: Extra inputs"),
        ("[" * 200_000, "line 1: this is not JSON"),
        ('{"question": "a\\u0000", "answerable": false}', "line 1: a text holds a NUL character"),
        ('{"question": "?", "quotes": ["\\ud83d"]}', "line 1: a text holds a NUL character, or half"),
        ('{"id": "\\ud83d", "question": "?", "answerable": false}', "line 1: a text holds a NUL character"),
        ('{"id": {}, "question": "?", "answerable": false}', "line 1: an `id` is a number, or has 1 to 200 characters"),
        ('{"id": 1, "question": "?", "answerable": false}\n{"id": "1", "question": "!", "answerable": false}', "twice"),
        ('{"question": "?", "answerable": false}\n' * (MAX_QUESTIONS + 1), "has 5,001 questions"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_questions(written(tmp_path, "set.jsonl", text))

    assert message in caught.value.message
    assert "set.jsonl" in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'question,quotes\n"{"x" * 200_000}"', "line 2: this is not CSV"),
        ("question,answerable\nWho?,perhaps", "line 2: `answerable` is true or false"),
        ("question,filter\nWho?,[[[[", "line 2: `filter` is an object"),
        ("question,quotes\nW\0ho?,x", "line 2: "),
    ],
)
def test_a_wrong_line_of_a_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_questions(written(tmp_path, "set.csv", text))

    assert message in caught.value.message


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").symlink_to("/dev/zero")

    with pytest.raises(InvalidInput, match="has more than 64 MiB"):
        read_questions(tmp_path / "set.jsonl")


@settings(deadline=None)
@given(st.text(), st.sampled_from([".csv", ".jsonl"]))
def test_whatever_stands_in_a_file_it_is_read_or_refused(text: str, suffix: str) -> None:
    with TemporaryDirectory() as directory, suppress(InvalidInput):
        read_questions(written(Path(directory), f"set{suffix}", text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"question\n\xe9")

    for path, message in [(tmp_path / "latin.csv", "is not UTF-8"), (tmp_path / "none.csv", "cannot be read")]:
        with pytest.raises(InvalidInput, match=message):
            read_questions(path)


def test_filters_are_read_in_the_words_of_the_api() -> None:
    data = {
        "sources": ["WEB"],
        "tags": {"any": ["a"]},
        "metadata": [{"key": "firstYear", "gte": 2020}, {"key": "name", "in": ["Tern", 7, True]}],
    }

    assert read_filter(data) == DocumentFilter(
        sources=(DocumentSource.WEB,),
        any_tags=("a",),
        metadata=(
            MetadataCondition("firstYear", at_least=2020),
            MetadataCondition("name", any_of=("Tern", 7, True)),
        ),
    )
    for wrong in (
        {"anyTags": ["a"]},
        {"tags": {"some": ["a"]}},
        {"tags": ["a"]},
        {"tags": {"any": ["\0"]}},
        {"sources": ["FTP"]},
        {"documentIds": ["x"]},
        {"metadata": [{"key": "a"}]},
        {"metadata": json.loads("[" * 900 + "]" * 900)},
    ):
        with pytest.raises(InvalidInput, match="filter"):
            read_filter(wrong)
