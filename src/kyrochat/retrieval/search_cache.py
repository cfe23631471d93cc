"""Results of searches that were made lately, for as long as nothing has changed of what can be found.

A result is kept under the state of the bot's index that was read before its search began, and given out only while the
state that is read then is the same: whatever was committed in between, in whatever process, makes it another one. So a
document that was deleted, replaced or labelled anew is never served from here.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from sys import getsizeof

from cachetools import TTLCache

from kyrochat.retrieval.search import Retrieval, Search

MAX_BYTES = 32 << 20
# A store elsewhere may show new vectors later than it says.
KEPT_S = 60.0
# About what a candidate of a trace, or a passage without its text, takes.
ITEM_BYTES = 800


def _size(result: Retrieval) -> int:
    texts = sum(getsizeof(passage.text) for passage in result.passages)
    # In the key and in the trace: a filter may have more in it than it lets through.
    asked = 2 * (getsizeof(result.trace.query) + getsizeof(repr(result.trace.settings)))
    return texts + asked + ITEM_BYTES * (1 + len(result.passages) + len(result.trace.candidates))


def _new() -> "TTLCache[Hashable, Retrieval]":
    return TTLCache(MAX_BYTES, KEPT_S, getsizeof=_size)


@dataclass(frozen=True, slots=True, eq=False)
class SearchCache:
    """By workspace, bot, state of its index, question and settings."""

    _kept: "TTLCache[Hashable, Retrieval]" = field(default_factory=_new)

    def get(self, search: Search) -> Retrieval | None:
        """Return the result of the same search over the same state, if it is still there."""
        return self._kept.get(_key(search))

    def put(self, search: Search, result: Retrieval) -> None:
        """Keep a result, unless the bot is gone, or it alone would fill the cache."""
        if search.state is not None and _size(result) < MAX_BYTES // 8:
            self._kept[_key(search)] = result


def _key(search: Search) -> Hashable:
    # As it is written: to Python true is 1, to a filter it is not.
    return search.bot.workspace_id, search.bot.id, search.state, search.question, repr(search.used)
