"""Events out of bytes that are cut anywhere."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.retrieval.gemini_stream import EventReader

VALUES = st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=10), st.integers(0, 9)), max_size=3)


def read(body: bytes, cuts: list[int]) -> list[Any]:
    reader = EventReader()
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [found for start, end in pairwise(edges) for found in reader.feed(body[start:end])] + reader.close()


@given(
    st.lists(VALUES, max_size=5), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.lists(st.integers(0), max_size=9)
)
def test_wherever_the_bytes_are_cut_the_events_are_the_same(
    values: list[dict[str, Any]], newline: str, is_pretty: bool, cuts: list[int]
) -> None:
    body = ": a comment\n"
    for value in values:
        text = json.dumps(value, ensure_ascii=False, indent=1 if is_pretty else None)
        body += "".join(f"data: {line}{newline}" for line in text.split("\n")) + f"id: 7{newline}{newline}"

    assert read(body.encode(), cuts) == values


@given(VALUES, st.lists(st.integers(0), max_size=9))
def test_the_last_event_needs_no_empty_line_and_an_error_is_no_event(value: dict[str, Any], cuts: list[int]) -> None:
    assert read(f"data: {json.dumps(value)}".encode(), cuts) == [value]
    assert read(json.dumps([value], indent=2).encode(), cuts) == [[value]]


@pytest.mark.parametrize("body", [b"data: {\n\n", b"<html>\n</html>", b"data: {}\n\ndata: NaN\n\n"])
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        read(body, [])
