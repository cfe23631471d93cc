"""The page on limits says what the code does."""

import re
from pathlib import Path

from kyrochat.rates.limits import HOUR_S, LIMITS, MINUTE_S, WhenAway

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text("utf-8")
UNITS_S = {"min": MINUTE_S, "h": HOUR_S}


def test_the_table_holds_every_limit() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d,]+) \| (\d+) (min|h) \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)

    told = [
        (name, int(amount.replace(",", "")), int(count) * UNITS_S[unit], away)
        for name, amount, count, unit, away in rows
    ]
    away = {WhenAway.COUNT_HERE: "counted by each process", WhenAway.ADMIT_ALL: "not counted"}
    assert told == [(each.name, each.amount, each.period_s, away[each.when_away]) for each in LIMITS]
