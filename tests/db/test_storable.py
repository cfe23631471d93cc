"""What nobody has checked is stored all the same."""

import json

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from kyrochat.db.engine import Database
from kyrochat.db.storable import storable_json

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner))


def test_what_jsonb_cannot_hold_is_taken_out_or_written_as_text() -> None:
    value = {"a\0\ud83d": ["b\0", "\ud83d"], "c": float("nan"), "d": float("-inf"), "e": [1, 2.5, True, None]}

    assert storable_json(value) == {"a": ["b", ""], "c": "nan", "d": "-inf", "e": [1, 2.5, True, None]}


def test_what_is_nested_deeper_than_anything_sensible_is_left_out() -> None:
    told = json.dumps(storable_json(json.loads("[" * 900 + "]" * 900)))

    assert told == "[" * 20 + json.dumps("…") + "]" * 20


@given(VALUES)
def test_it_is_json_that_any_parser_takes(value: object) -> None:
    written = json.dumps(storable_json(value), ensure_ascii=False, allow_nan=False)

    assert json.loads(written.encode()) == storable_json(value)


async def test_postgresql_takes_it(database: Database) -> None:
    value = {"a\0": ["\ud83d", float("nan"), 10**30, "\x01\x7f"]}
    async with database.begin() as session:
        connection = await session.connection()
        query = text("SELECT CAST(:value AS jsonb)")
        stored = await connection.scalar(query, {"value": json.dumps(storable_json(value))})

    assert stored == {"a": ["", "nan", 10**30, "\x01\x7f"]}
