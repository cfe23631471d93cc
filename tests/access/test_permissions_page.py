"""docs/permissions.md says what the code does."""

from kyrochat.accounts.permissions import Act
from kyrochat.graphql.permissions import ROOT_FIELDS
from tests.access.permission_table import PAGE, filled

TEXT = PAGE.read_text("utf-8")


def test_the_tables_are_those_of_the_code() -> None:
    assert filled(TEXT) == TEXT, "Run `make docs-permissions`."


def test_every_operation_and_every_act_has_a_line() -> None:
    operations = [
        f"| `{coordinate.partition('.')[2]}` | {coordinate.partition('.')[0].lower()} |" for coordinate in ROOT_FIELDS
    ]
    acts = [f"| {act.words} |" for act in Act]

    assert [line for line in (*operations, *acts) if line not in TEXT] == []


def test_a_table_that_is_out_of_date_is_written_anew() -> None:
    stale = TEXT.replace("| `sendMessage` | mutation | VIEWER and above |", "| `sendMessage` | mutation | everybody |")

    assert stale != TEXT
    assert filled(stale) == TEXT
