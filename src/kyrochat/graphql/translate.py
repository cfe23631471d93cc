"""From a row to the type that shows it.

Types refer to each other in circles; modules must not. So a module registers how its rows are shown, and a module
that needs another one's type asks here, by the row it has.
"""

from functools import singledispatch
from typing import Any

from kyrochat.graphql.context import Context


@singledispatch
def translate(row: object, context: Context) -> Any:
    """Return the GraphQL object of a row."""
    del context
    raise TypeError(f"No type shows rows of {type(row).__name__}.")
