import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.documents.formats.json_data import parse_json, parse_json_lines

plain = st.none() | st.booleans() | st.integers() | st.text(max_size=10)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('"just a text"', "just a text"),
        ("[1, 2.50, true, null]", "1, 2.50, true,"),
        ('{"a": 1.10, "b": "x\\ny", "a": 2}', "a: 1.10\nb: x y\na: 2"),
        ('{"a": {"b": {"c": 1}}, "d": []}', "a.b.c: 1"),
        ('[{"a": 1}, {"a": 2}]', "a: 1\n\na: 2"),
        ('{"bees": [{"a": 1}, {"a": 2}], "n": 3}', "n: 3\n\n# bees\n\na: 1\n\na: 2"),
        ('{"a": "# no heading"}', "a: # no heading"),
        ('"# no heading"', "    # no heading"),
        ('{"x": NaN, "y": "\\ud800"}', "x: NaN\ny:"),
        ("// a comment\n{}", "// a comment\n{}"),
        ("{'single': 1}", "{'single': 1}"),
    ],
)
def test_values_stand_beside_their_names(data: str, text: str) -> None:
    assert parse_json(data.encode()).text == text


def test_large_parts_get_headings() -> None:
    parts = {name: {f"{name}{number}": number for number in range(50)} for name in ("drones", "queens")}

    text = parse_json(json.dumps({"hive": parts}).encode()).text

    assert text.startswith("# hive\n\n## hive.drones\n\ndrones0: 0\n")
    assert "\ndrones49: 49\n\n## hive.queens\n\nqueens0: 0\n" in text


def test_each_line_is_a_record_and_a_broken_one_stays_as_it_is() -> None:
    assert parse_json_lines(b'{"a": 1}\n\n{"a": \n[1, 2]\n').text == 'a: 1\n\n{"a":\n\n1, 2'


@given(values)
def test_every_text_and_number_is_found_again(value: object) -> None:
    def leaves(inner: object) -> list[str]:
        if isinstance(inner, dict):
            return [leaf for entry in inner.values() for leaf in leaves(entry)]
        if isinstance(inner, list):
            return [leaf for entry in inner for leaf in leaves(entry)]
        return [] if inner is None or isinstance(inner, bool) else [str(inner)]

    text = parse_json(json.dumps(value).encode()).text

    for leaf in leaves(value):
        if leaf.isascii() and leaf.isprintable():
            assert " ".join(leaf.split()) in text
