"""A search on its way, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.db.models import Bot
from kyrochat.retrieval.search_settings import UsedSettings
from kyrochat.retrieval.trace import SearchTrace
from kyrochat.retrieval.types import Passage


@dataclass(frozen=True, slots=True)
class IndexState:
    """What a bot's results depend on beside the question and the settings.

    `version` counts the commits that change what can be found; the others change scores.
    """

    version: int
    encoding: int
    lexicon: int
    vectors: int


@dataclass(frozen=True, slots=True)
class Search:
    """A question to a bot. `documents` are the only ones to look into; None: all.

    `state` is what its index was like before the search began; None: the bot is gone.
    """

    bot: Bot
    question: str
    used: UsedSettings
    documents: Sequence[UUID] | None = None
    state: IndexState | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The passages of a search, best first, and how they were found."""

    passages: tuple[Passage, ...]
    trace: SearchTrace
