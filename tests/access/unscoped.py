"""Takes the first net away: from a pool's statements, the conditions that confine them to workspaces."""

import re
from collections import Counter
from collections.abc import Collection, Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

# As SQLAlchemy and people write them. A join of two columns stays, and so does what SET assigns.
_CONDITION = re.compile(
    r"(?P<before>\b(?:WHERE|AND|ON|OR)\s+\(*)"
    r"(?P<condition>(?:(?P<table>\w+)\.)?workspace_id\s*"
    r"(?:=\s*\$\d+(?:::\w+)?|=\s*ANY\s*\([^()]*\)|IN\s*\((?:[^()]|\([^()]*\))*\)))",
    re.IGNORECASE,
)


def unscoped(statement: str, open_tables: Collection[str] = ()) -> tuple[str, list[str]]:
    """Return the statement with every condition on `workspace_id` made true, and what they were.

    Those on `open_tables` stay: row-level security knows nothing of these.
    """
    found: list[str] = []

    def opened(match: re.Match[str]) -> str:
        if match["table"] in open_tables:
            return match[0]
        found.append(match["condition"])
        # The condition stays in it, for its parameters: PostgreSQL must find a use of each.
        return f"{match['before']}({match['condition']} OR true)"

    return _CONDITION.sub(opened, statement), found


@contextmanager
def without_scoping(engine: AsyncEngine, open_tables: Collection[str]) -> Generator[Counter[str], None, None]:
    """Run all statements of the engine unscoped meanwhile, and give the conditions with how often they were met."""
    met: Counter[str] = Counter()

    def rewrite(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> tuple[str, Any]:
        changed, found = unscoped(statement, open_tables)
        met.update(found)
        return changed, parameters

    event.listen(engine.sync_engine, "before_cursor_execute", rewrite, retval=True)
    try:
        yield met
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", rewrite)
